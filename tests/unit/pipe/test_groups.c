/* Groups: W71 to W77 of the ingestion specification. */
#include "pipe_aid.h"

static void run(struct world *w)
{
    world_start(w);
    world_settle(w);
    world_stop(w);
}

static void test_types(void **state)
{
    struct world w;
    const struct event_row *row;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "a", "e",
                "{\"$groups\":{\"organization\":\"PostHog\",\"project\":7}}"); /* W71 */
    run(&w);
    assert_int_equal(fake_store_group_type_count(w.store), 2);
    assert_slice(fake_store_group_type_at(w.store, 0)->type, "organization");
    assert_slice(fake_store_group_type_at(w.store, 1)->type, "project");
    row = fake_store_event_at(w.store, 0);
    assert_slice(row->properties, "{\"$groups\":{\"organization\":\"PostHog\",\"project\":7},\"$"
                                  "group_0\":\"PostHog\",\"$group_1\":7}");
    assert_slice(row->group_keys[0], "PostHog");
    assert_slice(row->group_keys[1], "7");
    assert_null(row->group_keys[2].ptr);
    assert_int_equal(fake_store_group_count(w.store), 0);
    world_fini(&w);
}

static void test_sixth_type(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "a", "e", "{\"$groups\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}}");
    world_event(&w, "a", "e", "{\"$groups\":{\"new\":\"x\",\"e\":\"y\"}}"); /* W72 */
    run(&w);
    assert_int_equal(fake_store_group_type_count(w.store), 5);
    assert_slice(fake_store_event_at(w.store, 1)->properties,
                 "{\"$groups\":{\"new\":\"x\",\"e\":\"y\"},\"$group_4\":\"y\"}");
    assert_int_equal(fake_store_dead_count(w.store), 0);
    world_fini(&w);
}

static void test_sent_by_client(void **state)
{
    static const struct {
        const char *in, *out;
        const char *key0, *key1;
    } t[] = {
        /* W77: what the client names itself stays */
        {"{\"$group_0\":\"org::5\"}", "{\"$group_0\":\"org::5\"}", "org::5", NULL},
        {"{\"$group_1\":null}", "{\"$group_1\":null}", NULL, NULL},
        /* replaced in its place when the type matches */
        {"{\"$group_0\":\"old\",\"x\":1,\"$groups\":{\"a\":\"new\"}}",
         "{\"$group_0\":\"new\",\"x\":1,\"$groups\":{\"a\":\"new\"}}", "new", NULL},
        {"{\"$group_1\":[1,{\"a\":2}],\"$groups\":{\"a\":\"k0\",\"b\":\"k1\"},\"$group_0\":false,"
         "\"z\":0}",
         "{\"$group_1\":\"k1\",\"$groups\":{\"a\":\"k0\",\"b\":\"k1\"},\"$group_0\":\"k0\",\"z\":"
         "0}",
         "k0", "k1"},
        {"{\"$group_1\":1,\"$groups\":{\"a\":true}}",
         "{\"$group_1\":1,\"$groups\":{\"a\":true},\"$group_0\":true}", "true", "1"},
        /* not an object: ignored */
        {"{\"$groups\":\"text\"}", "{\"$groups\":\"text\"}", NULL, NULL},
        {"{\"$groups\":[\"a\"]}", "{\"$groups\":[\"a\"]}", NULL, NULL},
        {"{\"$groups\":{}}", "{\"$groups\":{}}", NULL, NULL},
        {"{\"$groups\":{\"a\":null}}", "{\"$groups\":{\"a\":null},\"$group_0\":null}", NULL, NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;
        const struct event_row *row;

        world_init(&w);
        world_event(&w, "a", "e", t[i].in);
        run(&w);
        row = fake_store_event_at(w.store, 0);
        assert_slice(row->properties, t[i].out);
        assert_slice(row->group_keys[0], t[i].key0 ? t[i].key0 : "");
        assert_slice(row->group_keys[1], t[i].key1 ? t[i].key1 : "");
        assert_int_equal(row->group_keys[0].ptr != NULL, t[i].key0 != NULL);
        world_fini(&w);
    }
}

static void test_identify(void **state)
{
    static const char first[] = "{\"$group_type\":\"organization\",\"$group_key\":\"org::5\",\"$"
                                "group_set\":{\"foo\":\"bar\"}}";
    struct world w;
    const struct fake_group *g;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "a", "$groupidentify", first);                                /* W73 */
    world_event(&w, "a", "$groupidentify", first);                                /* W74 */
    world_event(&w, "a", "$groupidentify", "{\"$group_type\":\"organization\"}"); /* W75 */
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"organization\",\"$group_key\":5,\"$group_set\":\"x\"}");
    run(&w);
    assert_int_equal(fake_store_event_count(w.store), 4);
    assert_slice(fake_store_event_at(w.store, 0)->properties, first);
    assert_int_equal(fake_store_group_count(w.store), 2);
    g = fake_store_group_at(w.store, 0);
    assert_slice(g->key, "org::5");
    assert_slice(g->state.properties, "{\"foo\":\"bar\"}");
    assert_int_equal(g->state.version, 1);
    assert_int_equal(fake_store_calls(w.store, FAKE_GROUP_PUT), 2);
    g = fake_store_group_at(w.store, 1);
    assert_slice(g->key, "5");
    assert_slice(g->state.properties, "{}");
    world_fini(&w);
}

