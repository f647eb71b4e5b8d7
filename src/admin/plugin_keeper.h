/* plugin_keeper.h - what the admin API asks of whoever keeps the plugins (app/keeper.h). All ops
 * from any thread.
 */
#pragma once

#include "plugin/plugin.h"

/* Something to do later; the caller's memory until fn is called. */
struct plugin_task {
    void (*fn)(void *ctx);
    void *ctx;
    struct plugin_task *next; /* the keeper's */
};

struct plugin_listed { /* a stored plugin */
    int64_t id;
    const char *name, *source;
    const char *about; /* may be empty */
    bool is_builtin;
    const char *json; /* the stored object */
};

struct plugin_keeper_ops {
    /* fn is called on a thread that may read files. */
    void (*run)(void *self, struct plugin_task *task);
    /* fn is called when everything that was stored before this call is in force, or when that has
     * failed (the log says why). NULL: nobody waits. */
    void (*reload)(void *self, struct plugin_task *task);
    /* Inside a task of `run`: the stored object of a plugin, NULL when there is none. */
    const char *(*find)(void *self, const char *name);
    /* The stored plugins by name; fn must not call the keeper. */
    void (*each)(void *self, void (*fn)(const struct plugin_listed *p, void *ctx), void *ctx);
};

struct plugin_keeper {
    const struct plugin_keeper_ops *ops;
    void *self;
    struct plugins *plugins;
};
