/* metric_priv.h - the registry's structs, shared by the files of metric/. */
#pragma once

#include "base/list.h"
#include "metric/metric.h"

#include <stdatomic.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_UNTYPED };

/* What threads count in stands alone in a cache line, so that neighbours do not slow each other. */
#define METRIC_LINE 64

struct metric_counter {
    _Alignas(METRIC_LINE) _Atomic uint64_t value;
};

struct metric_gauge {
    _Atomic double value;
};

struct metric_histogram {
    size_t count;
    double bounds[METRIC_BOUNDS_MAX];
    _Alignas(METRIC_LINE) _Atomic double sum;
    _Atomic uint64_t buckets[METRIC_BOUNDS_MAX + 1]; /* the last one is +Inf; not cumulative */
};

enum metric_source {
    METRIC_FROM_COUNTER,
    METRIC_FROM_GAUGE,
    METRIC_FROM_HISTOGRAM,
    METRIC_FROM_READ
};

struct metric_series {
    struct list link; /* in its family, in order of creation */
    char *labels;     /* "" when there are none */
    enum metric_source source;
    bool is_alias;
    union {
        struct metric_counter *counter;
        struct metric_gauge *gauge;
        struct metric_histogram *histogram;
        struct {
            metric_read_fn *fn;
            void *ctx;
        } read;
    } u;
};

struct metric_family {
    struct list link; /* in the registry, in order of creation */
    char *name;       /* as created: counters with _total */
    char *help;
    enum metric_type type;
    struct list series;
};

struct metrics {
    struct list families;
};
