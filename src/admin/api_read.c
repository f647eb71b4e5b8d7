/* Reads beside the writer: one bounded read-only connection per NET thread, opened at its first
 * use. */
#include "admin/admin_priv.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/reader.h"

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
