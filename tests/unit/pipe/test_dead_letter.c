#include "pipe_aid.h"

static void insert(struct fake_store *f, struct prepared *e)
{
    struct store store = fake_store_ops(f);
    struct err err = ERR_INIT;

    assert_true(store.ops->begin(store.self, &err));
    assert_true(dead_letter_store(&store, e, 123, &err));
    assert_true(store.ops->commit(store.self, NULL, NULL, 0, &err));
}

static void test_envelope(void **state)
{
    struct event_envelope envelope = {
        .team_id = 7, .distinct_id = SLICE("d\"q"), .data = SLICE("{\"event\":\"e\"}")};
    size_t len = event_encoded_bytes(&envelope);
    char *bytes = mem_alloc(len);
    struct fake_store *f = fake_store_new();
    struct prepared e = {.kind = PREPARED_DEAD,
                         .type = RECORD_TYPE_EVENT,
                         .team_id = 7,
                         .payload = slice_make(bytes, len),
                         .dead_step = "prepareEvent",
                         .dead_text = SLICE("why")};

    UNUSED(state);
    event_encode(&envelope, bytes);
    insert(f, &e);
    assert_int_equal(fake_store_dead_at(f, 0)->at_us, 123);
    assert_int_equal(fake_store_dead_at(f, 0)->team_id, 7);
    assert_slice(fake_store_dead_at(f, 0)->stage, "plugin_server_ingest_event:prepareEvent");
    assert_slice(fake_store_dead_at(f, 0)->reason, "Event ingestion failed. Error: why");
    assert_contains(fake_store_dead_at(f, 0)->envelope, "\"distinct_id\":\"d\\\"q\"");
    assert_contains(fake_store_dead_at(f, 0)->envelope, "\"data\":\"{\\\"event\\\":\\\"e\\\"}\"");
    e.payload.len = 10; /* cannot be read */
    e.dead_step = NULL;
    insert(f, &e);
    assert_slice(fake_store_dead_at(f, 1)->stage, "parse_message");
    assert_contains(fake_store_dead_at(f, 1)->envelope, "{\"type\":1,\"base64\":\"");
    fake_store_free(f);
    mem_free(bytes);
}

static void test_names(void **state)
{
    UNUSED(state);
    for (int i = 0; i < DEAD_REASON_COUNT; i++)
        assert_non_null(dead_letter_reason_name((enum dead_reason)i));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
