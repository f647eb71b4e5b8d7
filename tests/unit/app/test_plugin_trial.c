/* A plugin from its setup to its teardown, without files. */
#include "app/plugin_trial.h"
#include "app_aid.h"
#include "base/clock.h"

struct trial {
    struct place place;
    struct plugin_trial *t;
    cJSON *storage, *cache;
};

static void begin(struct trial *v, const char *source, bool has_clock)
{
    static const char *const sets[] = {"PLUGIN_RUN_TIMEOUT=60", NULL};
    struct err err = ERR_INIT;

    place_open(&v->place, sets);
    v->storage = json_parse(SLICE("{\"s\":[1]}"), &err);
    v->cache = json_parse(SLICE("{\"c\":2}"), &err);
    if (has_clock)
        clock_fake_set(1652184000000000);
    v->t = plugin_trial_new(&(struct plugin_trial_options){
        .conf = v->place.conf,
        .config = {.plugin_name = "p", .source = slice_cstr(source), .config_json = "{\"k\":1}"},
        .team_id = 3,
        .storage = v->storage,
        .cache = v->cache,
        .has_clock = has_clock});
}

static void event(struct trial *v, const char *text)
{
    struct err err = ERR_INIT;

    if (!plugin_trial_event(v->t, slice_cstr(text), &err))
        fail_msg("%s", err.text);
}

/* The document; freed by the caller. */
static char *end(struct trial *v)
{
    struct buf out = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;

    plugin_trial_end(v->t);
    assert_true(plugin_trial_write(v->t, &out, &err));
    buf_cstr(&out);
    plugin_trial_free(v->t);
    clock_fake_off();
    json_free(v->storage);
    json_free(v->cache);
    place_close(&v->place);
    return out.ptr;
}

static void expect(struct trial *v, const char *expected)
{
    char *out = end(v);

    assert_string_equal(out, expected);
    mem_free(out);
}

static void a_whole_life(void **state)
{
    struct err err = ERR_INIT;
    struct trial v;

    UNUSED(state);
    begin(
        &v,
        "const later = (ms) => new Promise((r) => setTimeout(r, ms));"
        "exports.setupPlugin = async ({ config, storage, cache }) => { await later(1e4);"
        "  console.log(config.k, await storage.get('s'), await cache.get('c')) };"
        "exports.processEvent = async (event, { storage }) => { await later(1e4);"
        "  storage.set(event.event, new Date()); return event.drop ? null : event };"
        "exports.runEveryDay = async () => { await later(1e4); throw 'no' };"
        "exports.teardownPlugin = async ({ cache }) => { await later(1e4); await cache.incr('c') }",
        true);
    assert_non_null(plugin_trial_load(v.t));
    event(&v, "{\"event\":\"a\",\"n\":12345678901234567890}");
    event(&v, "{\"event\":\"b\",\"drop\":1}");
    assert_true(plugin_trial_hook(v.t, "runEveryDay", SLICE_NONE, &err));
    expect(&v, "{\"events\":[{\"event\":\"a\",\"n\":12345678901234567890},null],\"captured\":[],"
               "\"logs\":[{\"type\":\"LOG\",\"message\":\"1 [1] 2\"},"
               "{\"type\":\"ERROR\",\"message\":\"no\"}],\"http\":[],\"jobs\":[],"
               "\"storage\":{\"s\":[1],\"a\":\"2022-05-10T12:00:20.000Z\","
               "\"b\":\"2022-05-10T12:00:30.000Z\"},\"cache\":{\"c\":3},\"metrics\":{},"
               "\"error\":{\"name\":null,\"message\":\"no\",\"stack\":null}}");
}

#define NOTHING                                                                    \
    "\"captured\":[],\"logs\":[],\"http\":[],\"jobs\":[],\"storage\":{\"s\":[1]}," \
    "\"cache\":{\"c\":2},\"metrics\":{},\"error\":null}"

static void the_envelope(void **state)
{
    static const struct {
        const char *body, *in, *out;
    } table[] = {
        {"return e", "{\"event\":\"a\"}", "{\"event\":\"a\"}"},
        {"return e", "{\"team_id\":7,\"event\":\"a\",\"distinct_id\":5,\"sent_at\":\"x\"}",
         "{\"event\":\"a\",\"distinct_id\":5,\"sent_at\":\"x\",\"team_id\":3}"},
        {"return e", "{\"now\":\"2022-01-01\",\"uuid\":\"no\"}",
         "{\"now\":\"2022-01-01\",\"uuid\":\"no\"}"},
        {"e.ip = '::1'; e.site_url = 'u'; return e", "{\"event\":\"a\"}",
         "{\"event\":\"a\",\"ip\":\"::1\",\"site_url\":\"u\"}"},
        {"delete e.ip; return e", "{\"event\":\"a\",\"ip\":\"::1\"}", "{\"event\":\"a\"}"},
        {"e.ip = null; return e", "{\"event\":\"a\",\"ip\":\"::1\"}",
         "{\"event\":\"a\",\"ip\":null}"},
        {"return {...e, uuid: '01812345-89AB-7cde-8123-456789abcdef'}", "{\"event\":\"a\"}",
         "{\"event\":\"a\",\"uuid\":\"01812345-89ab-7cde-8123-456789abcdef\"}"},
        {"e.id = e.distinct_id; return e", "{\"properties\":{\"distinct_id\":\"p\"}}",
         "{\"properties\":{\"distinct_id\":\"p\"},\"id\":\"p\"}"},
        {"e.sent_at = '2022-01-01T00:00:00Z'; return e", "{}",
         "{\"sent_at\":\"2022-01-01T00:00:00.000Z\"}"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf source = BUF_INIT(1000), expected = BUF_INIT(1000);
        struct trial v;

        buf_addf(&source, "function processEvent(e) { %s }", table[i].body);
        buf_addf(&expected, "{\"events\":[%s]," NOTHING, table[i].out);
        begin(&v, buf_cstr(&source), false);
        plugin_trial_load(v.t);
        event(&v, table[i].in);
        expect(&v, buf_cstr(&expected));
        buf_free(&source);
        buf_free(&expected);
    }
}

static void what_is_no_event(void **state)
{
    static const char *const table[] = {"", "{", "[]", "1", "{} {}"};
    struct trial v;

    UNUSED(state);
    begin(&v, "", false);
    assert_non_null(plugin_trial_load(v.t));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;

        assert_false(plugin_trial_event(v.t, slice_cstr(table[i]), &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
    expect(&v, "{\"events\":[]," NOTHING);
}

static void not_loaded(void **state)
{
    struct err err = ERR_INIT;
    struct trial v;

    UNUSED(state);
    begin(&v, "throw new Error('top')", false);
    assert_null(plugin_trial_load(v.t));
    event(&v, "{\"a\":1}");
    assert_true(plugin_trial_hook(v.t, "onEvent", SLICE("{}"), &err));
    char *out = end(&v);
    assert_true(slice_starts(slice_cstr(out), SLICE("{\"events\":[{\"a\":1}],")));
    assert_non_null(strstr(out, "\"error\":{\"name\":\"Error\",\"message\":\"top\","));
    mem_free(out);
    plugin_trial_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_life),
        cmocka_unit_test(the_envelope),
        cmocka_unit_test(what_is_no_event),
        cmocka_unit_test(not_loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
