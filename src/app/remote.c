#include "app/remote.h"

#include "app/app_priv.h"
#include "base/fs.h"
#include "base/mem.h"

#define CALL_TIMEOUT_US   30000000
#define STREAM_TIMEOUT_US ((int64_t)365 * 86400 * 1000000)
#define ANSWER_BYTES_MAX  (64u << 20)

static bool is_open(const struct conf *conf, enum conf_key port)
{
    return !conf_is_set(conf, port) || conf_int(conf, port) == 0;
}

/* A server that runs tells its ports in DATA_DIR/ports.json (they may have been chosen by the
 * system). */
static void ports_of_running(const struct conf *conf, int64_t *capture, int64_t *admin)
{
    char *path = app_data_path(conf, APP_PORTS);
    struct buf text = BUF_INIT(4096);
    struct err err = ERR_INIT;
    cJSON *json = fs_read_all(path, &text, &err) ? json_parse(buf_slice(&text), &err) : NULL;
    int64_t value;

    if (json && is_open(conf, CONF_CAPTURE_PORT) && json_int(json_get(json, "capture"), &value))
        *capture = value;
    if (json && is_open(conf, CONF_HTTP_SERVER_PORT) && json_int(json_get(json, "admin"), &value))
        *admin = value;
    json_free(json);
    buf_free(&text);
    mem_free(path);
}

static bool read_token(const struct conf *conf, struct buf *token, struct err *err)
{
    const char *given = conf_str(conf, CONF_ADMIN_TOKEN);
    char *path;

    if (*given)
        return buf_add_str(token, given);
    path = app_data_path(conf, APP_ADMIN_TOKEN);
    bool ok = fs_read_all(path, token, err);
    if (!ok && err->code == ERR_GONE)
        err_set(err, ERR_GONE, "there is no %s: give DATA_DIR or ADMIN_TOKEN of the running server",
                path);
    mem_free(path);
    return ok;
}

void remote_add_urls(const struct conf *conf, struct buf *admin_url, struct buf *capture_url)
{
    int64_t capture = conf_int(conf, CONF_CAPTURE_PORT),
            admin = conf_int(conf, CONF_HTTP_SERVER_PORT);

    ports_of_running(conf, &capture, &admin);
    app_add_url(admin_url, conf_str(conf, CONF_HTTP_SERVER_HOST), admin);
    if (capture_url)
        app_add_url(capture_url, conf_str(conf, CONF_CAPTURE_HOST), capture);
}

bool remote_open(struct remote *r, const struct conf *conf, struct err *err)
{
    struct buf token = BUF_INIT(4096);

    *r = (struct remote){
        .base = BUF_INIT(1024), .authorization = BUF_INIT(8192), .capture = BUF_INIT(1024)};
    remote_add_urls(conf, &r->base, &r->capture);
    bool ok = read_token(conf, &token, err);
    buf_addf(&r->authorization, "Authorization: Bearer %.*s",
             SLICE_ARG(slice_trim(buf_slice(&token))));
    buf_free(&token);
    return ok;
}

void remote_close(struct remote *r)
{
    buf_free(&r->base);
    buf_free(&r->authorization);
    buf_free(&r->capture);
}

/* The server's own words for a refusal, with its list of faults. */
static void explain(int status, struct slice body, struct buf *details, struct err *err)
{
    struct err ignored = ERR_INIT;
    cJSON *json = json_parse(body, &ignored);
    const cJSON *fault = json ? json_get(json, "error") : NULL;
    const char *message = fault ? json_str(fault, "message") : NULL;
    const cJSON *list = fault ? json_get(fault, "details") : NULL, *item;

    if (message)
        err_set(err, ERR_INPUT, "%s", message);
    else
        err_set(err, ERR_INPUT, "the server answered %d", status);
    if (details)
        cJSON_ArrayForEach(item, list) if (cJSON_IsString(item))
            buf_addf(details, "%s\n", item->valuestring);
    json_free(json);
}

static void explain_silence(struct remote *r, struct err *err)
{
    err_wrap(err,
             "no server answers at %s (is hedgerow running? HTTP_SERVER_HOST, HTTP_SERVER_PORT)",
             buf_cstr(&r->base));
}

cJSON *remote_call(struct remote *r, const char *method, const char *path, struct slice body,
                   struct buf *details, struct err *err)
{
    struct buf url = BUF_INIT(64 << 10);
    struct http_reply reply = {.body = BUF_INIT(ANSWER_BYTES_MAX)};
    const char *headers[] = {buf_cstr(&r->authorization), "Content-Type: application/json", NULL};
    cJSON *json = NULL;

    buf_addf(&url, "%s%s", buf_cstr(&r->base), path);
    struct http_call call = {.method = method,
                             .url = buf_cstr(&url),
                             .headers = headers,
                             .body = body,
                             .timeout_us = CALL_TIMEOUT_US};
    if (!http_client_call(&call, &reply, err))
        explain_silence(r, err);
    else if (reply.status != 200)
        explain(reply.status, buf_slice(&reply.body), details, err);
    else
        json = json_parse(buf_slice(&reply.body), err);
    buf_free(&url);
    buf_free(&reply.body);
    return json;
}

/* Only what a 200 brings is for the reader; anything else explains itself. */
struct stream {
    struct http_reply reply;
    bool (*on_data)(struct slice bytes, void *ctx);
    void *ctx;
};

static bool on_stream_data(struct slice bytes, void *ctx)
{
    struct stream *s = ctx;

    return s->reply.status == 200 ? s->on_data(bytes, s->ctx)
                                  : buf_add_slice(&s->reply.body, bytes);
}

bool remote_stream(struct remote *r, const char *path, bool (*on_data)(struct slice, void *),
                   void *ctx, struct err *err)
{
    struct buf url = BUF_INIT(64 << 10);
    struct stream s = {.reply.body = BUF_INIT(ANSWER_BYTES_MAX), .on_data = on_data, .ctx = ctx};
    const char *headers[] = {buf_cstr(&r->authorization), NULL};

    buf_addf(&url, "%s%s", buf_cstr(&r->base), path);
    struct http_call call = {.method = "GET",
                             .url = buf_cstr(&url),
                             .headers = headers,
                             .timeout_us = STREAM_TIMEOUT_US,
                             .on_data = on_stream_data,
                             .ctx = &s};
    bool ok = http_client_call(&call, &s.reply, err);
    if (!ok) {
        explain_silence(r, err);
    } else if (s.reply.status != 200) {
        explain(s.reply.status, buf_slice(&s.reply.body), NULL, err);
        ok = false;
    }
    buf_free(&url);
    buf_free(&s.reply.body);
    return ok;
}

void remote_add_query(struct buf *path, const char *name, struct slice value)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

    buf_addf(path, "%s=", name);
    for (size_t i = 0; i < value.len; i++) {
        if (memchr(safe, value.ptr[i], sizeof(safe) - 1))
            buf_add_char(path, value.ptr[i]);
        else
            buf_addf(path, "%%%02X", (unsigned char)value.ptr[i]);
    }
}
