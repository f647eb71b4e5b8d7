/* Query text and form bodies: every field that is found was part of the input. */
#include "in/capture/capture_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1024);
    struct capture_fields f = {.data = SLICE_NONE};

    capture_form_read(slice_make(data, size), arena, &f);
    CHECK(f.data.len + f.api_key.len + f.token.len + f.compression.len + f.sent_at.len <= size);
    arena_free(arena);
    return 0;
}
