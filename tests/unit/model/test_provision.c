#include "base/mem.h"
#include "model/provision.h"
#include "unit.h"

#include <ctype.h>

static struct provision *parse(const char *text)
{
    struct json_faults faults = JSON_FAULTS_INIT;
    struct provision *p = provision_parse(slice_cstr(text), "/base", &faults);

    if (!p)
        fail_msg("%s", buf_cstr(&faults.text));
    assert_int_equal(faults.count, 0);
    json_faults_free(&faults);
    return p;
}

static const char full[] =
    "{\"teams\":[{\"id\":7,\"api_token\":\"phc_b\",\"over_quota\":[\"recordings\",\"events\"],"
    "\"drop\":[\"a\",\"b c\"],\"quota\":{\"per_second\":1.5,\"burst\":10},\"organization\":3},"
    "{\"id\":1,\"name\":\"Shop\",\"api_token\":\"phc_shop\",\"anonymize_ips\":true,"
    "\"session_recording_opt_in\":true,\"slack_incoming_webhook\":\"https://hooks.slack.com/x\","
    "\"bucket\":\"fast\",\"class\":\"paid\",\"organization\":\"o\"},"
    "{\"id\":2,\"api_token\":null,\"slack_incoming_webhook\":null}],"
    "\"plugins\":[{\"name\":\"GeoIP\",\"source\":\"builtin:geoip\"},"
    "{\"name\":\"mine\",\"source\":\"dir:plugins/mine\"},"
    "{\"name\":\"packed\",\"source\":\"file:/abs/packed.zip\"},"
    "{\"name\":\"inline\",\"source\":\"inline\",\"files\":{\"index.js\":\"\",\"plugin.json\":\"{}"
    "\"}}],"
    "\"plugin_configs\":[{\"plugin\":\"mine\",\"team\":1,\"order\":1,\"enabled\":true,"
    "\"config\":{\"k\":\"v\",\"n\":[1,null]},\"attachments\":{\"db\":\"files/x.mmdb\"}}],"
    "\"actions\":[{\"id\":69,\"team\":1,\"name\":\"Test\",\"post_to_slack\":true,\"steps\":[{},"
    "{\"event\":\"x\",\"url\":\"/a\",\"url_matching\":\"regex\",\"properties\":[{\"key\":\"p\","
    "\"type\":\"event\",\"operator\":\"icontains\",\"value\":[\"v\"],\"label\":\"kept\"}]}]}],"
    "\"hooks\":[{\"id\":\"abc\",\"team\":1,\"event\":\"action_performed\",\"resource_id\":69,"
    "\"target\":\"https://example.org/hook\"}],"
    "\"feature_flags\":[{\"team\":1,\"key\":\"mv\",\"active\":true,\"rollout_percentage\":50,"
    "\"variants\":[{\"key\":\"first\",\"rollout_percentage\":33.3}],"
    "\"payloads\":{\"first\":\"{\\\"c\\\":1}\"},\"filters\":[],\"group_type_index\":0}],"
    "\"buckets\":[{\"name\":\"fast\",\"concurrency\":4}],"
    "\"streams\":{\"acme.click\":{\"schema_title\":\"acme/click\",\"topics\":[]},\"empty\":{}},"
    "\"sinks\":[{\"name\":\"lake\",\"type\":\"http\",\"team\":1,\"url\":\"https://example.org/in\","
    "\"format\":\"ndjson\",\"headers\":{\"X-Key\":\"k\"},\"hmac_secret\":\"s\",\"batch_events\":"
    "500,"
    "\"batch_bytes\":1000000,\"events\":[\"$pageview\"],\"enabled\":true},"
    "{\"name\":\"pg\",\"type\":\"postgres\",\"schema\":\"public\"}],"
    "\"organizations\":[{\"id\":3,\"name\":\"O\",\"for_internal_metrics\":true}],"
    "\"personal_api_keys\":[{\"key\":\"phx_z\",\"team\":7},{\"key\":\"phx_a\",\"team\":1}]}";

static const struct provision_object *object(const struct provision *p, const char *kind,
                                             const char *key)
{
    for (size_t i = 0; i < p->object_count; i++)
        if (strcmp(p->objects[i].kind, kind) == 0 && strcmp(p->objects[i].key, key) == 0)
            return &p->objects[i];
    fail_msg("no %s %s", kind, key);
    return NULL;
}

