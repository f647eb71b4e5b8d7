/* The shared cache: values, times to live, lists, limits, threads. */
#include "base/clock.h"
#include "plugin/cache.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>

#define KEY SLICE("@plugin/1/2/k")

static const char *get(struct plugin_cache *c, struct slice key)
{
    static char text[256];
    struct buf out = BUF_INIT(200);

    switch (plugin_cache_get(c, key, &out)) {
    case CACHE_OK:
        snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_slice(&out)));
        break;
    case CACHE_NONE:
        snprintf(text, sizeof(text), "(none)");
        break;
    default:
        snprintf(text, sizeof(text), "(type)");
    }
    buf_free(&out);
    return text;
}

static void add_item(void *ctx, struct slice item)
{
    struct buf *b = ctx;

    buf_addf(b, "%.*s,", SLICE_ARG(item));
}

static const char *range(struct plugin_cache *c, int64_t start, int64_t end)
{
    static char text[256];
    struct buf out = BUF_INIT(200);

    assert_int_equal(plugin_cache_range(c, KEY, start, end, add_item, &out), CACHE_OK);
    snprintf(text, sizeof(text), "%s", buf_cstr(&out));
    buf_free(&out);
    return text;
}

static void push(struct plugin_cache *c, const char *items, size_t expected)
{
    struct slice rest = slice_cstr(items), all[16];
    size_t count = 0, length;

    while (slice_split(&rest, ',', &all[count]))
        count++;
    assert_int_equal(plugin_cache_push(c, KEY, all, count, &length), CACHE_OK);
    assert_int_equal(length, expected);
}

static void test_values(void **state)
{
    struct plugin_cache *c = plugin_cache_new(1 << 20);

    UNUSED(state);
    assert_string_equal(get(c, KEY), "(none)");
    plugin_cache_set(c, KEY, SLICE("v"), 0);
    assert_string_equal(get(c, KEY), "v");
    plugin_cache_set(c, KEY, SLICE(""), 0);
    assert_string_equal(get(c, KEY), "");
    assert_string_equal(get(c, SLICE("other")), "(none)");
    plugin_cache_free(c);
    plugin_cache_free(NULL);
}

static void test_time_to_live(void **state)
{
    struct plugin_cache *c = plugin_cache_new(1 << 20);

    UNUSED(state);
    clock_fake_set(1000000);
    plugin_cache_set(c, KEY, SLICE("v"), 1000000);
    clock_fake_add(999999);
    assert_string_equal(get(c, KEY), "v");
    clock_fake_add(1);
    assert_string_equal(get(c, KEY), "(none)");
    assert_false(plugin_cache_expire(c, KEY, 5));
    plugin_cache_set(c, KEY, SLICE("v"), 1000000);
    plugin_cache_set(c, KEY, SLICE("w"), 0); /* ends the old time */
    clock_fake_add(2000000);
    assert_string_equal(get(c, KEY), "w");
    assert_true(plugin_cache_expire(c, KEY, 10));
    clock_fake_add(10);
    assert_string_equal(get(c, KEY), "(none)");
    push(c, "1", 1);
    assert_true(plugin_cache_expire(c, KEY, 0));
    assert_string_equal(range(c, 0, -1), "");
    clock_fake_off();
    plugin_cache_free(c);
}

static void test_incr(void **state)
{
    struct plugin_cache *c = plugin_cache_new(1 << 20);
    int64_t value;
    size_t length;

    UNUSED(state);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(plugin_cache_incr(c, KEY, &value), CACHE_OK);
        assert_int_equal(value, i);
    }
    plugin_cache_set(c, KEY, SLICE("-1"), 0);
    assert_int_equal(plugin_cache_incr(c, KEY, &value), CACHE_OK);
    assert_string_equal(get(c, KEY), "0");
    plugin_cache_set(c, KEY, SLICE("9223372036854775807"), 0);
    assert_int_equal(plugin_cache_incr(c, KEY, &value), CACHE_NOT_INTEGER);
    plugin_cache_set(c, KEY, SLICE("1.5"), 0);
    assert_int_equal(plugin_cache_incr(c, KEY, &value), CACHE_NOT_INTEGER);
    assert_string_equal(get(c, KEY), "1.5");
    assert_int_equal(plugin_cache_push(c, KEY, &SLICE("x"), 1, &length), CACHE_WRONG_TYPE);
    plugin_cache_expire(c, KEY, 0);
    push(c, "a", 1);
    assert_int_equal(plugin_cache_incr(c, KEY, &value), CACHE_WRONG_TYPE);
    assert_string_equal(get(c, KEY), "(type)");
    assert_string_equal(plugin_cache_text(CACHE_WRONG_TYPE),
                        "WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_string_equal(plugin_cache_text(CACHE_NOT_INTEGER),
                        "ERR value is not an integer or out of range");
    plugin_cache_free(c);
}

