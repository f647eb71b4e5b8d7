/* Persons, from create to merge: the worked cases of the ingestion specification as tables, run
 * through the pipeline. */
#include "pipe_aid.h"

enum { STEPS_MAX_TEST = 10 };

struct sent_event {
    const char *id;    /* a person's ids, comma between, when event is NULL */
    const char *event; /* NULL: this person is there before */
    const char *properties;
};

struct person_case {
    const char *name;
    struct sent_event steps[STEPS_MAX_TEST];
    const char *persons;
    const char *last_row; /* properties of the last event row; NULL: not looked at */
};

static const struct person_case cases[] = {
    {"new person", {{"new-user", "$pageview", "{}"}}, "P[new-user] {} ident=0 v=0", "{}"},
    {"W27 set_once and set of a new person",
     {{"n", "e", "{\"$set_once\":{\"a\":1,\"b\":2},\"$set\":{\"b\":3,\"c\":4}}"}},
     "P[n] {\"a\":1,\"b\":3,\"c\":4} ident=0 v=0",
     "{\"$set_once\":{\"a\":1,\"b\":2},\"$set\":{\"b\":3,\"c\":4}}"},
    {"W28 two updates",
     {{"d1", NULL, "{}"},
      {"d1", "some_event", "{\"$set\":{\"a\":\"test-1\",\"c\":\"test-1\"}}"},
      {"d1", "some_event", "{\"$set\":{\"a\":\"test-2\",\"b\":\"test-2b\"}}"}},
     "P[d1] {\"a\":\"test-2\",\"c\":\"test-1\",\"b\":\"test-2b\"} ident=0 v=2",
     "{\"$set\":{\"a\":\"test-2\",\"b\":\"test-2b\"}}"},
    {"W29 set_once twice",
     {{"d1", NULL, "{}"},
      {"d1", "e", "{\"$set_once\":{\"a\":1,\"c\":1}}"},
      {"d1", "e", "{\"$set_once\":{\"a\":2,\"b\":2}}"}},
     "P[d1] {\"a\":1,\"c\":1,\"b\":2} ident=0 v=2",
     NULL},
    {"W32 nothing new",
     {{"d", NULL, "{\"a\":1}"}, {"d", "e", "{\"$set\":{\"a\":1}}"}},
     "P[d] {\"a\":1} ident=0 v=0",
     NULL},
    {"W32 by value",
     {{"d", NULL, "{\"a\":1}"}, {"d", "e", "{\"$set\":{\"a\":1.0}}"}},
     "P[d] {\"a\":1} ident=0 v=0",
     NULL},
    {"W33 deep equal",
     {{"d", NULL, "{\"o\":{\"x\":1,\"y\":[2]}}"},
      {"d", "e", "{\"$set\":{\"o\":{\"y\":[2],\"x\":1}}}"}},
     "P[d] {\"o\":{\"x\":1,\"y\":[2]}} ident=0 v=0",
     NULL},
    {"W34 replaced whole",
     {{"d", NULL, "{\"o\":{\"x\":1}}"}, {"d", "e", "{\"$set\":{\"o\":{\"y\":2}}}"}},
     "P[d] {\"o\":{\"y\":2}} ident=0 v=1",
     NULL},
    {"W35 unset",
     {{"d", NULL, "{\"a\":1,\"b\":2}"}, {"d", "e", "{\"$unset\":[\"a\",\"zz\",5]}"}},
     "P[d] {\"b\":2} ident=0 v=1",
     "{\"$unset\":[\"a\",\"zz\",5]}"},
    {"unset as an object",
     {{"d", NULL, "{\"a\":1,\"b\":2}"}, {"d", "e", "{\"$unset\":{\"a\":null}}"}},
     "P[d] {\"b\":2} ident=0 v=1",
     NULL},
    {"W36 unset beats set",
     {{"d", NULL, "{\"a\":1}"}, {"d", "e", "{\"$set\":{\"b\":2},\"$unset\":[\"b\"]}"}},
     "P[d] {\"a\":1} ident=0 v=0",
     NULL},
    {"W37 not when the person is new",
     {{"d", "e", "{\"$set\":{\"b\":2},\"$unset\":[\"b\"]}"}},
     "P[d] {\"b\":2} ident=0 v=0",
     NULL},
    {"W38 null is there",
     {{"d", NULL, "{\"a\":null}"}, {"d", "e", "{\"$set_once\":{\"a\":5}}"}},
     "P[d] {\"a\":null} ident=0 v=0",
     NULL},
    {"W39 identify without anonymous id",
     {{"d1", "$identify", "{\"$set\":{\"a\":1}}"}},
     "P[d1] {\"a\":1} ident=0 v=0",
     NULL},
    {"W40 campaign and initial values",
     {{"2", "$autocapture",
       "{\"$browser\":\"Chrome\",\"$current_url\":\"https://test.com\",\"$os\":\"Mac OS "
       "X\",\"$browser_version\":false,"
       "\"utm_medium\":\"twitter\",\"gclid\":\"G\"}"}},
     "P[2] "
     "{\"$initial_browser\":\"Chrome\",\"$initial_current_url\":\"https://"
     "test.com\",\"$initial_os\":\"Mac OS X\","
     "\"$initial_browser_version\":false,\"$initial_utm_medium\":\"twitter\",\"$initial_gclid\":"
     "\"G\","
     "\"utm_medium\":\"twitter\",\"gclid\":\"G\"} ident=0 v=0",
     "{\"$browser\":\"Chrome\",\"$current_url\":\"https://test.com\",\"$os\":\"Mac OS "
     "X\",\"$browser_version\":false,"
     "\"utm_medium\":\"twitter\",\"gclid\":\"G\",\"$set\":{\"utm_medium\":\"twitter\",\"gclid\":"
     "\"G\"},"
     "\"$set_once\":{\"$initial_browser\":\"Chrome\",\"$initial_current_url\":\"https://test.com\","
     "\"$initial_os\":\"Mac OS "
     "X\",\"$initial_browser_version\":false,\"$initial_utm_medium\":\"twitter\","
     "\"$initial_gclid\":\"G\"}}"},
    {"W41 later values",
     {{"2", "e", "{\"$browser\":\"Chrome\",\"utm_medium\":\"twitter\"}"},
      {"2", "e", "{\"$browser\":\"Firefox\",\"utm_medium\":\"instagram\"}"}},
     "P[2] "
     "{\"$initial_browser\":\"Chrome\",\"$initial_utm_medium\":\"twitter\",\"utm_medium\":"
     "\"instagram\"} ident=0 v=1",
     "{\"$browser\":\"Firefox\",\"utm_medium\":\"instagram\",\"$set\":{\"utm_medium\":"
     "\"instagram\"},"
     "\"$set_once\":{\"$initial_browser\":\"Firefox\",\"$initial_utm_medium\":\"instagram\"}}"},
    {"W42 no $set for initial values alone",
     {{"n", "e", "{\"$current_url\":\"u\"}"}},
     "P[n] {\"$initial_current_url\":\"u\"} ident=0 v=0",
     "{\"$current_url\":\"u\",\"$set_once\":{\"$initial_current_url\":\"u\"}}"},
    {"W43 computed wins",
     {{"n", "e", "{\"$set\":{\"utm_source\":\"mine\",\"x\":1},\"utm_source\":\"google\"}"}},
     "P[n] {\"$initial_utm_source\":\"google\",\"utm_source\":\"google\",\"x\":1} ident=0 v=0",
     "{\"$set\":{\"utm_source\":\"google\",\"x\":1},\"utm_source\":\"google\",\"$set_once\":{\"$"
     "initial_utm_source\":\"google\"}}"},
    {"$set that is no object",
     {{"n", "e", "{\"$set\":\"text\",\"$set_once\":[1]}"}},
     "P[n] {} ident=0 v=0",
     "{\"$set\":\"text\",\"$set_once\":[1]}"},
    {"the same change again and again",
     {{"n", "e", "{\"$browser\":\"a\"}"},
      {"n", "e", "{\"$browser\":\"b\"}"},
      {"n", "e", "{\"$browser\":\"c\"}"},
      {"n", "e", "{\"$unset\":[\"$initial_browser\"]}"},
      {"n", "e", "{\"$browser\":\"d\"}"}},
     "P[n] {\"$initial_browser\":\"d\"} ident=0 v=2",
     NULL},
    {"W45 alias",
     {{"old", NULL, "{}"}, {"new", "$create_alias", "{\"alias\":\"old\"}"}},
     "P[old,new] {} ident=0 v=0",
     NULL},
    {"W46 alias the other way",
     {{"old", NULL, "{}"}, {"old", "$create_alias", "{\"alias\":\"new\"}"}},
     "P[old,new] {} ident=0 v=0",
     NULL},
    {"W47 alias of a second",
     {{"old", NULL, "{}"},
      {"old2", NULL, "{}"},
      {"new", "$create_alias", "{\"alias\":\"old\"}"},
      {"new", "$create_alias", "{\"alias\":\"old2\"}"}},
     "P[old,old2,new] {} ident=0 v=1",
     NULL},
    {"W48 alias of strangers",
     {{"new", "$create_alias", "{\"alias\":\"old\"}"}},
     "P[new,old] {} ident=0 v=0",
     NULL},
    {"W49 alias joins two",
     {{"old", NULL, "{\"both\":\"o\",\"old\":1}"},
      {"new", NULL, "{\"both\":\"n\",\"new\":1}"},
      {"new", "$create_alias", "{\"alias\":\"old\"}"}},
     "P[old,new] {\"both\":\"n\",\"old\":1,\"new\":1} ident=0 v=1",
     NULL},
    {"W50 identify twice",
     {{"anon", NULL, "{}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"anon\",\"$set\":{\"a\":\"test\"}}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"anon\",\"$set\":{\"a\":\"test\"}}"}},
     "P[anon,new] {\"a\":\"test\"} ident=1 v=2",
     NULL},
    {"W51, W52 identify joins",
     {{"anon", NULL, "{}"},
      {"new", NULL, "{\"email\":\"s@x\"}"},
      {"anon2", NULL, "{}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"anon\"}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"anon2\"}"}},
     "P[anon,new,anon2] {\"email\":\"s@x\"} ident=1 v=2",
     NULL},
    {"W53 with itself",
     {{"a", NULL, "{}"}, {"a", "$identify", "{\"$anon_distinct_id\":\"a\"}"}},
     "P[a] {} ident=0 v=0",
     NULL},
    {"W55 illegal ids",
     {{"im an anonymous id", NULL, "{}"},
      {"distinctId", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"},
      {"  ", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"},
      {"NaN", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"},
      {"undefined", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"},
      {"None", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"},
      {"0", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"},
      {"Nan", "$identify", "{\"$anon_distinct_id\":\"im an anonymous id\"}"}},
     "P[im an anonymous id,Nan] {} ident=1 v=1\nP[distinctId] {} ident=0 v=0\nP[  ] {} ident=0 "
     "v=0\n"
     "P[NaN] {} ident=0 v=0\nP[undefined] {} ident=0 v=0\nP[None] {} ident=0 v=0\nP[0] {} ident=0 "
     "v=0",
     NULL},
    {"illegal previous id",
     {{"a", "$create_alias", "{\"alias\":\"null\"}"}},
     "P[a] {} ident=0 v=0",
     NULL},
    {"previous id that is too long",
     {{"a", "$create_alias",
       "{\"alias\":"
       "\"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
       "90123456789"
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
       "123456789"
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
       "123456789"
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
       "123456789x\"}"}},
     "P[a] {} ident=0 v=0",
     NULL},
    {"W57 two visitors",
     {{"anon", "e", "{}"},
      {"i1", "$identify", "{\"$anon_distinct_id\":\"anon\"}"},
      {"i1", "e", "{}"},
      {"p2", "e", "{}"},
      {"n2", "$identify", "{\"$anon_distinct_id\":\"p2\"}"},
      {"n2", "e", "{}"},
      {"i1", "$identify", "{\"$anon_distinct_id\":\"n2\"}"}},
     "P[anon,i1] {} ident=1 v=1\nP[p2,n2] {} ident=1 v=1",
     NULL},
    {"W58 unknown at the second identify",
     {{"i1", "$identify", "{\"$anon_distinct_id\":\"anon\"}"},
      {"i1", "e", "{}"},
      {"i2", "$identify", "{\"$anon_distinct_id\":\"i1\"}"},
      {"i2", "$create_alias", "{\"alias\":\"i1\"}"}},
     "P[i1,anon,i2] {} ident=1 v=0",
     NULL},
    {"W59",
     {{"i", "$identify", "{\"$anon_distinct_id\":\"anon\"}"},
      {"anon", "e", "{}"},
      {"anon", "$create_alias", "{\"alias\":\"i\"}"}},
     "P[i,anon] {} ident=1 v=0",
     NULL},
    {"W60",
     {{"a1", "e", "{}"}, {"a2", "e", "{}"}, {"a2", "$create_alias", "{\"alias\":\"a1\"}"}},
     "P[a1,a2] {} ident=0 v=1",
     NULL},
    {"W61 merge",
     {{"old", NULL, "{\"a\":1,\"b\":2}"},
      {"new", NULL, "{\"b\":3,\"c\":4}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"old\"}"}},
     "P[old,new] {\"a\":1,\"b\":3,\"c\":4} ident=1 v=1",
     NULL},
    {"W62 who wins",
     {{"old", NULL, "{\"a\":1,\"b\":2}"},
      {"new", NULL, "{\"b\":3,\"c\":4,\"d\":5}"},
      {"new", "$identify",
       "{\"$anon_distinct_id\":\"old\",\"$set\":{\"d\":6,\"e\":7},\"$set_once\":{\"a\":8,\"f\":9}"
       "}"}},
     "P[old,new] {\"a\":1,\"b\":3,\"c\":4,\"d\":6,\"f\":9,\"e\":7} ident=1 v=2",
     NULL},
    {"W63",
     {{"new", NULL, "{}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"old\",\"$set\":{\"foo\":\"bar\"}}"}},
     "P[new,old] {\"foo\":\"bar\"} ident=1 v=2",
     NULL},
    {"W64, W65 one person already",
     {{"new,old", NULL, "{}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"old\"}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"old\"}"}},
     "P[new,old] {} ident=1 v=1",
     NULL},
    {"W66 already identified",
     {{"old", "$identify", "{\"$anon_distinct_id\":\"x\"}"},
      {"new", NULL, "{}"},
      {"new", "$identify", "{\"$anon_distinct_id\":\"old\"}"}},
     "P[new] {} ident=1 v=1\nP[old,x] {} ident=1 v=0",
     NULL},
    {"W69 alias without alias", {{"id", "$create_alias", "{}"}}, "P[id] {} ident=0 v=0", NULL},
    {"W70 merge dangerously",
     {{"old", "$identify", "{\"$anon_distinct_id\":\"x\"}"},
      {"new", NULL, "{}"},
      {"new", "$merge_dangerously", "{\"alias\":\"old\"}"}},
     "P[new,old,x] {} ident=1 v=1",
     NULL},
    {"a number as the previous id",
     {{"new", "$identify", "{\"$anon_distinct_id\":17}"}},
     "P[new,17] {} ident=1 v=0",
     NULL},
};

static void given(struct world *w, const struct sent_event *s)
{
    char ids[64];
    const char *list[4];
    size_t count = 1;

    memcpy(ids, s->id, strlen(s->id) + 1);
    list[0] = ids;
    for (char *p = ids; *p; p++) {
        if (*p != ',')
            continue;
        *p = '\0';
        list[count++] = p + 1;
    }
    fake_store_person(w->store, TEAM, list, count, s->properties, w->now_us);
}

static void run_case(const struct person_case *c, size_t batch)
{
    struct world w;
    size_t events = 0;

    world_init(&w);
    w.opt.workers = 1; /* the cases tell of different ids in one order */
    w.opt.batch_events = batch;
    for (size_t i = 0; i < STEPS_MAX_TEST && c->steps[i].id; i++) {
        if (c->steps[i].event) {
            world_event(&w, c->steps[i].id, c->steps[i].event, c->steps[i].properties);
            events++;
        } else {
            given(&w, &c->steps[i]);
        }
    }
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    print_message("  %s\n", c->name);
    assert_persons(&w, c->persons);
    assert_int_equal(fake_store_event_count(w.store), events);
    if (c->last_row)
        assert_slice(fake_store_event_at(w.store, events - 1)->properties, c->last_row);
    world_fini(&w);
}

static void test_cases(void **state)
{
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run_case(&cases[i], 1000);
}

static void test_folded_set(void **state)
{
    struct world w;

    UNUSED(state);
    world_init(&w);
    world_send(&w,
               &(struct sent){
                   .id = "n",
                   .data = "{\"event\":\"e\",\"$set\":{\"key1\":\"value1\",\"key2\":\"value2\"},"
                           "\"$set_once\":{\"key1_once\":\"value1\",\"key2_once\":\"value2\"},"
                           "\"properties\":{\"$set\":{\"key2\":\"value3\",\"key3\":\"value4\"},"
                           "\"$set_once\":{\"key2_once\":\"value3\",\"key3_once\":\"value4\"}}}"});
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    /* W30, W31: the event's own values win, places of properties.$set stay */
    assert_slice(fake_store_event_at(w.store, 0)->properties,
                 "{\"$set\":{\"key2\":\"value2\",\"key3\":\"value4\",\"key1\":\"value1\"},"
                 "\"$set_once\":{\"key2_once\":\"value2\",\"key3_once\":\"value4\",\"key1_once\":"
                 "\"value1\"}}");
    assert_persons(&w, "P[n] "
                       "{\"key2_once\":\"value2\",\"key3_once\":\"value4\",\"key1_once\":"
                       "\"value1\",\"key2\":\"value2\","
                       "\"key3\":\"value4\",\"key1\":\"value1\"} ident=0 v=0");
    world_fini(&w);
}

static void test_teams_apart(void **state)
{
    static const char *const two[] = {"2"};
    static const char *const both[] = {"1", "2"};
    struct buf text = BUF_INIT(4096);
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_store_person(w.store, 3, two, 1, "{\"email\":1}", 5);
    fake_store_person(w.store, TEAM, both, 2, "{}", 5);
    world_event(&w, "2", "$identify", "{\"$anon_distinct_id\":\"1\"}"); /* W54 */
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_persons(&w, "P[1,2] {} ident=1 v=1");
    world_persons(&w, 3, &text);
    assert_slice(buf_slice(&text), "P[2] {\"email\":1} ident=0 v=0");
    buf_free(&text);
    world_fini(&w);
}

/* W49, W67: the surviving person is the one of the event's own id; the older date counts. */
static void test_merge_keeps(void **state)
{
    static const char *const old_id[] = {"old"};
    static const char *const new_id[] = {"new"};
    struct world w;
    struct uuid uuid;

    UNUSED(state);
    world_init(&w);
    fake_store_person(w.store, TEAM, old_id, 1, "{}", 1000);
    uuid = fake_store_person(w.store, TEAM, new_id, 1, "{}", 2000)->uuid;
    world_event(&w, "new", "$create_alias", "{\"alias\":\"old\"}");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_true(fake_store_person_at(w.store, 0)->is_deleted);
    assert_true(uuid_eq(&fake_store_person_at(w.store, 1)->p.uuid, &uuid));
    assert_int_equal(fake_store_person_at(w.store, 1)->p.created_at_us, 1000);
    assert_true(uuid_eq(&fake_store_event_at(w.store, 0)->person_uuid, &uuid));
    assert_int_equal(fake_store_distinct_id_at(w.store, 0)->version, 1);
    world_fini(&w);
}

static void test_policy_2023(void **state)
{
    static const char *const old_id[] = {"old"};
    static const char *const new_id[] = {"new"};
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    w.opt.merge_policy_2023 = true;
    fake_store_person(w.store, TEAM, old_id, 1, "{}", 5)->is_identified = true;
    fake_store_person(w.store, TEAM, new_id, 1, "{}", 5);
    world_event(&w, "new", "$create_alias", "{\"alias\":\"old\"}");
    world_event(&w, "x", "$create_alias", "{\"alias\":\"y\"}");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_persons(&w, "P[old] {} ident=1 v=0\nP[new] {} ident=1 v=1\nP[x,y] {} ident=1 v=0");
    world_fini(&w);
}

/* A merge that the store refuses does not cost the event, and nothing of it stays. */
static void test_merge_fails(void **state)
{
    static const char *const old_id[] = {"old"};
    static const char *const new_id[] = {"new"};
    struct world w;

    UNUSED(state);
    world_init(&w);
    fake_store_person(w.store, TEAM, old_id, 1, "{\"a\":1}", 5);
    fake_store_person(w.store, TEAM, new_id, 1, "{}", 5);
    fake_store_fail(w.store, FAKE_PERSON_MERGE, 1, -1, ERR_INPUT);
    world_event(&w, "new", "$identify", "{\"$anon_distinct_id\":\"old\",\"$set\":{\"x\":1}}");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_persons(&w, "P[old] {\"a\":1} ident=0 v=0\nP[new] {\"x\":1} ident=0 v=1");
    assert_int_equal(fake_store_event_count(w.store), 1);
    assert_int_equal(fake_store_dead_count(w.store), 0);
    world_fini(&w);
}

/* Over the limit a person keeps what it has; what was over it before may still shrink. The event is
 * stored all the same. */
static void test_properties_limit(void **state)
{
#define S10 "0123456789"
#define S20 S10 S10
    static const char *const small_id[] = {"small"};
    static const char *const large_id[] = {"large"};
    static const char *const anon_id[] = {"anon"};
    struct world w;

    UNUSED(state);
    world_init(&w);
    w.opt.workers = 1;
    w.opt.properties_bytes_max = 40;
    fake_store_person(w.store, TEAM, small_id, 1, "{\"a\":\"" S20 "\"}", 5);
    fake_store_person(w.store, TEAM, large_id, 1, "{\"a\":\"" S20 "\",\"b\":\"" S20 "\"}", 5);
    fake_store_person(w.store, TEAM, anon_id, 1, "{\"x\":\"" S20 "\"}", 5);
    world_event(&w, "small", "e", "{\"$set\":{\"b\":\"" S20 "\"}}");
    world_event(&w, "small", "e", "{\"$set\":{\"c\":1}}");
    world_event(&w, "large", "e", "{\"$set\":{\"c\":1}}");
    world_event(&w, "large", "e", "{\"$set\":{\"b\":\"" S10 "\"}}");
    world_event(&w, "new", "e", "{\"$set\":{\"a\":\"" S20 S20 "\"}}");
    world_event(&w, "small", "$identify", "{\"$anon_distinct_id\":\"anon\"}");
    world_start(&w);
    world_settle(&w);
    world_stop(&w);
    assert_persons(&w, "P[small,anon] {\"a\":\"" S20 "\",\"c\":1} ident=1 v=2\n"
                       "P[large] {\"a\":\"" S20 "\",\"b\":\"" S10 "\"} ident=0 v=1\n"
                       "P[new] {} ident=0 v=0");
    assert_int_equal(fake_store_event_count(w.store), 6);
    world_fini(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_folded_set),
        cmocka_unit_test(test_teams_apart),
        cmocka_unit_test(test_merge_keeps),
        cmocka_unit_test(test_policy_2023),
        cmocka_unit_test(test_merge_fails),
        cmocka_unit_test(test_properties_limit),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