static void everything_is_read(void **state)
{
    struct provision *p = parse(full);

    UNUSED(state);
    assert_int_equal(p->team_count, 3);
    assert_int_equal(p->teams[0].id, 7);
    assert_string_equal(p->teams[0].name, "Team 7");
    assert_string_equal(p->teams[0].organization, "3");
    assert_true(p->teams[0].over_quota_events && p->teams[0].over_quota_recordings);
    assert_int_equal(p->teams[0].drop_count, 2);
    assert_string_equal(p->teams[0].drop[1], "b c");
    assert_string_equal(p->teams[0].extra_json, "{\"quota\":{\"per_second\":1.5,\"burst\":10}}");
    assert_string_equal(p->teams[0].bucket, "default");
    assert_string_equal(p->teams[0].class_name, "");
    assert_false(p->teams[0].anonymize_ips);
    assert_string_equal(p->teams[1].name, "Shop");
    assert_string_equal(p->teams[1].api_token, "phc_shop");
    assert_true(p->teams[1].anonymize_ips && p->teams[1].session_recording_opt_in);
    assert_string_equal(p->teams[1].slack_incoming_webhook, "https://hooks.slack.com/x");
    assert_string_equal(p->teams[1].bucket, "fast");
    assert_string_equal(p->teams[1].class_name, "paid");
    assert_string_equal(p->teams[1].extra_json, "{}");
    assert_null(p->teams[2].api_token);
    assert_null(p->teams[2].slack_incoming_webhook);

    assert_int_equal(p->personal_key_count, 2);
    assert_string_equal(p->personal_keys[0].key, "phx_z");
    assert_int_equal(p->personal_keys[0].team_id, 7);

    assert_int_equal(p->object_count, 14);
    assert_string_equal(object(p, "plugins", "mine")->json,
                        "{\"name\":\"mine\",\"source\":\"dir:/base/plugins/mine\"}");
    assert_string_equal(object(p, "plugins", "packed")->json,
                        "{\"name\":\"packed\",\"source\":\"file:/abs/packed.zip\"}");
    assert_string_equal(
        object(p, "plugin_configs", "1/mine")->json,
        "{\"plugin\":\"mine\",\"team\":1,\"order\":1,\"enabled\":true,\"config\":"
        "{\"k\":\"v\",\"n\":[1,null]},\"attachments\":{\"db\":\"/base/files/x.mmdb\"}}");
    assert_string_equal(object(p, "streams", "empty")->json, "{}");
    object(p, "plugins", "inline");
    object(p, "actions", "69");
    object(p, "hooks", "abc");
    object(p, "feature_flags", "1/mv");
    object(p, "buckets", "fast");
    object(p, "sinks", "pg");
    object(p, "organizations", "3");
    provision_free(p);
}

