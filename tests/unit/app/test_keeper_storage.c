#include "keeper_aid.h"

struct ask {
    struct plugin_storage_call call;
    atomic_bool is_done;
    bool ok;
    struct err err;
    int place; /* in the order of answers */
    atomic_int *answers;
};

static void on_done(struct plugin_storage_call *call, bool ok, const struct err *err)
{
    struct ask *a = CONTAINER_OF(call, struct ask, call);

    a->ok = ok;
    a->err = *err;
    a->place = atomic_fetch_add(a->answers, 1);
    atomic_store(&a->is_done, true);
}

struct asker {
    struct kept w;
    atomic_int answers;
};

static void ask(struct asker *t, struct ask *a, enum plugin_storage_op op, const char *key,
                const char *value)
{
    *a = (struct ask){.answers = &t->answers};
    a->call.op = op;
    a->call.config_id = 1;
    a->call.key = slice_cstr(key);
    a->call.value = BUF_INIT(1 << 16);
    buf_add_str(&a->call.value, value);
    a->call.done = on_done;
    keeper_storage_call(t->w.k, &a->call);
}

static void wait_for(struct ask *a)
{
    while (!atomic_load(&a->is_done))
        sched_yield();
}

/* value NULL: not found. */
static void expect_found(struct ask *a, const char *value)
{
    wait_for(a);
    if (!a->ok)
        fail_msg("%s", a->err.text);
    assert_int_equal(a->call.is_found, value != NULL);
    if (value)
        assert_string_equal(buf_cstr(&a->call.value), value);
    buf_free(&a->call.value);
}

static void expect_done(struct ask *a)
{
    wait_for(a);
    if (!a->ok)
        fail_msg("%s", a->err.text);
    buf_free(&a->call.value);
}

static void expect_fault(struct ask *a, enum err_code code)
{
    wait_for(a);
    assert_false(a->ok);
    assert_int_equal(a->err.code, code);
    buf_free(&a->call.value);
}

static void asker_open(struct asker *t)
{
    *t = (struct asker){.answers = 0};
    kept_open(&t->w, NULL);
}

static void asker_close(struct asker *t)
{
    kept_stop(&t->w);
    kept_close(&t->w);
}

static void calls_are_done_in_order_in_one_go(void **state)
{
    struct asker t;
    struct ask a[8];
    struct hold h;

    UNUSED(state);
    asker_open(&t);
    kept_start(&t.w);
    hold_begin(&h, t.w.pipe);
    ask(&t, &a[0], PLUGIN_STORAGE_SET, "first", "0"); /* on its way alone */
    uint64_t before = fake_store_calls(t.w.fake, FAKE_COMMIT);
    ask(&t, &a[1], PLUGIN_STORAGE_GET, "k", "");
    ask(&t, &a[2], PLUGIN_STORAGE_SET, "k", "1");
    ask(&t, &a[3], PLUGIN_STORAGE_GET, "k", "");
    ask(&t, &a[4], PLUGIN_STORAGE_SET, "k", "2");
    ask(&t, &a[5], PLUGIN_STORAGE_DEL, "first", "");
    ask(&t, &a[6], PLUGIN_STORAGE_GET, "k", "");
    ask(&t, &a[7], PLUGIN_STORAGE_GET, "first", "");
    assert_int_equal(atomic_load(&t.answers), 0);
    hold_end(&h);
    expect_done(&a[0]);
    expect_found(&a[1], NULL);
    expect_done(&a[2]);
    expect_found(&a[3], "1");
    expect_done(&a[4]);
    expect_done(&a[5]);
    expect_found(&a[6], "2");
    expect_found(&a[7], NULL);
    for (int i = 0; i < 8; i++)
        assert_int_equal(a[i].place, i);
    assert_int_equal(fake_store_calls(t.w.fake, FAKE_COMMIT) - before, 2);
    asker_close(&t);
}

static void reading_commits_nothing(void **state)
{
    struct asker t;
    struct ask a;

    UNUSED(state);
    asker_open(&t);
    kept_start(&t.w);
    uint64_t before = fake_store_calls(t.w.fake, FAKE_COMMIT);
    for (int i = 0; i < 10; i++) {
        ask(&t, &a, PLUGIN_STORAGE_GET, "k", "");
        expect_found(&a, NULL);
    }
    assert_int_equal(fake_store_calls(t.w.fake, FAKE_COMMIT), before);
    asker_close(&t);
}

static void calls_before_the_start_wait(void **state)
{
    struct asker t;
    struct ask a, b;

    UNUSED(state);
    asker_open(&t);
    ask(&t, &a, PLUGIN_STORAGE_SET, "k", "1");
    assert_false(atomic_load(&a.is_done));
    kept_start(&t.w);
    expect_done(&a);
    ask(&t, &b, PLUGIN_STORAGE_GET, "k", "");
    expect_found(&b, "1");
    asker_close(&t);
}

