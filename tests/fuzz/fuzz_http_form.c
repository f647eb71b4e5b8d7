#include "net/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool look(struct slice name, struct slice value, void *ctx)
{
    size_t *left = ctx;

    CHECK(name.len + value.len <= *left); // decoding never makes text longer
    *left -= name.len + value.len;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request req = {.query = slice_make(data, size), .arena = arena_new(1024)};
    struct slice value;
    size_t left = size;

    http_form_each(req.query, req.arena, look, &left);
    if (http_query_get(&req, "a b", &value))
        CHECK(value.len <= size);
    arena_free(req.arena);
    return 0;
}
