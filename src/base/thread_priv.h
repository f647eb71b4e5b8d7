/* thread_priv.h - what thread.c lets its test see. */
#pragma once

/* CPUs that the quota of a cgroup allows, rounded up; 0 when nothing limits them. `membership` is a
 * file like /proc/self/cgroup, `root` the folder where cgroups are mounted. Every folder from the
 * process's own up to the root counts; the smallest quota wins. */
int thread_cgroup_cpus(const char *membership, const char *root);
