#include "admin_aid.h"

#define SHOP  "{\"id\":1,\"name\":\"Shop\",\"api_token\":\"phc_a\""
#define BLOG  "{\"id\":2,\"name\":\"Blog\",\"api_token\":\"phc_b\"}"
#define TEAMS "{\"teams\":[" SHOP "}," BLOG "]}"

static bool outcome_is(const struct provision_outcome *o, size_t added, size_t changed,
                       size_t removed)
{
    return o->teams_added == added && o->teams_changed == changed && o->teams_removed == removed;
}

static bool objects_are(const struct provision_outcome *o, size_t added, size_t changed,
                        size_t removed)
{
    return o->objects_added == added && o->objects_changed == changed &&
           o->objects_removed == removed;
}

static const char *token_of(struct aid *aid, int64_t id, char out[64])
{
    struct team_set *set = NULL;

    must(aid->store.ops->teams_load(aid->store.self, &set, &aid->err));
    const struct team *t = team_by_id(set, id);
    snprintf(out, 64, "%s", t ? t->api_token : "");
    team_set_unref(set);
    return out;
}

static void twice_changes_nothing(void **state)
{
    static const char file[] =
        "{\"teams\":[" SHOP ",\"anonymize_ips\":true,\"slack_incoming_webhook\":\"https://x/y\","
        "\"bucket\":\"b\",\"class\":\"paid\",\"organization\":\"o\",\"over_quota\":[\"events\"],"
        "\"drop\":[\"bot\"],\"quota\":{\"per_second\":1}}," BLOG "],"
        "\"plugins\":[{\"name\":\"p\",\"source\":\"dir:p\"}],\"feature_flags\":[{\"team\":1,"
        "\"key\":\"f\",\"active\":true}],\"personal_api_keys\":[{\"key\":\"phx_1\",\"team\":2}]}";
    struct aid a, *aid = &a;
    struct provision_outcome o;

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid, file, false, &o));
    assert_true(outcome_is(&o, 2, 0, 0) && objects_are(&o, 3, 0, 0));
    char *first = aid_export(aid);
    for (int prune = 0; prune < 2; prune++) {
        must(aid_apply(aid, file, prune, &o));
        assert_true(outcome_is(&o, 0, 0, 0) && objects_are(&o, 0, 0, 0));
        must(aid_apply(aid, first, prune, &o)); /* the export is such a file too */
        assert_true(outcome_is(&o, 0, 0, 0) && objects_are(&o, 0, 0, 0));
    }
    char *second = aid_export(aid);
    assert_string_equal(first, second);
    mem_free(first);
    mem_free(second);
    aid_close(aid);
}

static void each_field_counts(void **state)
{
    static const char *const more[] = {
        ",\"anonymize_ips\":true",
        ",\"session_recording_opt_in\":true",
        ",\"bucket\":\"b\"",
        ",\"slack_incoming_webhook\":\"https://x\"",
        ",\"class\":\"paid\"",
        ",\"organization\":\"o\"",
        ",\"over_quota\":[\"events\"]",
        ",\"over_quota\":[\"recordings\"]",
        ",\"drop\":[\"bot\"]",
        ",\"drop\":[\"bot\",\"x\"]",
        ",\"drop\":[\"x\",\"bot\"]",
        ",\"quota\":{\"burst\":1}",
        ",\"quota\":{\"per_second\":1}",
    };
    struct aid a, *aid = &a;
    struct provision_outcome o;
    char file[400], token[64];

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid, TEAMS, false, &o));
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        snprintf(file, sizeof(file), "{\"teams\":[" SHOP "%s}]}", more[i]);
        must(aid_apply(aid, file, false, &o));
        if (!outcome_is(&o, 0, 1, 0))
            fail_msg("no change: %s", more[i]);
        must(aid_apply(aid, file, false, &o));
        assert_true(outcome_is(&o, 0, 0, 0));
    }
    must(aid_apply(aid, "{\"teams\":[{\"id\":1,\"name\":\"New\",\"api_token\":\"phc_new\"}]}",
                   false, &o));
    assert_true(outcome_is(&o, 0, 1, 0));
    assert_string_equal(token_of(aid, 1, token), "phc_new");
    assert_string_equal(token_of(aid, 2, token), "phc_b"); /* not named, not touched */
    aid_close(aid);
}

