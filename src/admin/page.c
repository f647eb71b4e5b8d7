/* The page: files made from web/ by the Makefile, and the way in.
 *
 * The files are in the binary as gzip; a client that does not take that gets them unpacked. Their
 * ETag comes from the bytes, and browsers ask again each time, so that a new binary never meets an
 * old script. Nothing in them is secret, but only what the login form needs is open.
 *
 * The link answers with a small page that goes on by itself instead of with a redirect: a browser
 * that came from elsewhere (a terminal in a browser, a mail) leaves the fresh SameSite=Strict
 * cookie out of a redirected request.
 */
#include "admin/admin_priv.h"
#include "base/gzip.h"
#include "base/hash.h"

#include <stdio.h>

#define FILE_BYTES_MAX (4u << 20)
#define HTML_TYPE      "text/html; charset=utf-8"
#define FAULT_MARK     "<!--fault-->"

static const unsigned char index_gz[] = {
#include "web/index.html.gz.inc"
};
static const unsigned char script_gz[] = {
#include "web/page.js.gz.inc"
};
static const unsigned char style_gz[] = {
#include "web/page.css.gz.inc"
};
static const unsigned char icon_gz[] = {
#include "web/icon.svg.gz.inc"
};
static const char login_html[] = {
#include "web/login.html.inc"
    0};

static const struct page_file {
    const char *path, *type;
    const unsigned char *gz;
    size_t gz_len;
} files[] = {
    {"/", HTML_TYPE, index_gz, sizeof(index_gz)},
    {"/page.js", "text/javascript; charset=utf-8", script_gz, sizeof(script_gz)},
    {"/page.css", "text/css; charset=utf-8", style_gz, sizeof(style_gz)},
    {"/icon.svg", "image/svg+xml", icon_gz, sizeof(icon_gz)},
};

/* --- files --- */

/* "q=0", "q=0.000" */
static bool is_refusal(struct slice weight)
{
    if (!slice_starts(weight, SLICE("q=0")))
        return false;
    for (size_t i = 2; i < weight.len; i++)
        if (weight.ptr[i] >= '1' && weight.ptr[i] <= '9')
            return false;
    return true;
}

static bool takes_gzip(const struct http_request *req)
{
    struct slice rest = http_header_get(req, "Accept-Encoding"), part;

    while (slice_split(&rest, ',', &part)) {
        struct slice coding = SLICE_NONE;
        slice_split(&part, ';', &coding);
        struct slice weight = slice_trim(part);
        if (slice_eq_nocase(slice_trim(coding), SLICE("gzip")))
            return !is_refusal(weight);
    }
    return false;
}

static bool has_etag(const struct http_request *req, const char *etag)
{
    struct slice rest = http_header_get(req, "If-None-Match"), part;

    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (slice_starts(part, SLICE("W/")))
            part = slice_make(part.ptr + 2, part.len - 2);
        if (slice_eq(part, slice_cstr(etag)) || slice_eq(part, SLICE("*")))
            return true;
    }
    return false;
}

static void answer_unpacked(struct http_request *req, const struct page_file *f)
{
    struct buf out = BUF_INIT(FILE_BYTES_MAX);
    struct err err = ERR_INIT;

    if (gzip_decode(slice_make(f->gz, f->gz_len), &out, &err))
        http_respond(req, 200, f->type, buf_slice(&out));
    else
        admin_answer_fault(req, 500, err_code_name(err.code), err.text);
    buf_free(&out);
}

static void answer_file(struct http_request *req, const struct page_file *f)
{
    bool is_packed = takes_gzip(req);
    char etag[32];

    /* Two forms of one file are two entities. */
    snprintf(etag, sizeof(etag), "\"%016llx%s\"", (unsigned long long)hash64(f->gz, f->gz_len, 0),
             is_packed ? "-gz" : "");
    http_answer_header(req, "ETag", slice_cstr(etag));
    http_answer_header(req, "Cache-Control", SLICE("no-cache"));
    http_answer_header(req, "Vary", SLICE("Accept-Encoding"));
    if (has_etag(req, etag)) {
        http_respond(req, 304, NULL, SLICE_NONE);
    } else if (is_packed) {
        http_answer_header(req, "Content-Encoding", SLICE("gzip"));
        http_respond(req, 200, f->type, slice_make(f->gz, f->gz_len));
    } else {
        answer_unpacked(req, f);
    }
}

