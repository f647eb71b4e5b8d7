/* The scan of a plugin's source: any bytes; what comes out has no require of the scaffold left and
 * scans to itself (where brackets do not match, it may not scan). */
#include "plugin/vm_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;
    bool is_module, is_still;

    if (vm_source_scan(slice_make(data, len), &once, &is_module, &err)) {
        CHECK(once.ptr[once.len] == '\0');
        if (vm_source_scan(buf_slice(&once), &twice, &is_still, &err))
            CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
    } else {
        CHECK(err.code == ERR_INPUT || err.code == ERR_LIMIT);
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
