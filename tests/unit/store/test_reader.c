#include "store/reader.h"
#include "store_aid.h"

static struct store_reader *open_reader(struct aid *aid)
{
    struct store_reader *r = store_reader_open(aid->path, &aid->err);

    must(r != NULL);
    return r;
}

#define expect_event(r, n, wanted) event_is(aid, r, n, wanted, __LINE__)

static void event_is(struct aid *aid, struct store_reader *r, uint64_t n, const char *wanted,
                     int line)
{
    struct buf json = BUF_INIT(1 << 16);
    struct uuid uuid = aid_uuid(n);
    bool ok = store_reader_event(r, &uuid, &json, &aid->err);

    if (!wanted && (ok || aid->err.code != ERR_GONE))
        fail_msg("line %d: event %d is there", line, (int)n);
    if (wanted && (!ok || !strstr(buf_cstr(&json), wanted)))
        fail_msg("line %d: no %s in %s %s", line, wanted, buf_cstr(&json), aid->err.text);
    buf_free(&json);
}

static void whole_event(void **state)
{
    struct aid a, *aid = &a;
    struct event_row row;
    struct buf json = BUF_INIT(1 << 16);
    int64_t id;

    UNUSED(state);
    aid_open(aid);
    row = aid_event(5);
    row.has_person = true;
    row.person_uuid = aid_uuid(9);
    row.properties = SLICE("{\"a\":[1,\"\\\"\"]}");
    row.group_keys[2] = SLICE("o\"rg");
    aid_begin(aid);
    must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    row.uuid = aid_uuid(6);
    row.is_uuid_checked = false;
    row.has_person = false;
    row.properties = SLICE("not JSON");
    must(aid->ops->event_insert(aid->self, &row, &id, &aid->err));
    aid_commit(aid);
    struct store_reader *r = open_reader(aid);
    must(store_reader_event(r, &(struct uuid){.b = {[15] = 5}}, &json, &aid->err));
    assert_string_equal(
        buf_cstr(&json),
        "{\"id\":1,\"uuid\":\"00000000-0000-0000-0000-000000000005\",\"team_id\":1,\"event\":\"$"
        "pageview\","
        "\"distinct_id\":\"anna\",\"person_uuid\":\"00000000-0000-0000-0000-000000000009\","
        "\"properties\":{\"a\":[1,\"\\\"\"]},\"elements_chain\":\"\",\"timestamp\":\"2023-11-14T22:"
        "13:20.000Z\","
        "\"created_at\":\"2023-11-14T22:13:20.000Z\",\"group_0_key\":null,\"group_1_key\":null,"
        "\"group_2_key\":\"o\\\"rg\",\"group_3_key\":null,\"group_4_key\":null}");
    expect_event(r, 6, "\"person_uuid\":null,\"properties\":\"not JSON\"");
    buf_free(&json);
    store_reader_close(r);
    aid_close(aid);
}

/* In every place where an event can stand: open part, sorted part in memory, table; with and
 * without the store. */
static void finds_everywhere(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.index_part_events = 100;
    aid_open_again(aid);
    struct store_reader *alone = open_reader(aid), *attached = open_reader(aid);
    store_reader_attach(attached, &aid->store);
    for (int i = 0; i < 2; i++) {
        struct store_reader *r = i ? attached : alone;
        expect_event(r, 1000 * (uint64_t)i + 1, NULL);
        aid_insert_many(aid, 1000 * (uint64_t)i, 150);
        expect_event(r, 1000 * (uint64_t)i + 149, "\"id\"");
        expect_event(r, 1000 * (uint64_t)i, "\"id\"");
        expect_event(r, 1000 * (uint64_t)i + 150, NULL);
        aid_tidy(aid);
        aid_insert_many(aid, 1000 * (uint64_t)i + 150, 20);
        for (uint64_t n = 0; n < 170; n++)
            expect_event(r, 1000 * (uint64_t)i + n, "\"id\"");
    }
    store_reader_close(alone);
    store_reader_close(attached);
    aid_close(aid);
}