static void test_identify_changes(void **state)
{
    static const struct {
        const char *first, *second, *result;
        int version;
    } t[] = {
        {"{\"foo\":\"bar\"}", "{\"a\":3}", "{\"foo\":\"bar\",\"a\":3}", 2}, /* W74 */
        {"{\"a\":1}", "{\"a\":\"1\"}", "{\"a\":1}", 1},
        {"{\"a\":\"1.0\"}", "{\"a\":1}", "{\"a\":\"1.0\"}", 1},
        {"{\"a\":\" \"}", "{\"a\":0}", "{\"a\":\" \"}", 1},
        {"{\"a\":1}", "{\"a\":\"x\"}", "{\"a\":\"x\"}", 2},
        {"{\"a\":1}", "{\"a\":true}", "{\"a\":true}", 2},
        {"{\"a\":null}", "{\"a\":null}", "{\"a\":null}", 1},
        {"{\"a\":{}}", "{\"a\":{}}", "{\"a\":{}}", 2}, /* objects always differ */
        {"{\"a\":[1]}", "{\"a\":[1]}", "{\"a\":[1]}", 2},
        {"{\"a\":1,\"b\":2}", "{}", "{\"a\":1,\"b\":2}", 1},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct world w;
        struct buf b = BUF_INIT(1000);
        const char *sets[] = {t[i].first, t[i].second};

        world_init(&w);
        for (size_t k = 0; k < 2; k++) {
            buf_clear(&b);
            buf_addf(&b, "{\"$group_type\":\"o\",\"$group_key\":\"k\",\"$group_set\":%s}", sets[k]);
            world_event(&w, "a", "$groupidentify", buf_cstr(&b));
        }
        run(&w);
        assert_int_equal(fake_store_group_count(w.store), 1);
        assert_slice(fake_store_group_at(w.store, 0)->state.properties, t[i].result);
        assert_int_equal(fake_store_group_at(w.store, 0)->state.version, t[i].version);
        buf_free(&b);
        world_fini(&w);
    }
}

/* A $groupidentify never changes a person that exists; it makes one like any event. */
static void test_person_of_identify(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    world_event(&w, "a", "$groupidentify", "{\"$set\":{\"x\":1}}");
    world_event(&w, "a", "$groupidentify", "{\"$set\":{\"x\":2}}");
    run(&w);
    assert_persons(&w, "P[a] {\"x\":1} ident=0 v=0");
    world_fini(&w);
}

/* created_at: the older of clock and event when new, then the oldest event that changed something.
 */
static void test_created_at(void **state)
{
    struct world w;

    UNUSED(state);
    clock_fake_set(5000000);
    world_init(&w);
    w.now_us = 9000000;
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"o\",\"$group_key\":\"k\",\"$group_set\":{\"a\":1}}");
    w.now_us = 3000000;
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"o\",\"$group_key\":\"k\",\"$group_set\":{\"a\":2}}");
    w.now_us = 1000000;
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"o\",\"$group_key\":\"k\",\"$group_set\":{\"a\":2}}");
    run(&w);
    clock_fake_off();
    assert_int_equal(fake_store_group_at(w.store, 0)->state.created_at_us, 3000000);
    world_fini(&w);
}

/* A change over the limit is left out, a new group over it begins empty. */
static void test_properties_limit(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    w.opt.properties_bytes_max = 20;
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"o\",\"$group_key\":\"k\",\"$group_set\":{\"a\":1}}");
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"o\",\"$group_key\":\"k\",\"$group_set\":{\"b\":"
                "\"0123456789\"}}");
    world_event(&w, "a", "$groupidentify",
                "{\"$group_type\":\"o\",\"$group_key\":\"new\",\"$group_set\":{\"b\":"
                "\"01234567890123456789\"}}");
    run(&w);
    assert_int_equal(fake_store_group_count(w.store), 2);
    assert_slice(fake_store_group_at(w.store, 0)->state.properties, "{\"a\":1}");
    assert_int_equal(fake_store_group_at(w.store, 0)->state.version, 1);
    assert_slice(fake_store_group_at(w.store, 1)->state.properties, "{}");
    assert_int_equal(fake_store_event_count(w.store), 3);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_sixth_type),
        cmocka_unit_test(test_sent_by_client),
        cmocka_unit_test(test_identify),
        cmocka_unit_test(test_identify_changes),
        cmocka_unit_test(test_person_of_identify),
        cmocka_unit_test(test_created_at),
        cmocka_unit_test(test_properties_limit),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
