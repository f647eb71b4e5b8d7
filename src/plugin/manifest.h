/* manifest.h - plugin.json: what a plugin says about itself. Unknown members are ignored, members
 * of a wrong type count as absent. No I/O. One thread per tree.
 */
#pragma once

#include "base/json.h"

/* NULL unless it is a JSON object. The caller frees it by json_free. */
MUST_CHECK cJSON *manifest_parse(struct slice text, struct err *err);
/* Path of the source file relative to the plugin's root, NULL: not given. */
const char *manifest_main(const cJSON *manifest);
const char *manifest_description(const cJSON *manifest); /* "" when there is none */
/* Gives every setting of the schema (array or object form) that `config`, an object, does not have
 * its default. Done when a config is saved, never when it is read. */
void manifest_add_defaults(const cJSON *manifest, cJSON *config);
