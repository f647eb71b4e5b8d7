/* Reads beside the writer: one bounded read-only connection per NET thread, opened at its first
 * use. */
#include "admin/admin_priv.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/reader.h"

#include <stdio.h>

#define MINUTE_US      60000000
#define MINUTES_MAX    1440
#define MINUTES_USUAL  60
#define ERRORS_MAX     200
#define ERRORS_USUAL   50
#define LOGS_USUAL     100
#define TYPE_BYTES_MAX 16
#define EVENTS_MAX     200
#define EVENTS_USUAL   50

struct admin_readers {
    char *path;
    struct store store;
    int count;
    struct store_reader *
        *by_thread; /* index: number of the NET thread, which alone touches its entry */
};

struct admin_readers *api_read_new(const char *database_path, struct store store, int loops)
{
    struct admin_readers *r = mem_new(struct admin_readers);

    r->path = mem_dup_str(database_path);
    r->store = store;
    r->count = loops + 1;
    r->by_thread = mem_new_array(struct store_reader *, (size_t)r->count);
    return r;
}

void api_read_free(struct admin_readers *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->count; i++)
        if (r->by_thread[i])
            store_reader_close(r->by_thread[i]);
    mem_free(r->by_thread);
    mem_free(r->path);
    mem_free(r);
}

static struct store_reader *reader_mine(struct admin_readers *r, struct err *err)
{
    int n = thread_number();

    CHECK(n >= 0 && n < r->count);
    if (!r->by_thread[n]) {
        r->by_thread[n] = store_reader_open(r->path, err);
        if (r->by_thread[n])
            store_reader_attach(r->by_thread[n], &r->store);
    }
    return r->by_thread[n];
}

static void answer_read(struct http_request *req, bool ok, struct buf *json, const struct err *err)
{
    if (ok)
        admin_answer_json(req, 200, buf_slice(json));
    else
        admin_answer_fault(req, admin_status_of(err), err_code_name(err->code), err->text);
    buf_free(json);
}

void api_read_event(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    struct buf json = BUF_INIT(64 << 20);
    struct uuid uuid;

    if (!uuid_parse_loose(http_param_get(req, "uuid"), &uuid)) {
        admin_answer_fault(req, 400, "invalid", "the event in the path must be a UUID");
        return;
    }
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_event(r, &uuid, &json, &err), &json, &err);
}

void api_read_person(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    struct buf json = BUF_INIT(64 << 20);
    struct slice team = SLICE("1"), distinct_id = SLICE_NONE;
    uint64_t team_id = 0;

    http_query_get(req, "team", &team);
    if (!slice_u64(team, &team_id) || team_id > INT64_MAX ||
        !http_query_get(req, "distinct_id", &distinct_id)) {
        admin_answer_fault(req, 400, "invalid", "give ?team=NUMBER&distinct_id=TEXT");
        return;
    }
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_person(r, (int64_t)team_id, distinct_id, &json, &err), &json,
                &err);
}

/* A whole number from the query, `usual` when it is not there. False: refused, and answered. */
static bool query_number(struct http_request *req, const char *name, int64_t max, int64_t usual,
                         int64_t *value)
{
    struct slice text;
    char message[120];
    uint64_t n = 0;

    *value = usual;
    if (!http_query_get(req, name, &text))
        return true;
    if (slice_u64(text, &n) && n <= (uint64_t)max) {
        *value = (int64_t)n;
        return true;
    }
    snprintf(message, sizeof(message),
             "the query parameter `%s` must be a whole number from 0 to %lld", name,
             (long long)max);
    admin_answer_fault(req, 400, "invalid", message);
    return false;
}

void api_read_minutes(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    struct buf json = BUF_INIT(1 << 20);
    struct store_minutes_query q = {.team_id = 0};
    int64_t count;

    if (!query_number(req, "team", INT64_MAX, 0, &q.team_id) ||
        !query_number(req, "to", INT64_MAX / MINUTE_US, clock_wall_us() / MINUTE_US, &q.to) ||
        !query_number(req, "minutes", MINUTES_MAX, MINUTES_USUAL, &count))
        return;
    q.from = q.to - count + 1;
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_minutes(r, &q, &json, &err), &json, &err);
}

void api_read_events(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    struct buf json = BUF_INIT(64 << 20);
    int64_t team_id, limit;

    if (!query_number(req, "team", INT64_MAX, 0, &team_id) ||
        !query_number(req, "limit", EVENTS_MAX, EVENTS_USUAL, &limit))
        return;
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_events(r, team_id, (int)limit, &json, &err), &json, &err);
}

void api_read_errors(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    struct buf json = BUF_INIT(64 << 20);
    struct store_dead_letters_query q = {.team_id = 0};
    int64_t limit;

    if (!query_number(req, "team", INT64_MAX, 0, &q.team_id) ||
        !query_number(req, "before", INT64_MAX, 0, &q.before) ||
        !query_number(req, "limit", ERRORS_MAX, ERRORS_USUAL, &limit))
        return;
    q.limit = (int)limit;
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_dead_letters(r, &q, &json, &err), &json, &err);
}

void api_read_error(struct admin *a, struct http_request *req)
{
    struct err err = ERR_INIT;
    struct buf json = BUF_INIT(512 << 20);
    uint64_t id = 0;

    if (!slice_u64(http_param_get(req, "id"), &id) || id > INT64_MAX) {
        admin_answer_fault(req, 400, "invalid", "the error in the path must be a number");
        return;
    }
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_dead_letter(r, (int64_t)id, &json, &err), &json, &err);
}

void api_read_plugin_logs(struct admin *a, struct http_request *req)
{
    struct store_plugin_logs_query q = {.type = SLICE("")};
    struct buf json = BUF_INIT(64 << 20);
    struct err err = ERR_INIT;
    int64_t limit;

    if (!query_number(req, "config", INT64_MAX, 0, &q.config_id) ||
        !query_number(req, "team", INT64_MAX, 0, &q.team_id) ||
        !query_number(req, "before", INT64_MAX, 0, &q.before) ||
        !query_number(req, "after", INT64_MAX, 0, &q.after) ||
        !query_number(req, "limit", STORE_PLUGIN_LOGS_MAX, LOGS_USUAL, &limit))
        return;
    http_query_get(req, "type", &q.type);
    q.type.len = MIN(q.type.len, TYPE_BYTES_MAX);
    q.limit = (int)limit;
    struct store_reader *r = reader_mine(a->readers, &err);
    answer_read(req, r && store_reader_plugin_logs(r, &q, &json, &err), &json, &err);
}