static void tokens_are_made_once(void **state)
{
    struct aid a, *aid = &a;
    struct provision_outcome o;
    char first[64], second[64];

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid, "{\"teams\":[{\"id\":5}]}", false, &o));
    assert_true(outcome_is(&o, 1, 0, 0));
    assert_int_equal(strlen(token_of(aid, 5, first)), PROVISION_TOKEN_LEN);
    must(aid_apply(aid, "{\"teams\":[{\"id\":5}]}", false, &o));
    assert_true(outcome_is(&o, 0, 0, 0));
    assert_string_equal(token_of(aid, 5, second), first);
    must(aid_apply(aid, "{\"teams\":[{\"id\":5,\"api_token\":\"phc_x\"}]}", false, &o));
    assert_string_equal(token_of(aid, 5, second), "phc_x");
    aid_close(aid);
}

/* A team made here is what a file with id and name alone makes. */
static void a_new_team_is_a_plain_one(void **state)
{
    struct aid a, *aid = &a;
    struct provision_outcome o;
    struct team team = provision_team_new(3, "Three", "phc_3");

    UNUSED(state);
    aid_open(aid);
    must(aid->store.ops->begin(aid->store.self, &aid->err));
    must(aid->store.ops->team_put(aid->store.self, &team, &aid->err));
    must(aid->store.ops->commit(aid->store.self, NULL, NULL, 0, &aid->err));
    must(aid_apply(aid, "{\"teams\":[{\"id\":3,\"name\":\"Three\"}]}", true, &o));
    assert_true(outcome_is(&o, 0, 0, 0));
    aid_close(aid);
}

static void tokens_may_go_round(void **state)
{
    static const struct {
        const char *file, *tokens[3];
    } table[] = {
        {"[{\"id\":1,\"api_token\":\"b\"},{\"id\":2,\"api_token\":\"a\"}]", {"b", "a", "c"}},
        {"[{\"id\":1,\"api_token\":\"b\"},{\"id\":2,\"api_token\":\"c\"},"
         "{\"id\":3,\"api_token\":\"a\"}]",
         {"b", "c", "a"}},
        {"[{\"id\":3,\"api_token\":\"b\"},{\"id\":2,\"api_token\":\"a\"},"
         "{\"id\":1,\"api_token\":\"c\"}]",
         {"c", "a", "b"}},
        {"[{\"id\":1,\"api_token\":\"b\"},{\"id\":2,\"api_token\":\"new\"}]", {"b", "new", "c"}},
        {"[{\"id\":2,\"api_token\":\"new\"},{\"id\":1,\"api_token\":\"b\"}]", {"b", "new", "c"}},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct aid a, *aid = &a;
        struct provision_outcome o;
        char file[400], token[64];

        aid_open(aid);
        must(aid_apply(aid,
                       "{\"teams\":[{\"id\":1,\"api_token\":\"a\"},{\"id\":2,\"api_token\":\"b\"},"
                       "{\"id\":3,\"api_token\":\"c\"}]}",
                       false, &o));
        snprintf(file, sizeof(file), "{\"teams\":%s}", table[i].file);
        must(aid_apply(aid, file, false, &o));
        for (int64_t id = 1; id <= 3; id++)
            assert_string_equal(token_of(aid, id, token), table[i].tokens[id - 1]);
        must(aid_apply(aid, file, false, &o));
        assert_true(outcome_is(&o, 0, 0, 0));
        aid_close(aid);
    }
}