void page_serve_file(struct admin *a, struct http_request *req)
{
    UNUSED(a);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (slice_eq(slice_cstr(req->route->pattern), slice_cstr(files[i].path))) {
            answer_file(req, &files[i]);
            return;
        }
    CHECK(!"a file of the page has a route but no bytes");
}

/* --- the way in --- */

static void answer_html(struct http_request *req, int status, struct slice html)
{
    http_answer_header(req, "Cache-Control", SLICE("no-store"));
    http_respond(req, status, HTML_TYPE, html);
}

static void answer_form(struct http_request *req, int status, const char *fault)
{
    struct slice html = slice_make(login_html, sizeof(login_html) - 1);
    const char *mark = strstr(login_html, FAULT_MARK);
    struct buf out = BUF_INIT(64 << 10);

    CHECK(mark);
    buf_add(&out, login_html, (size_t)(mark - login_html));
    if (fault)
        buf_addf(&out, "<p class=\"fault\" role=\"alert\">%s</p>", fault);
    buf_add(&out, mark, html.len - (size_t)(mark - login_html));
    answer_html(req, status, buf_slice(&out));
    buf_free(&out);
}

static void go_to(struct http_request *req, const char *path)
{
    http_answer_header(req, "Location", slice_cstr(path));
    answer_html(req, 303, SLICE_NONE);
}

void page_ask_login(struct http_request *req)
{
    go_to(req, "/login");
}

void page_answer_starting(struct http_request *req)
{
    answer_html(req, 503,
                SLICE("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                      "<meta http-equiv=\"refresh\" content=\"1\"><title>hedgerow is starting"
                      "</title><p>hedgerow is starting, this page tries again by itself."));
}

/* Whoever looks ahead at what a link leads to must not use it up. */
static bool is_preview(const struct http_request *req)
{
    return req->method == HTTP_M_HEAD || http_header_get(req, "Sec-Purpose").len > 0 ||
           http_header_get(req, "Purpose").len > 0;
}

static void serve_link(struct admin *a, struct http_request *req, struct slice link)
{
    if (is_preview(req)) {
        answer_form(req, 503, NULL);
    } else if (login_take_link(a->login, link)) {
        login_begin_session(a->login, req);
        answer_html(req, 200,
                    SLICE("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                          "<meta http-equiv=\"refresh\" content=\"0;url=/\"><title>hedgerow</title>"
                          "<p>You are logged in. <a href=\"/\">Go on</a>"));
    } else {
        answer_form(req, 401,
                    "This link was used before, or is too old: each start of the server prints a "
                    "new one, good for one use within an hour. The token always works.");
    }
}

void page_serve_login(struct admin *a, struct http_request *req)
{
    struct slice link;

    if (http_query_get(req, "once", &link))
        serve_link(a, req, link);
    else if (login_has_session(a->login, req))
        go_to(req, "/");
    else
        answer_form(req, 200,
                    http_query_get(req, "ended", &link)
                        ? "The session has ended: it was not used for long, or the server was "
                          "started again."
                        : NULL);
}

static bool take_token(struct slice name, struct slice value, void *ctx)
{
    bool is_it = slice_eq(name, SLICE("token"));

    if (is_it)
        *(struct slice *)ctx = slice_trim(value);
    return !is_it;
}

void page_take_login(struct admin *a, struct http_request *req)
{
    struct slice token = SLICE_NONE;

    if (login_is_foreign(req)) {
        answer_form(req, 403, "The form came from another site. Type the token here.");
        return;
    }
    http_form_each(req->body, req->arena, take_token, &token);
    switch (login_try(a->login, req, token)) {
    case LOGIN_RIGHT:
        login_begin_session(a->login, req);
        go_to(req, "/");
        return;
    case LOGIN_LATER:
        http_answer_header(req, "Retry-After", SLICE("3"));
        answer_form(req, 429, "Too many wrong tokens came from your address. Try again later.");
        return;
    case LOGIN_WRONG:
        answer_form(req, 401, "That is not the token.");
    }
}

void page_serve_logout(struct admin *a, struct http_request *req)
{
    login_end_session(a->login, req);
    admin_answer_json(req, 200, SLICE("{}"));
}
