#include "base/rand.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct rand_state {
    unsigned char bytes[512]; // [at..] is not used yet
    size_t at;
    uint64_t seed;
    bool is_filled, is_fake;
};

static _Thread_local struct rand_state rand_state;

static void from_kernel(unsigned char *out, size_t len)
{
    while (len > 0) {
        // Up to 256 bytes a call are never cut short by a signal.
        ssize_t got = getrandom(out, MIN(len, 256), 0);

        if (got == -1 && errno == EINTR)
            continue;
        CHECK(got > 0);
        out += got;
        len -= (size_t)got;
    }
}

// SplitMix64: any seed will do, and the numbers are the same everywhere.
static uint64_t fake_next(struct rand_state *r)
{
    uint64_t z = r->seed += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void fake_bytes(struct rand_state *r, unsigned char *out, size_t len)
{
    while (len > 0) {
        uint64_t word = fake_next(r);
        size_t part = MIN(len, sizeof(word));

        memcpy(out, &word, part);
        out += part;
        len -= part;
    }
}

void rand_bytes(void *out, size_t len)
{
    struct rand_state *r = &rand_state;

    if (len == 0)
        return;
    if (r->is_fake) {
        fake_bytes(r, (unsigned char *)out, len);
        return;
    }
    if (len > sizeof(r->bytes) / 4) {
        from_kernel((unsigned char *)out, len);
        return;
    }
    if (!r->is_filled || len > sizeof(r->bytes) - r->at) {
        from_kernel(r->bytes, sizeof(r->bytes));
        r->at = 0;
        r->is_filled = true;
    }
    memcpy(out, r->bytes + r->at, len);
    memset(r->bytes + r->at, 0, len); // what was handed out cannot be read again later
    r->at += len;
}

uint64_t rand_u64(void)
{
    uint64_t value;

    rand_bytes(&value, sizeof(value));
    return value;
}

void rand_fake_seed(uint64_t seed)
{
    rand_state.seed = seed;
    rand_state.is_fake = true;
}
