#include "base/rand.h"
#include "base/thread.h"
#include "unit.h"

#include <string.h>

// All bits take both values, over short reads, long ones and those that straddle the buffer.
static void every_bit_moves(void **state)
{
    static const size_t lengths[] = {1, 3, 8, 100, 127, 128, 129, 512, 5000};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        unsigned char ones[5000] = {0}, zeros[5000] = {0};

        for (int round = 0; round < 200; round++) {
            unsigned char bytes[5000];

            rand_bytes(bytes, lengths[i]);
            for (size_t k = 0; k < lengths[i]; k++) {
                ones[k] |= bytes[k];
                zeros[k] |= (unsigned char)~bytes[k];
            }
        }
        for (size_t k = 0; k < lengths[i]; k++) {
            assert_int_equal(ones[k], 0xff);
            assert_int_equal(zeros[k], 0xff);
        }
    }
    rand_bytes(NULL, 0);
}

static void numbers_differ(void **state)
{
    UNUSED(state);
    assert_true(rand_u64() != rand_u64());
}

static void put_number(void *ctx)
{
    *(uint64_t *)ctx = rand_u64();
}

// Runs last: there is no way back from a seed.
static void a_seed_makes_it_repeatable_on_this_thread_only(void **state)
{
    uint64_t first[3], again[3], other;
    unsigned char bytes[11], bytes_again[11];
    struct thread t;
    struct err err = ERR_INIT;

    UNUSED(state);
    rand_fake_seed(42);
    for (int i = 0; i < 3; i++)
        first[i] = rand_u64();
    rand_bytes(bytes, sizeof(bytes));
    rand_fake_seed(42);
    for (int i = 0; i < 3; i++)
        again[i] = rand_u64();
    rand_bytes(bytes_again, sizeof(bytes_again));
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_equal(bytes, bytes_again, sizeof(bytes));
    assert_true(first[0] != first[1]);
    assert_true(thread_start(&t, THREAD_JOB, 0, put_number, &other, &err));
    thread_join(&t);
    assert_true(other != first[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_moves),
        cmocka_unit_test(numbers_differ),
        cmocka_unit_test(a_seed_makes_it_repeatable_on_this_thread_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
