#include "store_aid.h"

static struct recording_row recording(uint64_t n)
{
    return (struct recording_row){.uuid = aid_uuid(n),
                                  .is_uuid_checked = true,
                                  .team_id = 1,
                                  .distinct_id = SLICE("anna"),
                                  .session_id = SLICE("s"),
                                  .snapshot_data = SLICE("{\"timestamp\":123}"),
                                  .timestamp_us = 5,
                                  .created_at_us = clock_wall_us()};
}

static bool put(struct aid *aid, const struct recording_row *row)
{
    bool is_new;

    must(aid->ops->recording_insert(aid->self, row, &is_new, &aid->err));
    return is_new;
}

static void insert(void **state)
{
    struct aid a, *aid = &a;
    bool is_new;

    UNUSED(state);
    aid_open(aid);
    struct recording_row row = recording(1);
    assert_false(aid->ops->recording_insert(aid->self, &row, &is_new, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_begin(aid);
    assert_true(put(aid, &row));
    aid_commit(aid);
    row = recording(2);
    aid_begin(aid);
    assert_true(put(aid, &row));
    aid->ops->rollback(aid->self);
    expect_rows("SELECT * FROM v_session_recording_events", 6, "1|s||anna|5|{\"timestamp\":123}");
    aid_begin(aid);
    assert_true(put(aid, &row)); /* what was rolled back is no duplicate */
    aid_commit(aid);
    expect_rows("SELECT count(*) FROM v_session_recording_events", 1, "2");
    aid_close(aid);
}

static void once_per_team(void **state)
{
    static const struct {
        uint64_t n;
        int64_t team_id;
        bool is_checked, is_new;
    } t[] = {
        {1, 1, true, true},  {1, 1, true, false}, /* in one batch */
        {2, 1, true, true},  {1, 2, true, true},  /* other uuid, other team */
        {1, 1, false, true}, {1, 1, false, true}, /* own uuids are not compared */
        {3, 1, false, true}, {3, 1, true, true},  /* also not with checked ones */
        {3, 1, true, false}, {1, 2, true, false},
    };
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct recording_row row = recording(t[i].n);
        row.team_id = t[i].team_id;
        row.is_uuid_checked = t[i].is_checked;
        assert_int_equal(put(aid, &row), t[i].is_new);
    }
    aid_commit(aid);
    aid_reopen(aid);
    aid_begin(aid);
    struct recording_row again = recording(2);
    again.snapshot_data = SLICE("{}");
    assert_false(put(aid, &again));
    aid_commit(aid);
    expect_rows("SELECT count(*) FROM session_recording_events", 1, "7");
    expect_rows("SELECT count(*) FROM session_recording_events WHERE snapshot_data = '{}'", 1, "0");
    aid_close(aid);
}

/* Without a duplicate window every recording is stored, as every event is. */
static void no_window(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.dedupe_window_us = 0;
    aid_open_again(aid);
    struct recording_row row = recording(1);
    aid_begin(aid);
    assert_true(put(aid, &row));
    assert_true(put(aid, &row));
    aid_commit(aid);
    expect_rows("SELECT count(*) FROM session_recording_events", 1, "2");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert),
        cmocka_unit_test(once_per_team),
        cmocka_unit_test(no_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
