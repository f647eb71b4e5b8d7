#include "base/buf.h"
#include "base/mem.h"
#include "model/event.h"
#include "unit.h"

static struct event_envelope full(void)
{
    struct event_envelope e = {
        .team_id = -5,
        .distinct_id = SLICE("user \xc3\xbc"),
        .ip = SLICE("203.0.113.7"),
        .site_url = SLICE("http://localhost:8000"),
        .token = SLICE("phc_x"),
        .traceparent = SLICE("00-1-2-3"),
        .now_us = INT64_C(1651320000123456),
        .sent_at_us = INT64_C(1651320000250000),
        .has_sent_at = true,
        .flags = EVENT_UUID_CHECKED | EVENT_HISTORICAL,
        .data = SLICE("{\"event\":\"e\\\"1\"}"),
    };

    assert_true(uuid_parse(SLICE("01823e89-9de4-7000-8000-0123456789ab"), &e.uuid));
    return e;
}

static char *encode(const struct event_envelope *e, size_t *len)
{
    char *bytes;

    *len = event_encoded_bytes(e);
    bytes = mem_alloc(*len);
    event_encode(e, bytes);
    return bytes;
}

static void assert_same(const struct event_envelope *a, const struct event_envelope *b)
{
    assert_true(uuid_eq(&a->uuid, &b->uuid));
    assert_int_equal(a->team_id, b->team_id);
    assert_true(slice_eq(a->distinct_id, b->distinct_id));
    assert_true(slice_eq(a->ip, b->ip));
    assert_true(slice_eq(a->site_url, b->site_url));
    assert_true(slice_eq(a->token, b->token));
    assert_true(slice_eq(a->traceparent, b->traceparent));
    assert_int_equal(a->now_us, b->now_us);
    assert_int_equal(a->has_sent_at, b->has_sent_at);
    assert_int_equal(a->sent_at_us, b->sent_at_us);
    assert_int_equal(a->flags, b->flags);
    assert_true(slice_eq(a->data, b->data));
}

static void test_round_trip(void **state)
{
    struct event_envelope e = full();
    struct event_envelope least = {.team_id = 1, .distinct_id = SLICE("d"), .data = SLICE("{}")};
    struct event_envelope back;
    struct err err = ERR_INIT;
    size_t len;
    char *bytes = encode(&e, &len);

    UNUSED(state);
    assert_true(event_decode(slice_make(bytes, len), &back, &err));
    assert_same(&e, &back);
    mem_free(bytes);
    bytes = encode(&least, &len);
    assert_true(event_decode(slice_make(bytes, len), &back, &err));
    assert_same(&least, &back);
    mem_free(bytes);
}

/* The bytes on disk do not change: version, then tag, length and content of each field. */
static void test_bytes(void **state)
{
    static const char expected[] = "\x01"
                                   "\x01\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                   "\x02\x08\0\0\0\x02\x01\0\0\0\0\0\0"
                                   "\x03\x01\0\0\0d"
                                   "\x08\x08\0\0\0\x03\0\0\0\0\0\0\0"
                                   "\x0a\x04\0\0\0\x01\0\0\0"
                                   "\xff\x02\0\0\0{}";
    struct event_envelope e = {
        .team_id = 0x102, .distinct_id = SLICE("d"), .now_us = 3, .flags = 1, .data = SLICE("{}")};
    size_t len;
    char *bytes = encode(&e, &len);

    UNUSED(state);
    assert_int_equal(len, sizeof(expected) - 1);
    assert_memory_equal(bytes, expected, len);
    mem_free(bytes);
}

static void test_unknown_field(void **state)
{
    struct event_envelope e = {.team_id = 1, .distinct_id = SLICE("d"), .data = SLICE("{}")};
    struct event_envelope back;
    struct err err = ERR_INIT;
    struct buf b = BUF_INIT(1000);
    size_t len;
    char *bytes = encode(&e, &len);

    UNUSED(state);
    buf_add(&b, bytes, 1);
    buf_add(&b, "\x63\x03\0\0\0new", 8);
    buf_add(&b, bytes + 1, len - 1);
    assert_true(event_decode(buf_slice(&b), &back, &err));
    assert_same(&e, &back);
    buf_free(&b);
    mem_free(bytes);
}

/* Cut anywhere, or any byte of a head changed: refused or still a whole envelope, never a crash. */
static void test_damaged(void **state)
{
    struct event_envelope e = full();
    struct event_envelope back;
    struct err err = ERR_INIT;
    size_t len;
    char *bytes = encode(&e, &len);

    UNUSED(state);
    for (size_t cut = 0; cut < len; cut++) {
        char *part = mem_dup(bytes, cut); /* exact size, for the sanitizer */

        assert_false(event_decode(slice_make(part, cut), &back, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        mem_free(part);
    }
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= 0x55;
        if (event_decode(slice_make(bytes, len), &back, &err))
            assert_true(back.data.ptr >= bytes && back.data.ptr + back.data.len <= bytes + len);
        bytes[at] ^= 0x55;
    }
    mem_free(bytes);
}

static void test_missing(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } t[] = {
        {"", 0},
        {"\x01", 1},
        {"\x02\xff\0\0\0\0", 6},                  /* another version */
        {"\x01\xff\0\0\0\0", 6},                  /* data alone */
        {"\x01\x02\x07\0\0\0\0\0\0\0\0\0\0", 13}, /* a team of seven bytes */
        {"\x01\xff\xff\xff\xff\xff{}", 8},        /* longer than all there is */
        {"\x01\xff\x02\0\0\0{}x", 9},             /* bytes behind */
    };
    struct event_envelope back;
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_false(event_decode(slice_make(t[i].bytes, t[i].len), &back, &err));
}

static void test_json(void **state)
{
    struct event_envelope e = full();
    struct event_envelope least = {.team_id = 1, .distinct_id = SLICE("d"), .data = SLICE("{}")};
    struct buf b = BUF_INIT(4096);

    UNUSED(state);
    assert_true(event_envelope_json(&e, &b));
    assert_string_equal(
        buf_cstr(&b),
        "{\"uuid\":\"01823e89-9de4-7000-8000-0123456789ab\",\"distinct_id\":\"user \xc3\xbc\","
        "\"ip\":\"203.0.113.7\",\"site_url\":\"http://localhost:8000\","
        "\"data\":\"{\\\"event\\\":\\\"e\\\\\\\"1\\\"}\",\"team_id\":-5,"
        "\"now\":\"2022-04-30T12:00:00.123456+00:00\",\"sent_at\":\"2022-04-30T12:00:00.250000+00:"
        "00\","
        "\"token\":\"phc_x\"}");
    buf_clear(&b);
    assert_true(event_envelope_json(&least, &b));
    assert_string_equal(buf_cstr(&b),
                        "{\"uuid\":\"00000000-0000-0000-0000-000000000000\",\"distinct_id\":\"d\","
                        "\"ip\":null,\"site_url\":null,\"data\":\"{}\",\"team_id\":1,"
                        "\"now\":\"1970-01-01T00:00:00+00:00\",\"sent_at\":\"\",\"token\":\"\"}");
    buf_free(&b);
    b = BUF_INIT(100);
    assert_false(event_envelope_json(&e, &b));
    buf_free(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_unknown_field), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_missing),       cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
