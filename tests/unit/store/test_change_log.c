#include "store_aid.h"

static bool add(struct aid *aid, const char *key, int64_t row_id, int64_t owner, uint64_t hash)
{
    struct change c = {.kind = CHANGE_DISTINCT_ID,
                       .team_id = 1,
                       .object_id = row_id,
                       .person_id = owner,
                       .key = slice_cstr(key)};

    return change_log_add(aid_store(aid), &c, hash, &aid->err);
}

static int64_t find(struct aid *aid, const char *key, uint64_t hash)
{
    struct change c = {.kind = CHANGE_DISTINCT_ID, .team_id = 1, .key = slice_cstr(key)};
    bool found;

    must(change_log_find(aid_store(aid), &c, hash, &found, &aid->err));
    return found ? c.person_id : 0;
}

static void newest_state(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    must(add(aid, "a", 1, 5, 100));
    assert_int_equal(find(aid, "a", 100), 0); /* the batch's own rows are the overlay's */
    aid_commit(aid);
    aid_begin(aid);
    assert_int_equal(find(aid, "a", 100), 5);
    must(add(aid, "a", 1, 6, 100));
    aid->ops->rollback(aid->self);
    aid_begin(aid);
    assert_int_equal(find(aid, "a", 100), 5);
    must(add(aid, "a", 1, 7, 100));
    aid_commit(aid);
    aid_begin(aid);
    assert_int_equal(find(aid, "a", 100), 7);
    assert_int_equal(find(aid, "b", 101), 0);
    aid->ops->rollback(aid->self);
    aid_close(aid);
}

/* Two keys under one hash: the memory knows only the newest entry, the answer is right all the
 * same. */
static void shared_hash(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    must(add(aid, "a", 1, 5, 100));
    must(add(aid, "b", 2, 6, 100));
    aid_commit(aid);
    aid_begin(aid);
    assert_int_equal(find(aid, "b", 100), 6);
    assert_int_equal(find(aid, "a", 100), 5);
    assert_int_equal(find(aid, "c", 100), 0);
    aid->ops->rollback(aid->self);
    aid_close(aid);
}

static void walk_of_a_person(void **state)
{
    struct aid a, *aid = &a;
    uint32_t walk = 0;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    must(add(aid, "a", 1, 5, 100));
    must(add(aid, "b", 2, 6, 101));
    must(add(aid, "c", 3, 5, 102));
    aid_commit(aid);
    assert_int_equal(change_log_next_of(aid_store(aid), 5, &walk)->seq, 3);
    assert_int_equal(change_log_next_of(aid_store(aid), 5, &walk)->seq, 1);
    assert_null(change_log_next_of(aid_store(aid), 5, &walk));
    assert_null(change_log_next_of(aid_store(aid), 9, &walk));
    change_log_folded(aid_store(aid), 1);
    walk = 0;
    assert_int_equal(change_log_next_of(aid_store(aid), 5, &walk)->seq, 3);
    assert_null(change_log_next_of(aid_store(aid), 5, &walk));
    change_log_folded(aid_store(aid), 3);
    assert_null(aid_store(aid)->log.entries); /* no memory while there is nothing */
    aid_close(aid);
}

static void rows_wait_for_cursors(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    must(db_exec(
        aid_store(aid)->db,
        "INSERT INTO cursors (name, topic, is_enabled, offset) VALUES ('lake', 'changes', 1, 2), "
        "('off', 'changes', 0, 0)",
        &aid->err));
    aid_begin(aid);
    aid_create(aid, 1, "a", "{}"); /* 1, 2 */
    aid_create(aid, 2, "b", "{}"); /* 3, 4 */
    aid_commit(aid);
    aid_tidy(aid);
    expect_rows("SELECT folded_seq FROM meta", 1, "4");
    expect_rows("SELECT seq FROM changes", 1, "3\n4");
    assert_int_equal(aid_number(aid, "SELECT count(*) FROM v_persons"), 2);
    must(db_exec(aid_store(aid)->db, "UPDATE cursors SET offset = 100", &aid->err));
    aid_begin(aid);
    aid_update(aid, aid_person(aid, "a"), "{\"x\":1}");
    aid_commit(aid);
    aid_tidy(aid);
    expect_rows("SELECT seq FROM changes", 1, "");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_state),
        cmocka_unit_test(shared_hash),
        cmocka_unit_test(walk_of_a_person),
        cmocka_unit_test(rows_wait_for_cursors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
