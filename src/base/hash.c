/* XXH64 after the public specification (xxHash fast digest algorithm, doc/xxhash_spec.md),
 * SipHash-1-3 (Aumasson, Bernstein) for the keys of hash maps: XXH64 has collisions that hold for
 * every seed. */
#include "base/hash.h"

#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>

#define P1 0x9E3779B185EBCA87u
#define P2 0xC2B2AE3D27D4EB4Fu
#define P3 0x165667B19E3779F9u
#define P4 0x85EBCA77C2B2AE63u
#define P5 0x27D4EB2F165667C5u

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static uint64_t read64(const uint8_t *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static uint32_t read32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static uint64_t xxh_round(uint64_t acc, uint64_t lane)
{
    return rotl(acc + lane * P2, 31) * P1;
}

static uint64_t xxh_merge(uint64_t acc, uint64_t lane_acc)
{
    return (acc ^ xxh_round(0, lane_acc)) * P1 + P4;
}

// Steps 1 to 3: all whole stripes of 32 bytes.
static uint64_t xxh_stripes(const uint8_t *p, size_t stripes, uint64_t seed)
{
    uint64_t v1 = seed + P1 + P2, v2 = seed + P2, v3 = seed, v4 = seed - P1;
    uint64_t acc;

    for (; stripes > 0; stripes--, p += 32) {
        v1 = xxh_round(v1, read64(p));
        v2 = xxh_round(v2, read64(p + 8));
        v3 = xxh_round(v3, read64(p + 16));
        v4 = xxh_round(v4, read64(p + 24));
    }
    acc = rotl(v1, 1) + rotl(v2, 7) + rotl(v3, 12) + rotl(v4, 18);
    acc = xxh_merge(acc, v1);
    acc = xxh_merge(acc, v2);
    acc = xxh_merge(acc, v3);
    return xxh_merge(acc, v4);
}

uint64_t hash64(const void *bytes, size_t len, uint64_t seed)
{
    const uint8_t *p = (const uint8_t *)bytes;
    size_t left = len;
    uint64_t acc = seed + P5;

    if (len >= 32) {
        acc = xxh_stripes(p, len / 32, seed);
        p += len / 32 * 32;
        left = len % 32;
    }
    acc += len;
    for (; left >= 8; left -= 8, p += 8)
        acc = rotl(acc ^ xxh_round(0, read64(p)), 27) * P1 + P4;
    if (left >= 4) {
        acc = rotl(acc ^ read32(p) * P1, 23) * P2 + P3;
        left -= 4;
        p += 4;
    }
    for (; left > 0; left--, p++)
        acc = rotl(acc ^ *p * P5, 11) * P1;
    acc = (acc ^ acc >> 33) * P2;
    acc = (acc ^ acc >> 29) * P3;
    return acc ^ acc >> 32;
}

// SplitMix64's last step: neighbouring team numbers give unrelated seeds.
static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t hash_event_key(int64_t team_id, struct slice distinct_id)
{
    return hash64(distinct_id.ptr, distinct_id.len, mix((uint64_t)team_id));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t hash_keyed(const uint64_t key[2], struct slice bytes)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    uint64_t last = (uint64_t)bytes.len << 56;
    size_t left = bytes.len;

    for (; left >= 8; left -= 8, p += 8)
        sip_word(v, read64(p));
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const uint8_t *or_empty(struct slice s)
{
    return (const uint8_t *)(s.ptr ? s.ptr : "");
}

void hash_sha1(struct slice bytes, uint8_t out[20])
{
    CHECK(mbedtls_sha1(or_empty(bytes), bytes.len, out) == 0);
}

void hash_sha1_two(struct slice first, struct slice second, uint8_t out[20])
{
    mbedtls_sha1_context sha;

    mbedtls_sha1_init(&sha);
    CHECK(mbedtls_sha1_starts(&sha) == 0);
    CHECK(mbedtls_sha1_update(&sha, or_empty(first), first.len) == 0);
    CHECK(mbedtls_sha1_update(&sha, or_empty(second), second.len) == 0);
    CHECK(mbedtls_sha1_finish(&sha, out) == 0);
    mbedtls_sha1_free(&sha);
}

void hash_sha256(struct slice bytes, uint8_t out[32])
{
    CHECK(mbedtls_sha256(or_empty(bytes), bytes.len, out, 0) == 0);
}
