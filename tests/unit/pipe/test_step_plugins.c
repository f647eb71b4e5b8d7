/* Plugins on the road: what they make of an event is stored, order per key holds, nothing is lost.
 */
#include "pipe_aid.h"
#include "plugin/plugin.h"

#include <stdio.h>

struct host { /* what plugins tell; from PIPE threads */
    atomic_int errors;
};

static void host_log(void *self, const struct plugin_log_entry *e)
{
    UNUSED(self);
    UNUSED(e);
}

static void host_storage(void *self, struct plugin_storage_call *call)
{
    UNUSED(self);
    call->done(call, true, NULL);
}

static void host_error(void *self, int64_t config_id, const char *error_json)
{
    UNUSED(config_id);
    atomic_fetch_add(&((struct host *)self)->errors, error_json != NULL);
}

static void host_disable(void *self, int64_t config_id)
{
    UNUSED(self);
    UNUSED(config_id);
}

static const struct plugin_services services = {
    .log = host_log, .storage = host_storage, .error = host_error, .disable = host_disable};

struct road {
    struct world w;
    struct host host;
    struct plugins *plugins;
};

static void publish(struct road *r, const char *const *sources, size_t count)
{
    struct plugin_set *s = plugin_set_new();

    for (size_t i = 0; i < count; i++) {
        struct plugin_state *state = plugins_state(r->plugins, (int64_t)i + 1);

        plugin_set_add(s, &(struct plugin_config){.id = (int64_t)i + 1,
                                                  .team_id = TEAM,
                                                  .plugin_name = "p",
                                                  .order = (int)i,
                                                  .is_enabled = true,
                                                  .source = slice_cstr(sources[i]),
                                                  .state = state});
        plugin_state_unref(state);
    }
    plugin_set_seal(s);
    plugins_publish(r->plugins, s);
}

static void road_init(struct road *r, const char *source)
{
    struct plugins_options opt = {
        .limits =
            {
                .memory_bytes = (size_t)64 << 20,
                .stack_bytes = (size_t)1 << 20,
                .run_us = 5000000,
                .wait_us = 10000000,
                .output_bytes = (size_t)16 << 20,
                .awaiting = 4096,
                .awaiting_per_team = 200,
                .pending_promises = 100,
                .cache_bytes = (size_t)1 << 20,
                .log_message_units = 50000,
                .circuit_failures = 3,
                .circuit_us = 60000000,
            },
        .services = &services,
        .services_self = &r->host,
        .instance_id = "i",
        .task_timeout_s = 10,
    };

    atomic_init(&r->host.errors, 0);
    world_init(&r->w);
    r->plugins = plugins_new(&opt);
    r->w.opt.plugins = r->plugins;
    publish(r, &source, 1);
}

static void road_fini(struct road *r)
{
    if (r->w.pipe)
        world_stop(&r->w);
    plugins_free(r->plugins);
    world_fini(&r->w);
}

static void road_run(struct road *r)
{
    world_start(&r->w);
    world_settle(&r->w);
    world_stop(&r->w);
}

#define MARKED(prefix) \
    prefix "\"$plugins_succeeded\":[\"p (1)\"],\"$plugins_failed\":[],\"$plugins_deferred\":[]"

/* Everything of the envelope that a plugin may change reaches the store. */
static void test_changes(void **state)
{
    struct road r;
    const struct event_row *row;

    UNUSED(state);
    road_init(&r, "function processEvent(e){e.properties.b=2;e.distinct_id='new';e.ip='192.0.2.9';"
                  "e.uuid='01234567-89ab-7def-8123-456789abcdef';"
                  "e.timestamp='2021-02-03T04:05:06.000Z';e.event='renamed';return e}");
    world_event(&r.w, "old", "e", "{\"a\":1}");
    road_run(&r);
    assert_int_equal(fake_store_event_count(r.w.store), 1);
    row = fake_store_event_at(r.w.store, 0);
    assert_slice(row->event, "renamed");
    assert_slice(row->distinct_id, "new");
    assert_slice(row->properties, MARKED("{\"a\":1,\"b\":2,") ",\"$ip\":\"192.0.2.9\"}");
    assert_int_equal(row->timestamp_us, 1612325106000000);
    road_fini(&r);
}

/* Where the three lists go. */
static void test_markers(void **state)
{
    static const struct {
        const char *data, *properties;
    } table[] = {
        {"{\"event\":\"e\",\"properties\":{}}", MARKED("{") "}"},
        {"{\"event\":\"e\"}", MARKED("{") "}"},
        {"{\"event\":\"e\",\"properties\":5}", MARKED("{") "}"},
        {"{\"event\":\"e\",\"properties\":{\"$plugins_succeeded\":[\"x\"],\"z\":1}}",
         "{\"$plugins_succeeded\":[\"p (1)\"],\"z\":1,\"$plugins_failed\":[],"
         "\"$plugins_deferred\":[]}"},
    };
    struct road r;

    UNUSED(state);
    road_init(&r, "function processEvent(e){return e}");
    r.w.opt.workers = 1;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        world_send(&r.w, &(struct sent){.id = "a", .data = table[i].data});
    road_run(&r);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_slice(fake_store_event_at(r.w.store, i)->properties, table[i].properties);
    road_fini(&r);
}

