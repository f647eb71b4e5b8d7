/* `hedgerow send FILE`: posts events from JSON lines, in batches, until every line was taken or
 * refused.
 *
 * A batch that gets 503 or no answer is sent again (with the uuids it had: an event without a valid
 * one gets one here, so that a batch that arrived although its answer was lost is stored once). A
 * batch that is refused as a whole (400) is sent again line by line, so that one bad line costs
 * only itself.
 */
#include "app/app_priv.h"
#include "app/remote.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BATCH_EVENTS   500
#define BATCH_BYTES    (4u << 20)
#define LINE_BYTES_MAX (16u << 20)
#define TRIES_MAX      10

struct sender {
    struct remote remote;
    struct buf url;
    const char *token;
    struct buf batch;          /* members, separated by commas */
    size_t ends[BATCH_EVENTS]; /* end of each member in batch */
    size_t lines[BATCH_EVENTS];
    size_t count;
    uint64_t sent, refused, bytes_read, bytes_total;
    int64_t began_us, shown_us;
    bool is_terminal;
};

static void show_progress(struct sender *s, bool is_last)
{
    int64_t now = clock_mono_us();
    double seconds = (double)(now - s->began_us) / 1e6;

    if (!s->is_terminal || (!is_last && now - s->shown_us < 100000))
        return;
    s->shown_us = now;
    int width = 30,
        filled = s->bytes_total ? (int)((double)s->bytes_read / (double)s->bytes_total * width) : 0;
    fprintf(stderr, "\r[%-*.*s] %llu sent, %llu refused, %.0f/s ", width, MIN(filled, width),
            "##############################", (unsigned long long)s->sent,
            (unsigned long long)s->refused, seconds > 0 ? (double)s->sent / seconds : 0);
    if (is_last)
        fputc('\n', stderr);
}

/* One request with members from..to; the status, 0 when nobody answered. */
static int post(struct sender *s, size_t from, size_t to, int64_t *retry_after_s, struct err *err)
{
    size_t begin = from ? s->ends[from - 1] + 1 : 0;
    struct buf body = BUF_INIT(2 * BATCH_BYTES + LINE_BYTES_MAX);
    struct http_reply reply = {.body = BUF_INIT(64 << 10)};
    const char *headers[] = {"Content-Type: application/json", NULL};

    buf_add_str(&body, "{\"api_key\":");
    buf_add_json_str(&body, slice_cstr(s->token));
    buf_add_str(&body, ",\"batch\":[");
    buf_add(&body, s->batch.ptr + begin, s->ends[to - 1] - begin);
    buf_add_str(&body, "]}");
    struct http_call call = {.method = "POST",
                             .url = buf_cstr(&s->url),
                             .headers = headers,
                             .body = buf_slice(&body),
                             .timeout_us = 30000000};
    int status = http_client_call(&call, &reply, err) ? reply.status : 0;
    *retry_after_s = reply.retry_after_s;
    if (status >= 300)
        err_set(err, ERR_INPUT, "the server answered %d: %.*s", status,
                SLICE_ARG(buf_slice(&reply.body)));
    buf_free(&body);
    buf_free(&reply.body);
    return status;
}

/* Until it is taken or refused for good. False when the server stays away. */
static bool post_again(struct sender *s, size_t from, size_t to, int *status, struct err *err)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int64_t wait_s = 1;
        *status = post(s, from, to, &wait_s, err);
        if (*status != 0 && *status != 408 && *status != 429 && *status < 500)
            return true;
        sleep((unsigned)MIN(MAX(wait_s, 1), 30));
    }
    return false;
}

static bool send_singly(struct sender *s, struct err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        int status = 0;
        if (!post_again(s, i, i + 1, &status, err))
            return false;
        if (status < 300) {
            s->sent++;
        } else {
            s->refused++;
            app_complain("line %zu: %s", s->lines[i], err->text);
        }
    }
    return true;
}

static bool flush(struct sender *s, struct err *err)
{
    int status = 0;
    bool ok = true;

    if (!s->count)
        return true;
    if (!post_again(s, 0, s->count, &status, err))
        return false;
    if (status < 300)
        s->sent += s->count;
    else if (status == 401)
        return false;
    else
        ok = send_singly(s, err);
    s->count = 0;
    buf_clear(&s->batch);
    show_progress(s, false);
    return ok;
}

/* One that capture takes; for any other it would make one up at each try. */
static bool has_uuid(const cJSON *event)
{
    const char *text = json_str(event, "uuid");
    struct uuid id;

    return text && uuid_parse_loose(slice_cstr(text), &id) && !uuid_is_nil(&id);
}

