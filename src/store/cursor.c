/* Cursors. The ring's stands in the row (STORE_CURSOR, 'events') with the finished runs above it as
 * a blob; those of destinations are rows with topic 'changes' whose offset is a number of the
 * change sequence, and hold back what they have not passed. */
#include "base/mem.h"
#include "store/store_priv.h"

#define RUNS_BYTES_MAX (64 << 20)
#define RUN_BYTES_MAX  20 /* two varints */

static const char sql_put[] = "INSERT OR REPLACE INTO cursors (name, topic, is_enabled, offset, "
                              "epoch, seen_end, ring_id, runs) "
                              "VALUES ('" STORE_CURSOR "', 'events', 1, ?, ?, ?, ?, ?)";
static const char sql_get[] =
    "SELECT offset, epoch, seen_end, ring_id, runs FROM cursors WHERE name = '" STORE_CURSOR
    "' AND topic = 'events'";
static const char sql_lowest[] =
    "SELECT min(offset) FROM cursors WHERE topic = 'changes' AND is_enabled = 1";

bool store_cursor_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->cursors.put, sql_put, err) &&
           store_prepare(s, &s->cursors.get, sql_get, err) &&
           store_prepare(s, &s->cursors.lowest, sql_lowest, err);
}

static char *put_varint(char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

bool cursor_runs_encode(uint64_t offset, const struct feed_run *runs, size_t count, struct buf *out)
{
    uint64_t last = offset;
    char *at;

    if (count == 0)
        return true;
    if (!buf_reserve(out, count * RUN_BYTES_MAX))
        return false;
    at = out->ptr + out->len;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].from < last || runs[i].to <= runs[i].from)
            return false;
        at = put_varint(at, runs[i].from - last);
        at = put_varint(at, runs[i].to - runs[i].from);
        last = runs[i].to;
    }
    out->len = (size_t)(at - out->ptr);
    return true;
}

static bool take_varint(struct slice *rest, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; rest->len && shift < 64; shift += 7) {
        uint8_t byte = (uint8_t)*rest->ptr++;
        rest->len--;
        if (shift == 63 && byte > 1)
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_run(struct slice *rest, uint64_t last, struct feed_run *run)
{
    uint64_t gap, length;

    return take_varint(rest, &gap) && take_varint(rest, &length) && length > 0 &&
           !__builtin_add_overflow(last, gap, &run->from) &&
           !__builtin_add_overflow(run->from, length, &run->to);
}

bool cursor_runs_decode(uint64_t offset, struct slice bytes, struct feed_run **runs, size_t *count,
                        struct err *err)
{
    uint64_t last = offset;

    *count = 0;
    *runs = NULL;
    if (bytes.len == 0)
        return true;
    *runs = mem_new_array(struct feed_run, bytes.len / 2 + 1); /* a run has at least two bytes */
    while (bytes.len) {
        if (!take_run(&bytes, last, &(*runs)[*count])) {
            mem_free(*runs);
            *runs = NULL;
            *count = 0;
            return err_set(err, ERR_IO, "the runs of cursor " STORE_CURSOR " cannot be read");
        }
        last = (*runs)[(*count)++].to;
    }
    return true;
}

bool cursor_put(struct store_sqlite *s, const struct feed_position *p, const struct feed_run *runs,
                size_t run_count, struct err *err)
{
    struct buf blob = BUF_INIT(RUNS_BYTES_MAX);
    struct db_stmt *q = s->cursors.put;

    if (!cursor_runs_encode(p->offset, runs, run_count, &blob)) {
        buf_free(&blob);
        return err_set(err, ERR_BUG, "the finished runs above offset %llu are not in order",
                       (unsigned long long)p->offset);
    }
    db_bind_i64(q, 1, (int64_t)p->offset);
    db_bind_i64(q, 2, (int64_t)p->epoch);
    db_bind_i64(q, 3, (int64_t)p->seen_end);
    db_bind_blob(q, 4, p->ring_id.b, sizeof(p->ring_id.b));
    db_bind_blob(q, 5, blob.ptr, blob.len);
    bool ok = db_run(q, err);
    buf_free(&blob);
    return ok;
}

bool cursor_lowest(struct store_sqlite *s, int64_t *seq, struct err *err)
{
    struct db_stmt *q = s->cursors.lowest;
    enum db_step step = db_step(q, err);

    if (step == DB_FAIL)
        return false;
    *seq = step == DB_DONE || db_col_is_null(q, 0) ? INT64_MAX : db_col_i64(q, 0);
    db_reset(q);
    return true;
}

bool cursor_op_position(void *self, struct feed_position *position, struct feed_run **runs,
                        size_t *run_count, bool *found, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->cursors.get;
    enum db_step step = db_step(q, err);

    *found = false;
    *runs = NULL;
    *run_count = 0;
    if (step != DB_ROW)
        return step == DB_DONE || store_failed(s, err);
    *position = (struct feed_position){.offset = (uint64_t)db_col_i64(q, 0),
                                       .epoch = (uint64_t)db_col_i64(q, 1),
                                       .seen_end = (uint64_t)db_col_i64(q, 2)};
    bool ok = store_read_uuid(db_col_blob(q, 3), &position->ring_id) ||
              err_set(err, ERR_IO, "cursor " STORE_CURSOR " has no ring id");
    ok = ok && cursor_runs_decode(position->offset, db_col_blob(q, 4), runs, run_count, err);
    db_reset(q);
    *found = ok;
    return ok;
}
