#include "base/mem.h"
#include "child.h"
#include "metric/metric_priv.h"
#include "unit.h"

#include <math.h>
#include <pthread.h>

static void counters_and_gauges_count(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_counter *c = metric_new_counter(m, "a_total", NULL, "A.");
    struct metric_gauge *g = metric_new_gauge(m, "b", "x=\"1\"", "B.");

    UNUSED(state);
    metric_add(c, 1);
    metric_add(c, 41);
    metric_set(g, 1.5);
    assert_int_equal(metric_value(c), 42);
    assert_true(g->value > 1.4 && g->value < 1.6);
    assert_int_equal((uintptr_t)c % METRIC_LINE, 0);
    metrics_free(m);
}

static void nothing_happens_without_a_metric(void **state)
{
    UNUSED(state);
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe(NULL, 1);
    assert_int_equal(metric_value(NULL), 0);
    metrics_free(NULL);
}

static void observations_fall_into_their_bucket(void **state)
{
    static const double bounds[] = {0.1, 1, 10};
    static const double values[] = {-1, 0.1, 0.11, 1, 9.99, 10, 10.01, INFINITY, NAN};
    struct metrics *m = metrics_new();
    struct metric_histogram *h = metric_new_histogram(m, "h_seconds", NULL, "H.", bounds, 3);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        metric_observe(h, values[i]);
    assert_int_equal(h->buckets[0], 2);
    assert_int_equal(h->buckets[1], 2);
    assert_int_equal(h->buckets[2], 2);
    assert_int_equal(h->buckets[3], 2);
    metrics_free(m);
}

#define ROUNDS 20000

static void *count_and_observe(void *ctx)
{
    void **both = ctx;

    for (int i = 0; i < ROUNDS; i++) {
        metric_add(both[0], 1);
        metric_observe(both[1], 0.5);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    static const double bounds[] = {1};
    struct metrics *m = metrics_new();
    void *both[] = {metric_new_counter(m, "a_total", NULL, "A."),
                    metric_new_histogram(m, "h", NULL, "H.", bounds, 1)};
    struct metric_histogram *h = both[1];
    pthread_t threads[4];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_and_observe, both), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_value(both[0]), 4 * ROUNDS);
    assert_int_equal(h->buckets[0], 4 * ROUNDS);
    assert_true(fabs(h->sum - 4 * ROUNDS * 0.5) < 0.001);
    metrics_free(m);
}

/* What must not be created: {name, labels, type}, beside a_total, a{x="1"} of type gauge in g, and
 * help. */
struct wrong {
    const char *name, *labels, *help;
    char type;
};

static void create(void *ctx)
{
    static const double bounds[] = {1}, descending[] = {2, 1}, endless[] = {INFINITY};
    const struct wrong *w = ctx;
    struct metrics *m = metrics_new();

    metric_new_counter(m, "a_total", NULL, "A.");
    metric_new_gauge(m, "g", "x=\"1\"", "G.");
    switch (w->type) {
    case 'c':
        metric_new_counter(m, w->name, w->labels, w->help);
        break;
    case 'g':
        metric_new_gauge(m, w->name, w->labels, w->help);
        break;
    case 'h':
        metric_new_histogram(m, w->name, w->labels, w->help, bounds, 1);
        break;
    case 'd':
        metric_new_histogram(m, w->name, w->labels, w->help, descending, 2);
        break;
    case 'e':
        metric_new_histogram(m, w->name, w->labels, w->help, endless, 1);
        break;
    case 'r':
        metric_new_read(m, w->name, w->labels, w->help, false, NULL, NULL);
        break;
    default:
        metric_new_alias(m, w->name, w->labels, w->help, NULL);
        break;
    }
}

static void wrong_metrics_are_bugs_of_ours(void **state)
{
    static const struct wrong table[] = {
        {"a_total", NULL, "twice", 'c'},
        {"g", "x=\"1\"", "twice", 'g'},
        {"a", NULL, "the family of a_total in OpenMetrics", 'g'},
        {"g", "x=\"2\"", "another type", 'h'},
        {"b", NULL, "a counter without _total", 'c'},
        {"_total", NULL, "nothing before it", 'c'},
        {"b_total", NULL, "no counter", 'g'},
        {"b_bucket", NULL, "reserved", 'g'},
        {"b_count", NULL, "reserved", 'g'},
        {"b_sum", NULL, "reserved", 'h'},
        {"9b", NULL, "name", 'g'},
        {"b-c", NULL, "name", 'g'},
        {"", NULL, "name", 'g'},
        {"b", "x", "labels", 'g'},
        {"b", "x=1", "labels", 'g'},
        {"b", "x=\"1", "labels", 'g'},
        {"b", "x=\"1\",", "labels", 'g'},
        {"b", "x=\"1\"y=\"2\"", "labels", 'g'},
        {"b", "x=\"\\q\"", "labels", 'g'},
        {"b", "x=\"a\nb\"", "labels", 'g'},
        {"b", "__x=\"1\"", "labels", 'g'},
        {"b", "x:y=\"1\"", "labels", 'g'},
        {"b", NULL, "", 'g'},
        {"b", NULL, "bounds", 'd'},
        {"b", NULL, "bounds", 'e'},
        {"b", NULL, "no function", 'r'},
        {"b_total", NULL, "of nothing", 'a'},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct wrong w = table[i];
        if (!child_aborts(create, &w, "metric.c"))
            fail_msg("%zu: %s{%s} (%s) was created", i, w.name, w.labels ? w.labels : "", w.help);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges_count),
        cmocka_unit_test(nothing_happens_without_a_metric),
        cmocka_unit_test(observations_fall_into_their_bucket),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(wrong_metrics_are_bugs_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
