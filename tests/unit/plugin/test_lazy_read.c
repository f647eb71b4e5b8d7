#include "value_aid.h"

#define DATA "{\"event\":\"e\",\"properties\":{\"a\":1,\"n\":{\"x\":[1]},\"s\":\"t\"}}"

/* Reading back does not fill the objects, whatever was done to single members. */
static void test_stays_lazy(void **state)
{
    static const char *const bodies[] = {
        "return event",
        "event.properties.n.x; return event",
        "event.properties.z = 1; delete event.properties.a; event.more = [1]; return event",
        "event.properties[Symbol.iterator] = 1; return event",
        "event.ip = null; event.distinct_id = 'x'; return event",
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_int_not_equal(value_aid_process(&a, DATA, bodies[i]), EVENT_FAILED);
        assert_true(a.object->event.is_lazy);
        assert_true(!a.object->has_properties || a.object->properties.is_lazy);
        assert_int_not_equal(value_aid_read(&a, event_object_value(a.object)), EVENT_FAILED);
    }
    value_aid_fini(&a);
}

/* What JavaScript orders otherwise is filled and written in its order. */
static void test_order(void **state)
{
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_expect(&a, "{\"properties\":{\"b\":1,\"3\":2}}",
                     "event.properties.x = 1; return event",
                     "{\"properties\":{\"3\":2,\"b\":1,\"x\":1}}");
    value_aid_expect(&a, "{\"properties\":{\"b\":1}}", "event.properties[3] = 2; return event",
                     "{\"properties\":{\"3\":2,\"b\":1}}");
    value_aid_expect(&a, "{\"properties\":{\"b\":1,\"c\":2,\"b\":3}}",
                     "event.properties.c = 4; return event", "{\"properties\":{\"b\":3,\"c\":4}}");
    value_aid_expect(&a, "{\"properties\":{\"b\":1,\"c\":2,\"b\":3}}",
                     "delete event.properties.b; return event", "{\"properties\":{\"c\":2}}");
    value_aid_expect(&a, "{\"properties\":{\"n\":{\"b\":1,\"3\":2}}}", "event.x = 1; return event",
                     "{\"properties\":{\"n\":{\"b\":1,\"3\":2}},\"x\":1}");
    value_aid_fini(&a);
}

/* A getter that runs while the event is written may do anything to it; each object is written as it
 * was when its turn came. */
static void test_changed_while_written(void **state)
{
    static const struct {
        const char *body, *expected;
    } t[] = {
        {"event.properties.n = {get g() { event.late = 1; delete event.event; return 2 }}; return "
         "event",
         "{\"event\":\"e\",\"properties\":{\"a\":1,\"n\":{\"g\":2},\"s\":\"t\"}}"},
        {"event.properties.a = {get g() { for (const k in event.properties) "
         "delete event.properties[k]; return 2 }}; return event",
         "{\"event\":\"e\",\"properties\":{\"a\":{\"g\":2},\"n\":{\"x\":[1]},\"s\":\"t\"}}"},
        {"event.event = {get g() { Object.freeze(event.properties); Object.keys(event); return 2 "
         "}}; event.properties.s; event.properties.t = 1; return event",
         "{\"event\":{\"g\":2},\"properties\":{\"a\":1,\"n\":{\"x\":[1]},\"s\":\"t\",\"t\":1}}"},
        {"event.properties.a = {get g() { for (let i = 0; i < 99; i++) event['k' + i] = "
         "event.properties['k' + i] = 1; return 2 }}; event.properties.s = 3; return event",
         "{\"event\":\"e\",\"properties\":{\"a\":{\"g\":2},\"n\":{\"x\":[1]},\"s\":3}}"},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        value_aid_expect(&a, DATA, t[i].body, t[i].expected);
    value_aid_fini(&a);
}

static void test_is_same(void **state)
{
    static const struct {
        const char *body;
        bool is_same;
    } t[] = {
        {"p.a; p.n; p.s; p.none", true},
        {"p.a = 1; p.s = p.s; p.n = p.n", true},
        {"p.a = 2; p.a = 1", true},
        {"p.z = 1; delete p.z", true},
        {"p.n.x[0] = 1", true},
        {"p.n.x[0] = 2", false},
        {"p.n.y = 1", false},
        {"p.a = '1'", false},
        {"p.a = undefined", false},
        {"delete p.a", false},
        {"p.z = undefined", false},
        {"delete p.a; p.a = 1", false},
        {"p.a; delete p.a; p.a = 1", false},
        {"p.n = {x: [1]}", false},
    };
    struct value_aid a;

    UNUSED(state);
    value_aid_init(&a);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct buf body = BUF_INIT(1000);

        buf_addf(&body, "const p = event.properties; %s; return event", t[i].body);
        if (value_aid_process(&a, DATA, buf_cstr(&body)) !=
            (t[i].is_same ? EVENT_SAME : EVENT_CHANGED))
            fail_msg("%s", t[i].body);
        assert_true(a.object->properties.is_lazy);
        assert_int_equal(lazy_is_same(&a.object->properties), t[i].is_same);
        buf_free(&body);
    }
    value_aid_fini(&a);
}

static void test_current(void **state)
{
    struct value_aid a;
    bool is_touched;
    JSValue value;

    UNUSED(state);
    value_aid_init(&a);
    value_aid_process(&a, DATA, "event.ip = '1.1.1.1'; delete event.now; return event");
    value = lazy_current(&a.object->event, a.object->vc->head[HEAD_IP], &is_touched);
    assert_true(JS_IsString(value) && is_touched);
    JS_FreeValue(a.ctx, value);
    value = lazy_current(&a.object->event, a.object->vc->head[HEAD_NOW], &is_touched);
    assert_true(JS_IsUndefined(value) && is_touched);
    value = lazy_current(&a.object->event, a.object->vc->head[HEAD_UUID], &is_touched);
    assert_true(JS_IsUndefined(value) && !is_touched);
    value_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays_lazy),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_changed_while_written),
        cmocka_unit_test(test_is_same),
        cmocka_unit_test(test_current),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
