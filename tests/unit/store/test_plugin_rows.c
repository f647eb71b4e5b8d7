#include "store_aid.h"

static void expect_stored(struct aid *aid, int64_t config_id, const char *key, const char *wanted)
{
    struct buf value = BUF_INIT(1 << 20);
    bool found;

    must(aid->ops->plugin_storage_get(aid->self, config_id, slice_cstr(key), &value, &found,
                                      &aid->err));
    assert_int_equal(found, wanted != NULL);
    assert_string_equal(buf_cstr(&value), wanted ? wanted : "");
    buf_free(&value);
}

static void set(struct aid *aid, int64_t config_id, const char *key, const char *value)
{
    must(aid->ops->plugin_storage_set(aid->self, config_id, slice_cstr(key), slice_cstr(value),
                                      &aid->err));
}

static void storage(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->plugin_storage_set(aid->self, 1, SLICE("k"), SLICE("1"), &aid->err));
    assert_false(aid->ops->plugin_storage_remove(aid->self, 1, SLICE("k"), &aid->err));
    aid_begin(aid);
    set(aid, 1, "k", "{\"n\":1}");
    set(aid, 1, "k", "{\"n\":2}");
    set(aid, 2, "k", "3");
    set(aid, 1, "", "4");
    expect_stored(aid, 1, "k", "{\"n\":2}");
    aid_commit(aid);
    aid_begin(aid);
    set(aid, 1, "k", "gone");
    must(aid->ops->plugin_storage_remove(aid->self, 2, SLICE("k"), &aid->err));
    aid->ops->rollback(aid->self);
    aid_reopen(aid);
    expect_stored(aid, 1, "k", "{\"n\":2}");
    expect_stored(aid, 2, "k", "3");
    expect_stored(aid, 1, "", "4");
    expect_stored(aid, 3, "k", NULL);
    aid_begin(aid);
    must(aid->ops->plugin_storage_remove(aid->self, 1, SLICE("k"), &aid->err));
    must(aid->ops->plugin_storage_remove(aid->self, 1, SLICE("none"), &aid->err));
    aid_commit(aid);
    expect_stored(aid, 1, "k", NULL);
    aid_close(aid);
}

static void a_value_that_does_not_fit(void **state)
{
    struct aid a, *aid = &a;
    struct buf value = BUF_INIT(3);
    bool found;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    set(aid, 1, "k", "1234");
    aid_commit(aid);
    assert_false(aid->ops->plugin_storage_get(aid->self, 1, SLICE("k"), &value, &found, &aid->err));
    assert_int_equal(aid->err.code, ERR_LIMIT);
    assert_int_equal(value.len, 0);
    expect_stored(aid, 1, "k", "1234");
    buf_free(&value);
    aid_close(aid);
}

static void logs(void **state)
{
    struct aid a, *aid = &a;
    struct store_plugin_log rows[] = {
        {.team_id = 1,
         .config_id = 2,
         .at_us = 3,
         .source = SLICE("CONSOLE"),
         .type = SLICE("WARN"),
         .message = SLICE("hello"),
         .instance_id = SLICE("here")},
        {.team_id = 4, .config_id = 5, .at_us = 6},
    };

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->plugin_logs_insert(aid->self, rows, 2, &aid->err));
    aid_begin(aid);
    must(aid->ops->plugin_logs_insert(aid->self, rows, 2, &aid->err));
    must(aid->ops->plugin_logs_insert(aid->self, rows, 0, &aid->err));
    aid_commit(aid);
    expect_rows("SELECT * FROM v_plugin_logs", 7, "1|2|3|CONSOLE|WARN|hello|here\n4|5|6||||");
    aid_close(aid);
}

static bool add_state(const struct store_plugin_state *s, void *ctx)
{
    buf_addf(ctx, "%lld %s %lld %s\n", (long long)s->config_id, s->error_json ? s->error_json : "-",
             (long long)s->circuit_until_us, s->circuit_why ? s->circuit_why : "-");
    return true;
}

static void expect_states(struct aid *aid, const char *wanted)
{
    struct buf text = BUF_INIT(1 << 16);

    must(aid->ops->plugin_states_each(aid->self, add_state, &text, &aid->err));
    assert_string_equal(buf_cstr(&text), wanted);
    buf_free(&text);
}

static void states(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->plugin_error_put(aid->self, 1, "{}", &aid->err));
    assert_false(aid->ops->plugin_circuit_put(aid->self, 1, 5, "x", &aid->err));
    expect_states(aid, "");
    aid_begin(aid);
    must(aid->ops->plugin_error_put(aid->self, 2, "{\"message\":\"m\"}", &aid->err));
    must(aid->ops->plugin_circuit_put(aid->self, 1, 5, "it hung", &aid->err));
    aid_commit(aid);
    expect_states(aid, "1 - 5 it hung\n2 {\"message\":\"m\"} 0 -\n");
    aid_begin(aid);
    must(aid->ops->plugin_circuit_put(aid->self, 2, 6, "too", &aid->err));
    must(aid->ops->plugin_error_put(aid->self, 2, NULL, &aid->err));
    must(aid->ops->plugin_circuit_put(aid->self, 1, 0, NULL, &aid->err));
    aid_commit(aid);
    aid_reopen(aid);
    expect_states(aid, "2 - 6 too\n");
    aid_close(aid);
}

static void go_with_the_config(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    aid_begin(aid);
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "1/b" : "1/a";
        must(aid->ops->object_put(
            aid->self, &(struct store_object){.kind = "plugin_configs", .key = key, .json = "{}"},
            &aid->err));
        set(aid, i + 1, "k", key);
        must(aid->ops->plugin_error_put(aid->self, i + 1, key, &aid->err));
    }
    must(aid->ops->object_put(
        aid->self, &(struct store_object){.kind = "plugins", .key = "p", .json = "{}"}, &aid->err));
    aid_commit(aid);
    aid_begin(aid);
    must(aid->ops->object_remove(aid->self, "plugins", "p", &aid->err)); /* has number 1 as well */
    must(aid->ops->object_remove(aid->self, "plugin_configs", "1/b", &aid->err));
    aid_commit(aid);
    expect_stored(aid, 1, "k", "1/a");
    expect_stored(aid, 2, "k", NULL);
    expect_states(aid, "1 1/a 0 -\n");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage),
        cmocka_unit_test(a_value_that_does_not_fit),
        cmocka_unit_test(logs),
        cmocka_unit_test(states),
        cmocka_unit_test(go_with_the_config),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
