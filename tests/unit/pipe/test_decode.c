#include "pipe_aid.h"

/* One record through the step, without threads. */
struct fixture {
    struct pipe pipe;
    struct worker worker;
    struct step_work work;
    struct err err;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    worker_init(&f->worker, &f->pipe, 0);
    f->work.worker = &f->worker;
    f->work.record.type = RECORD_TYPE_EVENT;
}

static void fixture_fini(struct fixture *f)
{
    json_doc_free(&f->work.doc);
    worker_fini(&f->worker);
}

static char *encode(const char *data, size_t *len)
{
    struct event_envelope e = {.team_id = 7, .distinct_id = SLICE("d"), .data = slice_cstr(data)};
    char *bytes;

    *len = event_encoded_bytes(&e);
    bytes = mem_alloc(*len);
    event_encode(&e, bytes);
    return bytes;
}

static void test_good(void **state)
{
    struct fixture f;
    size_t len;
    char *bytes = encode("{\"event\":\"e\",\"n\":NaN}", &len);

    UNUSED(state);
    fixture_init(&f);
    f.work.record.payload = slice_make(bytes, len);
    assert_int_equal(decode_step(&f.work, &f.err), STEP_NEXT);
    assert_int_equal(f.work.envelope.team_id, 7);
    assert_slice(json_text(json_member(f.work.doc.root, SLICE("event"))), "e");
    assert_true(yyjson_is_null(json_member(f.work.doc.root, SLICE("n"))));
    fixture_fini(&f);
    mem_free(bytes);
}

static void test_bad(void **state)
{
    static const struct {
        const char *data;
        const char *reason;
    } t[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"null", "not a JSON object"},
        {"\"text\"", "not a JSON object"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct fixture f;
        size_t len;
        char *bytes = encode(t[i].data, &len);

        fixture_init(&f);
        f.work.record.payload = slice_make(bytes, len);
        assert_int_equal(decode_step(&f.work, &f.err), STEP_DEAD);
        assert_int_equal(f.work.dead_reason, DEAD_UNPARSABLE);
        assert_contains(slice_cstr(f.err.text), t[i].reason);
        assert_int_equal(f.work.envelope.team_id, 7); /* known all the same */
        fixture_fini(&f);
        mem_free(bytes);
    }
}

static void test_depth(void **state)
{
    struct buf data = BUF_INIT(4096);
    struct fixture f;
    size_t len;
    char *bytes;

    UNUSED(state);
    buf_add_str(&data, "{\"event\":");
    for (int i = 0; i < 100; i++)
        buf_add_char(&data, '[');
    for (int i = 0; i < 100; i++)
        buf_add_char(&data, ']');
    buf_add_char(&data, '}');
    bytes = encode(buf_cstr(&data), &len);
    fixture_init(&f);
    f.work.record.payload = slice_make(bytes, len);
    assert_int_equal(decode_step(&f.work, &f.err), STEP_DEAD);
    assert_contains(slice_cstr(f.err.text), "deeper than 100");
    fixture_fini(&f);
    mem_free(bytes);
    buf_free(&data);
}

static void test_not_an_event(void **state)
{
    struct fixture f;

    UNUSED(state);
    fixture_init(&f);
    f.work.record.payload = SLICE("\x05garbage");
    assert_int_equal(decode_step(&f.work, &f.err), STEP_DEAD);
    assert_int_equal(f.work.dead_reason, DEAD_UNPARSABLE);
    assert_int_equal(f.work.envelope.team_id, 0);
    f.work.record.type = 9;
    assert_int_equal(decode_step(&f.work, &f.err), STEP_DEAD);
    assert_int_equal(f.work.dead_reason, DEAD_RECORD_TYPE);
    fixture_fini(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_not_an_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
