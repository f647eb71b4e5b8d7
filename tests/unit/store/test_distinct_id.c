#include "store_aid.h"

static void add(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    struct person *p = aid_create(aid, 1, "a", "{}"), *other = aid_create(aid, 2, "b", "{}");
    must(aid->ops->distinct_id_add(aid->self, p, SLICE("c"), &aid->err));
    assert_ptr_equal(aid_person(aid, "c"), p);
    assert_false(aid->ops->distinct_id_add(aid->self, other, SLICE("c"), &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_ptr_equal(aid_person(aid, "c"), p);
    aid_commit(aid);
    expect_rows("SELECT id, distinct_id, version FROM v_person_distinct_ids ORDER BY id", 3,
                "1|a|0\n2|b|0\n3|c|0");
    aid_close(aid);
}

static void odd_ids(void **state)
{
    static const char nul[] = "a\0b", high[] = "\xf0\x9f\x98\x80";
    struct slice list[] = {SLICE(""),           slice_make(nul, 3), SLICE("a"),
                           slice_make(high, 4), SLICE("'"),         SLICE(" a")};
    struct aid a, *aid = &a;
    struct person *p;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    p = aid_create(aid, 1, "first", "{}");
    for (size_t i = 0; i < ARRAY_LEN(list); i++)
        must(aid->ops->distinct_id_add(aid->self, p, list[i], &aid->err));
    aid_commit(aid);
    for (int round = 0; round < 3; round++) {
        aid_begin(aid);
        for (size_t i = 0; i < ARRAY_LEN(list); i++) {
            must(aid->ops->person_get(aid->self, 1, list[i], &p, &aid->err));
            assert_non_null(p);
            must(aid->ops->person_get(aid->self, 2, list[i], &p, &aid->err));
            assert_null(p);
        }
        aid_commit(aid);
        if (round == 0)
            aid_tidy(aid);
        aid_reopen(aid); /* no cache: from the table */
    }
    aid_close(aid);
}

static void list_of(struct aid *aid, const char *id, const char *wanted)
{
    struct store_sqlite *s = aid_store(aid);
    struct pointers list = {.items = NULL};
    struct buf text = BUF_INIT(1000);
    struct person_entry *e = CONTAINER_OF(aid_person(aid, id), struct person_entry, pub);

    must(distinct_id_list(s, e, &list, &aid->err));
    for (size_t i = 0; i < list.count; i++) {
        buf_add_slice(&text, ((struct id_entry *)list.items[i])->key);
        buf_add_char(&text, ' ');
    }
    assert_string_equal(buf_cstr(&text), wanted);
    store_pointers_free(&list);
    buf_free(&text);
}

/* Ids in every place: table, log, batch, and moved away in log and batch. */
static void list(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    aid_create(aid, 1, "a b", "{}");
    aid_create(aid, 2, "x", "{}");
    aid_create(aid, 3, "y", "{}");
    aid_commit(aid);
    aid_tidy(aid);
    aid_begin(aid);
    must(aid->ops->distinct_id_add(aid->self, aid_person(aid, "a"), SLICE("c"), &aid->err));
    must(aid->ops->person_merge(aid->self, aid_person(aid, "x"), aid_person(aid, "a"), &aid->err));
    aid_commit(aid);
    aid_begin(aid);
    list_of(aid, "a", "a b x c ");
    must(aid->ops->distinct_id_add(aid->self, aid_person(aid, "a"), SLICE("d"), &aid->err));
    list_of(aid, "a", "a b x c d ");
    must(aid->ops->person_merge(aid->self, aid_person(aid, "a"), aid_person(aid, "y"), &aid->err));
    list_of(aid, "a", "a b x y c d ");
    aid_commit(aid);
    aid_begin(aid);
    list_of(aid, "d", "a b x y c d ");
    aid->ops->rollback(aid->self);
    aid_tidy(aid);
    aid_reopen(aid);
    aid_begin(aid);
    list_of(aid, "d", "a b x y c d ");
    aid->ops->rollback(aid->self);
    aid_close(aid);
}

static void small_cache(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.distinct_id_cache_entries = 3;
    aid->opt.cache_bytes_max = 4096;
    aid_open_again(aid);
    for (uint64_t round = 0; round < 3; round++) {
        aid_begin(aid);
        for (uint64_t i = 0; i < 50; i++) {
            char id[16];
            snprintf(id, sizeof(id), "u%d", (int)i);
            if (round == 0)
                aid_create(aid, i, id, "{}");
            else
                aid_update(aid, aid_person(aid, id), "{\"p\":\"0123456789\"}");
        }
        aid_commit(aid);
        if (round == 1)
            aid_tidy(aid);
    }
    expect_rows("SELECT count(*), min(version), max(version) FROM v_persons", 3, "50|2|2");
    assert_true(lru_count(aid_store(aid)->ids.lru) <= 3);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add),
        cmocka_unit_test(odd_ids),
        cmocka_unit_test(list),
        cmocka_unit_test(small_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
