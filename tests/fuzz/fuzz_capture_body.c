/* Layers off a request body, then JSON: the first byte is the hint, the rest the body. */
#include "in/capture/capture_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_unpacked u = CAPTURE_UNPACKED_INIT(1 << 18);
    struct json_doc doc = {.doc = NULL};
    struct err err = ERR_INIT;
    struct slice json;

    if (size == 0)
        return 0;
    if (capture_body_unpack(slice_make(data + 1, size - 1), (enum capture_hint)(data[0] % 4), &u,
                            &json, &err) == CAPTURE_OK &&
        capture_body_parse(json, 4 << 20, &doc, &err) == CAPTURE_OK)
        CHECK(yyjson_is_ctn(doc.root));
    json_doc_free(&doc);
    capture_unpacked_free(&u);
    return 0;
}
