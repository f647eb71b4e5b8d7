/* clock.h - the only door to time. Any thread.
 *
 * Wall time is UTC microseconds since 1970; monotonic time has an arbitrary start and never goes
 * back. Tests hold both still with clock_fake_set and move them with clock_fake_add.
 */
#pragma once

#include "base/check.h"

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);
/* Monotonic time that no fake holds still: for deadlines of waits that the system carries out. */
int64_t clock_mono_real_us(void);
void clock_fake_set(int64_t wall_us); /* from now on both clocks stand still */
void clock_fake_add(int64_t us);
void clock_fake_off(void);
