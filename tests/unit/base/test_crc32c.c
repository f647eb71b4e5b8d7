#include "base/crc32c.h"
#include "unit.h"

#include <string.h>

// RFC 3720, appendix B.4, and the catalogue's check value.
static void known_values(void **state)
{
    static const unsigned char read_pdu[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0};
    unsigned char zeros[32] = {0}, ones[32], up[32], down[32];
    const struct {
        const void *bytes;
        size_t len;
        uint32_t crc;
    } table[] = {
        {"", 0, 0},
        {"123456789", 9, 0xe3069283},
        {zeros, 32, 0x8a9136aa},
        {ones, 32, 0x62a8ab43},
        {up, 32, 0x46dd794e},
        {down, 32, 0x113fdb5c},
        {read_pdu, 48, 0xd9963a56},
    };

    UNUSED(state);
    memset(ones, 0xff, 32);
    for (int i = 0; i < 32; i++) {
        up[i] = (unsigned char)i;
        down[i] = (unsigned char)(31 - i);
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_int_equal(crc32c(0, table[i].bytes, table[i].len), table[i].crc);
        assert_int_equal(crc32c_portable(0, table[i].bytes, table[i].len), table[i].crc);
    }
}

static void both_versions_agree_and_go_on(void **state)
{
    unsigned char bytes[600];

    UNUSED(state);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * i * 31 + i * 7);
    for (size_t start = 0; start < 9; start++) {
        for (size_t len = 0; len < 280; len++) {
            uint32_t whole = crc32c(7, bytes + start, len);
            uint32_t half = crc32c(7, bytes + start, len / 3);

            assert_int_equal(whole, crc32c_portable(7, bytes + start, len));
            assert_int_equal(whole, crc32c(half, bytes + start + len / 3, len - len / 3));
            assert_int_equal(whole, crc32c_portable(half, bytes + start + len / 3, len - len / 3));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(both_versions_agree_and_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
