/* Polynomial 0x1EDC6F41, bits reversed. The table version is slice-by-8 (Kounavis, Berry): eight
 * bytes a step, table[k][b] being the CRC of byte b followed by k zero bytes. CRCs of one length
 * are linear, so each table follows from the entries of the eight single bits; the preprocessor
 * adds them up and the tables are constant data. */
#include "base/crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define BIT(i, bit, value) ((i) >> (bit)&1 ? (value) : 0u)
#define ENTRY(i, a, b, c, d, e, f, g, h)                                                       \
    (BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ BIT(i, 4, e) ^ BIT(i, 5, f) ^ \
     BIT(i, 6, g) ^ BIT(i, 7, h))
#define ROW4(i, ...)                                                                   \
    ENTRY((i), __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__), \
        ENTRY((i) + 3, __VA_ARGS__)
#define ROW16(i, ...)                                                               \
    ROW4((i), __VA_ARGS__), ROW4((i) + 4, __VA_ARGS__), ROW4((i) + 8, __VA_ARGS__), \
        ROW4((i) + 12, __VA_ARGS__)
#define ROW64(i, ...)                                                                    \
    ROW16((i), __VA_ARGS__), ROW16((i) + 16, __VA_ARGS__), ROW16((i) + 32, __VA_ARGS__), \
        ROW16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                 \
    {                                                                              \
        ROW64(0u, __VA_ARGS__), ROW64(64u, __VA_ARGS__), ROW64(128u, __VA_ARGS__), \
            ROW64(192u, __VA_ARGS__)                                               \
    }

// clang-format off
static const uint32_t tables[8][256] = {
    /* CRC of 0x01,  0x02,       0x04,       0x08,       0x10,       0x20,       0x40,       0x80 */
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};
// clang-format on

static uint64_t load64(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

static uint32_t step_byte(uint32_t crc, uint8_t byte)
{
    return crc >> 8 ^ tables[0][(crc ^ byte) & 0xff];
}

uint32_t crc32c_portable(uint32_t seed, const void *bytes, size_t len)
{
    const uint8_t *p = (const uint8_t *)bytes;
    uint32_t crc = ~seed;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word = load64(p);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        word ^= crc;
        crc = 0;
        for (int k = 0; k < 8; k++)
            crc ^= tables[7 - k][word >> (8 * k) & 0xff];
    }
    for (; len > 0; len--, p++)
        crc = step_byte(crc, *p);
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t by_cpu(uint32_t seed, const uint8_t *p,
                                                         size_t len)
{
    uint64_t crc = ~seed;

    for (; len >= 8; len -= 8, p += 8)
        crc = _mm_crc32_u64(crc, load64(p));
    for (; len > 0; len--, p++)
        crc = _mm_crc32_u8((uint32_t)crc, *p);
    return ~(uint32_t)crc;
}

static bool cpu_can(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__linux__)

// Written in assembler: compilers disagree on how a function asks for this extension.
static uint32_t crc_of_8(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

static uint32_t crc_of_1(uint32_t crc, uint8_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)byte));
    return crc;
}

static uint32_t by_cpu(uint32_t seed, const uint8_t *p, size_t len)
{
    uint32_t crc = ~seed;

    for (; len >= 8; len -= 8, p += 8)
        crc = crc_of_8(crc, load64(p));
    for (; len > 0; len--, p++)
        crc = crc_of_1(crc, *p);
    return ~crc;
}

static bool cpu_can(void)
{
    return getauxval(AT_HWCAP) & HWCAP_CRC32;
}

#else

static uint32_t by_cpu(uint32_t seed, const uint8_t *p, size_t len)
{
    return crc32c_portable(seed, p, len);
}

static bool cpu_can(void)
{
    return false;
}

#endif

uint32_t crc32c(uint32_t seed, const void *bytes, size_t len)
{
    return cpu_can() ? by_cpu(seed, (const uint8_t *)bytes, len)
                     : crc32c_portable(seed, bytes, len);
}
