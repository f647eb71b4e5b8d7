#include "admin/page.c"
#include "admin_aid.h"

static void who_takes_gzip(void **state)
{
    static const struct {
        const char *accept;
        bool takes;
    } table[] = {
        {"gzip", true},
        {"deflate, gzip, br", true},
        {"br;q=1, GZIP;q=0.5", true},
        {"gzip;q=0", false},
        {"gzip; q=0.0", false},
        {"gzip;q=0.001", true},
        {"deflate, br", false},
        {"", false},
        {"x-gzip", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct http_header header = {SLICE("Accept-Encoding"), slice_cstr(table[i].accept)};
        struct http_request req = {.headers = &header, .header_count = 1};
        if (takes_gzip(&req) != table[i].takes)
            fail_msg("%s", table[i].accept);
    }
}

static void an_etag_is_found(void **state)
{
    static const struct {
        const char *header;
        bool has;
    } table[] = {
        {"\"a\"", true},          {"W/\"a\"", true}, {"\"b\", \"a\"", true}, {"*", true},
        {"\"b\", W/\"a\"", true}, {"a", false},      {"\"ab\"", false},      {"", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct http_header header = {SLICE("If-None-Match"), slice_cstr(table[i].header)};
        struct http_request req = {.headers = &header, .header_count = 1};
        if (has_etag(&req, "\"a\"") != table[i].has)
            fail_msg("%s", table[i].header);
    }
}

static void files_are_unpacked_for_others(void **state)
{
    static const char *const gzip[] = {"Authorization: Bearer " TOKEN, "Accept-Encoding: gzip",
                                       NULL};
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("GET", "/", NULL, 200, "<!doctype html>");
    expect("GET", "/icon.svg", NULL, 200, "<svg");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_int_equal(aid_ask_as(aid, gzip, "GET", files[i].path, NULL), 200);
        assert_int_equal(aid->body.len, files[i].gz_len);
        assert_memory_equal(aid->body.ptr, files[i].gz, files[i].gz_len);
    }
    aid_end(aid);
}

static void the_form_has_a_place_for_faults(void **state)
{
    static const char *const foreign[] = {"Sec-Fetch-Site: same-site", NULL};
    static const char *const none[] = {NULL};
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    expect("GET", "/login", NULL, 200, "action=\"/login\"");
    assert_null(strstr(buf_cstr(&aid->body), "role=\"alert\""));
    expect("GET", "/login?once=x", NULL, 401, "role=\"alert\"");
    expect("POST", "/login", "token=wrong", 401, "That is not the token.");
    expect("POST", "/login", "other=1&token=" TOKEN, 303, "");
    assert_int_equal(aid_ask_as(aid, foreign, "POST", "/login", "token=" TOKEN), 403);
    assert_int_equal(aid_ask_as(aid, none, "GET", "/", NULL), 303);
    aid_end(aid);
}

static void a_preview_does_not_use_the_link(void **state)
{
    static const char *const ahead[] = {"Sec-Purpose: prefetch;prerender", NULL};
    struct buf link = BUF_INIT(1000);
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_serve(aid);
    admin_login_url(aid->admin, &link);
    assert_int_equal(aid_ask_as(aid, ahead, "GET", buf_cstr(&link), NULL), 503);
    assert_int_equal(aid_ask(aid, "HEAD", buf_cstr(&link), NULL), 503);
    expect("GET", buf_cstr(&link), NULL, 200, "url=/");
    expect("GET", buf_cstr(&link), NULL, 401, "used before");
    buf_free(&link);
    aid_end(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_takes_gzip),
        cmocka_unit_test(an_etag_is_found),
        cmocka_unit_test(files_are_unpacked_for_others),
        cmocka_unit_test(the_form_has_a_place_for_faults),
        cmocka_unit_test(a_preview_does_not_use_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
