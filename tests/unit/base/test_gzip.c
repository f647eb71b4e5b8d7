#include "base/fault.h"
#include "base/gzip.h"
#include "base/thread.h"
#include "unit.h"

// printf 'hello, hello, hello' | gzip -n9
static const unsigned char hello_gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
                                         0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0xc8, 0x40, 0xa2,
                                         0x00, 0x9f, 0xa1, 0xca, 0x09, 0x13, 0x00, 0x00, 0x00};
#define HELLO "hello, hello, hello"

static void assert_content(const struct buf *b, const char *text)
{
    assert_true(slice_eq(buf_slice(b), slice_cstr(text)));
}

static void decodes_what_gzip_wrote(void **state)
{
    struct buf out = BUF_INIT(100);
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(buf_add_str(&out, "before "));
    assert_true(gzip_is(slice_make(hello_gz, sizeof(hello_gz))));
    assert_true(gzip_decode(slice_make(hello_gz, sizeof(hello_gz)), &out, &err));
    assert_content(&out, "before " HELLO);
    buf_free(&out);
}

static void recognises_the_first_bytes(void **state)
{
    UNUSED(state);
    assert_true(gzip_is(SLICE("\x1f\x8b")));
    assert_false(gzip_is(SLICE("\x1f")));
    assert_false(gzip_is(SLICE("{}")));
    assert_false(gzip_is(SLICE_NONE));
}

static void the_maximum_is_exact(void **state)
{
    struct slice gz = slice_make(hello_gz, sizeof(hello_gz));
    size_t need = strlen(HELLO);

    UNUSED(state);
    for (size_t max = 0; max <= need + 1; max++) {
        struct buf out = BUF_INIT(max);
        struct err err = ERR_INIT;

        assert_int_equal(gzip_decode(gz, &out, &err), max >= need);
        assert_int_equal(err.code, max >= need ? ERR_NONE : ERR_LIMIT);
        assert_int_equal(out.len, max >= need ? need : 0);
        buf_free(&out);
    }
}

