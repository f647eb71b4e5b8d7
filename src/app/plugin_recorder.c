/* What the keeper hands to STORE is kept here in lists. Calls are answered at once: the answer
 * reaches the plugin as a message, as it does from another thread. */
#include "app/plugin_recorder.h"

#include "app/keeper.h"
#include "base/iso8601.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/json_value.h"

#define RECORDED_BYTES_MAX (256u << 20)

struct recorded {
    char *key;
    struct buf json;
    bool is_there;
};

void plugin_recorder_init(struct plugin_recorder *r)
{
    *r = (struct plugin_recorder){.logs = BUF_INIT(RECORDED_BYTES_MAX),
                                  .jobs = BUF_INIT(RECORDED_BYTES_MAX),
                                  .by_key = map_new()};
}

void plugin_recorder_fini(struct plugin_recorder *r)
{
    for (size_t i = 0; i < r->count; i++) {
        mem_free(r->items[i].key);
        buf_free(&r->items[i].json);
    }
    mem_free(r->items);
    map_free(r->by_key);
    mem_free(r->error_json);
    buf_free(&r->logs);
    buf_free(&r->jobs);
}

bool plugin_recorder_is_over(const struct plugin_recorder *r)
{
    return r->logs.is_over || r->jobs.is_over;
}

bool plugin_recorder_add_value(struct slice text, struct buf *out)
{
    struct json_read_options opt = {.memory_max = MAX((size_t)16 << 20, 32 * text.len)};
    struct json_doc doc = {0};
    struct err err = ERR_INIT;
    bool ok;

    if (!json_doc_read(text, &opt, &doc, &err))
        return buf_add_json_str(out, text);
    ok = json_value_write(doc.root, out);
    json_doc_free(&doc);
    return ok;
}

/* --- storage ---------------------------------------------------------------------------------- */

/* NULL when the key was never written. */
static struct recorded *find(const struct plugin_recorder *r, struct slice key)
{
    uintptr_t place = (uintptr_t)map_get(r->by_key, key);

    return place ? &r->items[place - 1] : NULL;
}

static struct recorded *make(struct plugin_recorder *r, struct slice key)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 16;
        r->items = mem_realloc(r->items, r->cap * sizeof(*r->items));
    }
    r->items[r->count] =
        (struct recorded){.key = slice_dup(key), .json = BUF_INIT(RECORDED_BYTES_MAX)};
    map_put(r->by_key, key, (void *)(uintptr_t)(r->count + 1));
    return &r->items[r->count++];
}

void plugin_recorder_set(struct plugin_recorder *r, struct slice key, struct slice json)
{
    struct recorded *item = find(r, key);

    if (!item)
        item = make(r, key);
    buf_clear(&item->json);
    buf_add_slice(&item->json, json);
    item->is_there = true;
}

static void add(struct plugin_recorder *r, struct plugin_storage_call *call,
                const struct recorded *item)
{
    struct slice before = item && item->is_there ? buf_slice(&item->json) : SLICE_NONE;
    double sum = keeper_number_of(before) + keeper_number_of(buf_slice(&call->value));

    buf_clear(&call->value);
    keeper_number_write(sum, &call->value);
    plugin_recorder_set(r, call->key, buf_slice(&call->value));
}

static void run_call(struct plugin_recorder *r, struct plugin_storage_call *call)
{
    struct recorded *item = find(r, call->key);

    call->is_found = item && item->is_there;
    switch (call->op) {
    case PLUGIN_STORAGE_GET:
        buf_clear(&call->value);
        if (call->is_found)
            buf_add_slice(&call->value, buf_slice(&item->json));
        break;
    case PLUGIN_STORAGE_SET:
        plugin_recorder_set(r, call->key, buf_slice(&call->value));
        break;
    case PLUGIN_STORAGE_DEL:
        if (item)
            item->is_there = false;
        break;
    case PLUGIN_STORAGE_INIT:
        if (!call->is_found)
            plugin_recorder_set(r, call->key, buf_slice(&call->value));
        break;
    case PLUGIN_STORAGE_ADD:
        add(r, call, item);
        break;
    }
}

