#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static atomic_bool clock_is_fake;
static _Atomic int64_t clock_fake_wall, clock_fake_mono;

static int64_t now(clockid_t id)
{
    struct timespec ts;

    CHECK(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return atomic_load(&clock_is_fake) ? atomic_load(&clock_fake_wall) : now(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return atomic_load(&clock_is_fake) ? atomic_load(&clock_fake_mono) : now(CLOCK_MONOTONIC);
}

int64_t clock_mono_real_us(void)
{
    return now(CLOCK_MONOTONIC);
}

void clock_fake_set(int64_t wall_us)
{
    // Monotonic time goes on from where it was: setting the wall clock back must not turn it.
    atomic_store(&clock_fake_mono, clock_mono_us());
    atomic_store(&clock_fake_wall, wall_us);
    atomic_store(&clock_is_fake, true);
}

void clock_fake_add(int64_t us)
{
    CHECK(us >= 0);
    CHECK(atomic_load(&clock_is_fake));
    atomic_fetch_add(&clock_fake_wall, us);
    atomic_fetch_add(&clock_fake_mono, us);
}

void clock_fake_off(void)
{
    atomic_store(&clock_is_fake, false);
}