static void persons(void **state)
{
    struct aid a, *aid = &a;
    struct buf json = BUF_INIT(1 << 16);

    UNUSED(state);
    aid_open(aid);
    struct store_reader *r = open_reader(aid);
    assert_false(store_reader_person(r, 1, SLICE("a"), &json, &aid->err));
    assert_int_equal(aid->err.code, ERR_GONE);
    aid_begin(aid);
    aid_create(aid, 1, "a b", "{\"x\":1}");
    aid_create(aid, 2, "c", "{}");
    aid_commit(aid);
    aid_tidy(aid);
    aid_begin(aid);
    must(aid->ops->person_merge(aid->self, aid_person(aid, "c"), aid_person(aid, "a"), &aid->err));
    aid_update(aid, aid_person(aid, "a"), "{\"x\":2}");
    aid_commit(aid);
    for (int i = 0; i < 2; i++) {
        must(store_reader_person(r, 1, SLICE("c"), &json, &aid->err));
        assert_string_equal(
            buf_cstr(&json),
            "{\"id\":1,\"uuid\":\"00000000-0000-0000-0000-000000000001\",\"team_id\":1,"
            "\"properties\":{\"x\":2},\"is_identified\":false,\"created_at\":1700000000000000,"
            "\"version\":1,\"distinct_ids\":[\"a\",\"b\",\"c\"]}");
        buf_clear(&json);
        aid_tidy(aid);
    }
    assert_false(store_reader_person(r, 2, SLICE("c"), &json, &aid->err));
    buf_free(&json);
    store_reader_close(r);
    aid_close(aid);
}

struct beside {
    struct aid *aid;
    atomic_int stored; /* events that must be found */
    atomic_bool is_over;
    uint64_t reads;
};

static void read_on(void *ctx)
{
    struct beside *b = ctx;
    struct err err = ERR_INIT;
    struct store_reader *r = store_reader_open(b->aid->path, &err);
    struct buf json = BUF_INIT(1 << 16);

    CHECK(r);
    store_reader_attach(r, &b->aid->store);
    while (!atomic_load(&b->is_over)) {
        int stored = atomic_load(&b->stored);
        struct uuid uuid = aid_uuid(stored ? b->reads++ * 7919 % (uint64_t)stored : 0);

        CHECK(store_reader_event(r, &uuid, &json, &err) == (stored != 0) ||
              atomic_load(&b->stored) > stored);
        buf_clear(&json);
        CHECK(store_reader_person(r, 1, SLICE("anna"), &json, &err));
        buf_clear(&json);
    }
    buf_free(&json);
    store_reader_close(r);
}

/* What was committed is found at every moment while parts are sealed, sorted, written and merged.
 */
static void beside_the_writer(void **state)
{
    struct aid a, *aid = &a;
    struct beside b = {.aid = aid};
    struct thread thread = {.is_started = false};
    bool more;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.index_part_events = 200;
    aid->opt.wal_checkpoint_bytes = 1 << 20;
    aid->opt.busy_us = 5000000;
    aid_open_again(aid);
    must(store_sqlite_start(&aid->store, &aid->err));
    aid_begin(aid);
    aid_create(aid, 1, "anna", "{}");
    aid_commit(aid);
    clock_fake_off(); /* the readers' time limit is real */
    must(thread_start(&thread, THREAD_NET, 0, read_on, &b, &aid->err));
    for (uint64_t i = 0; i < 60; i++) {
        aid_insert_many(aid, i * 90, 90);
        atomic_store(&b.stored, (int)(i + 1) * 90);
        aid_begin(aid);
        aid_update(aid, aid_person(aid, "anna"), "{\"x\":1}");
        aid_commit(aid);
        must(aid->ops->tidy(aid->self, &more, &aid->err));
        if (i % 10 == 9)
            aid_tidy(aid);
    }
    atomic_store(&b.is_over, true);
    thread_join(&thread);
    aid_close(aid);
}

static void answers_are_bounded(void **state)
{
    struct aid a, *aid = &a;
    struct buf json = BUF_INIT(50);
    struct uuid uuid = aid_uuid(1);

    UNUSED(state);
    aid_open(aid);
    aid_insert_many(aid, 1, 1);
    struct store_reader *r = open_reader(aid);
    buf_add_str(&json, "kept");
    assert_false(store_reader_event(r, &uuid, &json, &aid->err));
    assert_int_equal(aid->err.code, ERR_LIMIT);
    assert_string_equal(buf_cstr(&json), "kept");
    buf_free(&json);
    store_reader_close(r);
    store_reader_close(NULL);
    aid_close(aid);
}

static void no_file(void **state)
{
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_null(store_reader_open("/nonexistent/hedgerow.db", &err));
    assert_int_equal(err.code, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_event),
        cmocka_unit_test(finds_everywhere),
        cmocka_unit_test(persons),
        cmocka_unit_test(beside_the_writer),
        cmocka_unit_test(answers_are_bounded),
        cmocka_unit_test(no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
