/* The registry. Families and their series are kept in order of creation, so a family's samples
 * stand together in the text however its series were created. Names are checked with CHECK: they
 * come from our code alone, and what promtool would complain about is better found by the first
 * unit test that creates the metric.
 */
#include "base/mem.h"
#include "metric/metric_priv.h"

#include <math.h>
#include <stdlib.h>

struct metrics *metrics_new(void)
{
    struct metrics *m = mem_new(struct metrics);

    list_init(&m->families);
    return m;
}

/* Memory whose start is the start of a cache line; the pointer to free stands in front of it. */
static void *line_alloc(size_t bytes)
{
    char *raw = mem_zalloc(bytes + METRIC_LINE + sizeof(void *));
    uintptr_t start = (uintptr_t)raw + sizeof(void *);
    size_t skip = sizeof(void *) + (METRIC_LINE - start % METRIC_LINE) % METRIC_LINE;

    memcpy(raw + skip - sizeof(void *), &raw, sizeof(void *));
    return raw + skip;
}

static void line_free(void *ptr)
{
    void *raw;

    memcpy(&raw, (char *)ptr - sizeof(void *), sizeof(void *));
    mem_free(raw);
}

static void series_free(struct metric_series *s)
{
    if (s->source == METRIC_FROM_COUNTER && !s->is_alias)
        line_free(s->u.counter);
    if (s->source == METRIC_FROM_GAUGE)
        mem_free(s->u.gauge);
    if (s->source == METRIC_FROM_HISTOGRAM)
        line_free(s->u.histogram);
    mem_free(s->labels);
    mem_free(s);
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    list_each_safe (f, next_family, &m->families) {
        struct metric_family *family = list_entry(f, struct metric_family, link);
        list_each_safe (s, next_series, &family->series) {
            series_free(list_entry(s, struct metric_series, link));
        }
        mem_free(family->name);
        mem_free(family->help);
        mem_free(family);
    }
    mem_free(m);
}

static bool name_is_valid(struct slice name, bool is_label)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == ':' && !is_label);
        if (!is_letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0 && !(is_label && slice_starts(name, SLICE("__")));
}

/* One `name="value"`; *at is moved behind it. */
static bool label_is_valid(const char **at)
{
    size_t len = strcspn(*at, "=");
    const char *p = *at + len;

    if (!name_is_valid(slice_make(*at, len), true) || p[0] != '=' || p[1] != '"')
        return false;
    for (p += 2; *p && *p != '"' && *p != '\n'; p++) {
        if (*p != '\\')
            continue;
        p++;
        if (*p != '\\' && *p != '"' && *p != 'n')
            return false;
    }
    *at = p + 1;
    return *p == '"';
}

static bool labels_are_valid(const char *labels)
{
    while (*labels) {
        if (!label_is_valid(&labels))
            return false;
        if (*labels == ',' && labels[1])
            labels++;
        else if (*labels)
            return false;
    }
    return true;
}

/* The name of the family in OpenMetrics, where counters lose their _total. */
static struct slice base_name(const char *name, enum metric_type type)
{
    struct slice s = slice_cstr(name), total = SLICE("_total");

    if (type == METRIC_COUNTER && slice_ends(s, total))
        s.len -= total.len;
    return s;
}

