#include "store_aid.h"

#define MINUTE ((int64_t)60000000)

static void count(struct aid *aid, enum store_count what, int64_t team_id, int64_t at,
                  const char *name)
{
    aid->ops->count(aid->self, what, team_id, at, slice_cstr(name));
}

static void sums(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    for (int i = 0; i < 2; i++) {
        aid_begin(aid);
        count(aid, STORE_COUNT_STORED, 1, 0, "a");
        count(aid, STORE_COUNT_STORED, 1, MINUTE - 1, "a");
        count(aid, STORE_COUNT_STORED, 1, MINUTE, "a");
        count(aid, STORE_COUNT_STORED, 1, -1, "a");
        count(aid, STORE_COUNT_DUPLICATE, 1, 0, "a");
        count(aid, STORE_COUNT_STORED, 2, 0, "");
        aid_commit(aid);
    }
    expect_rows("SELECT minute, team_id, name, what, count FROM counters", 5,
                "-1|1|a|0|2\n0|1|a|0|4\n0|1|a|1|2\n0|2||0|2\n1|1|a|0|2");
    aid_close(aid);
}

static void names_are_limited(void **state)
{
    struct aid a, *aid = &a;
    char name[16];

    UNUSED(state);
    aid_open(aid);
    for (int round = 0; round < 2; round++) {
        aid_begin(aid);
        for (int i = 0; i < 1500; i++) {
            snprintf(name, sizeof(name), "n%d", i);
            count(aid, STORE_COUNT_STORED, 1, 0, name);
        }
        count(aid, STORE_COUNT_DEAD, 1, 0, "n0"); /* known: not another name */
        count(aid, STORE_COUNT_STORED, 2, 0, "n1400");
        aid_commit(aid);
        aid_reopen(aid); /* the names are read from the table again */
    }
    expect_rows("SELECT count(DISTINCT name), sum(count) FROM counters WHERE team_id = 1", 2,
                "1001|3002");
    expect_rows("SELECT what, count FROM counters WHERE team_id = 1 AND name = '$other'", 2,
                "0|1000");
    expect_rows("SELECT name FROM counters WHERE team_id = 2", 1, "n1400");
    aid_close(aid);
}

static void rollback(void **state)
{
    struct aid a, *aid = &a;
    char name[16];

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        count(aid, STORE_COUNT_STORED, 1, 0, name);
    }
    fault_arm("store.commit", 1, 1); /* after the names were taken in */
    assert_false(aid->ops->commit(aid->self, NULL, NULL, 0, &aid->err));
    aid->ops->rollback(aid->self);
    aid_begin(aid);
    count(aid, STORE_COUNT_STORED, 1, 0, "y");
    aid_commit(aid);
    expect_rows("SELECT name, count FROM counters", 2, "y|1");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(names_are_limited),
        cmocka_unit_test(rollback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
