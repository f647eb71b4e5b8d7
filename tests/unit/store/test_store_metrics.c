#include "store_aid.h"

static void shown(void **state)
{
    static const char *const wanted[] = {"hedgerow_store_events_total 3\n",
                                         "hedgerow_store_change_sequence 3\n",
                                         "hedgerow_store_commit_duration_seconds_count 1\n",
                                         "hedgerow_store_dedupe_window_seconds 86400\n",
                                         "hedgerow_store_dedupe_entries 3\n",
                                         "hedgerow_store_open_part_rows 3\n",
                                         "hedgerow_store_unfolded_rows 0\n",
                                         "hedgerow_store_persons_cached 0\n",
                                         "hedgerow_store_wal_alarm 0\n",
                                         "hedgerow_store_wal_bytes ",
                                         "hedgerow_store_database_bytes ",
                                         "hedgerow_store_tidy_duration_seconds_count 0\n",
                                         "hedgerow_store_checkpoint_duration_seconds_count 0\n",
                                         "hedgerow_store_checkpoints_busy_total 0\n"};
    struct aid a, *aid = &a;
    struct buf text = BUF_INIT(1 << 20);
    struct metrics *m = metrics_new();

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.metrics = m;
    aid_open_again(aid);
    aid_insert_many(aid, 0, 3);
    assert_true(metrics_prometheus(m, false, &text));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(buf_cstr(&text), wanted[i]))
            fail_msg("no %s in %s", wanted[i], buf_cstr(&text));
    aid_close(aid);
    buf_free(&text);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
