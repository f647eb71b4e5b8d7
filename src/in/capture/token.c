/* token.c - whose events these are: the token of a request, and the team behind it.
 *
 * Places in order, the first non-empty string wins: query (GET only), form, body object, members of
 * a body array. Of {"batch": [...]} only the outer object is asked.
 */
#include "in/capture/capture_priv.h"

#define OPEN_TOKEN_MAX 64
#define OPEN_TEAM_ID   1

/* The members of an object that matter here; one walk finds them all. */
struct token_members {
    yyjson_val *dollar_token, *token, *api_key, *properties, *project_id;
};

static void find_members(yyjson_val *object, struct token_members *m)
{
    const struct json_wanted wanted[] = {
        {SLICE("$token"), &m->dollar_token},   {SLICE("token"), &m->token},
        {SLICE("api_key"), &m->api_key},       {SLICE("properties"), &m->properties},
        {SLICE("project_id"), &m->project_id},
    };

    json_members(object, wanted, ARRAY_LEN(wanted));
}

static struct slice token_of_object(yyjson_val *object)
{
    struct token_members m;

    find_members(object, &m);
    yyjson_val *const places[] = {m.dollar_token, m.token, m.api_key};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (yyjson_is_str(places[i]) && yyjson_get_len(places[i]) > 0)
            return json_text(places[i]);
    if (yyjson_is_obj(m.properties)) {
        yyjson_val *token = json_member(m.properties, SLICE("token"));

        if (yyjson_is_str(token))
            return json_text(token);
    }
    return SLICE_NONE;
}

/* The first token of the members. *is_mixed: two different ones that are both known occur. */
static struct slice token_of_array(yyjson_val *array, const struct team_set *teams, bool *is_mixed)
{
    struct slice first = SLICE_NONE, last = SLICE_NONE;
    const struct team *known = NULL;
    size_t at, count;
    yyjson_val *member;

    yyjson_arr_foreach(array, at, count, member)
    {
        struct slice token = yyjson_is_obj(member) ? token_of_object(member) : SLICE_NONE;
        const struct team *team;

        if (token.len == 0 || slice_eq(token, last))
            continue;
        last = token;
        if (first.len == 0)
            first = token;
        team = team_by_token(teams, token);
        if (team && known && team != known)
            *is_mixed = true;
        if (team)
            known = team;
    }
    return first;
}

static struct slice find_token(const struct capture_token_input *in, bool *is_mixed)
{
    const struct capture_source *src = in->src;

    if (src->is_get && src->query.token.len > 0)
        return src->query.token;
    if (src->is_get && src->query.api_key.len > 0)
        return src->query.api_key;
    if (src->form.api_key.len > 0)
        return src->form.api_key;
    if (src->form.token.len > 0)
        return src->form.token;
    if (yyjson_is_arr(in->root))
        return token_of_array(in->root, in->teams, is_mixed);
    return token_of_object(in->root);
}

/* --- personal keys --- */

static struct slice project_of_body(yyjson_val *root)
{
    yyjson_val *object = yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root;
    struct token_members m;

    if (!yyjson_is_obj(object))
        return SLICE_NONE;
    find_members(object, &m);
    if (!m.project_id || !capture_body_is_filled(m.project_id))
        return SLICE_NONE;
    if (yyjson_is_raw(m.project_id))
        return slice_make(yyjson_get_raw(m.project_id), yyjson_get_len(m.project_id));
    if (yyjson_is_str(m.project_id))
        return json_text(m.project_id);
    return SLICE("not a number"); /* true, a list, an object */
}

static enum capture_reply personal_team(const struct capture_token_input *in, struct slice token,
                                        const struct team **team)
{
    struct slice project = in->src->query.project_id;
    int64_t id = 0;

    if (project.len == 0)
        project = in->src->form.project_id;
    if (project.len == 0)
        project = project_of_body(in->root);
    if (project.len == 0)
        return CAPTURE_INVALID_KEY;
    if (!slice_i64(slice_trim(project), &id))
        return CAPTURE_INVALID_PROJECT;
    *team =
        id > 0 && team_of_personal_key(in->teams, token) == id ? team_by_id(in->teams, id) : NULL;
    return *team ? CAPTURE_OK : CAPTURE_INVALID_PERSONAL_KEY;
}

/* The shape that a project token may have where every token is taken. */
static bool is_open_token(struct slice token)
{
    if (token.len == 0 || token.len > OPEN_TOKEN_MAX || slice_starts(token, SLICE("phx_")))
        return false;
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] < 0x20 || token.ptr[i] > 0x7e)
            return false;
    return true;
}

enum capture_reply capture_token_team(const struct capture_token_input *in,
                                      const struct team **team)
{
    bool is_mixed = false;
    struct slice token = find_token(in, &is_mixed);

    if (token.len == 0)
        return CAPTURE_MISSING_KEY;
    if (is_mixed)
        return CAPTURE_INCONSISTENT_KEY;
    *team = team_by_token(in->teams, token);
    if (!*team && in->any_token && is_open_token(token))
        *team = team_by_id(in->teams, OPEN_TEAM_ID);
    if (*team)
        return CAPTURE_OK;
    return personal_team(in, token, team);
}
