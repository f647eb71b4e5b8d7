/* Version 7 (RFC 9562, 5.7, method 1 of 6.2):
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   |                        milliseconds (48)                       |
 *   |                        |  7  |      counter (12)               |
 *   |10|                      random (62)                            |
 *
 * Milliseconds and counter are one number that only grows, kept in one atomic word: an overflow of
 * the counter runs into the next millisecond, which the RFC permits. */
#include "base/uuid.h"

#include "base/hash.h"
#include "base/rand.h"

#include <stdatomic.h>

// A clock that went back by less than this goes on with the last value; by more, the time as given
// counts again, so that one wrong time does not spoil all later ids.
#define BACK_MS_MAX 10000

static _Atomic uint64_t uuid_v7_last, uuid_uuidt_last;

// 32 hex digits, with hyphens wherever they like.
static bool parse_digits(struct slice text, struct uuid *out)
{
    struct uuid u = {{0}};
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        int value;

        if (text.ptr[i] == '-')
            continue;
        value = slice_hex_digit(text.ptr[i]);
        if (value == -1 || count == 32)
            return false;
        u.b[count / 2] = (uint8_t)(u.b[count / 2] << 4 | value);
        count++;
    }
    if (count != 32)
        return false;
    *out = u;
    return true;
}

bool uuid_parse(struct slice text, struct uuid *out)
{
    if (text.len != UUID_TEXT_LEN)
        return false;
    // With 36 characters, 32 of them digits, these four are the only hyphens.
    if (text.ptr[8] != '-' || text.ptr[13] != '-' || text.ptr[18] != '-' || text.ptr[23] != '-')
        return false;
    return parse_digits(text, out);
}

bool uuid_parse_loose(struct slice text, struct uuid *out)
{
    static const struct slice prefixes[] = {{"urn:", 4}, {"uuid:", 5}};

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (slice_starts(text, prefixes[i]))
            text = slice_make(text.ptr + prefixes[i].len, text.len - prefixes[i].len);
    }
    if (slice_starts(text, SLICE("{")))
        text = slice_make(text.ptr + 1, text.len - 1);
    if (slice_ends(text, SLICE("}")))
        text.len--;
    return parse_digits(text, out);
}

void uuid_format(const struct uuid *u, char out[UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    char *at = out;

    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[u->b[i] >> 4];
        *at++ = digits[u->b[i] & 15];
    }
    *at = '\0';
}

static void put_be(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t to_ms(int64_t wall_us)
{
    return wall_us < 0 ? 0 : (uint64_t)(wall_us / 1000) & 0xffffffffffffu;
}

// (ms << counter_bits | start), or one more than the last value when that is not lower.
static uint64_t next_in_order(_Atomic uint64_t *last, uint64_t ms, unsigned counter_bits,
                              uint64_t start)
{
    uint64_t before = atomic_load_explicit(last, memory_order_relaxed);
    uint64_t fresh = ms << counter_bits | start;
    uint64_t next;

    do {
        uint64_t before_ms = before >> counter_bits;

        if (ms > before_ms || before_ms - ms > BACK_MS_MAX)
            next = fresh;
        else
            next = before + 1;
    } while (!atomic_compare_exchange_weak_explicit(last, &before, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return next;
}

struct uuid uuid_v7(int64_t wall_us)
{
    struct uuid u;
    uint64_t random = rand_u64();
    // The counter starts in its lower half: at least 2048 ids before it runs over.
    uint64_t value = next_in_order(&uuid_v7_last, to_ms(wall_us), 12, rand_u64() & 0x7ff);

    put_be(u.b, value >> 12, 6);
    put_be(u.b + 6, 0x7000 | (value & 0xfff), 2);
    put_be(u.b + 8, (random & 0x3fffffffffffffffu) | 0x8000000000000000u, 8);
    return u;
}

struct uuid uuid_uuidt(int64_t wall_us)
{
    struct uuid u;
    uint64_t value = next_in_order(&uuid_uuidt_last, to_ms(wall_us), 16, 0);

    put_be(u.b, value, 8);
    put_be(u.b + 8, rand_u64(), 8);
    return u;
}

struct uuid uuid_v5(struct slice name)
{
    // A random UUID, drawn once for hedgerow; changing it changes every derived id.
    static const uint8_t name_space[16] = {0x0c, 0xea, 0x63, 0xf0, 0xe0, 0x72, 0x49, 0x9e,
                                           0xba, 0x90, 0x9c, 0x61, 0x6c, 0x87, 0x6a, 0x7e};
    uint8_t digest[20];
    struct uuid u;

    hash_sha1_two(slice_make(name_space, sizeof(name_space)), name, digest);
    memcpy(u.b, digest, sizeof(u.b));
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x50);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool uuid_is_nil(const struct uuid *u)
{
    static const struct uuid nil;

    return uuid_eq(u, &nil);
}
