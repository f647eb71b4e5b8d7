#include "lib/unit.h"
#include "net/http_route.h"

static void handler(struct http_request *req, void *ctx)
{
    UNUSED(req);
    UNUSED(ctx);
}

#define ROUTE(m, p, ...)                                                \
    {                                                                   \
        .methods = (m), .pattern = (p), .handler = handler, __VA_ARGS__ \
    }

static const struct http_route routes[] = {
    ROUTE(HTTP_M_GET, "/", .slash = false),
    ROUTE(HTTP_M_GET | HTTP_M_POST, "/e", .slash = true),
    ROUTE(HTTP_M_POST, "/batch", .slash = true),
    ROUTE(HTTP_M_GET, "/strict"),
    ROUTE(HTTP_M_GET, "/ends/"),
    ROUTE(HTTP_M_GET, "/split", .slash = true),
    ROUTE(HTTP_M_POST, "/split", .slash = true),
    ROUTE(HTTP_M_GET, "/array/:token/config", .slash = true),
    ROUTE(HTTP_M_GET, "/array/:token/config.js"),
    ROUTE(HTTP_M_GET, "/array/fixed/config"),
    ROUTE(HTTP_M_GET, "/jobs/:id"),
    ROUTE(HTTP_M_DELETE, "/jobs/:key"),
    ROUTE(HTTP_M_GET, "/jobs/:id/:a/:b/:c"),
    ROUTE(HTTP_M_GET, "/jobs/all"),
    ROUTE(HTTP_M_GET, "/:any/x"),
    ROUTE(HTTP_M_GET, "/static/", .is_prefix = true),
    ROUTE(HTTP_M_GET, "/static/deep", .is_prefix = true),
    ROUTE(HTTP_M_POST, "/static/deep", .is_prefix = true),
};

