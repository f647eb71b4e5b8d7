/* Session recording events: appended, a checked uuid once per team for as long as its row is kept.
 *
 * A unique index finds the duplicates, where events have a filter and an index in parts: recordings
 * are few, and their uuids are near enough to time order that inserts go to the index's end.
 */
#include "store/store_priv.h"

static const char sql_insert[] =
    "INSERT INTO session_recording_events (team_id, created_at, timestamp, is_uuid_checked, uuid, "
    "distinct_id, session_id, window_id, snapshot_data) VALUES (?,?,?,?,?,?,?,?,?) "
    "ON CONFLICT (team_id, uuid) WHERE is_uuid_checked = 1 DO NOTHING";

bool recording_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->small.recording, sql_insert, err);
}

bool recording_op_insert(void *self, const struct recording_row *row, bool *is_new, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.recording;

    if (!store_in_batch(s, err))
        return false;
    db_bind_i64(q, 1, row->team_id);
    db_bind_i64(q, 2, row->created_at_us);
    db_bind_i64(q, 3, row->timestamp_us);
    db_bind_i64(q, 4, row->is_uuid_checked && s->dedupe.window_us > 0);
    db_bind_blob(q, 5, row->uuid.b, sizeof(row->uuid.b));
    db_bind_text_or_empty(q, 6, row->distinct_id);
    db_bind_text_or_empty(q, 7, row->session_id);
    db_bind_text_or_empty(q, 8, row->window_id);
    db_bind_text_or_empty(q, 9, row->snapshot_data);
    if (!db_run(q, err))
        return store_failed(s, err);
    *is_new = db_changes(s->db) > 0;
    return true;
}