static void counters(void **state)
{
    static const struct {
        enum plugin_storage_op op;
        const char *key, *value, *sum;
    } table[] = {
        {PLUGIN_STORAGE_ADD, "n", "1", "1"},      {PLUGIN_STORAGE_ADD, "n", "2.5", "3.5"},
        {PLUGIN_STORAGE_SET, "t", "\"x\"", NULL}, {PLUGIN_STORAGE_ADD, "t", "-4", "-4"},
        {PLUGIN_STORAGE_INIT, "i", "7", NULL},    {PLUGIN_STORAGE_INIT, "i", "8", NULL},
        {PLUGIN_STORAGE_ADD, "i", "1", "8"},
    };
    struct asker t;

    UNUSED(state);
    asker_open(&t);
    kept_start(&t.w);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ask a;
        ask(&t, &a, table[i].op, table[i].key, table[i].value);
        wait_for(&a);
        assert_true(a.ok);
        if (table[i].sum)
            assert_string_equal(buf_cstr(&a.call.value), table[i].sum);
        buf_free(&a.call.value);
    }
    asker_close(&t);
}

static void one_calls_fault_is_its_own(void **state)
{
    struct asker t;
    struct ask a[4];
    struct hold h;

    UNUSED(state);
    asker_open(&t);
    kept_start(&t.w);
    hold_begin(&h, t.w.pipe);
    fake_store_fail(t.w.fake, FAKE_STORAGE_SET, 3, 1, ERR_INPUT);
    for (int i = 0; i < 4; i++)
        ask(&t, &a[i], PLUGIN_STORAGE_SET, "k", i == 2 ? "bad" : "good");
    hold_end(&h);
    expect_done(&a[0]);
    expect_done(&a[1]);
    expect_fault(&a[2], ERR_INPUT);
    expect_done(&a[3]);
    asker_close(&t);
}

/* A group that the store could not take is done again as a whole, and its sums are right. */
static void a_busy_store_is_tried_again(void **state)
{
    static const enum err_code codes[] = {ERR_RETRY, ERR_FULL};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct asker t;
        struct ask a, b, c;
        struct hold h;

        asker_open(&t);
        kept_start(&t.w);
        hold_begin(&h, t.w.pipe);
        ask(&t, &a, PLUGIN_STORAGE_ADD, "n", "5");
        ask(&t, &b, PLUGIN_STORAGE_ADD, "n", "6");
        ask(&t, &c, PLUGIN_STORAGE_SET, "m", "1");
        fake_store_fail(t.w.fake, FAKE_STORAGE_SET, 3, 1, codes[i]); /* the last of the three */
        hold_end(&h);
        wait_for(&c);
        assert_true(a.ok && b.ok && c.ok);
        assert_string_equal(buf_cstr(&a.call.value), "5");
        assert_string_equal(buf_cstr(&b.call.value), "11");
        buf_free(&a.call.value);
        buf_free(&b.call.value);
        buf_free(&c.call.value);
        asker_close(&t);
    }
}

static void the_end_is_told(void **state)
{
    struct asker t;
    struct ask a, b;

    UNUSED(state);
    asker_open(&t);
    kept_start(&t.w);
    pipe_stop(t.w.pipe, STOP_US);
    ask(&t, &a, PLUGIN_STORAGE_SET, "k", "1");
    ask(&t, &b, PLUGIN_STORAGE_GET, "k", "");
    expect_fault(&a, ERR_STOP);
    expect_fault(&b, ERR_STOP);
    asker_close(&t);
}

/* More calls than one group takes. */
static void many_calls(void **state)
{
    enum { CALLS = 2 * KEEPER_GROUP_CALLS + 100 };
    struct ask *all = mem_new_array(struct ask, CALLS);
    struct asker t;
    struct hold h;

    UNUSED(state);
    asker_open(&t);
    kept_start(&t.w);
    hold_begin(&h, t.w.pipe);
    for (int i = 0; i < CALLS; i++)
        ask(&t, &all[i], PLUGIN_STORAGE_ADD, "n", "1");
    hold_end(&h);
    for (int i = 0; i < CALLS; i++) {
        char sum[16];
        wait_for(&all[i]);
        snprintf(sum, sizeof(sum), "%d", i + 1);
        assert_true(all[i].ok);
        assert_int_equal(all[i].place, i);
        assert_string_equal(buf_cstr(&all[i].call.value), sum);
        buf_free(&all[i].call.value);
    }
    asker_close(&t);
    mem_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_done_in_order_in_one_go),
        cmocka_unit_test(reading_commits_nothing),
        cmocka_unit_test(calls_before_the_start_wait),
        cmocka_unit_test(counters),
        cmocka_unit_test(one_calls_fault_is_its_own),
        cmocka_unit_test(a_busy_store_is_tried_again),
        cmocka_unit_test(the_end_is_told),
        cmocka_unit_test(many_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
