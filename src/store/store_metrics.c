/* What the store shows in /metrics. Values that are asked for come from atomics or the file system.
 */
#include "store/store_priv.h"

static const double seconds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                 0.1,    0.25,  0.5,    1,     2.5,  5};

static double read_wal(void *ctx)
{
    return (double)store_wal_bytes(ctx);
}

static double read_wal_alarm(void *ctx)
{
    const struct store_sqlite *s = ctx;

    return store_wal_bytes(s) > s->opt.wal_alarm_bytes;
}

static double read_database(void *ctx)
{
    return (double)store_database_bytes(ctx);
}

static double read_unfolded(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_unfolded,
                                        memory_order_relaxed);
}

static double read_open_rows(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_open_rows,
                                        memory_order_relaxed);
}

static double read_window(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_dedupe_window_us,
                                        memory_order_relaxed) /
           1e6;
}

static double read_entries(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_dedupe_entries,
                                        memory_order_relaxed);
}

static double read_persons(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_persons_cached,
                                        memory_order_relaxed);
}

static double read_change(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_last_change,
                                        memory_order_relaxed);
}

static double read_events(void *ctx)
{
    return (double)atomic_load_explicit(&((struct store_sqlite *)ctx)->seen_events,
                                        memory_order_relaxed);
}

static const struct {
    const char *name, *help;
    metric_read_fn *fn;
    bool is_counter;
} reads[] = {
    {"hedgerow_store_events_total", "Events stored since start.", read_events, true},
    {"hedgerow_store_change_sequence", "Last number of the change sequence.", read_change, false},
    {"hedgerow_store_wal_bytes", "Write-ahead log in use.", read_wal, false},
    {"hedgerow_store_wal_alarm", "1 while the write-ahead log is over WAL_ALARM_BYTES.",
     read_wal_alarm, false},
    {"hedgerow_store_database_bytes", "Size of hedgerow.db.", read_database, false},
    {"hedgerow_store_unfolded_rows", "Rows of the change log that are not in their tables yet.",
     read_unfolded, false},
    {"hedgerow_store_open_part_rows", "Newest events that the event index has in memory only.",
     read_open_rows, false},
    {"hedgerow_store_dedupe_window_seconds", "Time in which repeated events are found.",
     read_window, false},
    {"hedgerow_store_dedupe_entries", "Uuids in the duplicate filter.", read_entries, false},
    {"hedgerow_store_persons_cached", "Persons in memory.", read_persons, false},
};

void store_metrics_register(struct store_sqlite *s, struct metrics *m)
{
    if (!m)
        return;
    s->metrics.commit =
        metric_new_histogram(m, "hedgerow_store_commit_duration_seconds", NULL,
                             "Time of a commit with its sync.", seconds, ARRAY_LEN(seconds));
    s->metrics.tidy =
        metric_new_histogram(m, "hedgerow_store_tidy_duration_seconds", NULL,
                             "Time of a slice of upkeep.", seconds, ARRAY_LEN(seconds));
    s->metrics.checkpoint =
        metric_new_histogram(m, "hedgerow_store_checkpoint_duration_seconds", NULL,
                             "Time of a checkpoint.", seconds, ARRAY_LEN(seconds));
    s->metrics.checkpoints_busy = metric_new_counter(m, "hedgerow_store_checkpoints_busy_total",
                                                     NULL, "Checkpoints that a reader held up.");
    for (size_t i = 0; i < ARRAY_LEN(reads); i++)
        metric_new_read(m, reads[i].name, NULL, reads[i].help, reads[i].is_counter, reads[i].fn, s);
}
