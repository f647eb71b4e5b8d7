/* The metrics that every Prometheus client library has about its process
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics). What the system
 * does not tell is NaN, which leaves the sample out.
 */
#include "metric/process.h"

#include "base/clock.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define SECOND_US 1e6

double process_cpu_seconds(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == -1)
        return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / SECOND_US;
}

/* Field 0 (all) or 1 (resident) of /proc/self/statm, which counts pages. */
static double memory_bytes(int field)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long all, resident;
    double bytes = NAN;

    if (!file)
        return NAN;
    if (fscanf(file, "%lu %lu", &all, &resident) == 2)
        bytes = (double)(field == 0 ? all : resident) * (double)sysconf(_SC_PAGESIZE);
    fclose(file);
    return bytes;
}

static double virtual_bytes(void *ctx)
{
    UNUSED(ctx);
    return memory_bytes(0);
}

double process_resident_bytes(void)
{
    return memory_bytes(1);
}

static double cpu_seconds(void *ctx)
{
    UNUSED(ctx);
    return process_cpu_seconds();
}

static double resident_bytes(void *ctx)
{
    UNUSED(ctx);
    return process_resident_bytes();
}

static double open_fds(void *ctx)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = -1; /* the directory itself is open while it is read */

    UNUSED(ctx);
    if (!dir)
        return NAN;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static double max_fds(void *ctx)
{
    struct rlimit limit;

    UNUSED(ctx);
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return NAN;
    return limit.rlim_cur == RLIM_INFINITY ? INFINITY : (double)limit.rlim_cur;
}

void metric_add_process(struct metrics *m)
{
    metric_new_read(m, "process_cpu_seconds_total", NULL,
                    "Total user and system CPU time spent in seconds.", true, cpu_seconds, NULL);
    metric_new_read(m, "process_resident_memory_bytes", NULL, "Resident memory size in bytes.",
                    false, resident_bytes, NULL);
    metric_new_read(m, "process_virtual_memory_bytes", NULL, "Virtual memory size in bytes.", false,
                    virtual_bytes, NULL);
    metric_new_read(m, "process_open_fds", NULL, "Number of open file descriptors.", false,
                    open_fds, NULL);
    metric_new_read(m, "process_max_fds", NULL, "Maximum number of open file descriptors.", false,
                    max_fds, NULL);
    metric_set(metric_new_gauge(m, "process_start_time_seconds", NULL,
                                "Start time of the process since unix epoch in seconds."),
               (double)clock_wall_us() / SECOND_US);
}
