#include "plugin_aid.h"

static void test_chain(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_set *s = plugin_set_new();
    const struct plugin_config *const *chain;
    size_t count;

    UNUSED(state);
    plugins_aid_add(p, s, &(struct plugin_config){.id = 5, .team_id = 2, .order = 3});
    plugins_aid_add(p, s, &(struct plugin_config){.id = 4, .team_id = 2, .order = 3});
    plugins_aid_add(p, s, &(struct plugin_config){.id = 6, .team_id = 2, .order = 1});
    plugins_aid_add(p, s, &(struct plugin_config){.id = 7, .team_id = 1, .order = 9});
    plugin_set_add(s, &(struct plugin_config){
                          .id = 8, .team_id = 3, .state = plugins_aid_state(p, 8)}); /* disabled */
    plugin_set_seal(s);
    chain = plugin_set_team(s, 2, &count);
    assert_int_equal(count, 3);
    assert_int_equal(chain[0]->id, 6);
    assert_int_equal(chain[1]->id, 4);
    assert_int_equal(chain[2]->id, 5);
    chain = plugin_set_team(s, 1, &count);
    assert_int_equal(count, 1);
    assert_int_equal(chain[0]->id, 7);
    assert_null(plugin_set_team(s, 3, &count));
    assert_int_equal(count, 0);
    assert_null(plugin_set_team(s, 9, &count));
    assert_int_equal(plugin_set_count(s), 5);
    assert_false(plugin_set_find(s, 8)->is_enabled);
    assert_null(plugin_set_find(s, 9));
    plugin_set_unref(s);
    plugin_set_unref(NULL);
    plugins_free(p);
}

static uint64_t fingerprint_of(struct plugins *p, const struct plugin_config *c)
{
    struct plugin_set *s = plugin_set_new();
    uint64_t result;

    plugins_aid_add(p, s, c);
    plugin_set_seal(s);
    result = plugin_set_at(s, 0)->fingerprint;
    plugin_set_unref(s);
    return result;
}

/* Everything a context is made of changes the fingerprint; order does not. */
static void test_fingerprint(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_attachment a = {.key = "k", .contents = SLICE("x")};
    struct plugin_attachment b = {.key = "k", .contents = SLICE("y")};
    struct plugin_config base = {.id = 1, .team_id = 2, .plugin_name = "n", .source = SLICE("s")};
    struct plugin_config other[] = {
        {.id = 2, .team_id = 2, .plugin_name = "n", .source = SLICE("s")},
        {.id = 1, .team_id = 3, .plugin_name = "n", .source = SLICE("s")},
        {.id = 1, .team_id = 2, .plugin_name = "m", .source = SLICE("s")},
        {.id = 1, .team_id = 2, .plugin_name = "n", .source = SLICE("t")},
        {.id = 1,
         .team_id = 2,
         .plugin_name = "n",
         .source = SLICE("s"),
         .config_json = "{\"a\":1}"},
        {.id = 1, .team_id = 2, .plugin_name = "n", .source = SLICE("s"), .builtin = "geoip"},
        {.id = 1, .team_id = 2, .plugin_name = "n", .source = SLICE("s"), .load_error = "no"},
        {.id = 1, .team_id = 2, .plugin_name = "n", .source = SLICE("s"), .fingerprint = 7},
        {.id = 1, .team_id = 2, .plugin_name = "ns", .source = SLICE("")},
        {.id = 1,
         .team_id = 2,
         .plugin_name = "n",
         .source = SLICE("s"),
         .attachments = &a,
         .attachment_count = 1},
        {.id = 1,
         .team_id = 2,
         .plugin_name = "n",
         .source = SLICE("s"),
         .attachments = &b,
         .attachment_count = 1},
    };
    uint64_t seen[ARRAY_LEN(other) + 1];

    UNUSED(state);
    seen[0] = fingerprint_of(p, &base);
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        seen[i + 1] = fingerprint_of(p, &other[i]);
        for (size_t k = 0; k <= i; k++)
            assert_true(seen[k] != seen[i + 1]);
    }
    base.order = 9;
    assert_true(fingerprint_of(p, &base) == seen[0]);
    plugins_free(p);
}

/* What was given may go; the copy stays. */
static void test_copies(void **state)
{
    struct plugins *p = plugins_aid_new(NULL);
    struct plugin_set *s = plugin_set_new();
    char text[] = "before";
    struct plugin_attachment a = {
        .key = text, .content_type = text, .file_name = text, .contents = slice_cstr(text)};
    const struct plugin_config *c;

    UNUSED(state);
    plugins_aid_add(p, s,
                    &(struct plugin_config){.id = 1,
                                            .team_id = 1,
                                            .plugin_name = text,
                                            .source = slice_cstr(text),
                                            .config_json = text,
                                            .load_error = text,
                                            .attachments = &a,
                                            .attachment_count = 1});
    plugin_set_seal(s);
    memset(text, 'x', sizeof(text) - 1);
    c = plugin_set_at(s, 0);
    assert_string_equal(c->plugin_name, "before");
    assert_true(slice_eq(c->source, SLICE("before")));
    assert_string_equal(c->source_path, "/index.js");
    assert_string_equal(c->config_json, "before");
    assert_string_equal(c->load_error, "before");
    assert_string_equal(c->attachments[0].key, "before");
    assert_true(slice_eq(c->attachments[0].contents, SLICE("before")));
    plugin_set_unref(s);
    plugins_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
