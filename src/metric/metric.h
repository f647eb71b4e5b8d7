/* metric.h - registry of counters, gauges and histograms, and their text form.
 *
 * Threads: metrics are created by MAIN before the threads start (metric_new_*);
 * counting from any thread (relaxed atomics). Readers see each value, not a snapshot; within one
 * histogram the count always equals the sum of its buckets.
 * Ownership: the registry owns all metrics; names, help and label texts are copied.
 * Names follow Prometheus practice: prefix hedgerow_, base units, _total for counters. A wrong
 * name, a name with two types, or the same name and labels twice is a CHECK failure: it is a bug of
 * ours.
 */
#pragma once

#include "base/buf.h"

struct metrics;
struct metric_counter;
struct metric_gauge;
struct metric_histogram;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* `labels` is the text between the braces, e.g. "outcome=\"stored\"", or NULL. The same name may be
 * created with several label texts; help is taken from the first. */
struct metric_counter *metric_new_counter(struct metrics *m, const char *name, const char *labels,
                                          const char *help);
struct metric_gauge *metric_new_gauge(struct metrics *m, const char *name, const char *labels,
                                      const char *help);
/* `bounds` ascending, without +Inf, at most METRIC_BOUNDS_MAX. */
#define METRIC_BOUNDS_MAX 64
struct metric_histogram *metric_new_histogram(struct metrics *m, const char *name,
                                              const char *labels, const char *help,
                                              const double *bounds, size_t count);
/* A gauge or counter whose value is asked for when somebody reads: `fn` must be callable from any
 * thread. Not a number: the sample is left out. */
typedef double metric_read_fn(void *ctx);
void metric_new_read(struct metrics *m, const char *name, const char *labels, const char *help,
                     bool is_counter, metric_read_fn *fn, void *ctx);
/* The same counter under another name (reference names of other products). A name without _total
 * is shown as untyped. */
void metric_new_alias(struct metrics *m, const char *alias, const char *labels, const char *help,
                      struct metric_counter *of);

void metric_add(struct metric_counter *c, uint64_t n); /* NULL is legal: no-op (unit tests) */
uint64_t metric_value(const struct metric_counter *c); /* NULL: 0 */
void metric_set(struct metric_gauge *g, double value); /* NULL is legal */
void metric_observe(struct metric_histogram *h, double value); /* NULL is legal; NaN is ignored */

/* Prometheus text 0.0.4 (or OpenMetrics 1.0), families in order of creation. */
bool metrics_prometheus(struct metrics *m, bool is_openmetrics, struct buf *out);
