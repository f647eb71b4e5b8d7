/* Events that could not be processed, with the reason. */
#include "store/store_priv.h"

static const char sql_insert[] =
    "INSERT INTO dead_letters (team_id, at, stage, reason, envelope) VALUES (?,?,?,?,?)";

bool dead_letter_open(struct store_sqlite *s, struct err *err)
{
    return store_prepare(s, &s->small.dead_letter, sql_insert, err);
}

bool dead_letter_op_insert(void *self, const struct dead_letter *d, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.dead_letter;

    if (!store_in_batch(s, err))
        return false;
    db_bind_i64(q, 1, d->team_id);
    db_bind_i64(q, 2, d->at_us);
    db_bind_text_or_empty(q, 3, d->stage);
    db_bind_text_or_empty(q, 4, d->reason);
    db_bind_text_or_empty(q, 5, d->envelope);
    return db_run(q, err) || store_failed(s, err);
}
