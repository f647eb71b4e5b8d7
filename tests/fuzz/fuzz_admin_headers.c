/* The headers that decide who is let in and what form a file has: one "Name: value" a line, behind
 * a line with the peer's address. Each must be read without going astray, and none may let anybody
 * in: there is no session. */
#include "admin/login.c"
#include "admin/page.c"

#define HEADERS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split_headers(struct slice text, struct http_header headers[HEADERS_MAX])
{
    size_t count = 0;

    for (struct slice line; count < HEADERS_MAX && slice_split(&text, '\n', &line);) {
        ptrdiff_t colon = slice_find(line, ':');
        if (colon == -1)
            continue;
        size_t head = (size_t)colon;
        headers[count++] = (struct http_header){
            .name = slice_make(line.ptr, head),
            .value = slice_trim(slice_make(line.ptr + head + 1, line.len - head - 1))};
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header headers[HEADERS_MAX];
    struct slice text = slice_make(data, size), peer = SLICE_NONE;
    struct login *login = login_new("token");

    slice_split(&text, '\n', &peer);
    struct http_request req = {.headers = headers, .peer = peer};
    req.header_count = split_headers(text, headers);
    CHECK(!login_has_session(login, &req));
    CHECK(!(login_is_foreign(&req) && login_is_own_page(&req)));
    CHECK(host_port(&req).len <= PORT_LEN_MAX);
    struct slice cookie = cookie_value(&req);
    CHECK(cookie.len == 0 || cookie.len == SECRET_TEXT_LEN);
    CHECK(login_try(login, &req, cookie) == LOGIN_WRONG);
    (void)takes_gzip(&req);
    (void)has_etag(&req, "\"0123456789abcdef-gz\"");
    login_free(login);
    return 0;
}