static void a_token_is_not_taken_away(void **state)
{
    static const struct {
        const char *file, *place;
    } table[] = {
        {"{\"teams\":[{\"id\":9,\"api_token\":\"phc_9\"},{\"id\":7,\"api_token\":\"phc_b\"}]}",
         "/teams/1"},
        {"{\"teams\":[{\"id\":7,\"api_token\":\"phc_b\"},{\"id\":2,\"name\":\"keeps its own\"}]}",
         "/teams/0"},
        {"{\"teams\":[{\"id\":1,\"api_token\":\"phc_b\"}]}", "/teams/0"},
    };
    struct aid a, *aid = &a;
    struct provision_outcome o;

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid, TEAMS, false, &o));
    char *before = aid_export(aid);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_false(aid_apply(aid, table[i].file, false, &o));
        assert_int_equal(aid->err.code, ERR_INPUT);
        assert_non_null(strstr(aid->err.text, table[i].place));
        char *after = aid_export(aid);
        assert_string_equal(after, before); /* nothing of it stayed */
        mem_free(after);
    }
    mem_free(before);
    aid_close(aid);
}

static void prune_removes_the_rest(void **state)
{
    static const char objects[] = "\"plugins\":[{\"name\":\"p\",\"source\":\"builtin:p\"}],"
                                  "\"personal_api_keys\":[{\"key\":\"phx_1\",\"team\":1}]";
    struct aid a, *aid = &a;
    struct provision_outcome o;
    char file[400], token[64];

    UNUSED(state);
    aid_open(aid);
    snprintf(file, sizeof(file), "{\"teams\":[" SHOP "}," BLOG "],%s}", objects);
    must(aid_apply(aid, file, false, &o));
    must(aid_apply(aid, "{}", false, &o));
    assert_true(outcome_is(&o, 0, 0, 0) && objects_are(&o, 0, 0, 0));
    /* A new team may take the token of one that goes. */
    must(aid_apply(aid, "{\"teams\":[" SHOP "},{\"id\":3,\"api_token\":\"phc_b\"}]}", true, &o));
    assert_true(outcome_is(&o, 1, 0, 1) && objects_are(&o, 0, 0, 2));
    assert_string_equal(token_of(aid, 3, token), "phc_b");
    must(aid_apply(aid, "{}", true, &o));
    assert_true(outcome_is(&o, 0, 0, 2));
    aid_close(aid);
}

static void objects_are_compared(void **state)
{
    struct aid a, *aid = &a;
    struct provision_outcome o;

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid, "{\"plugins\":[{\"name\":\"p\",\"source\":\"builtin:p\"}]}", false, &o));
    must(aid_apply(aid, "{\"plugins\":[{\"name\":\"p\",\"source\":\"builtin:q\"}]}", false, &o));
    assert_true(objects_are(&o, 0, 1, 0));
    must(aid_apply(aid, "{\"personal_api_keys\":[{\"key\":\"phx_1\",\"team\":1}]}", false, &o));
    assert_true(objects_are(&o, 1, 0, 0));
    must(aid_apply(aid, "{\"personal_api_keys\":[{\"key\":\"phx_1\",\"team\":2}]}", false, &o));
    assert_true(objects_are(&o, 0, 1, 0));
    aid_close(aid);
}

static void publish_tells_all_threads(void **state)
{
    struct aid a, *aid = &a;
    struct provision_outcome o;
    struct team_directory *teams = team_directory_new();

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid,
                   "{\"teams\":[" SHOP "}],\"personal_api_keys\":[{\"key\":\"phx_1\",\"team\":1}]}",
                   false, &o));
    must(provision_publish(&aid->store, teams, &aid->err));
    const struct team_set *set = team_directory_get(teams);
    assert_int_equal(team_by_token(set, SLICE("phc_a"))->id, 1);
    assert_int_equal(team_of_personal_key(set, SLICE("phx_1")), 1);
    team_set_unref(set);
    team_directory_free(teams);
    aid_close(aid);
}

static void export_has_a_limit(void **state)
{
    struct aid a, *aid = &a;
    struct provision_outcome o;
    struct buf out = BUF_INIT(50);

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid, TEAMS, false, &o));
    assert_false(provision_collect(&aid->store, &out, &aid->err));
    assert_int_equal(aid->err.code, ERR_LIMIT);
    buf_free(&out);
    aid_close(aid);
}

