/* process.h - metrics about this process, as every Prometheus client library has them. MAIN. */
#pragma once

#include "metric/metric.h"

/* process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds and their like. Once
 * per registry, early: the time of the call counts as the start of the process. */
void metric_add_process(struct metrics *m);

/* The two that people look at first, now. Any thread. */
double process_cpu_seconds(void);    /* NaN when the system does not tell */
double process_resident_bytes(void); /* likewise */