static void check_name(const char *name, enum metric_type type)
{
    static const struct slice reserved[] = {
        {"_total", 6}, {"_bucket", 7}, {"_count", 6}, {"_sum", 4}};
    struct slice s = slice_cstr(name);

    CHECK(name_is_valid(s, false));
    if (type == METRIC_COUNTER) {
        CHECK(slice_ends(s, reserved[0]) && s.len > reserved[0].len);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        CHECK(!slice_ends(s, reserved[i]));
}

static struct metric_family *family_find(struct metrics *m, const char *name, enum metric_type type)
{
    struct slice base = base_name(name, type);

    list_each (f, &m->families) {
        struct metric_family *family = list_entry(f, struct metric_family, link);
        if (!slice_eq(base_name(family->name, family->type), base))
            continue;
        CHECK(family->type == type); /* one name, one type */
        CHECK(slice_eq(slice_cstr(family->name), slice_cstr(name)));
        return family;
    }
    return NULL;
}

static struct metric_series *series_add(struct metrics *m, const char *name, enum metric_type type,
                                        const char *labels, const char *help)
{
    struct metric_family *family;
    struct metric_series *series = mem_new(struct metric_series);

    check_name(name, type);
    labels = labels ? labels : "";
    CHECK(labels_are_valid(labels));
    family = family_find(m, name, type);
    if (!family) {
        CHECK(help && help[0] != '\0');
        family = mem_new(struct metric_family);
        family->name = mem_dup_str(name);
        family->help = mem_dup_str(help);
        family->type = type;
        list_init(&family->series);
        list_push_back(&m->families, &family->link);
    }
    list_each (s, &family->series) {
        const char *other = list_entry(s, struct metric_series, link)->labels;
        CHECK(!slice_eq(slice_cstr(other), slice_cstr(labels)));
    }
    series->labels = mem_dup_str(labels);
    list_push_back(&family->series, &series->link);
    return series;
}

struct metric_counter *metric_new_counter(struct metrics *m, const char *name, const char *labels,
                                          const char *help)
{
    struct metric_series *s = series_add(m, name, METRIC_COUNTER, labels, help);

    s->source = METRIC_FROM_COUNTER;
    s->u.counter = line_alloc(sizeof(struct metric_counter));
    return s->u.counter;
}

struct metric_gauge *metric_new_gauge(struct metrics *m, const char *name, const char *labels,
                                      const char *help)
{
    struct metric_series *s = series_add(m, name, METRIC_GAUGE, labels, help);

    s->source = METRIC_FROM_GAUGE;
    s->u.gauge = mem_new(struct metric_gauge);
    return s->u.gauge;
}

struct metric_histogram *metric_new_histogram(struct metrics *m, const char *name,
                                              const char *labels, const char *help,
                                              const double *bounds, size_t count)
{
    struct metric_series *s = series_add(m, name, METRIC_HISTOGRAM, labels, help);
    struct metric_histogram *h = line_alloc(sizeof(*h));

    CHECK(count >= 1 && count <= METRIC_BOUNDS_MAX);
    for (size_t i = 0; i < count; i++)
        CHECK(isfinite(bounds[i]) && (i == 0 || bounds[i] > bounds[i - 1]));
    memcpy(h->bounds, bounds, count * sizeof(*bounds));
    h->count = count;
    s->source = METRIC_FROM_HISTOGRAM;
    s->u.histogram = h;
    return h;
}

void metric_new_read(struct metrics *m, const char *name, const char *labels, const char *help,
                     bool is_counter, metric_read_fn *fn, void *ctx)
{
    struct metric_series *s =
        series_add(m, name, is_counter ? METRIC_COUNTER : METRIC_GAUGE, labels, help);

    CHECK(fn);
    s->source = METRIC_FROM_READ;
    s->u.read.fn = fn;
    s->u.read.ctx = ctx;
}

void metric_new_alias(struct metrics *m, const char *alias, const char *labels, const char *help,
                      struct metric_counter *of)
{
    bool is_counter = slice_ends(slice_cstr(alias), SLICE("_total"));
    struct metric_series *s =
        series_add(m, alias, is_counter ? METRIC_COUNTER : METRIC_UNTYPED, labels, help);

    CHECK(of);
    s->source = METRIC_FROM_COUNTER;
    s->is_alias = true;
    s->u.counter = of;
}

void metric_add(struct metric_counter *c, uint64_t n)
{
    if (c)
        atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

uint64_t metric_value(const struct metric_counter *c)
{
    return c ? atomic_load_explicit(&c->value, memory_order_relaxed) : 0;
}

void metric_set(struct metric_gauge *g, double value)
{
    if (g)
        atomic_store_explicit(&g->value, value, memory_order_relaxed);
}

void metric_observe(struct metric_histogram *h, double value)
{
    size_t low = 0, high;

    if (!h || isnan(value))
        return;
    high = h->count; /* the first bound that is not below the value; h->count: +Inf */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (h->bounds[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    atomic_fetch_add_explicit(&h->buckets[low], 1, memory_order_relaxed);
    double old = atomic_load_explicit(&h->sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&h->sum, &old, old + value, memory_order_relaxed,
                                                  memory_order_relaxed))
        continue;
}
