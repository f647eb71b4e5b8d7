/* libdeflate works on whole buffers, so a guess that was too small means decoding again: the guess
 * is the length that the gzip trailer tells, which is right for what clients send. It is never
 * believed beyond what deflate can reach (1032:1), so a lying trailer costs no more than an honest
 * one. */
#include "base/gzip.h"

#include <libdeflate.h>
#include <pthread.h>

#define RATIO_MAX          1032
#define FIRST_BYTES        4096
#define HEADER_AND_TRAILER 18

static pthread_key_t gzip_key; // this thread's decompressor, freed when the thread ends
static pthread_once_t gzip_once = PTHREAD_ONCE_INIT;

static void free_decompressor(void *d)
{
    libdeflate_free_decompressor((struct libdeflate_decompressor *)d);
}

static void make_key(void)
{
    CHECK(pthread_key_create(&gzip_key, free_decompressor) == 0);
}

static struct libdeflate_decompressor *decompressor(void)
{
    struct libdeflate_decompressor *d;

    pthread_once(&gzip_once, make_key);
    d = (struct libdeflate_decompressor *)pthread_getspecific(gzip_key);
    if (d)
        return d;
    d = libdeflate_alloc_decompressor();
    if (d && pthread_setspecific(gzip_key, d) != 0) {
        libdeflate_free_decompressor(d);
        d = NULL;
    }
    return d;
}

bool gzip_is(struct slice bytes)
{
    return slice_starts(bytes, SLICE("\x1f\x8b"));
}

static size_t length_hint(struct slice bytes)
{
    const unsigned char *end;
    size_t reachable;
    uint32_t told;

    if (bytes.len < HEADER_AND_TRAILER)
        return 0;
    end = (const unsigned char *)bytes.ptr + bytes.len;
    told = (uint32_t)end[-4] | (uint32_t)end[-3] << 8 | (uint32_t)end[-2] << 16 |
           (uint32_t)end[-1] << 24;
    reachable = bytes.len > SIZE_MAX / RATIO_MAX ? SIZE_MAX : bytes.len * RATIO_MAX;
    return MIN(told, reachable);
}

bool gzip_decode(struct slice bytes, struct buf *out, struct err *err)
{
    struct libdeflate_decompressor *d = decompressor();
    size_t room = out->max - MIN(out->len, out->max);
    size_t guess = MIN(MAX(length_hint(bytes), FIRST_BYTES), room);

    if (!d)
        return err_set(err, ERR_RETRY, "out of memory for a gzip decoder");
    for (;;) {
        size_t read = 0, written = 0;
        char nothing;
        enum libdeflate_result result;

        if (!buf_reserve(out, guess)) {
            out->is_over = false; // the guess was ours, not the data's
            return err_set(err, ERR_RETRY, "out of memory for %zu bytes of gzip content", guess);
        }
        result = libdeflate_gzip_decompress_ex(d, bytes.ptr ? bytes.ptr : "", bytes.len,
                                               out->ptr ? out->ptr + out->len : &nothing, guess,
                                               &read, &written);
        if (result == LIBDEFLATE_SUCCESS) {
            out->len += written;
            return true;
        }
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            return err_set(err, ERR_INPUT, "gzip data is cut short or wrong");
        if (guess == room) {
            out->is_over = true;
            return err_set(err, ERR_LIMIT, "gzip content is longer than %zu bytes", room);
        }
        guess = guess > room / 2 ? room : guess * 2;
    }
}

bool gzip_encode(struct slice bytes, int level, struct buf *out, struct err *err)
{
    // Made for each call: half a megabyte that is rarely needed twice in a row.
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    size_t bound, written;
    bool ok = false;

    if (!c)
        return err_set(err, ERR_RETRY, "no gzip encoder of level %d", level);
    bound = MIN(libdeflate_gzip_compress_bound(c, bytes.len), out->max - MIN(out->len, out->max));
    if (!buf_reserve(out, bound)) {
        err_set(err, ERR_RETRY, "out of memory for %zu bytes of gzip", bound);
        goto out;
    }
    written = bound == 0 ? 0
                         : libdeflate_gzip_compress(c, bytes.ptr ? bytes.ptr : "", bytes.len,
                                                    out->ptr + out->len, bound);
    if (written == 0) {
        out->is_over = true;
        err_set(err, ERR_LIMIT, "gzip data would be longer than %zu bytes", out->max);
        goto out;
    }
    out->len += written;
    ok = true;
out:
    libdeflate_free_compressor(c);
    return ok;
}
