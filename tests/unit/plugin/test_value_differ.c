/* Thousands of random operation sequences on lazy and on plain events.
 *
 *   DIFFER_SEQUENCES=100000   more of them
 *   DIFFER_SEED=N             from another seed; a failure prints the seed of its sequence */
#include "base/rand.h"
#include "unit.h"
#include "value_differ.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEQUENCES 1000 /* each takes many times as long */
#else
#define SEQUENCES 5000
#endif
#define PER_CONTEXT 500

static uint64_t next_random(void *self)
{
    UNUSED(self);
    return rand_u64() >> 8;
}

static uint64_t setting(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    uint64_t value;

    return text && slice_u64(slice_cstr(text), &value) ? value : fallback;
}

static void test_differ(void **state)
{
    uint64_t sequences = setting("DIFFER_SEQUENCES", SEQUENCES);
    uint64_t seed = setting("DIFFER_SEED", 1);
    struct differ d;

    UNUSED(state);
    for (uint64_t i = 0; i < sequences; i++) {
        char *what;

        if (i % PER_CONTEXT == 0)
            differ_init(&d, next_random, NULL);
        rand_fake_seed(seed + i);
        what = differ_run(&d, SLICE_NONE);
        if (what) {
            fprintf(stderr, "DIFFER_SEED=%llu DIFFER_SEQUENCES=1\n%s\n",
                    (unsigned long long)(seed + i), what);
            fail();
        }
        if (i % PER_CONTEXT == PER_CONTEXT - 1 || i + 1 == sequences)
            differ_fini(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_differ)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
