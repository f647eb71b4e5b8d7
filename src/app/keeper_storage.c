/* meta.storage: all calls that wait go to STORE together, in their order, in one transaction, and
 * are answered after its commit; while a group is under way the next one gathers. So the price of a
 * sync is shared, and what a plugin was told to be stored is on disk.
 *
 * A group that only reads has nothing to commit: it asks for a rollback. A store that is busy or
 * full is tried again; the plugin's own time limit bounds how long it waits for that.
 */
#include "app/keeper_priv.h"
#include "base/json.h"
#include "base/mem.h"

#define STORED_BYTES_MAX (64u << 20)

void keeper_storage_init(struct keeper_storage *s)
{
    s->last = &s->first;
    s->retry_us = INT64_MAX;
}

static struct plugin_storage_call *call_of(struct mpsc_node *node)
{
    return CONTAINER_OF(node, struct plugin_storage_call, node);
}

/* --- on STORE --------------------------------------------------------------------------------- */

static bool read_stored(struct store *store, const struct plugin_storage_call *c, struct buf *value,
                        bool *is_found, struct err *err)
{
    return store->ops->plugin_storage_get(store->self, c->config_id, c->key, value, is_found, err);
}

static bool set_stored(struct store *store, const struct plugin_storage_call *c, struct slice value,
                       struct err *err)
{
    return store->ops->plugin_storage_set(store->self, c->config_id, c->key, value, err);
}

/* 0 for anything that is no number. */
double keeper_number_of(struct slice text)
{
    struct err err = ERR_INIT;
    cJSON *json = json_parse(text, &err);
    double number = cJSON_IsNumber(json) ? json->valuedouble : 0;

    json_free(json);
    return number;
}

void keeper_number_write(double number, struct buf *out)
{
    cJSON *json = cJSON_CreateNumber(number);

    CHECK(json && json_write(json, out));
    json_free(json);
}

/* The sum reaches the call when it is answered: this may be done again. */
static bool run_add(struct store *store, struct plugin_storage_call *c,
                    struct keeper_result *result, struct err *err)
{
    struct buf text = BUF_INIT(STORED_BYTES_MAX);
    bool is_found;
    bool ok = read_stored(store, c, &text, &is_found, err);

    if (ok) {
        result->has_sum = true;
        result->sum = keeper_number_of(buf_slice(&text)) + keeper_number_of(buf_slice(&c->value));
        buf_clear(&text);
        keeper_number_write(result->sum, &text);
        ok = set_stored(store, c, buf_slice(&text), err);
    }
    buf_free(&text);
    return ok;
}

static bool run_init(struct store *store, struct plugin_storage_call *c, struct err *err)
{
    struct buf text = BUF_INIT(STORED_BYTES_MAX);
    bool ok = read_stored(store, c, &text, &c->is_found, err);

    buf_free(&text);
    return ok && (c->is_found || set_stored(store, c, buf_slice(&c->value), err));
}

static bool run_call(struct store *store, struct plugin_storage_call *c,
                     struct keeper_result *result, struct err *err)
{
    switch (c->op) {
    case PLUGIN_STORAGE_SET:
        return set_stored(store, c, buf_slice(&c->value), err);
    case PLUGIN_STORAGE_DEL:
        return store->ops->plugin_storage_remove(store->self, c->config_id, c->key, err);
    case PLUGIN_STORAGE_GET:
        buf_clear(&c->value); /* of a try before this one */
        return read_stored(store, c, &c->value, &c->is_found, err);
    case PLUGIN_STORAGE_INIT:
        return run_init(store, c, err);
    case PLUGIN_STORAGE_ADD:
        return run_add(store, c, result, err);
    }
    return err_set(err, ERR_BUG, "an unknown call of storage");
}

/* What is wrong with one call is its own affair; anything else fails them all. */
static bool is_own_fault(const struct err *err)
{
    return err->code == ERR_INPUT || err->code == ERR_LIMIT;
}

