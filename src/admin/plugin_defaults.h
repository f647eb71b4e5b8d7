/* plugin_defaults.h - what the manifests of plugins give to configs that say nothing themselves.
 * Applied when a config is saved, never when it is read.
 */
#pragma once

#include "model/provision.h"

struct plugin_defaults;

struct plugin_defaults *plugin_defaults_new(void);
void plugin_defaults_free(struct plugin_defaults *d); /* NULL is legal */
/* Reads the manifest of a plugin (its object as JSON). Reads files. One that cannot be read gives
 * no defaults. */
void plugin_defaults_read(struct plugin_defaults *d, const char *plugin_json);
/* Of the plugins that the configs of `p` name: those of `p` itself, others by `find`. */
struct plugin_defaults *plugin_defaults_of(const struct provision *p,
                                           const char *(*find)(void *ctx, const char *name),
                                           void *ctx);
/* A config (the object as JSON) with the defaults it lacks: heap, NULL when it lacks none. */
char *plugin_defaults_fill(const struct plugin_defaults *d, const char *config_json);
