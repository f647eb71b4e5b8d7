#include "store_aid.h"

static void insert(void **state)
{
    struct aid a, *aid = &a;
    struct dead_letter d = {.team_id = 2,
                            .at_us = 5,
                            .stage = SLICE("parse_message"),
                            .reason = SLICE("Event ingestion failed. Error: x"),
                            .envelope = SLICE("{}")};

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->dead_letter_insert(aid->self, &d, &aid->err));
    aid_begin(aid);
    must(aid->ops->dead_letter_insert(aid->self, &d, &aid->err));
    aid_commit(aid);
    aid_begin(aid);
    must(aid->ops->dead_letter_insert(aid->self, &d, &aid->err));
    aid->ops->rollback(aid->self);
    expect_rows("SELECT * FROM v_dead_letters", 7,
                "1|2|5|parse_message|Event ingestion failed. Error: x|{}|NULL");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(insert)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
