#include "base/hash.h"
#include "unit.h"

#include <stdio.h>

// Expected values come from other implementations (the xxhash and siphash24 packages of Python).
static void xxh64_is_that_of_the_specification(void **state)
{
    static const struct {
        size_t len;
        uint64_t plain, seeded;
    } table[] = {
        {0, 0xef46db3751d8e999u, 0xc4349fc93c010000u},
        {1, 0x1f25c8d0bc1f4bb6u, 0x79826bcd749d267au},
        {3, 0x31d2363f52e564c9u, 0x78efd77575e26575u},
        {4, 0x9bb64b7d66ee9fdau, 0x6f0a6c97d68bf353u},
        {5, 0xc7608efddb7051feu, 0xa677b535c22b67a5u},
        {7, 0x9a7b149959ce60d8u, 0xd97ede93c9d66a0du},
        {8, 0xdab99d95c6f90092u, 0xa2f1e28437a78a1bu},
        {9, 0x170bb6bf975b4c02u, 0x9c9a3cd83532d84fu},
        {12, 0xd52e407833af5133u, 0xbcc9f0d616ff9a7bu},
        {31, 0xa2aa5f33cc4a6119u, 0x755437271d1d0a84u},
        {32, 0x23c3c17ef790fd97u, 0xbf624b932c090428u},
        {33, 0x50a7cfc7ba588784u, 0x7aceaf1e9d34ea35u},
        {63, 0x5e3e54b431c7493cu, 0x2c8ddce5c85d0d9du},
        {64, 0x0eb64b3ef6eeb01fu, 0x4af341f14e3a6fc9u},
        {100, 0xa61f8d4c170fe531u, 0xf6d8f65c625abb4fu},
        {300, 0x240004dbee0ba6dcu, 0x4724ccb36f2aee62u},
    };
    unsigned char bytes[300];

    UNUSED(state);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7 + 3);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_true(hash64(bytes, table[i].len, 0) == table[i].plain);
        assert_true(hash64(bytes, table[i].len, 0x9e3779b97f4a7c15u) == table[i].seeded);
    }
    assert_true(hash64(NULL, 0, 0) == 0xef46db3751d8e999u);
    assert_true(hash64("abc", 3, 0) == 0x44bc2cf5ad770999u);
}

static void the_place_in_memory_does_not_matter(void **state)
{
    char space[64];
    uint64_t first = hash64("0123456789abcdefghijklmnopqrstuvwxyz", 36, 1);

    UNUSED(state);
    for (size_t i = 0; i < 16; i++) {
        memcpy(space + i, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
        assert_true(hash64(space + i, 36, 1) == first);
    }
}

// These are on disk: a change here makes stored data unreadable.
static void event_keys_never_change(void **state)
{
    UNUSED(state);
    assert_true(hash_event_key(1, SLICE("user-1")) == 0x3735c27b48db1198u);
    assert_true(hash_event_key(2, SLICE("user-1")) == 0x72fbf3fbb3438b2bu);
    assert_true(hash_event_key(0, SLICE_NONE) == 0xccd5b212b96515cdu);
    assert_true(hash_event_key(-1, SLICE("x")) == 0xab13a83b54597c81u);
}

static void keyed_is_siphash_1_3(void **state)
{
    static const struct {
        size_t len;
        uint64_t value;
    } table[] = {
        {0, 0xabac0158050fc4dcu}, {1, 0xc9f49bf37d57ca93u},  {7, 0xd3927d989bb11140u},
        {8, 0x369095118d299a8eu}, {15, 0xd320d86d2a519956u}, {63, 0x9d199062b7bbb3a8u},
    };
    static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    unsigned char bytes[64];

    UNUSED(state);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_true(hash_keyed(key, slice_make(bytes, table[i].len)) == table[i].value);
    assert_true(hash_keyed(key, SLICE_NONE) == table[0].value);
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char text[65] = "";

    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
}

static void digests(void **state)
{
    uint8_t out[32];

    UNUSED(state);
    hash_sha1(SLICE("abc"), out);
    assert_hex(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
    hash_sha1(SLICE_NONE, out);
    assert_hex(out, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    hash_sha1_two(SLICE("a"), SLICE("bc"), out);
    assert_hex(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
    hash_sha1_two(SLICE_NONE, SLICE("abc"), out);
    assert_hex(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
    hash_sha256(SLICE("abc"), out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha256(SLICE_NONE, out);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xxh64_is_that_of_the_specification),
        cmocka_unit_test(the_place_in_memory_does_not_matter),
        cmocka_unit_test(event_keys_never_change),
        cmocka_unit_test(keyed_is_siphash_1_3),
        cmocka_unit_test(digests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