static void record_storage(void *self, struct plugin_storage_call *call)
{
    static const struct err fine = ERR_INIT;

    run_call(self, call);
    call->done(call, true, &fine);
}

void plugin_recorder_add_storage(const struct plugin_recorder *r, struct buf *out)
{
    const char *comma = "";

    buf_add_char(out, '{');
    for (size_t i = 0; i < r->count; i++) {
        const struct recorded *item = &r->items[i];

        if (!item->is_there)
            continue;
        buf_add_str(out, comma);
        buf_add_json_str(out, slice_cstr(item->key));
        buf_add_char(out, ':');
        plugin_recorder_add_value(buf_slice(&item->json), out);
        comma = ",";
    }
    buf_add_char(out, '}');
}

/* --- logs, jobs, errors ----------------------------------------------------------------------- */

/* That it was loaded, set up and unloaded goes without saying. */
static bool is_routine(const struct plugin_log_entry *entry)
{
    return slice_eq(slice_cstr(entry->source), SLICE("SYSTEM")) &&
           slice_eq(slice_cstr(entry->type), SLICE("DEBUG"));
}

static void record_log(void *self, const struct plugin_log_entry *entry)
{
    struct plugin_recorder *r = self;

    if (is_routine(entry))
        return;
    buf_addf(&r->logs, "%s{\"type\":\"%s\",\"message\":", r->logs.len ? "," : "", entry->type);
    buf_add_json_str(&r->logs, entry->message);
    buf_add_char(&r->logs, '}');
}

static bool record_job(void *self, const struct plugin_job *job, struct err *err)
{
    struct plugin_recorder *r = self;
    char at[ISO8601_LEN_MAX];

    buf_addf(&r->jobs, "%s{\"type\":", r->jobs.len ? "," : "");
    buf_add_json_str(&r->jobs, slice_cstr(job->type));
    buf_add_str(&r->jobs, ",\"payload\":");
    if (job->payload.len)
        plugin_recorder_add_value(job->payload, &r->jobs);
    else
        buf_add_str(&r->jobs, "null");
    buf_addf(&r->jobs, ",\"run_at\":\"%s\"}", iso8601_ms(job->run_at_us, at));
    return !r->jobs.is_over ||
           err_set(err, ERR_LIMIT, "the jobs have more than %u bytes", RECORDED_BYTES_MAX);
}

void plugin_recorder_error(struct plugin_recorder *r, const char *error_json)
{
    char *copy = mem_dup_str(error_json);

    mem_free(r->error_json);
    r->error_json = copy;
}

/* An error that is cleared has been there all the same. */
static void record_error(void *self, int64_t config_id, const char *error_json)
{
    UNUSED(config_id);
    if (error_json)
        plugin_recorder_error(self, error_json);
}

static void add_text(const cJSON *object, const char *name, struct buf *out)
{
    const char *text = json_str(object, name);

    buf_addf(out, "\"%s\":", name);
    if (text)
        buf_add_json_str(out, slice_cstr(text));
    else
        buf_add_str(out, "null");
}

/* The text is ours, with an event in it that may be as deep as events are: json_parse would count
 * one level too many. */
void plugin_recorder_add_error(const struct plugin_recorder *r, struct buf *out)
{
    cJSON *error = r->error_json ? cJSON_Parse(r->error_json) : NULL;

    if (!error) {
        buf_add_str(out, "null");
        return;
    }
    buf_add_char(out, '{');
    add_text(error, "name", out);
    buf_add_char(out, ',');
    add_text(error, "message", out);
    buf_add_char(out, ',');
    add_text(error, "stack", out);
    buf_add_char(out, '}');
    json_free(error);
}

static void record_disable(void *self, int64_t config_id)
{
    UNUSED(self);
    UNUSED(config_id);
}

const struct plugin_services plugin_recorder_services = {
    .log = record_log,
    .storage = record_storage,
    .error = record_error,
    .disable = record_disable,
    .job = record_job,
};