static bool run_group(struct store *store, void *ctx, struct err *err)
{
    struct keeper_storage *s = &((struct keeper *)ctx)->storage;
    bool has_writes = false;
    size_t i = 0;

    for (struct mpsc_node *node = s->group; node; node = node->next, i++) {
        struct err fault = ERR_INIT;

        mem_free(s->results[i].fault);
        s->results[i] = (struct keeper_result){.fault = NULL};
        has_writes |= call_of(node)->op != PLUGIN_STORAGE_GET;
        if (run_call(store, call_of(node), &s->results[i], &fault))
            continue;
        if (!is_own_fault(&fault)) {
            *err = fault;
            return false;
        }
        s->results[i].fault = mem_dup(&fault, sizeof(fault));
    }
    return has_writes; /* false without an error: nothing to commit */
}

/* The group is ours alone until is_under_way falls. */
static void answer_group(struct keeper_storage *s, const struct err *err)
{
    struct mpsc_node *next;
    size_t i = 0;

    for (struct mpsc_node *node = s->group; node; node = next, i++) {
        struct plugin_storage_call *c = call_of(node);
        struct keeper_result *r = &s->results[i];
        const struct err *fault = err->code != ERR_NONE ? err : r->fault;

        next = node->next;
        if (!fault && r->has_sum) {
            buf_clear(&c->value);
            keeper_number_write(r->sum, &c->value);
        }
        c->done(c, fault == NULL, fault ? fault : err);
        mem_free(r->fault);
    }
    mem_free(s->results);
    s->results = NULL;
    s->group = NULL;
}

static void send_next(struct keeper *k);

static void group_done(void *ctx, bool ok, const struct err *err)
{
    struct keeper *k = ctx;
    struct keeper_storage *s = &k->storage;
    static const struct err fine = ERR_INIT;

    if (!ok && (err->code == ERR_RETRY || err->code == ERR_FULL)) {
        lock_take(&k->lock);
        bool is_stopping = k->is_stopping;
        s->retry_us = keeper_now_us() + KEEPER_RETRY_US;
        keeper_wake(k);
        lock_drop(&k->lock);
        if (!is_stopping)
            return;
    }
    answer_group(s, ok ? &fine : err);
    lock_take(&k->lock);
    s->retry_us = INT64_MAX;
    s->is_under_way = false;
    lock_drop(&k->lock);
    send_next(k);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Under the lock. False: nothing waits, or a group is under way already. */
static bool take_group(struct keeper_storage *s)
{
    struct mpsc_node **end = &s->group;

    if (s->is_under_way || !s->first)
        return false;
    s->group = s->first;
    for (s->group_count = 0; *end && s->group_count < KEEPER_GROUP_CALLS; s->group_count++)
        end = &(*end)->next;
    s->first = *end;
    *end = NULL;
    if (!s->first)
        s->last = &s->first;
    s->is_under_way = true;
    return true;
}

static void send_next(struct keeper *k)
{
    struct keeper_storage *s = &k->storage;
    bool has_group;

    lock_take(&k->lock);
    has_group = k->pipe && take_group(s);
    lock_drop(&k->lock);
    if (!has_group)
        return;
    s->results = mem_new_array(struct keeper_result, s->group_count);
    s->call = (struct pipe_call){.fn = run_group, .done = group_done, .ctx = k};
    pipe_call(k->pipe, &s->call);
}

void keeper_storage_call(void *keeper, struct plugin_storage_call *call)
{
    struct keeper *k = keeper;
    struct keeper_storage *s = &k->storage;

    call->node.next = NULL;
    lock_take(&k->lock);
    *s->last = &call->node;
    s->last = &call->node.next;
    lock_drop(&k->lock);
    send_next(k);
}

void keeper_storage_begin(struct keeper *k)
{
    send_next(k);
}

static void send_again(struct keeper *k, int64_t now_us)
{
    struct keeper_storage *s = &k->storage;
    bool is_due;

    lock_take(&k->lock);
    is_due = s->retry_us <= now_us;
    if (is_due)
        s->retry_us = INT64_MAX;
    lock_drop(&k->lock);
    if (is_due)
        pipe_call(k->pipe, &s->call);
}

void keeper_storage_retry(struct keeper *k)
{
    send_again(k, keeper_now_us());
}

void keeper_storage_finish(struct keeper *k)
{
    send_again(k, INT64_MAX - 1);
}
