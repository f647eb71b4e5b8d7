/* fault.h - fault points for tests.
 *
 * `if (fault_point("ring.fdatasync")) { errno = EIO; return -1; }` compiles to false in release
 * builds. In builds with HEDGEROW_TEST, fault_arm("name", n, times) makes the n-th call (from 1)
 * and the times-1 after it true; HEDGEROW_FAULTS="name:n:times,..." in the environment does the
 * same for a whole process. `fault_crash("name")` ends the process by SIGKILL when its point is
 * armed and hit.
 */
#pragma once

#include "base/check.h"

#ifdef HEDGEROW_TEST
bool fault_point(const char *name);
void fault_crash(const char *name);
void fault_arm(const char *name, int nth, int times);
void fault_clear(void);
int fault_hits(const char *name); /* calls seen since armed */
void fault_from_env(void);
#else
#define fault_point(name) false
#define fault_crash(name) ((void)0)
#define fault_from_env()  ((void)0)
#endif
