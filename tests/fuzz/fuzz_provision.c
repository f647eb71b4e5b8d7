/* A provision file; what is accepted must come back from its own export. */
#include "model/provision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct json_faults faults = JSON_FAULTS_INIT;
    struct buf first = BUF_INIT(64 << 20), second = BUF_INIT(64 << 20);
    struct provision *p = provision_parse(slice_make(data, len), "/base", &faults), *again = NULL;

    CHECK(!p == (faults.count > 0));
    if (p && provision_export(p, &first)) {
        again = provision_parse(buf_slice(&first), "/base", &faults);
        CHECK(again && provision_export(again, &second));
        CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    }
    provision_free(p);
    provision_free(again);
    buf_free(&first);
    buf_free(&second);
    json_faults_free(&faults);
    return 0;
}
