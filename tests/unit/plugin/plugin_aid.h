/* plugin_aid.h - plugins over services that remember what they were told. One thread. */
#ifndef TESTS_UNIT_PLUGIN_PLUGIN_AID_H
#define TESTS_UNIT_PLUGIN_PLUGIN_AID_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/plugin_priv.h"
#include "unit.h"

struct services_aid {
    struct buf logs; /* "CONFIG SOURCE TYPE MESSAGE\n" each */
    int log_count;
    int64_t error_config;
    char *error_json; /* the last one; NULL: cleared, or none yet */
    int error_count;
    int64_t disabled;   /* the last config */
    bool holds_storage; /* calls stay in `storage` until they are let go */
    struct plugin_storage_call *storage[64];
    size_t storage_count;
};

static inline void services_aid_log(void *self, const struct plugin_log_entry *e)
{
    struct services_aid *s = self;

    s->log_count++;
    buf_addf(&s->logs, "%lld %s %s %.*s\n", (long long)e->config_id, e->source, e->type,
             SLICE_ARG(e->message));
}

static inline void services_aid_storage(void *self, struct plugin_storage_call *call)
{
    struct services_aid *s = self;

    call->is_found = false;
    if (s->holds_storage && s->storage_count < ARRAY_LEN(s->storage))
        s->storage[s->storage_count++] = call;
    else
        call->done(call, true, NULL);
}

static inline void services_aid_let_go(struct services_aid *s)
{
    s->holds_storage = false;
    for (size_t i = 0; i < s->storage_count; i++)
        s->storage[i]->done(s->storage[i], true, NULL);
    s->storage_count = 0;
}

static inline void services_aid_error(void *self, int64_t config_id, const char *error_json)
{
    struct services_aid *s = self;

    s->error_config = config_id;
    s->error_count++;
    mem_free(s->error_json);
    s->error_json = mem_dup_str(error_json);
}

static inline void services_aid_disable(void *self, int64_t config_id)
{
    ((struct services_aid *)self)->disabled = config_id;
}

static const struct plugin_services services_aid_table = {
    .log = services_aid_log,
    .storage = services_aid_storage,
    .error = services_aid_error,
    .disable = services_aid_disable,
};

static inline void services_aid_init(struct services_aid *s)
{
    *s = (struct services_aid){.logs = BUF_INIT((size_t)1 << 24)};
}

static inline void services_aid_fini(struct services_aid *s)
{
    buf_free(&s->logs);
    mem_free(s->error_json);
}

static inline bool services_aid_logged(struct services_aid *s, const char *line)
{
    return strstr(buf_cstr(&s->logs), line) != NULL;
}

static inline struct plugins_options plugins_aid_options(struct services_aid *services)
{
    return (struct plugins_options){
        .limits =
            {
                .memory_bytes = (size_t)64 << 20,
                .stack_bytes = (size_t)1 << 20,
                .run_us = 1000000,
                .wait_us = 2000000,
                .output_bytes = (size_t)16 << 20,
                .awaiting = 64,
                .awaiting_per_team = 8,
                .pending_promises = 100,
                .cache_bytes = (size_t)1 << 20,
                .log_message_units = 50000,
                .circuit_failures = 3,
                .circuit_us = 60000000,
            },
        .services = &services_aid_table,
        .services_self = services,
        .instance_id = "instance",
        .task_timeout_s = 2,
    };
}

/* `services` may be NULL where nothing is reported. */
static inline struct plugins *plugins_aid_new(struct services_aid *services)
{
    struct plugins_options opt = plugins_aid_options(services);

    return plugins_new(&opt);
}

/* Lives as long as `p`. */
static inline struct plugin_state *plugins_aid_state(struct plugins *p, int64_t id)
{
    struct plugin_state *s = plugins_state(p, id);

    plugin_state_unref(s);
    return s;
}

static inline void plugins_aid_add(struct plugins *p, struct plugin_set *s,
                                   const struct plugin_config *c)
{
    struct plugin_config copy = *c;

    copy.state = plugins_aid_state(p, c->id);
    copy.is_enabled = true;
    plugin_set_add(s, &copy);
}

#endif
