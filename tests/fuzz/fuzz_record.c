/* One record's checks on any bytes. */
#include "ring/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_head head = {0};
    struct slice bytes = slice_make(data, size);
    uint64_t lap_id = 0;

    if (size < sizeof(lap_id))
        return 0;
    memcpy(&lap_id, data, sizeof(lap_id));
    bytes.ptr += sizeof(lap_id);
    bytes.len -= sizeof(lap_id);
    if (record_check(bytes, lap_id, &head) == RECORD_OK)
        CHECK(record_bytes(head.length) <= bytes.len + 7);
    return 0;
}
