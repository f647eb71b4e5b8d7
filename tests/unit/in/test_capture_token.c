#include "capture_aid.h"
#include "lib/unit.h"

/* What a row says about a request; members that are NULL are absent. */
struct token_row {
    bool is_get;
    const char *query_token, *query_key, *query_project;
    const char *form_key, *form_token, *form_project;
    const char *json;
    enum capture_reply reply;
    int64_t team;
};

static void check_row(const struct token_row *row, size_t number, const struct team_set *teams,
                      bool any_token)
{
    struct capture_source src = {
        .is_get = row->is_get,
        .query = {.token = slice_cstr(row->query_token),
                  .api_key = slice_cstr(row->query_key),
                  .project_id = slice_cstr(row->query_project)},
        .form = {.api_key = slice_cstr(row->form_key),
                 .token = slice_cstr(row->form_token),
                 .project_id = slice_cstr(row->form_project)},
    };
    struct json_doc doc = aid_json(row->json);
    struct capture_token_input in = {
        .src = &src, .root = doc.root, .teams = teams, .any_token = any_token};
    const struct team *team = NULL;
    enum capture_reply reply = capture_token_team(&in, &team);

    if (reply != row->reply || (team ? team->id : 0) != row->team)
        fail_msg("row %zu: %s, team %lld", number, capture_reply_code(reply),
                 (long long)(team ? team->id : 0));
    json_doc_free(&doc);
}

#define TWO  "phc_test_token_0001"
#define FOUR "legacy2022token"

static void finds_the_team(void **state)
{
    static const struct token_row table[] = {
        {.json = "{\"token\":\"" TWO "\"}", .team = 2},
        {.json = "{\"api_key\":\"" TWO "\"}", .team = 2},
        {.json = "{\"$token\":\"" TWO "\"}", .team = 2},
        {.json = "{\"properties\":{\"token\":\"" TWO "\"}}", .team = 2},
        {.json = "{\"$token\":\"" FOUR "\",\"token\":\"" TWO "\",\"api_key\":\"" TWO "\"}",
         .team = 4},
        {.json = "{\"token\":\"" FOUR "\",\"api_key\":\"" TWO "\"}", .team = 4},
        {.json = "{\"token\":\"\",\"api_key\":\"" TWO "\"}", .team = 2},
        {.json = "{\"token\":7,\"api_key\":\"" TWO "\"}", .team = 2},
        {.json = "{\"token\":\"x\",\"token\":\"" TWO "\"}", .team = 2},
        {.json = "{\"api_key\":\"" TWO "\",\"batch\":[{\"token\":\"" FOUR "\"}]}", .team = 2},
        {.json = "[1,{},{\"token\":\"" TWO "\"},{\"event\":\"x\"}]", .team = 2},
        {.json = "[{\"token\":\"" TWO "\"},{\"token\":\"nobody\"}]", .team = 2},
        {.json = "[{\"token\":\"" TWO "\"},{\"api_key\":\"" TWO "\"}]", .team = 2},
        {.is_get = true, .query_token = FOUR, .json = "{\"token\":\"" TWO "\"}", .team = 4},
        {.is_get = true, .query_key = FOUR, .json = "{\"token\":\"" TWO "\"}", .team = 4},
        {.is_get = true, .query_token = FOUR, .query_key = TWO, .json = "{\"a\":1}", .team = 4},
        {.query_token = FOUR,
         .json = "{\"token\":\"" TWO "\"}",
         .team = 2}, /* POST does not look there */
        {.form_key = FOUR, .json = "{\"token\":\"" TWO "\"}", .team = 4},
        {.form_token = FOUR, .json = "{\"token\":\"" TWO "\"}", .team = 4},
        {.form_key = FOUR, .form_token = TWO, .json = "{\"a\":1}", .team = 4},
        {.form_key = FOUR,
         .json = "[{\"token\":\"" TWO "\"},{\"token\":\"phc_anon_token_0002\"}]",
         .team = 4},
    };
    struct team_set *teams = aid_team_set(false);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_row(&table[i], i, teams, false);
    team_set_unref(teams);
}