static void finds(void **state)
{
    static const struct {
        const char *path;
        enum http_method method;
        int route; /* -1: none */
        unsigned allow;
        const char *param;
    } table[] = {
        {"/", HTTP_M_GET, 0, HTTP_M_GET, NULL},
        {"/", HTTP_M_POST, -1, HTTP_M_GET, NULL},
        {"//", HTTP_M_GET, -1, 0, NULL},
        {"/e", HTTP_M_GET, 1, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/e/", HTTP_M_POST, 1, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/e//", HTTP_M_POST, -1, 0, NULL},
        {"/E", HTTP_M_GET, -1, 0, NULL},
        {"/ee", HTTP_M_GET, -1, 0, NULL},
        {"e", HTTP_M_GET, -1, 0, NULL},
        {"", HTTP_M_GET, -1, 0, NULL},
        {"*", HTTP_M_OPTIONS, -1, 0, NULL},
        {"/e", HTTP_M_HEAD, -1, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/e", HTTP_M_OTHER, -1, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/batch/", HTTP_M_POST, 2, HTTP_M_POST, NULL},
        {"/strict", HTTP_M_GET, 3, HTTP_M_GET, NULL},
        {"/strict/", HTTP_M_GET, -1, 0, NULL},
        {"/ends/", HTTP_M_GET, 4, HTTP_M_GET, NULL},
        {"/ends", HTTP_M_GET, -1, 0, NULL},
        {"/split", HTTP_M_GET, 5, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/split/", HTTP_M_POST, 6, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/split", HTTP_M_PUT, -1, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/array/phc_x/config", HTTP_M_GET, 7, HTTP_M_GET, "phc_x"},
        {"/array/phc_x/config/", HTTP_M_GET, 7, HTTP_M_GET, "phc_x"},
        {"/array/phc_x/config.js", HTTP_M_GET, 8, HTTP_M_GET, "phc_x"},
        {"/array/phc_x/config.js/", HTTP_M_GET, -1, 0, NULL},
        {"/array//config", HTTP_M_GET, -1, 0, NULL},
        {"/array/a/b/config", HTTP_M_GET, -1, 0, NULL},
        {"/array/phc_x", HTTP_M_GET, -1, 0, NULL},
        {"/array/fixed/config", HTTP_M_GET, 9, HTTP_M_GET, NULL},
        {"/jobs/7", HTTP_M_GET, 10, HTTP_M_GET | HTTP_M_DELETE, "7"},
        {"/jobs/7", HTTP_M_DELETE, 11, HTTP_M_GET | HTTP_M_DELETE, "7"},
        {"/jobs/7", HTTP_M_POST, -1, HTTP_M_GET | HTTP_M_DELETE, NULL},
        {"/jobs/1/2/3/4", HTTP_M_GET, 12, HTTP_M_GET, "1"},
        {"/jobs/all", HTTP_M_GET, 13, HTTP_M_GET, NULL},
        {"/jobs/all", HTTP_M_DELETE, -1, HTTP_M_GET, NULL},
        {"/jobs/x", HTTP_M_GET, 10, HTTP_M_GET | HTTP_M_DELETE, "x"},
        {"/other/x", HTTP_M_GET, 14, HTTP_M_GET, "other"},
        {"/static/", HTTP_M_GET, 15, HTTP_M_GET, NULL},
        {"/static/a/b.js", HTTP_M_GET, 15, HTTP_M_GET, NULL},
        {"/static", HTTP_M_GET, -1, 0, NULL},
        {"/static/deeper", HTTP_M_GET, 16, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/static/deep/", HTTP_M_POST, 17, HTTP_M_GET | HTTP_M_POST, NULL},
        {"/static/deep", HTTP_M_PUT, -1, HTTP_M_GET | HTTP_M_POST, NULL},
    };
    struct err err = ERR_INIT;
    struct http_router *r = http_router_new(routes, ARRAY_LEN(routes), &err);

    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct http_match m;

        http_router_find(r, slice_cstr(table[i].path), table[i].method, &m);
        if (m.route != (table[i].route < 0 ? NULL : &routes[table[i].route]) ||
            m.allow != table[i].allow)
            fail_msg("%s %d: route %d, allow %x", table[i].path, (int)table[i].method,
                     m.route ? (int)(m.route - routes) : -1, m.allow);
        assert_int_equal(m.param_count > 0, table[i].param != NULL);
        if (table[i].param)
            assert_true(slice_eq(m.params[0].value, slice_cstr(table[i].param)));
    }
    http_router_free(r);
}

static void names_are_those_of_the_route(void **state)
{
    struct err err = ERR_INIT;
    struct http_router *r = http_router_new(routes, ARRAY_LEN(routes), &err);
    struct http_match m;

    (void)state;
    http_router_find(r, SLICE("/jobs/7"), HTTP_M_GET, &m);
    assert_true(slice_eq(m.params[0].name, SLICE("id")));
    http_router_find(r, SLICE("/jobs/7"), HTTP_M_DELETE, &m);
    assert_true(slice_eq(m.params[0].name, SLICE("key")));
    http_router_find(r, SLICE("/jobs/1/2/3/4"), HTTP_M_GET, &m);
    assert_int_equal(m.param_count, 4);
    assert_true(slice_eq(m.params[3].name, SLICE("c")));
    assert_true(slice_eq(m.params[3].value, SLICE("4")));
    http_router_free(r);
}

static void bad_tables(void **state)
{
    static const struct http_route table[] = {
        ROUTE(HTTP_M_GET, "no/slash"),
        ROUTE(HTTP_M_GET, ""),
        ROUTE(HTTP_M_GET, NULL),
        ROUTE(0, "/no/method"),
        ROUTE(HTTP_M_GET, "/a/:/b"),
        ROUTE(HTTP_M_GET, "/:a/:b/:c/:d/:e"),
        ROUTE(HTTP_M_GET, "/:a/", .is_prefix = true),
        {.methods = HTTP_M_GET, .pattern = "/no/handler"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = ERR_INIT;

        assert_null(http_router_new(&table[i], 1, &err));
        assert_int_equal(err.code, ERR_BUG);
    }
}

static void no_routes(void **state)
{
    struct err err = ERR_INIT;
    struct http_router *r = http_router_new(NULL, 0, &err);
    struct http_match m;

    (void)state;
    assert_non_null(r);
    http_router_find(r, SLICE("/"), HTTP_M_GET, &m);
    assert_null(m.route);
    assert_int_equal(m.allow, 0);
    http_router_free(r);
    http_router_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(names_are_those_of_the_route),
        cmocka_unit_test(bad_tables),
        cmocka_unit_test(no_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
