/* plugin_recorder.h - the host of a plugin that is tried out: keeps what it says and stores in
 * memory, and tells it as JSON.
 *
 * One thread. Errors: what has no room any more is told by plugin_recorder_is_over.
 */
#pragma once

#include "base/map.h"
#include "plugin/plugin.h"

struct plugin_recorder {
    struct buf logs, jobs;  /* members of a list */
    struct recorded *items; /* storage, in the order of the first writing */
    size_t count, cap;
    struct map *by_key; /* key -> its place + 1 */
    char *error_json;   /* the last one; NULL: none */
};

extern const struct plugin_services plugin_recorder_services; /* self: the recorder */

void plugin_recorder_init(struct plugin_recorder *r);
void plugin_recorder_fini(struct plugin_recorder *r);
void plugin_recorder_set(struct plugin_recorder *r, struct slice key, struct slice json);
void plugin_recorder_error(struct plugin_recorder *r, const char *error_json);

/* JSON text as a value, anything else as a string. */
bool plugin_recorder_add_value(struct slice text, struct buf *out);
/* {"key":value}; {"name","message","stack"} or null. */
void plugin_recorder_add_storage(const struct plugin_recorder *r, struct buf *out);
void plugin_recorder_add_error(const struct plugin_recorder *r, struct buf *out);
bool plugin_recorder_is_over(const struct plugin_recorder *r);