static void refuses(void **state)
{
    static const struct token_row table[] = {
        {.json = "{\"event\":\"x\"}", .reply = CAPTURE_MISSING_KEY},
        {.json = "[1,null]", .reply = CAPTURE_MISSING_KEY},
        {.json = "{\"batch\":[{\"token\":\"" TWO "\"}]}", .reply = CAPTURE_MISSING_KEY},
        {.json = "{\"token\":\"nobody\"}", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"" TWO " \"}", .reply = CAPTURE_INVALID_KEY},
        {.json = "[{\"token\":\"" TWO "\"},{\"token\":\"" FOUR "\"}]",
         .reply = CAPTURE_INCONSISTENT_KEY},
        {.json = "[{\"token\":\"" TWO "\"},{\"token\":\"x\"},{\"token\":\"" FOUR "\"}]",
         .reply = CAPTURE_INCONSISTENT_KEY},
        {.json = "[{\"token\":\"x\"},{\"token\":\"" FOUR "\"}]", .reply = CAPTURE_INVALID_KEY},
    };
    struct team_set *teams = aid_team_set(false);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_row(&table[i], i, teams, false);
    team_set_unref(teams);
}

#define KEY "phx_personal_key_0001"

static void takes_personal_keys(void **state)
{
    static const struct token_row table[] = {
        {.json = "{\"token\":\"" KEY "\",\"project_id\":2}", .team = 2},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":\"2\"}", .team = 2},
        {.json = "[{\"token\":\"" KEY "\",\"project_id\":2},{}]", .team = 2},
        {.json = "{\"token\":\"" KEY "\"}", .query_project = "2", .team = 2},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":9}", .form_project = " 2 ", .team = 2},
        {.json = "{\"token\":\"" KEY "\"}", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":null}", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":0}", .reply = CAPTURE_INVALID_KEY},
        {.json = "[{\"token\":\"" KEY "\"},{\"project_id\":2}]", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":\"abc\"}",
         .reply = CAPTURE_INVALID_PROJECT},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":true}", .reply = CAPTURE_INVALID_PROJECT},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":2.5}", .reply = CAPTURE_INVALID_PROJECT},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":[2]}", .reply = CAPTURE_INVALID_PROJECT},
        {.json = "{\"token\":\"" KEY "\",\"project_id\":3}", .reply = CAPTURE_INVALID_PERSONAL_KEY},
        {.json = "{\"token\":\"fake\",\"project_id\":2}", .reply = CAPTURE_INVALID_PERSONAL_KEY},
        {.json = "{\"token\":\"fake\",\"project_id\":-2}", .reply = CAPTURE_INVALID_PERSONAL_KEY},
    };
    struct team_set *teams = aid_team_set(false);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_row(&table[i], i, teams, false);
    team_set_unref(teams);
}

static void takes_any_token_when_open(void **state)
{
    static const struct token_row table[] = {
        {.json = "{\"token\":\"" TWO "\"}", .team = 2},
        {.json = "{\"token\":\"whatever\"}", .team = 1},
        {.json = "{\"token\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
         .team = 1},
        {.json =
             "{\"token\":\"01234567890123456789012345678901234567890123456789012345678901234\"}",
         .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"phx_whatever\"}", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"\\u0007\"}", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"token\":\"\xc3\xa4\"}", .reply = CAPTURE_INVALID_KEY},
        {.json = "{\"a\":1}", .reply = CAPTURE_MISSING_KEY},
    };
    static const struct token_row nobody = {.json = "{\"token\":\"whatever\"}",
                                            .reply = CAPTURE_INVALID_KEY};
    struct team_set *teams = aid_team_set(true), *without = aid_team_set(false);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        check_row(&table[i], i, teams, true);
    check_row(&nobody, 100, without, true);
    team_set_unref(teams);
    team_set_unref(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_team),
        cmocka_unit_test(refuses),
        cmocka_unit_test(takes_personal_keys),
        cmocka_unit_test(takes_any_token_when_open),
    };
    return cmocka_run_group_tests_name("capture_token", tests, NULL, NULL);
}