static void test_lists(void **state)
{
    struct plugin_cache *c = plugin_cache_new(1 << 20);
    struct buf out = BUF_INIT(100);
    size_t n;

    UNUSED(state);
    push(c, "1,2,3", 3);
    assert_string_equal(range(c, 0, -1), "3,2,1,");
    assert_string_equal(range(c, 1, 1), "2,");
    assert_string_equal(range(c, -2, 10), "2,1,");
    assert_string_equal(range(c, -99, -3), "3,");
    assert_string_equal(range(c, 2, 1), "");
    assert_string_equal(range(c, 5, 9), "");
    assert_string_equal(range(c, INT64_MIN, INT64_MAX), "3,2,1,");
    assert_string_equal(range(c, INT64_MAX, INT64_MIN), "");
    assert_int_equal(plugin_cache_length(c, KEY, &n), CACHE_OK);
    assert_int_equal(n, 3);
    assert_int_equal(plugin_cache_pop(c, KEY, 1, add_item, &out), CACHE_OK);
    assert_string_equal(buf_cstr(&out), "3,");
    assert_int_equal(plugin_cache_remove(c, KEY, 1, SLICE("2"), &n), CACHE_OK);
    assert_int_equal(n, 1);
    assert_string_equal(range(c, 0, -1), "1,");
    assert_int_equal(plugin_cache_pop(c, KEY, 99, add_item, &out), CACHE_OK);
    assert_int_equal(plugin_cache_pop(c, KEY, 1, add_item, &out), CACHE_NONE); /* empty: gone */
    assert_int_equal(plugin_cache_length(c, KEY, &n), CACHE_OK);
    assert_int_equal(n, 0);
    assert_int_equal(plugin_cache_push(c, KEY, NULL, 0, &n), CACHE_OK);
    assert_int_equal(plugin_cache_pop(c, KEY, 1, add_item, &out), CACHE_NONE);
    buf_free(&out);
    plugin_cache_free(c);
}

static void test_remove(void **state)
{
    static const struct {
        int64_t count;
        size_t removed;
        const char *left;
    } table[] = {
        {0, 3, "b,c,"},    {1, 1, "b,a,c,a,"}, {2, 2, "b,c,a,"}, {-1, 1, "a,b,a,c,"},
        {-2, 2, "a,b,c,"}, {9, 3, "b,c,"},     {-9, 3, "b,c,"},  {INT64_MIN, 3, "b,c,"},
    };
    size_t n;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct plugin_cache *c = plugin_cache_new(1 << 20);

        push(c, "a,c,a,b,a", 5);
        assert_int_equal(plugin_cache_remove(c, KEY, table[i].count, SLICE("a"), &n), CACHE_OK);
        assert_int_equal(n, table[i].removed);
        assert_string_equal(range(c, 0, -1), table[i].left);
        plugin_cache_free(c);
    }
}

static void test_limits(void **state)
{
    struct plugin_cache *c = plugin_cache_new(20000);
    char value[5000] = {0}, key[16];

    UNUSED(state);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "%d", i);
        plugin_cache_set(c, slice_cstr(key), slice_make(value, sizeof(value)), 0);
        assert_true(plugin_cache_bytes(c) <= 20000);
    }
    assert_string_equal(get(c, SLICE("0")), "(none)");
    plugin_cache_free(c);
}

static void test_list_limit(void **state)
{
    struct plugin_cache *c = plugin_cache_new(20000);
    size_t length = 0, longest = 0;

    UNUSED(state);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(plugin_cache_push(c, KEY, &SLICE("0123456789"), 1, &length), CACHE_OK);
        longest = MAX(longest, length);
        assert_true(plugin_cache_bytes(c) <= 20000);
    }
    assert_in_range(longest, 100, 1000); /* then it vanished, and began anew */
    plugin_cache_free(c);
}

static void *count_up(void *cache)
{
    int64_t value;
    size_t n;

    for (int i = 0; i < 2000; i++) {
        assert_int_equal(plugin_cache_incr(cache, KEY, &value), CACHE_OK);
        plugin_cache_push(cache, SLICE("list"), &SLICE("x"), 1, &n);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct plugin_cache *c = plugin_cache_new(1 << 20);
    pthread_t other;
    size_t n;

    UNUSED(state);
    assert_int_equal(pthread_create(&other, NULL, count_up, c), 0);
    count_up(c);
    pthread_join(other, NULL);
    assert_string_equal(get(c, KEY), "4000");
    plugin_cache_length(c, SLICE("list"), &n);
    assert_int_equal(n, 4000);
    plugin_cache_free(c);
}

static void add_entry(void *ctx, const struct plugin_cache_entry *e)
{
    struct buf *b = ctx;

    buf_addf(b, "%.*s=", SLICE_ARG(e->key));
    for (size_t i = 0; i < e->count; i++)
        buf_addf(b, "[%.*s]", SLICE_ARG(e->items[i]));
    assert_int_equal(e->is_list, e->count > 0);
    buf_addf(b, "%.*s;", SLICE_ARG(e->value));
}

static void test_each(void **state)
{
    struct plugin_cache *c = plugin_cache_new(1 << 20);
    struct buf out = BUF_INIT(1000);

    UNUSED(state);
    assert_true(plugin_cache_add_prefix(&out, 1, -2));
    assert_string_equal(buf_cstr(&out), "@plugin/1/-2/");
    buf_clear(&out);
    clock_fake_set(1000000);
    plugin_cache_set(c, SLICE("a"), SLICE("1"), 0);
    plugin_cache_set(c, SLICE("dead"), SLICE("2"), 10);
    push(c, "x,y", 2);
    plugin_cache_set(c, SLICE("b"), SLICE(""), 11);
    clock_fake_add(10);
    plugin_cache_each(c, add_entry, &out);
    assert_string_equal(buf_cstr(&out), "a=1;@plugin/1/2/k=[x][y];b=;");
    clock_fake_off();
    buf_free(&out);
    plugin_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_time_to_live),
        cmocka_unit_test(test_incr),       cmocka_unit_test(test_lists),
        cmocka_unit_test(test_remove),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_list_limit), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
