#include "store_aid.h"

static void insert(void **state)
{
    struct aid a, *aid = &a;
    struct recording_row row = {.team_id = 1,
                                .distinct_id = SLICE("anna"),
                                .session_id = SLICE("s"),
                                .snapshot_data = SLICE("{\"timestamp\":123}"),
                                .timestamp_us = 5};

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->recording_insert(aid->self, &row, &aid->err));
    assert_int_equal(aid->err.code, ERR_BUG);
    aid_begin(aid);
    must(aid->ops->recording_insert(aid->self, &row, &aid->err));
    aid_commit(aid);
    aid_begin(aid);
    must(aid->ops->recording_insert(aid->self, &row, &aid->err));
    aid->ops->rollback(aid->self);
    expect_rows("SELECT * FROM v_session_recording_events", 6, "1|s||anna|5|{\"timestamp\":123}");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(insert)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
