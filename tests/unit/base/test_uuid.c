#include "base/thread.h"
#include "base/uuid.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_US INT64_C(1645557742000000) /* the time in RFC 9562, appendix A.6 */

static void strict_forms(void **state)
{
    static const char *const good[] = {"01234567-89ab-cdef-0123-456789abcdef",
                                       "01234567-89AB-CDEF-0123-456789abCDEF"};
    static const char *const bad[] = {
        "",
        "0123456789abcdef0123456789abcdef",
        "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdef0",
        "01234567-89ab-cdef-0123-456789abcdeg",
        "0123456-789ab-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abc-ef",
        " 1234567-89ab-cdef-0123-456789abcdef",
        "{0123456789ab-cdef-0123-456789abcde}",
    };
    struct uuid u;
    char text[UUID_TEXT_LEN + 1];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(uuid_parse(slice_cstr(good[i]), &u));
        uuid_format(&u, text);
        assert_string_equal(text, good[0]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(uuid_parse(slice_cstr(bad[i]), &u));
        uuid_format(&u, text);
        assert_string_equal(text, good[0]); // unchanged
    }
    assert_false(uuid_parse(SLICE_NONE, &u));
}

static void loose_forms(void **state)
{
    static const char *const good[] = {
        "01234567-89ab-cdef-0123-456789abcdef",
        "0123456789abcdef0123456789abcdef",
        "0123456789ABCDEF0123456789ABCDEF",
        "{01234567-89ab-cdef-0123-456789abcdef}",
        "urn:uuid:01234567-89ab-cdef-0123-456789abcdef",
        "uuid:{0123456789abcdef0123456789abcdef}",
        "0-1-2-3-4-5-6-7-89abcdef0123456789abcdef--",
    };
    static const char *const bad[] = {"",
                                      "{}",
                                      "urn:uuid:",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789abcdef0123456789abcdef0",
                                      "0123456789abcdef 0123456789abcdef",
                                      "x0123456789abcdef0123456789abcdef"};
    struct uuid u, first;

    UNUSED(state);
    assert_true(uuid_parse(slice_cstr(good[0]), &first));
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(uuid_parse_loose(slice_cstr(good[i]), &u));
        assert_true(uuid_eq(&u, &first));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(uuid_parse_loose(slice_cstr(bad[i]), &u));
        assert_true(uuid_eq(&u, &first));
    }
}

static void version_7_has_its_fields(void **state)
{
    struct uuid u = uuid_v7(NOW_US);
    char text[UUID_TEXT_LEN + 1];

    UNUSED(state);
    uuid_format(&u, text);
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
    assert_int_equal(u.b[8] >> 6, 2);
}

static void version_7_only_grows(void **state)
{
    struct uuid last = uuid_v7(NOW_US);

    UNUSED(state);
    for (int i = 0; i < 20000; i++) {
        // Many in one millisecond, and a clock that goes back and forth by a second.
        struct uuid next = uuid_v7(NOW_US + (i % 7 == 0 ? -1000000 : i / 10000 * 1000));

        assert_true(memcmp(last.b, next.b, 8) < 0);
        last = next;
    }
}

static void a_wrong_time_is_not_kept(void **state)
{
    struct uuid far = uuid_v7(NOW_US + INT64_C(3600) * 1000000);
    struct uuid now = uuid_v7(NOW_US);

    UNUSED(state);
    assert_true(memcmp(now.b, far.b, 6) < 0);
    assert_memory_equal(now.b, "\x01\x7f\x22\xe2\x79\xb0", 6);
    now = uuid_v7(-5);
    assert_memory_equal(now.b, "\0\0\0\0\0\0\x70", 6);
}

static void uuidt_counts_within_the_millisecond(void **state)
{
    UNUSED(state);
    for (unsigned i = 0; i < 300; i++) {
        struct uuid u = uuid_uuidt(NOW_US + 999);
        char text[UUID_TEXT_LEN + 1], head[20];

        uuid_format(&u, text);
        snprintf(head, sizeof(head), "017f22e2-79b0-%04x-", i);
        assert_memory_equal(text, head, 19);
    }
    assert_int_equal(uuid_uuidt(NOW_US + 1000).b[7], 0);
}

static void version_5_is_a_function_of_the_name(void **state)
{
    struct uuid a = uuid_v5(SLICE("a")), again = uuid_v5(SLICE("a")), b = uuid_v5(SLICE("b"));
    char text[UUID_TEXT_LEN + 1];

    UNUSED(state);
    assert_true(uuid_eq(&a, &again));
    assert_false(uuid_eq(&a, &b));
    uuid_format(&a, text);
    // Computed with another implementation (Python's uuid.uuid5): ids must never change.
    assert_string_equal(text, "c8ba4bfe-059d-5069-b9ae-7e62f8a4232c");
    a = uuid_v5(SLICE_NONE);
    uuid_format(&a, text);
    assert_string_equal(text, "2663d0e7-118c-588d-98ca-4f891c2c2199");
}

static void nil(void **state)
{
    struct uuid u = {{0}};

    UNUSED(state);
    assert_true(uuid_is_nil(&u));
    u.b[15] = 1;
    assert_false(uuid_is_nil(&u));
}

enum { THREADS = 4, EACH = 2000 };

static void make_many(void *ctx)
{
    struct uuid *made = (struct uuid *)ctx;

    for (int i = 0; i < EACH; i++)
        made[i] = uuid_v7(NOW_US);
}

static int compare_heads(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static void threads_never_get_the_same(void **state)
{
    static struct uuid made[THREADS * EACH];
    struct thread threads[THREADS];
    struct err err = ERR_INIT;

    UNUSED(state);
    for (int i = 0; i < THREADS; i++)
        assert_true(thread_start(&threads[i], THREAD_NET, i, make_many, made + i * EACH, &err));
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    qsort(made, THREADS * EACH, sizeof(made[0]), compare_heads);
    for (int i = 1; i < THREADS * EACH; i++)
        assert_true(compare_heads(&made[i - 1], &made[i]) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_forms),
        cmocka_unit_test(loose_forms),
        cmocka_unit_test(version_7_has_its_fields),
        cmocka_unit_test(version_7_only_grows),
        cmocka_unit_test(a_wrong_time_is_not_kept),
        cmocka_unit_test(uuidt_counts_within_the_millisecond),
        cmocka_unit_test(version_5_is_a_function_of_the_name),
        cmocka_unit_test(nil),
        cmocka_unit_test(threads_never_get_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
