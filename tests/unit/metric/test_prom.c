#include "metric/metric.h"
#include "unit.h"

#include <math.h>

static double read_value(void *ctx)
{
    return *(double *)ctx;
}

struct sample {
    struct metrics *m;
    double queue, unknown;
};

/* Families are created interleaved on purpose. */
static void sample_new(struct sample *s)
{
    static const double bounds[] = {0.005, 1, 2.5};
    struct metrics *m = metrics_new();

    *s = (struct sample){.m = m, .queue = 7.25, .unknown = NAN};
    struct metric_counter *stored =
        metric_new_counter(m, "hedgerow_events_total", "outcome=\"stored\"", "Events by outcome.");
    struct metric_gauge *up =
        metric_new_gauge(m, "hedgerow_up", NULL, "A \"quote\", a \\ and\na line.");
    struct metric_histogram *h =
        metric_new_histogram(m, "hedgerow_wait_seconds", "step=\"a\"", "Wait.", bounds, 3);
    metric_new_counter(m, "hedgerow_events_total", "outcome=\"dead\"", NULL);
    metric_new_read(m, "hedgerow_queue_bytes", NULL, "Bytes.", false, read_value, &s->queue);
    metric_new_read(m, "hedgerow_unknown", NULL, "Never known.", false, read_value, &s->unknown);
    metric_new_alias(m, "capture_events_total", NULL, "Alias.", stored);
    metric_new_alias(m, "capture_exceeded", "kind=\"x\"", "Alias without the suffix.", stored);
    metric_add(stored, 18446744073709551615u);
    metric_set(up, 1e-7);
    metric_observe(h, 0.001);
    metric_observe(h, 2);
    metric_observe(h, 1000);
}

static void prometheus_text(void **state)
{
    static const char expected[] =
        "# HELP hedgerow_events_total Events by outcome.\n"
        "# TYPE hedgerow_events_total counter\n"
        "hedgerow_events_total{outcome=\"stored\"} 18446744073709551615\n"
        "hedgerow_events_total{outcome=\"dead\"} 0\n"
        "# HELP hedgerow_up A \"quote\", a \\\\ and\\na line.\n"
        "# TYPE hedgerow_up gauge\n"
        "hedgerow_up 1e-07\n"
        "# HELP hedgerow_wait_seconds Wait.\n"
        "# TYPE hedgerow_wait_seconds histogram\n"
        "hedgerow_wait_seconds_bucket{step=\"a\",le=\"0.005\"} 1\n"
        "hedgerow_wait_seconds_bucket{step=\"a\",le=\"1\"} 1\n"
        "hedgerow_wait_seconds_bucket{step=\"a\",le=\"2.5\"} 2\n"
        "hedgerow_wait_seconds_bucket{step=\"a\",le=\"+Inf\"} 3\n"
        "hedgerow_wait_seconds_sum{step=\"a\"} 1002.001\n"
        "hedgerow_wait_seconds_count{step=\"a\"} 3\n"
        "# HELP hedgerow_queue_bytes Bytes.\n"
        "# TYPE hedgerow_queue_bytes gauge\n"
        "hedgerow_queue_bytes 7.25\n"
        "# HELP hedgerow_unknown Never known.\n"
        "# TYPE hedgerow_unknown gauge\n"
        "# HELP capture_events_total Alias.\n"
        "# TYPE capture_events_total counter\n"
        "capture_events_total 18446744073709551615\n"
        "# HELP capture_exceeded Alias without the suffix.\n"
        "# TYPE capture_exceeded untyped\n"
        "capture_exceeded{kind=\"x\"} 18446744073709551615\n";
    struct buf out = BUF_INIT(1 << 20);
    struct sample s;

    UNUSED(state);
    sample_new(&s);
    assert_true(metrics_prometheus(s.m, false, &out));
    assert_string_equal(buf_cstr(&out), expected);
    metrics_free(s.m);
    buf_free(&out);
}

static void openmetrics_text(void **state)
{
    static const char *const parts[] = {
        "# HELP hedgerow_events Events by outcome.\n# TYPE hedgerow_events counter\n"
        "hedgerow_events_total{outcome=\"stored\"} 18446744073709551615\n",
        "# HELP hedgerow_up A \\\"quote\\\", a \\\\ and\\na line.\n",
        "_bucket{step=\"a\",le=\"0.005\"} 1\n",
        "_bucket{step=\"a\",le=\"1.0\"} 1\n",
        "_bucket{step=\"a\",le=\"+Inf\"} 3\n",
        "# TYPE capture_exceeded unknown\ncapture_exceeded{kind=\"x\"} ",
    };
    struct buf out = BUF_INIT(1 << 20);
    struct sample s;

    UNUSED(state);
    sample_new(&s);
    assert_true(metrics_prometheus(s.m, true, &out));
    const char *text = buf_cstr(&out);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_non_null(strstr(text, parts[i]));
    assert_string_equal(text + out.len - 6, "# EOF\n");
    metrics_free(s.m);
    buf_free(&out);
}

static void numbers_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } table[] = {
        {0, "0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {1e21, "1e+21"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {123456789012.0, "123456789012"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf out = BUF_INIT(1000), expected = BUF_INIT(1000);
        struct metrics *m = metrics_new();
        metric_set(metric_new_gauge(m, "g", NULL, "G."), table[i].value);
        assert_true(metrics_prometheus(m, false, &out));
        buf_addf(&expected, "# HELP g G.\n# TYPE g gauge\ng %s\n", table[i].text);
        assert_string_equal(buf_cstr(&out), buf_cstr(&expected));
        metrics_free(m);
        buf_free(&out);
        buf_free(&expected);
    }
}

static void an_empty_registry_and_a_full_buffer(void **state)
{
    struct metrics *m = metrics_new();
    struct buf out = BUF_INIT(10);

    UNUSED(state);
    assert_true(metrics_prometheus(m, true, &out));
    assert_string_equal(buf_cstr(&out), "# EOF\n");
    metric_new_gauge(m, "g", NULL, "G.");
    buf_clear(&out);
    assert_false(metrics_prometheus(m, false, &out));
    metrics_free(m);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prometheus_text),
        cmocka_unit_test(openmetrics_text),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(an_empty_registry_and_a_full_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