static bool add_line(struct sender *s, struct slice line, size_t number, struct err *err)
{
    struct err bad = ERR_INIT;
    cJSON *json = json_parse(line, &bad);
    char uuid[UUID_TEXT_LEN + 1];

    if (!cJSON_IsObject(json)) {
        s->refused++;
        app_complain("line %zu: %s", number, json ? "must be a JSON object" : bad.text);
        json_free(json);
        return true;
    }
    if (s->count == BATCH_EVENTS || s->batch.len + line.len > BATCH_BYTES)
        if (!flush(s, err)) {
            json_free(json);
            return false;
        }
    if (s->count)
        buf_add_char(&s->batch, ',');
    if (has_uuid(json) || !json->child) {
        buf_add_slice(&s->batch, line);
    } else { /* the line's own bytes, so that numbers keep their text; the last of a name counts */
        struct uuid id = uuid_v7(clock_wall_us());
        uuid_format(&id, uuid);
        buf_add(&s->batch, line.ptr, line.len - 1);
        buf_addf(&s->batch, ",\"uuid\":\"%s\"}", uuid);
    }
    s->ends[s->count] = s->batch.len;
    s->lines[s->count++] = number;
    json_free(json);
    return true;
}

static bool send_stream(struct sender *s, FILE *in, const char *path, struct err *err)
{
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    bool ok = true;

    while (ok && (n = getline(&line, &cap, in)) != -1) {
        struct slice text = slice_trim(slice_make(line, (size_t)n));
        number++;
        s->bytes_read += (uint64_t)n;
        if (text.len > LINE_BYTES_MAX) {
            s->refused++;
            app_complain("line %zu: longer than %u bytes", number, LINE_BYTES_MAX);
        } else if (text.len) {
            ok = add_line(s, text, number, err);
        }
    }
    if (ok && ferror(in))
        ok = err_errno(err, errno, "%s", path);
    mem_free(line);
    return ok && flush(s, err);
}

/* The first team's token, as the server tells it. */
static char *default_token(struct remote *r, struct err *err)
{
    cJSON *json = remote_call(r, "GET", "/api/teams", SLICE_NONE, NULL, err);
    const char *token =
        json ? json_str(cJSON_GetArrayItem(json_get(json, "teams"), 0), "api_token") : NULL;
    char *copy = mem_dup_str(token);

    if (json && !token)
        err_set(err, ERR_GONE, "the server has no team; give --token");
    json_free(json);
    return copy;
}

static bool send_file(struct sender *s, const char *path, struct err *err)
{
    bool is_stdin = slice_eq(slice_cstr(path), SLICE("-"));
    FILE *in = is_stdin ? stdin : fopen(path, "r");

    if (!in)
        return err_errno(err, errno, "%s", path);
    if (!is_stdin && fseeko(in, 0, SEEK_END) == 0) {
        s->bytes_total = (uint64_t)MAX(ftello(in), 0);
        rewind(in);
    }
    bool ok = send_stream(s, in, path, err);
    if (!is_stdin)
        fclose(in);
    return ok;
}

int mode_send(const struct cli *cli, const struct conf *conf)
{
    struct err err = ERR_INIT, ignored = ERR_INIT;
    char *token = NULL;
    struct sender *s = mem_new(struct sender);

    s->batch = BUF_INIT(2 * BATCH_BYTES + LINE_BYTES_MAX);
    s->url = BUF_INIT(4096);
    s->is_terminal = isatty(STDERR_FILENO);
    s->began_us = clock_mono_us();
    bool ok = remote_open(&s->remote, conf, cli->token ? &ignored : &err) || cli->token;
    if (ok && cli->word_count != 1)
        ok =
            err_set(&err, ERR_INPUT,
                    "name one file: hedgerow send FILE [--token T] [--url U]; - is standard input");
    if (ok && !cli->token)
        ok = (token = default_token(&s->remote, &err)) != NULL;
    if (ok) {
        s->token = cli->token ? cli->token : token;
        buf_addf(&s->url, "%s/batch/", cli->url ? cli->url : buf_cstr(&s->remote.capture));
        ok = send_file(s, cli->words[0], &err);
        show_progress(s, true);
        double seconds = (double)(clock_mono_us() - s->began_us) / 1e6;
        printf("%llu events sent, %llu lines refused, %.1f s\n", (unsigned long long)s->sent,
               (unsigned long long)s->refused, seconds);
    }
    if (!ok)
        app_complain("hedgerow send: %s", err.text);
    int code = ok && !s->refused ? 0 : 1;
    remote_close(&s->remote);
    buf_free(&s->url);
    buf_free(&s->batch);
    mem_free(token);
    mem_free(s);
    return code;
}
