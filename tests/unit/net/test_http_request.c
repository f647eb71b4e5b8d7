#include "base/buf.h"
#include "lib/unit.h"
#include "net/http_server.h"

static void headers(void **state)
{
    static const struct http_header list[] = {{SLICE("Content-Type"), SLICE("a")},
                                              {SLICE("X"), SLICE("")},
                                              {SLICE("content-type"), SLICE("b")}};
    struct http_request req = {.headers = list, .header_count = ARRAY_LEN(list)};

    (void)state;
    assert_true(slice_eq(http_header_get(&req, "CONTENT-TYPE"), SLICE("a"))); // the first
    assert_non_null(http_header_get(&req, "x").ptr);
    assert_int_equal(http_header_get(&req, "x").len, 0);
    assert_null(http_header_get(&req, "Content-Typ").ptr);
    assert_null(http_header_get(&req, "").ptr);
}

static void params(void **state)
{
    struct http_request req = {.params = {{SLICE("id"), SLICE("7")}}, .param_count = 1};

    (void)state;
    assert_true(slice_eq(http_param_get(&req, "id"), SLICE("7")));
    assert_null(http_param_get(&req, "i").ptr);
}

static void queries(void **state)
{
    static const struct {
        const char *query, *name, *value; /* NULL: absent */
    } table[] = {
        {"", "a", NULL},
        {"a", "a", ""},
        {"a=", "a", ""},
        {"a=1", "a", "1"},
        {"a=1&a=2", "a", "1"},
        {"b=2&a=1", "a", "1"},
        {"&&a=1&", "a", "1"},
        {"a=1=2", "a", "1=2"},
        {"a=b+c%20d%2Be", "a", "b c d+e"},
        {"a=%41%e4%00", "a", "A\xe4"},
        {"a=%4", "a", "%4"},
        {"a=%", "a", "%"},
        {"a=%zz%4x", "a", "%zz%4x"},
        {"%61=1", "a", "1"},
        {"a%5B%5D=1", "a[]", "1"},
        {"a+b=1", "a b", "1"},
        {"ab=1", "a", NULL},
        {"=1", "a", NULL},
        {"=1", "", "1"},
        {"A=1", "a", NULL},
        {"a;b=1", "b", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct http_request req = {.query = slice_cstr(table[i].query), .arena = arena_new(1000)};
        struct slice value = SLICE("unchanged");
        bool found = http_query_get(&req, table[i].name, &value);

        assert_int_equal(found, table[i].value != NULL);
        if (!found)
            assert_true(slice_eq(value, SLICE("unchanged")));
        else if (strchr(table[i].query, '0') && strstr(table[i].query, "%00"))
            assert_true(slice_eq(value, slice_make("A\xe4\0", 3)));
        else
            assert_true(slice_eq(value, slice_cstr(table[i].value)));
        arena_free(req.arena);
    }
}

static bool collect(struct slice name, struct slice value, void *ctx)
{
    struct buf *out = ctx;

    buf_addf(out, "[%.*s|%.*s]", SLICE_ARG(name), SLICE_ARG(value));
    return !slice_eq(name, SLICE("stop"));
}

static void forms(void **state)
{
    static const struct {
        const char *text, *pairs;
    } table[] = {
        {"", ""},
        {"data=abc%3D&compression=gzip-js", "[data|abc=][compression|gzip-js]"},
        {"a+b=c+d&&x", "[a b|c d][x|]"},
        {"a=1&stop=&b=2", "[a|1][stop|]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct arena *arena = arena_new(1000);
        struct buf out = BUF_INIT(1000);

        http_form_each(slice_cstr(table[i].text), arena, collect, &out);
        assert_string_equal(buf_cstr(&out), table[i].pairs);
        buf_free(&out);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(params),
        cmocka_unit_test(queries),
        cmocka_unit_test(forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
