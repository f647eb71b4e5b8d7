/* What a server may answer to net/http_client.c. The first byte: bit 0 HEAD, bit 1 a stream, the
 * rest the size of the pieces in which the bytes come. */
#include "net/http_client.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_stream(struct slice bytes, void *ctx)
{
    size_t *left = ctx;

    CHECK(bytes.len > 0);
    *left -= MIN(*left, bytes.len);
    return *left > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned how = size ? data[0] : 0;
    size_t piece = how / 4 + 1, left = 50;
    struct http_call call = {
        .method = how & 1 ? "HEAD" : "GET", .url = "", .on_data = how & 2 ? on_stream : NULL};
    struct http_reply reply = {.body = BUF_INIT(100)};
    struct client c;
    struct err err = ERR_INIT;
    bool ok = true;

    call.ctx = &left;
    client_init(&c, &call, &reply);
    for (size_t at = 1; at < size && ok && !c.is_done && !c.is_ended; at += piece)
        ok = take_bytes(&c, (const char *)data + at, MIN(piece, size - at), &err);
    if (ok && !c.is_done && !c.is_ended)
        ok = take_end(&c, &err);
    CHECK(ok == (err.code == ERR_NONE));
    CHECK(!ok || (reply.status >= 200 && reply.status <= 999));
    CHECK(reply.retry_after_s >= -1 && reply.body.len <= reply.body.max);
    CHECK((how & 3) == 0 || reply.body.len == 0);
    client_fini(&c);
    buf_free(&reply.body);
    return 0;
}
