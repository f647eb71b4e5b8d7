#include "pipe_aid.h"

static void test_line(void **state)
{
    struct prepared e = {.team_id = 2,
                         .event = SLICE("say \"hi\""),
                         .distinct_id = SLICE("d"),
                         .timestamp_us = 1651320000250000,
                         .row_properties = SLICE("{\"a\":1}")};
    struct buf out = BUF_INIT(4096);

    UNUSED(state);
    tail_line(&e, &out);
    assert_slice(buf_slice(&out),
                 "{\"uuid\":\"00000000-0000-0000-0000-000000000000\",\"event\":\"say \\\"hi\\\"\","
                 "\"distinct_id\":\"d\",\"team_id\":2,\"timestamp\":\"2022-04-30T12:00:00.250Z\","
                 "\"person_uuid\":null,\"properties\":{\"a\":1}}");
    e.has_person = true;
    e.person_uuid.b[15] = 9;
    tail_line(&e, &out);
    assert_contains(buf_slice(&out), "\"person_uuid\":\"00000000-0000-0000-0000-000000000009\"");
    buf_free(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_line)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
