/* Session recording events: appended, never looked up here. */
#include "store/store_priv.h"

static const char sql_insert[] =
    "INSERT INTO session_recording_events (team_id, timestamp, uuid, distinct_id, "
    "session_id, window_id, snapshot_data) VALUES (?,?,?,?,?,?,?)";

bool recording_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->small.recording, sql_insert, err);
}

bool recording_op_insert(void *self, const struct recording_row *row, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.recording;

    if (!store_in_batch(s, err))
        return false;
    db_bind_i64(q, 1, row->team_id);
    db_bind_i64(q, 2, row->timestamp_us);
    db_bind_blob(q, 3, row->uuid.b, sizeof(row->uuid.b));
    db_bind_text_or_empty(q, 4, row->distinct_id);
    db_bind_text_or_empty(q, 5, row->session_id);
    db_bind_text_or_empty(q, 6, row->window_id);
    db_bind_text_or_empty(q, 7, row->snapshot_data);
    return db_run(q, err) || store_failed(s, err);
}
