/* Text encoders: the Prometheus text format 0.0.4 and OpenMetrics 1.0
 * (https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md). They differ
 * in little: OpenMetrics names a counter's family without _total, says unknown for untyped, writes
 * 0.5 and 1.0 as bounds, escapes quotes in help texts and ends with # EOF.
 */
#include "metric/metric_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *type_name(enum metric_type type, bool is_openmetrics)
{
    switch (type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    case METRIC_UNTYPED:
        break;
    }
    return is_openmetrics ? "unknown" : "untyped";
}

/* The shortest of 15, 16 and 17 digits that reads back as the same number. */
static void add_double(struct buf *out, double value)
{
    char text[40];

    if (isinf(value)) {
        buf_add_str(out, value < 0 ? "-Inf" : "+Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_add_str(out, text);
}

static void add_bound(struct buf *out, double value, bool is_openmetrics)
{
    size_t before = out->len;

    add_double(out, value);
    struct slice text = slice_make(out->ptr + before, out->len - before);
    bool is_whole = isfinite(value) && slice_find(text, '.') == -1 && slice_find(text, 'e') == -1;
    if (is_openmetrics && is_whole)
        buf_add_str(out, ".0");
}

static void add_help(struct buf *out, const char *help, bool is_openmetrics)
{
    for (; *help; help++) {
        if (*help == '\n')
            buf_add_str(out, "\\n");
        else if (*help == '\\' || (is_openmetrics && *help == '"'))
            buf_addf(out, "\\%c", *help);
        else
            buf_add_char(out, *help);
    }
}

/* name{labels} and the blank. */
static void add_sample_name(struct buf *out, const char *name, const char *suffix,
                            const char *labels)
{
    buf_add_str(out, name);
    buf_add_str(out, suffix);
    if (labels[0] != '\0')
        buf_addf(out, "{%s}", labels);
    buf_add_char(out, ' ');
}

static void add_histogram(struct buf *out, const char *name, const struct metric_series *s,
                          bool is_openmetrics)
{
    const struct metric_histogram *h = s->u.histogram;
    uint64_t total = 0;

    for (size_t i = 0; i <= h->count; i++) {
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        buf_addf(out, "%s_bucket{%s%sle=\"", name, s->labels, s->labels[0] != '\0' ? "," : "");
        add_bound(out, i < h->count ? h->bounds[i] : INFINITY, is_openmetrics);
        buf_add_str(out, "\"} ");
        buf_add_u64(out, total);
        buf_add_char(out, '\n');
    }
    add_sample_name(out, name, "_sum", s->labels);
    add_double(out, atomic_load_explicit(&h->sum, memory_order_relaxed));
    buf_add_char(out, '\n');
    add_sample_name(out, name, "_count", s->labels);
    buf_add_u64(out, total);
    buf_add_char(out, '\n');
}

static void add_series(struct buf *out, const char *name, const struct metric_series *s,
                       bool is_openmetrics)
{
    double value;

    switch (s->source) {
    case METRIC_FROM_HISTOGRAM:
        add_histogram(out, name, s, is_openmetrics);
        return;
    case METRIC_FROM_COUNTER:
        add_sample_name(out, name, "", s->labels);
        buf_add_u64(out, metric_value(s->u.counter));
        buf_add_char(out, '\n');
        return;
    case METRIC_FROM_GAUGE:
        value = atomic_load_explicit(&s->u.gauge->value, memory_order_relaxed);
        break;
    case METRIC_FROM_READ:
    default:
        value = s->u.read.fn(s->u.read.ctx);
        break;
    }
    if (isnan(value))
        return;
    add_sample_name(out, name, "", s->labels);
    add_double(out, value);
    buf_add_char(out, '\n');
}

bool metrics_prometheus(struct metrics *m, bool is_openmetrics, struct buf *out)
{
    list_each (f, &m->families) {
        const struct metric_family *family = list_entry(f, struct metric_family, link);
        size_t len = strlen(family->name);
        if (is_openmetrics && family->type == METRIC_COUNTER)
            len -= strlen("_total");
        buf_addf(out, "# HELP %.*s ", (int)len, family->name);
        add_help(out, family->help, is_openmetrics);
        buf_addf(out, "\n# TYPE %.*s %s\n", (int)len, family->name,
                 type_name(family->type, is_openmetrics));
        list_each (s, &family->series) {
            add_series(out, family->name, list_entry(s, struct metric_series, link),
                       is_openmetrics);
        }
    }
    if (is_openmetrics)
        buf_add_str(out, "# EOF\n");
    return !out->is_over;
}
