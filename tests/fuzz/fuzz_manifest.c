/* plugin.json; a config that has its defaults does not change when they are given again. */
#include "plugin/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf first = BUF_INIT(64 << 20), second = BUF_INIT(64 << 20);
    struct err err = ERR_INIT;
    cJSON *m = manifest_parse(slice_make(data, len), &err), *config = cJSON_CreateObject();

    CHECK(!m == (err.code != ERR_NONE));
    if (m) {
        CHECK(manifest_description(m));
        CHECK(!manifest_main(m) || *manifest_main(m));
        manifest_add_defaults(m, config);
        json_write(config, &first);
        manifest_add_defaults(m, config);
        json_write(config, &second);
        CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    json_free(m);
    json_free(config);
    buf_free(&first);
    buf_free(&second);
    return 0;
}