static void test_drop(void **state)
{
    struct road r;

    UNUSED(state);
    road_init(&r, "function processEvent(e){e.distinct_id='x';if(e.event!=='drop')return e}");
    world_event(&r.w, "a", "drop", "{}");
    world_event(&r.w, "a", "keep", "{}");
    road_run(&r);
    assert_int_equal(fake_store_event_count(r.w.store), 1);
    assert_slice(fake_store_event_at(r.w.store, 0)->event, "keep");
    assert_int_equal(fake_store_counted(r.w.store, STORE_COUNT_DROPPED, TEAM), 1);
    road_fini(&r);
}

/* A dead letter after the chain: with what the event was then. */
static void test_dead(void **state)
{
    struct road r;

    UNUSED(state);
    road_init(&r, "function processEvent(e){e.distinct_id='later';delete e.event;return e}");
    world_event(&r.w, "a", "e", "{}");
    road_run(&r);
    assert_int_equal(fake_store_dead_count(r.w.store), 1);
    assert_slice(fake_store_dead_at(r.w.store, 0)->stage,
                 "plugin_server_ingest_event:prepareEvent");
    road_fini(&r);
}

/* --- order ------------------------------------------------------------------------------------ */

#define KEYS   300
#define EVENTS 6000

#define SHUFFLER                                             \
    "async function processEvent(e){const n=e.properties.n;" \
    "if(n%3)await new Promise(r=>setTimeout(r,(n*7)%11));"   \
    "if(n%5===0)await 0;e.properties.seen=1;return e}"

static void send_numbers(struct road *r, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char id[16];
        char properties[32];

        snprintf(id, sizeof(id), "%d", i % KEYS);
        snprintf(properties, sizeof(properties), "{\"n\":%d}", i);
        world_event(&r->w, id, "e", properties);
    }
}

static void assert_order(struct road *r, int count)
{
    int next[KEYS];

    assert_int_equal(fake_store_event_count(r->w.store), count);
    for (int i = 0; i < KEYS; i++)
        next[i] = i;
    for (int i = 0; i < count; i++) {
        struct slice p = fake_store_event_at(r->w.store, (size_t)i)->properties;
        char text[64] = "";
        int n;

        memcpy(text, p.ptr, MIN(p.len, sizeof(text) - 1));
        assert_int_equal(sscanf(text, "{\"n\":%d,\"seen\":1", &n), 1);
        assert_int_equal(n, next[n % KEYS]);
        next[n % KEYS] += KEYS;
    }
}

static void test_order(void **state)
{
    UNUSED(state);
    for (int workers = 1; workers <= 3; workers += 2) {
        struct road r;

        road_init(&r, SHUFFLER);
        r.w.opt.workers = workers;
        send_numbers(&r, 0, EVENTS);
        road_run(&r);
        assert_order(&r, EVENTS);
        assert_int_equal(r.host.errors, 0);
        road_fini(&r);
    }
}

/* New sets while events flow and await: nothing is lost, doubled or out of order. */
static void test_reload(void **state)
{
    static const char *const other[] = {SHUFFLER "//", "function processEvent(e){return e}"};
    static const char *const first[] = {SHUFFLER};
    struct road r;

    UNUSED(state);
    road_init(&r, SHUFFLER);
    world_start(&r.w);
    for (int i = 0; i < 20; i++) {
        send_numbers(&r, i * (EVENTS / 20), EVENTS / 20);
        if (i % 2)
            publish(&r, first, 1);
        else
            publish(&r, other, 2);
    }
    world_settle(&r.w);
    world_stop(&r.w);
    assert_order(&r, EVENTS);
    road_fini(&r);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Events that await for ever, and those that wait for a place: stopping gives up on them, frees
 * what is theirs, and leaves them in the feed. */
static void test_stop(void **state)
{
    struct road r;
    const struct feed_run *runs;
    size_t count;

    UNUSED(state);
    road_init(&r, "async function processEvent(e){"
                  "if(e.event==='stuck')await new Promise(()=>0);return e}");
    r.w.opt.workers = 1;
    for (int i = 0; i < 300; i++) {
        char id[16];

        snprintf(id, sizeof(id), "%d", i);
        world_event(&r.w, id, i == 0 ? "through" : "stuck", "{}");
    }
    world_start(&r.w);
    assert_true(fake_store_wait(r.w.store, 1));
    pipe_stop(r.w.pipe, 50000);
    pipe_free(r.w.pipe);
    r.w.pipe = NULL;
    assert_int_equal(fake_store_event_count(r.w.store), 1);
    assert_int_equal(fake_store_position(r.w.store, &runs, &count).offset, 1);
    road_fini(&r);
}

/* Stopping waits for those that end in time. */
static void test_stop_waits(void **state)
{
    struct road r;
    struct pipe_status status;

    UNUSED(state);
    road_init(&r, "async function processEvent(e){"
                  "await new Promise(r=>setTimeout(r,100));return e}");
    world_event(&r.w, "a", "one", "{}");
    world_event(&r.w, "a", "two", "{}");
    world_start(&r.w);
    do {
        pipe_status(r.w.pipe, &status);
        sched_yield();
    } while (status.read < 2);
    world_stop(&r.w);
    assert_int_equal(fake_store_event_count(r.w.store), 2);
    road_fini(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes), cmocka_unit_test(test_markers),
        cmocka_unit_test(test_drop),    cmocka_unit_test(test_dead),
        cmocka_unit_test(test_order),   cmocka_unit_test(test_reload),
        cmocka_unit_test(test_stop),    cmocka_unit_test(test_stop_waits),
    };

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
