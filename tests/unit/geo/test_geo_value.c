#include "geo_aid.h"

static struct geo_reader reader(const void *bytes, size_t size)
{
    return (struct geo_reader){.data = bytes, .size = size, .budget = 1000};
}

#define READ(bytes, v) read_literal("" bytes, sizeof(bytes) - 1, (v))

static bool read_literal(const char *bytes, size_t size, struct geo_value *v)
{
    struct geo_reader r = reader(bytes, size);

    return geo_value_read(&r, 0, v);
}

static void good_values(void **state)
{
    struct geo_value v;

    UNUSED(state);
    assert_true(READ("\x43"
                     "abc",
                     &v));
    assert_int_equal(v.type, GEO_STRING);
    assert_slice(v.text, "abc");
    assert_int_equal(v.next, 4);
    assert_true(READ("\xc4\x01\x02\x03\x04", &v));
    assert_int_equal(v.whole, 0x01020304);
    assert_true(READ("\xa0", &v)); /* a uint16 without bytes is 0 */
    assert_int_equal(v.whole, 0);
    assert_true(READ("\x08\x02"
                     "\x01\x02\x03\x04\x05\x06\x07\x08",
                     &v));
    assert_int_equal(v.whole, 0x0102030405060708);
    assert_true(READ("\x04\x01\xff\xff\xff\xff", &v));
    assert_true(v.number == -1 && v.whole == 0);
    assert_true(READ("\x68\x40\x45\x00\x00\x00\x00\x00\x00", &v));
    assert_true(v.number == 42);
    assert_true(READ("\x04\x08\x42\x28\x00\x00", &v));
    assert_true(v.number == 42);
    assert_true(READ("\x01\x07", &v));
    assert_true(v.type == GEO_BOOLEAN && v.whole == 1 && v.next == 2);
    assert_true(READ("\xe0", &v));
    assert_true(v.type == GEO_MAP && v.count == 0 && v.next == 1);
}

static void pointers_of_all_sizes(void **state)
{
    static const struct {
        unsigned char bytes[5];
        size_t size, target;
    } table[] = {
        {{0x20, 0x05}, 2, 5},
        {{0x27, 0xff}, 2, 2047},
        {{0x28, 0x00, 0x00}, 3, 2048},
        {{0x30, 0x00, 0x00, 0x00}, 4, 526336},
        {{0x38, 0x00, 0x08, 0x08, 0x01}, 5, 526337},
    };
    char *data = mem_zalloc(600000);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct geo_reader r = reader(data, 600000);
        struct geo_value v;

        memset(data, 0, 600000);
        memcpy(data, table[i].bytes, table[i].size);
        memcpy(data + table[i].target, "\x42hi", 3);
        assert_true(geo_value_read(&r, 0, &v));
        assert_slice(v.text, "hi");
        assert_int_equal(v.next, table[i].size);
    }
    mem_free(data);
}

static void bad_values(void **state)
{
    struct geo_value v;

    UNUSED(state);
    assert_false(READ("", &v));
    assert_false(READ("\x43"
                      "ab",
                      &v));                                     /* shorter than it says */
    assert_false(READ("\x5d", &v));                             /* no length byte */
    assert_false(READ("\x5f\xff\xff\xff", &v));                 /* sixteen megabytes */
    assert_false(READ("\x20\x00", &v));                         /* a pointer to itself */
    assert_false(READ("\x20\x02\x20\x00", &v));                 /* a pointer to a pointer */
    assert_false(READ("\x20\x07", &v));                         /* beyond the end */
    assert_false(READ("\x38\xff\xff\xff\xff", &v));             /* far beyond the end */
    assert_false(READ("\xa3\x01\x02\x03", &v));                 /* a uint16 of three bytes */
    assert_false(READ("\x67\x01\x02\x03\x04\x05\x06\x07", &v)); /* a double of seven bytes */
    assert_false(READ("\x02\x07", &v));                         /* neither false nor true */
    assert_false(READ("\x00\x05", &v));                         /* a container */
    assert_false(READ("\x00\x06", &v));                         /* an end marker */
    assert_false(READ("\x00\xff", &v));                         /* no such type */
}

static void walks_nested_members(void **state)
{
    /* {"a":{"b":"x","c":[1,2]},"d":"y"} */
    static const char bytes[] = "\xe2\x41"
                                "a\xe2\x41"
                                "b\x41x\x41"
                                "c\x02\x04\xa1\x01\xa1\x02\x41"
                                "d\x41y";
    struct geo_reader r = reader(bytes, sizeof(bytes) - 1);
    struct geo_value top, value, inner;
    struct geo_walk w, child;
    struct slice key;

    UNUSED(state);
    assert_true(geo_value_read(&r, 0, &top));
    for (int walks_child = 0; walks_child < 2; walks_child++) {
        w = geo_walk_start(&r, &top);
        assert_true(geo_walk_member(&w, &key, &value));
        assert_slice(key, "a");
        if (walks_child) {
            child = geo_walk_start(&r, &value);
            while (geo_walk_member(&child, &key, &inner))
                ;
            assert_false(child.is_bad);
        }
        assert_true(geo_walk_member(&w, &key, &value));
        assert_slice(key, "d");
        assert_slice(value.text, "y");
        assert_false(geo_walk_member(&w, &key, &value));
        assert_false(w.is_bad);
    }
    assert_true(geo_value_check(&r, &top, 0));
}

static bool check_literal(const char *bytes, size_t size)
{
    struct geo_reader r = reader(bytes, size);
    struct geo_value v;

    return geo_value_read(&r, 0, &v) && geo_value_check(&r, &v, 0);
}

static void damage_ends_a_walk(void **state)
{
    /* Each array's ten elements are pointers to the next one: ten to the power of twenty. */
    struct buf bomb = BUF_INIT(1 << 20);
    char deep[200];

    UNUSED(state);
    assert_false(check_literal("\xe1\x41"
                               "a",
                               3)); /* no value */
    assert_false(check_literal("\xe1\xa1\x01\x41"
                               "a",
                               5));                     /* a number as a key */
    assert_false(check_literal("\x01\x04\x20\x00", 4)); /* an array that holds itself */
    for (size_t i = 0; i < sizeof(deep); i += 2)
        memcpy(deep + i, "\x01\x04", 2);
    assert_false(check_literal(deep, sizeof(deep)));
    for (unsigned i = 0; i < 20; i++) {
        assert_true(buf_add(&bomb, "\x0a\x04", 2));
        for (unsigned k = 0; k < 10; k++) {
            unsigned target = (i + 1) * 22;

            assert_true(buf_add_char(&bomb, (char)(0x20 | target >> 8)));
            assert_true(buf_add_char(&bomb, (char)target));
        }
    }
    assert_true(buf_add(&bomb, "\x41x", 2));
    assert_false(check_literal(bomb.ptr, bomb.len));
    buf_free(&bomb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values),        cmocka_unit_test(pointers_of_all_sizes),
        cmocka_unit_test(bad_values),         cmocka_unit_test(walks_nested_members),
        cmocka_unit_test(damage_ends_a_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