/* --- every write fails once --- */

static struct {
    struct store_ops ops;
    const struct store_ops *real;
    int left; /* writes until one fails */
} weak;

static bool may_fail(struct err *err)
{
    return weak.left-- != 0 || err_set(err, ERR_RETRY, "this time not");
}

static bool weak_team_put(void *self, const struct team *team, struct err *err)
{
    return may_fail(err) && weak.real->team_put(self, team, err);
}

static bool weak_team_remove(void *self, int64_t id, struct err *err)
{
    return may_fail(err) && weak.real->team_remove(self, id, err);
}

static bool weak_teams_load(void *self, struct team_set **set, struct err *err)
{
    return may_fail(err) && weak.real->teams_load(self, set, err);
}

static bool weak_object_put(void *self, const struct store_object *o, struct err *err)
{
    return may_fail(err) && weak.real->object_put(self, o, err);
}

static bool weak_object_remove(void *self, const char *kind, const char *key, struct err *err)
{
    return may_fail(err) && weak.real->object_remove(self, kind, key, err);
}

static bool weak_objects_each(void *self, bool (*fn)(const struct store_object *o, void *ctx),
                              void *ctx, struct err *err)
{
    return may_fail(err) && weak.real->objects_each(self, fn, ctx, err);
}

static void a_failure_changes_nothing(void **state)
{
    struct aid a, *aid = &a;
    struct provision_outcome o;
    int failures = 0;

    UNUSED(state);
    aid_open(aid);
    must(aid_apply(aid,
                   "{\"teams\":[" SHOP "}," BLOG
                   "],\"plugins\":[{\"name\":\"p\",\"source\":\"builtin:p\"}]}",
                   false, &o));
    char *before = aid_export(aid);
    weak.real = aid->store.ops;
    weak.ops = *weak.real;
    weak.ops.team_put = weak_team_put;
    weak.ops.team_remove = weak_team_remove;
    weak.ops.teams_load = weak_teams_load;
    weak.ops.object_put = weak_object_put;
    weak.ops.object_remove = weak_object_remove;
    weak.ops.objects_each = weak_objects_each;
    for (;; failures++) {
        aid->store.ops = &weak.ops;
        weak.left = failures;
        bool ok =
            aid_apply(aid,
                      "{\"teams\":[{\"id\":1,\"api_token\":\"phc_c\"},{\"id\":3,\"api_token\":"
                      "\"phc_a\"}],\"sinks\":[],\"personal_api_keys\":[{\"key\":\"phx\","
                      "\"team\":1}]}",
                      true, &o);
        aid->store.ops = weak.real;
        if (ok)
            break;
        assert_int_equal(aid->err.code, ERR_RETRY);
        char *after = aid_export(aid);
        assert_string_equal(after, before);
        mem_free(after);
    }
    assert_true(failures >= 7);
    mem_free(before);
    aid_close(aid);
}

/* Many teams and keys stay a matter of one look-up each: walking the lists it took 13 s. */
static void a_large_file(void **state)
{
    enum { COUNT = 20000 };
    struct buf text = BUF_INIT(16 << 20);
    struct aid a, *aid = &a;
    struct provision_outcome o;

    UNUSED(state);
    buf_add_str(&text, "{\"teams\":[");
    for (int i = 1; i <= COUNT; i++)
        buf_addf(&text, "%s{\"id\":%d,\"name\":\"n\",\"api_token\":\"phc_%d\"}", i > 1 ? "," : "",
                 i, i);
    buf_add_str(&text, "],\"personal_api_keys\":[");
    for (int i = 1; i <= COUNT; i++)
        buf_addf(&text, "%s{\"key\":\"phx_%d\",\"team\":%d}", i > 1 ? "," : "", i, i);
    buf_add_str(&text, "]}");
    aid_open(aid);
    int64_t began_us = clock_mono_us();
    must(aid_apply(aid, buf_cstr(&text), false, &o));
    assert_true(outcome_is(&o, COUNT, 0, 0) && objects_are(&o, COUNT, 0, 0));
    must(aid_apply(aid, buf_cstr(&text), true, &o));
    assert_true(outcome_is(&o, 0, 0, 0) && objects_are(&o, 0, 0, 0));
    assert_in_range(clock_mono_us() - began_us, 0, WAIT_US);
    buf_free(&text);
    aid_close(aid);
}

