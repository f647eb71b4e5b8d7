#include "base/clock.h"
#include "pipe/pipe_priv.h"

static double lag_records(void *ctx)
{
    struct pipe *p = ctx;
    struct feed_status s = {0};

    p->opt.feed.ops->status(p->opt.feed.self, &s);
    return s.end > s.cursor ? (double)(s.end - s.cursor) : 0;
}

/* Age of the oldest record that is not yet stored; 0 when there is none. */
static double lag_seconds(void *ctx)
{
    struct pipe *p = ctx;
    struct feed_status s = {0};
    int64_t age;

    p->opt.feed.ops->status(p->opt.feed.self, &s);
    age = s.oldest_unread_us ? clock_wall_us() - s.oldest_unread_us : 0;
    return age > 0 ? (double)age / 1e6 : 0;
}

static double in_flight(void *ctx)
{
    struct pipe *p = ctx;

    return (double)(atomic_load(&p->count_read) - atomic_load(&p->count_finished));
}

static struct metric_counter *labelled(struct metrics *m, const char *name, const char *label,
                                       const char *value, const char *help)
{
    char labels[128];
    struct buf text = BUF_INIT(sizeof(labels) - 1);

    buf_addf(&text, "%s=\"%s\"", label, value);
    memcpy(labels, buf_cstr(&text), text.len + 1);
    buf_free(&text);
    return metric_new_counter(m, name, labels, help);
}

static struct metric_histogram *step_histogram(struct metrics *m, const char *step)
{
    static const double bounds[] = {1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5,
                                    1e-4, 1e-3, 1e-2, 0.1,  1,    10};
    struct buf labels = BUF_INIT(128);
    struct metric_histogram *h;

    buf_addf(&labels, "step=\"%s\"", step);
    h = metric_new_histogram(
        m, "hedgerow_event_processing_duration_seconds", buf_cstr(&labels),
        "Time of one step, of a sample of the events (commit: of every transaction).", bounds,
        ARRAY_LEN(bounds));
    buf_free(&labels);
    return h;
}

void pipe_meters_init(struct pipe *p)
{
    static const char *const outcomes[OUTCOME_COUNT] = {"stored", "duplicate", "dropped",
                                                        "dead_letter"};
    static const char *const warnings[WARNING_COUNT] = {
        "cannot_merge_already_identified", "cannot_merge_with_illegal_distinct_id",
        "ignored_invalid_timestamp", "event_timestamp_in_future", "properties_over_limit"};
    static const double batches[] = {1, 10, 100, 500, 1000, 2000, 5000, 10000};
    struct metrics *m = p->opt.metrics;

    if (!m)
        return;
    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        p->meters.outcomes[i] =
            labelled(m, "hedgerow_events_processed_total", "outcome", outcomes[i],
                     "Events that came to their end in the pipeline.");
    for (size_t i = 0; i < DEAD_REASON_COUNT; i++)
        p->meters.dead[i] = labelled(m, "hedgerow_events_dead_letter_total", "reason",
                                     dead_letter_reason_name((enum dead_reason)i),
                                     "Events that could not be processed.");
    for (size_t i = 0; i < WARNING_COUNT; i++)
        p->meters.warnings[i] =
            labelled(m, "hedgerow_ingestion_warnings_total", "type", warnings[i],
                     "Events that were stored although something about them is wrong.");
    p->meters.batch_events =
        metric_new_histogram(m, "hedgerow_store_batch_events", NULL, "Events of one transaction.",
                             batches, ARRAY_LEN(batches));
    for (size_t i = 0; i < p->step_count; i++)
        p->meters.step_seconds[i] = step_histogram(m, p->steps[i].name);
    p->meters.store_seconds = step_histogram(m, "store");
    p->meters.commit_seconds = step_histogram(m, "commit");
}

void pipe_meters_watch(struct pipe *p)
{
    struct metrics *m = p->opt.metrics;

    if (!m)
        return;
    metric_new_read(m, "hedgerow_queue_lag_records", NULL,
                    "Records of the queue that are not yet stored.", false, lag_records, p);
    metric_new_read(m, "hedgerow_queue_lag_seconds", NULL,
                    "Age of the oldest record that is not yet stored.", false, lag_seconds, p);
    metric_new_read(m, "hedgerow_events_in_flight", NULL, "Events between the queue and the store.",
                    false, in_flight, p);
}