static void bad_data_changes_nothing(void **state)
{
    unsigned char bytes[sizeof(hello_gz)];
    struct buf out = BUF_INIT(1000);
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(buf_add_str(&out, "x"));
    for (size_t len = 0; len < sizeof(hello_gz); len++) {
        assert_false(gzip_decode(slice_make(hello_gz, len), &out, &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
    // One bit of the CRC, of the length, of the header.
    static const size_t places[] = {sizeof(hello_gz) - 5, sizeof(hello_gz) - 1, 0, 1, 2};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        memcpy(bytes, hello_gz, sizeof(bytes));
        bytes[places[i]] ^= 1;
        assert_false(gzip_decode(slice_make(bytes, sizeof(bytes)), &out, &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
    assert_false(gzip_decode(SLICE_NONE, &out, &err));
    assert_content(&out, "x");
    assert_false(out.is_over);
    buf_free(&out);
}

static void bytes_behind_are_ignored(void **state)
{
    struct buf two = BUF_INIT(1000), out = BUF_INIT(1000);
    struct err err = ERR_INIT;

    UNUSED(state);
    buf_add(&two, hello_gz, sizeof(hello_gz));
    buf_add(&two, hello_gz, sizeof(hello_gz));
    buf_add_str(&two, "and something else"); // its end is taken for a length, which is a mere hint
    assert_true(gzip_decode(buf_slice(&two), &out, &err));
    assert_content(&out, HELLO);
    buf_free(&two);
    buf_free(&out);
}

static void round_trips(void **state)
{
    static const size_t lengths[] = {0, 1, 4095, 4096, 4097, 1000000};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf plain = BUF_INIT(1 << 20), gz = BUF_INIT(1 << 21), out = BUF_INIT(1 << 20);
        struct err err = ERR_INIT;

        for (size_t k = 0; k < lengths[i]; k++)
            buf_add_char(&plain, (char)(k * k >> 7));
        assert_true(gzip_encode(buf_slice(&plain), 6, &gz, &err));
        assert_true(gzip_decode(buf_slice(&gz), &out, &err));
        assert_true(slice_eq(buf_slice(&plain), buf_slice(&out)));
        buf_free(&plain);
        buf_free(&gz);
        buf_free(&out);
    }
}

static void a_bomb_stops_at_the_maximum(void **state)
{
    struct buf plain = BUF_INIT(SIZE_MAX), gz = BUF_INIT(1 << 20), out = BUF_INIT(100000);
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(buf_reserve(&plain, 10000000));
    memset(plain.ptr, 0, 10000000);
    plain.len = 10000000;
    assert_true(gzip_encode(buf_slice(&plain), 9, &gz, &err));
    assert_true(gz.len < 20000);
    assert_false(gzip_decode(buf_slice(&gz), &out, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_true(out.cap <= 100001);
    buf_free(&out);

    // A trailer that promises little: the output grows by doubling, then the length is found wrong.
    out = BUF_INIT(20000000);
    gz.ptr[gz.len - 2] = gz.ptr[gz.len - 1] = 0;
    assert_false(gzip_decode(buf_slice(&gz), &out, &err));
    assert_int_equal(err.code, ERR_INPUT);
    buf_free(&out);

    // A trailer that promises 4 GiB: no more is taken than deflate can reach.
    memset(gz.ptr + gz.len - 4, 0xff, 4);
    out = BUF_INIT(SIZE_MAX);
    assert_false(gzip_decode(buf_slice(&gz), &out, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_true(out.cap <= gz.len * 1032);
    buf_free(&out);
    buf_free(&gz);
    buf_free(&plain);
}

static void encoding_respects_the_maximum(void **state)
{
    struct buf gz = BUF_INIT(10);
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_false(gzip_encode(SLICE("0123456789"), 1, &gz, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(gz.len, 0);
    buf_free(&gz);
    gz = BUF_INIT(0);
    assert_false(gzip_encode(SLICE("0123456789"), 1, &gz, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_free(&gz);
}

static void out_of_memory_is_worth_a_retry(void **state)
{
    struct buf out = BUF_INIT(1000);
    struct err err = ERR_INIT;

    UNUSED(state);
    fault_arm("mem.try", 1, 1);
    assert_false(gzip_decode(slice_make(hello_gz, sizeof(hello_gz)), &out, &err));
    assert_int_equal(err.code, ERR_RETRY);
    assert_false(out.is_over);
    assert_true(gzip_decode(slice_make(hello_gz, sizeof(hello_gz)), &out, &err));
    fault_clear();
    buf_free(&out);
}

static void decode_one(void *ctx)
{
    struct buf out = BUF_INIT(100);
    struct err err = ERR_INIT;

    *(bool *)ctx = gzip_decode(slice_make(hello_gz, sizeof(hello_gz)), &out, &err);
    buf_free(&out);
}

// The leak checker tells when a thread's decompressor is not freed.
static void threads_have_their_own(void **state)
{
    struct thread threads[4];
    bool is_good[4] = {false};
    struct err err = ERR_INIT;

    UNUSED(state);
    for (int i = 0; i < 4; i++)
        assert_true(thread_start(&threads[i], THREAD_NET, i, decode_one, &is_good[i], &err));
    for (int i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_true(is_good[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_what_gzip_wrote),
        cmocka_unit_test(recognises_the_first_bytes),
        cmocka_unit_test(the_maximum_is_exact),
        cmocka_unit_test(bad_data_changes_nothing),
        cmocka_unit_test(bytes_behind_are_ignored),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(a_bomb_stops_at_the_maximum),
        cmocka_unit_test(encoding_respects_the_maximum),
        cmocka_unit_test(out_of_memory_is_worth_a_retry),
        cmocka_unit_test(threads_have_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