static bool apply_with(struct aid *aid, const char *text, const struct provision_options *opt)
{
    struct json_faults faults = JSON_FAULTS_INIT;
    struct provision *p = provision_parse(slice_cstr(text), "/base", &faults);
    struct provision_outcome o;

    assert_non_null(p);
    must(aid->store.ops->begin(aid->store.self, &aid->err));
    bool ok = provision_apply(&aid->store, p, opt, &o, &aid->err);
    must(ok && aid->store.ops->commit(aid->store.self, NULL, NULL, 0, &aid->err));
    provision_free(p);
    json_faults_free(&faults);
    return o.objects_changed == 0;
}

static void expect_in_export(struct aid *aid, const char *part, bool is_there)
{
    char *out = aid_export(aid);

    if (!strstr(out, part) == is_there)
        fail_msg("%s: %s", part, out);
    mem_free(out);
}

static void new_teams_have_geoip(void **state)
{
    static const char off[] =
        "{\"teams\":[{\"id\":2,\"name\":\"b\"}],\"plugins\":[{\"name\":\"G\","
        "\"source\":\"builtin:geoip\"}],\"plugin_configs\":[{\"plugin\":\"G\","
        "\"team\":2,\"enabled\":false}]}";
    struct provision_options geoip = {.has_geoip = true}, none = {.has_geoip = false};
    struct provision_options prune = {.has_geoip = true, .prune = true};
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    apply_with(aid, "{\"teams\":[{\"id\":1,\"name\":\"a\"}]}", &none);
    apply_with(aid, off, &geoip);
    expect_in_export(aid, "\"team\": 1", false); /* it was there before */
    expect_in_export(aid, "\"enabled\": true", false);
    apply_with(aid, "{\"teams\":[{\"id\":3,\"name\":\"c\"}]}", &geoip);
    expect_in_export(aid, "\"team\": 3", true);
    apply_with(aid, "{\"teams\":[{\"id\":4,\"name\":\"d\"}]}", &prune);
    expect_in_export(aid, "\"plugin_configs\"", false); /* the file says it all */
    aid_close(aid);
}

static void configs_have_their_defaults(void **state)
{
    static const char text[] =
        "{\"plugin_configs\":[{\"plugin\":\"p\",\"team\":1,\"config\":{\"b\":1}}]}";
    struct plugin_defaults *d = plugin_defaults_new();
    struct provision_options opt = {.defaults = d};
    struct aid a, *aid = &a;

    UNUSED(state);
    plugin_defaults_read(
        d, "{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"plugin.json\":"
           "\"{\\\"config\\\":[{\\\"key\\\":\\\"k\\\",\\\"default\\\":\\\"v\\\"}]}\"}}");
    aid_open(aid);
    assert_true(apply_with(aid, text, &opt));
    expect_in_export(aid, "\"k\": \"v\"", true);
    assert_true(apply_with(aid, text, &opt)); /* is the same with them in place */
    aid_close(aid);
    plugin_defaults_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twice_changes_nothing),     cmocka_unit_test(each_field_counts),
        cmocka_unit_test(tokens_are_made_once),      cmocka_unit_test(a_new_team_is_a_plain_one),
        cmocka_unit_test(tokens_may_go_round),       cmocka_unit_test(a_token_is_not_taken_away),
        cmocka_unit_test(prune_removes_the_rest),    cmocka_unit_test(objects_are_compared),
        cmocka_unit_test(publish_tells_all_threads), cmocka_unit_test(export_has_a_limit),
        cmocka_unit_test(a_failure_changes_nothing), cmocka_unit_test(a_large_file),
        cmocka_unit_test(new_teams_have_geoip),      cmocka_unit_test(configs_have_their_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