static void small_documents(void **state)
{
    static const char *const table[] = {
        "{}",
        "\xef\xbb\xbf{}",
        " { \"teams\" : [ ] } ",
        "{\"streams\":{},\"plugins\":[]}",
        "{\"teams\":[{\"id\":9007199254740991}]}",
        "{\"hooks\":[{\"id\":\"a\",\"team\":99,\"target\":\"http://x\"}]}"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        provision_free(parse(table[i]));
    provision_free(NULL);
}

static void faults_have_pointers(void **state)
{
    static const struct {
        const char *text, *faults;
    } table[] = {
        {"[]", "the document: must be an object\n"},
        {"{\"team\":[]}", "/team: unknown key\n"},
        {"{\"teams\":{}}", "/teams: must be a list\n"},
        {"{\"streams\":[]}", "/streams: must be an object\n"},
        {"{\"teams\":[1]}", "/teams/0: must be an object\n"},
        {"{\"teams\":[{}]}", "/teams/0/id: is missing\n"},
        {"{\"teams\":[{\"id\":\"1\"}]}", "/teams/0/id: must be a whole number\n"},
        {"{\"teams\":[{\"id\":1.5}]}", "/teams/0/id: must be a whole number\n"},
        {"{\"teams\":[{\"id\":0}]}", "/teams/0/id: must be 1 or more\n"},
        {"{\"teams\":[{\"id\":-1}]}", "/teams/0/id: must be 1 or more\n"},
        {"{\"teams\":[{\"id\":1,\"name\":\"\"}]}", "/teams/0/name: must not be empty\n"},
        {"{\"teams\":[{\"id\":1,\"name\":null}]}", "/teams/0/name: must be a string\n"},
        {"{\"teams\":[{\"id\":1,\"nme\":\"x\"}]}", "/teams/0/nme: unknown key\n"},
        {"{\"teams\":[{\"id\":1,\"a/b~c\\n\":1}]}", "/teams/0/a~1b~0c?: unknown key\n"},
        {"{\"teams\":[{\"id\":1,\"anonymize_ips\":1}]}",
         "/teams/0/anonymize_ips: must be true or false\n"},
        {"{\"teams\":[{\"id\":1,\"api_token\":\"\"}]}",
         "/teams/0/api_token: must be 1 to 64 printable ASCII characters without spaces\n"},
        {"{\"teams\":[{\"id\":1,\"api_token\":\"a b\"}]}",
         "/teams/0/api_token: must be 1 to 64 printable ASCII characters without spaces\n"},
        {"{\"teams\":[{\"id\":1,\"api_token\":\"\xc3\xbc\"}]}",
         "/teams/0/api_token: must be 1 to 64 printable ASCII characters without spaces\n"},
        {"{\"teams\":[{\"id\":1,\"api_token\":"
         "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
         "/teams/0/api_token: must be 1 to 64 printable ASCII characters without spaces\n"},
        {"{\"teams\":[{\"id\":1,\"api_token\":\"phx_a\"}]}",
         "/teams/0/api_token: must not begin with phx_, which marks personal keys\n"},
        {"{\"teams\":[{\"id\":1},{\"id\":1}]}",
         "/teams/1/id: is the same as that of /teams/0/id\n"},
        {"{\"teams\":[{\"id\":1,\"api_token\":\"t\"},{\"id\":2,\"api_token\":\"t\"}]}",
         "/teams/1/api_token: is the same as that of /teams/0/api_token\n"},
        {"{\"teams\":[{\"id\":1,\"over_quota\":[\"event\"],\"drop\":[\"\",1]}]}",
         "/teams/0/over_quota/0: must be one of \"events\", \"recordings\"\n"
         "/teams/0/drop/0: must not be empty\n/teams/0/drop/1: must be a string\n"},
        {"{\"teams\":[{\"id\":1,\"quota\":{\"per_day\":-1,\"x\":1}}]}",
         "/teams/0/quota/per_day: must not be negative\n/teams/0/quota/x: unknown key\n"},
        {"{\"teams\":[{\"id\":1,\"quota\":{\"burst\":1e999}}]}",
         "/teams/0/quota/burst: must be a number\n"},
        {"{\"teams\":[{\"id\":1,\"slack_incoming_webhook\":\"x\"}]}",
         "/teams/0/slack_incoming_webhook: must be a URL that begins with http:// or https://\n"},
        {"{\"plugins\":[{\"name\":\"a\",\"source\":\"npm:x\"},{\"name\":\"a\",\"source\":\"dir:\"}]"
         "}",
         "/plugins/0/source: must be builtin:NAME, dir:PATH, file:PATH or inline\n"
         "/plugins/1/source: must be builtin:NAME, dir:PATH, file:PATH or inline\n"
         "/plugins/1: is the same as that of /plugins/0\n"},
        {"{\"plugins\":[{\"name\":\"a\",\"source\":\"inline\"},"
         "{\"name\":\"b\",\"source\":\"dir:x\",\"files\":{\"i\":1}}]}",
         "/plugins/0/files: is missing: needed with source inline\n"
         "/plugins/1/files/i: must be a string\n/plugins/1/files: goes only with source inline\n"},
        {"{\"plugin_configs\":[{\"plugin\":\"a\",\"team\":1},{\"plugin\":\"a\",\"team\":1},"
         "{\"plugin\":\"a\",\"team\":2,\"attachments\":{\"k\":\"\"}}]}",
         "/plugin_configs/1: is the same as that of /plugin_configs/0\n"
         "/plugin_configs/2/attachments/k: must not be empty\n"},
        {"{\"actions\":[{\"id\":1,\"team\":1,\"steps\":[{\"url_matching\":\"like\"},"
         "{\"properties\":[{\"operator\":\"=\"}]}]}]}",
         "/actions/0/steps/0/url_matching: must be one of \"contains\", \"regex\", \"exact\", "
         "\"\"\n"
         "/actions/0/steps/1/properties/0/key: is missing\n"
         "/actions/0/steps/1/properties/0/operator: must be one of \"exact\", \"is_not\", "
         "\"icontains\", \"not_icontains\", \"regex\", \"not_regex\", \"gt\", \"lt\", \"is_set\", "
         "\"is_not_set\"\n"},
        {"{\"hooks\":[{\"id\":\"a\"}]}",
         "/hooks/0/team: is missing\n/hooks/0/target: is missing\n"},
        {"{\"feature_flags\":[{\"team\":1,\"key\":\"k\",\"rollout_percentage\":101,\"payloads\":"
         "{\"true\":{}},\"variants\":[{\"key\":\"\"}],\"group_type_index\":5}]}",
         "/feature_flags/0/rollout_percentage: must be from 0 to 100\n"
         "/feature_flags/0/payloads/true: must be a string\n"
         "/feature_flags/0/variants/0/key: must not be empty\n"
         "/feature_flags/0/variants/0/rollout_percentage: is missing\n"
         "/feature_flags/0/group_type_index: must be from 0 to 4\n"},
        {"{\"buckets\":[{}],\"streams\":{\"s\":1,\"\":{}}}",
         "/buckets/0/name: is missing\n/streams/s: must be an object\n"
         "/streams/: the name must not be empty\n"},
        {"{\"sinks\":[{\"name\":\"a\",\"type\":\"http\",\"x\":1},{\"name\":\"b\",\"type\":\"http\","
         "\"url\":\"ftp://x\",\"batch_events\":0}]}",
         "/sinks/0/x: unknown key\n/sinks/0/url: is missing\n"
         "/sinks/1/batch_events: must be 1 or more\n"
         "/sinks/1/url: must be a URL that begins with http:// or https://\n"},
        {"{\"organizations\":[{\"id\":\"1\"},{\"id\":1},{\"name\":\"x\"}]}",
         "/organizations/1: is the same as that of /organizations/0\n"
         "/organizations/2/id: is missing\n"},
        {"{\"personal_api_keys\":[{\"key\":\"a\",\"team\":1},{\"key\":\"a\",\"team\":2},{\"key\":"
         "\"\"}]}",
         "/personal_api_keys/1/key: is the same as that of /personal_api_keys/0/key\n"
         "/personal_api_keys/2/key: must be 1 to 400 printable ASCII characters without spaces\n"
         "/personal_api_keys/2/team: is missing\n"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct json_faults faults = JSON_FAULTS_INIT;
        assert_null(provision_parse(slice_cstr(table[i].text), "/base", &faults));
        assert_string_equal(buf_cstr(&faults.text), table[i].faults);
        size_t lines = 0;
        for (size_t k = 0; k < faults.text.len; k++)
            lines += faults.text.ptr[k] == '\n';
        assert_int_equal(faults.count, lines);
        json_faults_free(&faults);
    }
}

static void bad_json_is_one_fault(void **state)
{
    static const char *const table[] = {"", "{", "{\"teams\":[],}", "{} x",
                                        "{\"teams\":[],\"teams\":[]}"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct json_faults faults = JSON_FAULTS_INIT;
        assert_null(provision_parse(slice_cstr(table[i]), NULL, &faults));
        assert_int_equal(faults.count, 1);
        json_faults_free(&faults);
    }
}

static void tokens_are_random_and_well_formed(void **state)
{
    char a[PROVISION_TOKEN_LEN + 1], b[PROVISION_TOKEN_LEN + 1];

    UNUSED(state);
    provision_token_generate(a);
    provision_token_generate(b);
    assert_int_equal(strlen(a), PROVISION_TOKEN_LEN);
    assert_memory_equal(a, "phc_", 4);
    for (size_t i = 4; i < PROVISION_TOKEN_LEN; i++)
        assert_true(isalnum((unsigned char)a[i]));
    assert_string_not_equal(a, b);
}

static void export(const struct provision *p, struct buf *out)
{
    assert_true(provision_export(p, out));
}

static void what_is_exported_parses_to_the_same(void **state)
{
    struct provision *p = parse(full), *again;
    struct buf first = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);

    UNUSED(state);
    export(p, &first);
    again = parse(buf_cstr(&first));
    export(again, &second);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    assert_int_equal(again->team_count, p->team_count);
    assert_int_equal(again->personal_key_count, p->personal_key_count);
    assert_int_equal(again->object_count, p->object_count);
    for (size_t i = 0; i < p->object_count; i++)
        assert_string_equal(object(again, p->objects[i].kind, p->objects[i].key)->json,
                            p->objects[i].json);
    provision_free(p);
    provision_free(again);
    buf_free(&first);
    buf_free(&second);
}

static void the_order_is_stable(void **state)
{
    static const char expected[] = "{\n"
                                   "  \"teams\": [\n"
                                   "    {\n"
                                   "      \"id\": 1,\n"
                                   "      \"name\": \"A\",\n"
                                   "      \"anonymize_ips\": false,\n"
                                   "      \"session_recording_opt_in\": false,\n"
                                   "      \"slack_incoming_webhook\": null,\n"
                                   "      \"bucket\": \"default\"\n"
                                   "    },\n"
                                   "    {\n"
                                   "      \"id\": 2,\n"
                                   "      \"name\": \"B\",\n"
                                   "      \"api_token\": \"t\",\n"
                                   "      \"anonymize_ips\": false,\n"
                                   "      \"session_recording_opt_in\": false,\n"
                                   "      \"slack_incoming_webhook\": null,\n"
                                   "      \"bucket\": \"default\",\n"
                                   "      \"over_quota\": [\n"
                                   "        \"events\"\n"
                                   "      ]\n"
                                   "    }\n"
                                   "  ],\n"
                                   "  \"buckets\": [\n"
                                   "    {\n"
                                   "      \"name\": \"a\"\n"
                                   "    },\n"
                                   "    {\n"
                                   "      \"name\": \"b\"\n"
                                   "    }\n"
                                   "  ],\n"
                                   "  \"streams\": {\n"
                                   "    \"s\": {}\n"
                                   "  },\n"
                                   "  \"personal_api_keys\": [\n"
                                   "    {\n"
                                   "      \"key\": \"k\",\n"
                                   "      \"team\": 1\n"
                                   "    }\n"
                                   "  ]\n"
                                   "}\n";
    struct provision *p =
        parse("{\"personal_api_keys\":[{\"team\":1,\"key\":\"k\"}],\"streams\":{\"s\":{}},"
              "\"buckets\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"teams\":[{\"id\":2,"
              "\"name\":\"B\",\"api_token\":\"t\",\"over_quota\":[\"events\"]},"
              "{\"name\":\"A\",\"id\":1}]}");
    struct buf out = BUF_INIT(1 << 20);

    UNUSED(state);
    export(p, &out);
    assert_string_equal(buf_cstr(&out), expected);
    provision_free(p);
    buf_free(&out);
}

/* What the store hands out has no arena behind it, and may be half empty. */
static void a_failed_export_adds_nothing(void **state)
{
    struct team team = {.id = 1};
    struct provision_object object = {.kind = "plugins", .key = "x", .json = "{"};
    struct provision p = {.teams = &team, .team_count = 1};
    struct buf out = BUF_INIT(1 << 20), small = BUF_INIT(20);

    UNUSED(state);
    buf_add_str(&out, "before");
    assert_true(provision_export(&p, &out));
    out.len = 6;
    p.objects = &object;
    p.object_count = 1;
    assert_false(provision_export(&p, &out));
    assert_int_equal(out.len, 6);
    p.object_count = 0;
    assert_false(provision_export(&p, &small));
    assert_int_equal(small.len, 0);
    team.extra_json = "[]";
    assert_false(provision_export(&p, &out));
    buf_free(&out);
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(small_documents),
        cmocka_unit_test(faults_have_pointers),
        cmocka_unit_test(bad_json_is_one_fault),
        cmocka_unit_test(tokens_are_random_and_well_formed),
        cmocka_unit_test(what_is_exported_parses_to_the_same),
        cmocka_unit_test(the_order_is_stable),
        cmocka_unit_test(a_failed_export_adds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
