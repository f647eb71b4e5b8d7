#include "store_aid.h"

static struct team team_of(int64_t id, const char *token)
{
    static const char *const drop[] = {"bad \"one\"", "ü"};

    return (struct team){.id = id,
                         .uuid = aid_uuid((uint64_t)id),
                         .name = "Shop",
                         .api_token = token,
                         .slack_incoming_webhook = "https://hooks.example/x",
                         .bucket = "b",
                         .class_name = "paid",
                         .organization = "o",
                         .anonymize_ips = true,
                         .over_quota_recordings = true,
                         .drop = drop,
                         .drop_count = 2,
                         .extra_json = "{\"quota\":{\"per_day\":5}}"};
}

static void put_and_load(void **state)
{
    struct aid a, *aid = &a;
    struct team one = team_of(1, "phc_1"), two = {.id = 2, .name = "Two", .api_token = "phc_2"};
    struct team_set *set;

    UNUSED(state);
    aid_open(aid);
    must(aid->ops->team_put(aid->self, &one, &aid->err)); /* outside of a batch */
    aid_begin(aid);
    must(aid->ops->team_put(aid->self, &two, &aid->err));
    must(aid->ops->teams_load(aid->self, &set, &aid->err)); /* sees the batch */
    assert_int_equal(team_set_count(set), 2);
    team_set_unref(set);
    aid->ops->rollback(aid->self);
    aid_reopen(aid);
    must(aid->ops->teams_load(aid->self, &set, &aid->err));
    assert_int_equal(team_set_count(set), 1);
    const struct team *t = team_by_token(set, SLICE("phc_1"));
    assert_non_null(t);
    assert_string_equal(t->name, "Shop");
    assert_int_equal(t->uuid.b[15], 1);
    assert_string_equal(t->slack_incoming_webhook, "https://hooks.example/x");
    assert_string_equal(t->bucket, "b");
    assert_string_equal(t->class_name, "paid");
    assert_string_equal(t->organization, "o");
    assert_true(t->anonymize_ips && t->over_quota_recordings);
    assert_false(t->session_recording_opt_in || t->over_quota_events);
    assert_int_equal(t->drop_count, 2);
    assert_true(team_drops(t, SLICE("bad \"one\"")));
    assert_string_equal(t->extra_json, "{\"quota\":{\"per_day\":5}}");
    team_set_unref(set);
    aid_close(aid);
}

static void one_token_one_team(void **state)
{
    struct aid a, *aid = &a;
    struct team one = team_of(1, "phc_1"), two = team_of(2, "phc_1");
    struct team_set *set;

    UNUSED(state);
    aid_open(aid);
    must(aid->ops->team_put(aid->self, &one, &aid->err));
    assert_false(aid->ops->team_put(aid->self, &two, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    assert_non_null(strstr(aid->err.text, "team 1"));
    one.name = "Renamed";
    must(aid->ops->team_put(aid->self, &one, &aid->err));
    must(aid->ops->teams_load(aid->self, &set, &aid->err));
    assert_int_equal(team_set_count(set), 1);
    assert_string_equal(team_by_id(set, 1)->name, "Renamed");
    team_set_unref(set);
    must(aid->ops->team_remove(aid->self, 1, &aid->err));
    must(aid->ops->team_remove(aid->self, 1, &aid->err));
    must(aid->ops->team_put(aid->self, &two, &aid->err));
    aid_close(aid);
}

static void personal_keys(void **state)
{
    struct aid a, *aid = &a;
    struct team one = team_of(1, "phc_1");
    struct store_object key = {
        .kind = "personal_api_keys", .key = "phx_1", .json = "{\"key\":\"phx_1\",\"team\":1}"};
    struct team_set *set;

    UNUSED(state);
    aid_open(aid);
    must(aid->ops->team_put(aid->self, &one, &aid->err));
    must(aid->ops->object_put(aid->self, &key, &aid->err));
    must(aid->ops->teams_load(aid->self, &set, &aid->err));
    assert_int_equal(team_of_personal_key(set, SLICE("phx_1")), 1);
    team_set_unref(set);
    key.json = "{}";
    must(aid->ops->object_put(aid->self, &key, &aid->err));
    assert_false(aid->ops->teams_load(aid->self, &set, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_load),
        cmocka_unit_test(one_token_one_team),
        cmocka_unit_test(personal_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
