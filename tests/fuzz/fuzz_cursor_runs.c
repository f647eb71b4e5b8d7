/* The runs of a cursor row: what decodes must encode to runs that decode alike. */
#include "base/mem.h"
#include "store/store_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed_run *runs, *again;
    size_t count, count_again;
    struct err err = ERR_INIT;
    struct buf bytes = BUF_INIT(64 << 20);

    if (!cursor_runs_decode(10, slice_make(data, size), &runs, &count, &err))
        return 0;
    CHECK(cursor_runs_encode(10, runs, count, &bytes));
    CHECK(cursor_runs_decode(10, buf_slice(&bytes), &again, &count_again, &err));
    CHECK(count == count_again && (count == 0 || memcmp(runs, again, count * sizeof(*runs)) == 0));
    mem_free(runs);
    mem_free(again);
    buf_free(&bytes);
    return 0;
}
