/* The decision table of the specification, every row in each of the three modes and of the 2023
 * policy. Whole streams of events are in test_persons.c. */
#include "pipe_aid.h"

enum who { NOBODY, PLAIN, IDENTIFIED, SAME, SAME_IDENTIFIED };

static const struct {
    const char *row;
    enum who a, b; /* of the previous id "prev" and of the event's "id" */
    const char *identify, *alias, *force, *alias_2023;
} table[] = {
    {"M2", PLAIN, NOBODY, "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=0 v=0",
     "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1"},
    {"M2 identified", IDENTIFIED, NOBODY, "P[prev,id] {} ident=1 v=0", "P[prev,id] {} ident=1 v=0",
     "P[prev,id] {} ident=1 v=0", "P[prev,id] {} ident=1 v=0"},
    {"M3", NOBODY, PLAIN, "P[id,prev] {} ident=1 v=1", "P[id,prev] {} ident=0 v=0",
     "P[id,prev] {} ident=1 v=1", "P[id,prev] {} ident=1 v=1"},
    {"M4", NOBODY, NOBODY, "P[id,prev] {} ident=1 v=0", "P[id,prev] {} ident=0 v=0",
     "P[id,prev] {} ident=1 v=0", "P[id,prev] {} ident=1 v=0"},
    {"M5", SAME, SAME, "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=0 v=0",
     "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1"},
    {"M5 identified", SAME_IDENTIFIED, SAME_IDENTIFIED, "P[prev,id] {} ident=1 v=0",
     "P[prev,id] {} ident=1 v=0", "P[prev,id] {} ident=1 v=0", "P[prev,id] {} ident=1 v=0"},
    {"M6", PLAIN, PLAIN, "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=0 v=1",
     "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1"},
    {"M7", IDENTIFIED, PLAIN, "P[prev] {} ident=1 v=0\nP[id] {} ident=1 v=1",
     "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1",
     "P[prev] {} ident=1 v=0\nP[id] {} ident=1 v=1"},
    {"M7 both", IDENTIFIED, IDENTIFIED, "P[prev] {} ident=1 v=0\nP[id] {} ident=1 v=0",
     "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1",
     "P[prev] {} ident=1 v=0\nP[id] {} ident=1 v=0"},
    {"M8", PLAIN, IDENTIFIED, "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1",
     "P[prev,id] {} ident=1 v=1", "P[prev,id] {} ident=1 v=1"},
};

static void given(struct fake_store *f, enum who who, const char *id)
{
    const char *both[] = {"prev", "id"};

    if (who == SAME || who == SAME_IDENTIFIED) {
        if (strcmp(id, "prev") == 0)
            fake_store_person(f, TEAM, both, 2, "{}", 5)->is_identified = who == SAME_IDENTIFIED;
    } else if (who != NOBODY) {
        fake_store_person(f, TEAM, &id, 1, "{}", 5)->is_identified = who == IDENTIFIED;
    }
}

static void run(size_t i, enum merge_mode mode, bool is_2023, const char *expected)
{
    struct world w = {.store = fake_store_new()};
    struct store store = fake_store_ops(w.store);
    struct prepared e = {
        .team_id = TEAM, .distinct_id = SLICE("id"), .previous_id = SLICE("prev"), .merge = mode};
    struct err err = ERR_INIT;
    bool is_refused = true;

    print_message("  %s mode %d\n", table[i].row, (int)mode + 10 * is_2023);
    given(w.store, table[i].a, "prev");
    given(w.store, table[i].b, "id");
    assert_true(store.ops->begin(store.self, &err));
    assert_true(person_merge_apply(&store, is_2023, TEXT_MAX, &e, &is_refused, &err));
    assert_true(store.ops->commit(store.self, NULL, NULL, 0, &err));
    assert_persons(&w, expected);
    assert_int_equal(is_refused, table[i].a == IDENTIFIED && table[i].b != NOBODY &&
                                     (mode == MERGE_IDENTIFY || (mode == MERGE_ALIAS && is_2023)));
    fake_store_free(w.store);
}

static void test_table(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        run(i, MERGE_IDENTIFY, false, table[i].identify);
        run(i, MERGE_ALIAS, false, table[i].alias);
        run(i, MERGE_FORCE, false, table[i].force);
        run(i, MERGE_IDENTIFY, true, table[i].identify);
        run(i, MERGE_ALIAS, true, table[i].alias_2023);
        run(i, MERGE_FORCE, true, table[i].force);
    }
}

static void test_errors(void **state)
{
    static const enum fake_op ops[] = {FAKE_PERSON_GET, FAKE_PERSON_UPDATE, FAKE_PERSON_MERGE};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct fake_store *f = fake_store_new();
        struct store store = fake_store_ops(f);
        struct prepared e = {.team_id = TEAM,
                             .distinct_id = SLICE("id"),
                             .previous_id = SLICE("prev"),
                             .merge = MERGE_FORCE};
        struct err err = ERR_INIT;
        bool is_refused;

        given(f, PLAIN, "prev");
        given(f, PLAIN, "id");
        fake_store_fail(f, ops[i], 1, 1, ERR_RETRY);
        assert_true(store.ops->begin(store.self, &err));
        assert_false(person_merge_apply(&store, false, TEXT_MAX, &e, &is_refused, &err));
        assert_int_equal(err.code, ERR_RETRY);
        store.ops->rollback(store.self);
        fake_store_free(f);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
