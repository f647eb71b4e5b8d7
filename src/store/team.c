/* Teams and the set that all threads find them in. Personal keys are objects of the provision file
 * of kind PERSONAL_KEYS: {"key", "team"}. */
#include "base/json.h"
#include "base/mem.h"
#include "store/store_priv.h"

#define PERSONAL_KEYS  "personal_api_keys"
#define DROP_BYTES_MAX (16 << 20)

static const char sql_put[] = "INSERT OR REPLACE INTO teams (id, uuid, name, api_token, "
                              "slack_incoming_webhook, bucket, class, organization, "
                              "anonymize_ips, session_recording_opt_in, over_quota_events, "
                              "over_quota_recordings, drop_ids, extra) "
                              "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
static const char sql_token[] = "SELECT id FROM teams WHERE api_token = ? AND id <> ?";
static const char sql_remove[] = "DELETE FROM teams WHERE id = ?";
static const char sql_load[] = "SELECT id, uuid, name, api_token, slack_incoming_webhook, bucket, "
                               "class, organization, anonymize_ips, "
                               "session_recording_opt_in, over_quota_events, "
                               "over_quota_recordings, drop_ids, extra FROM teams ORDER BY id";
static const char sql_personal_keys[] =
    "SELECT key, json FROM objects WHERE kind = '" PERSONAL_KEYS "' ORDER BY key";

bool team_open(struct store_sqlite *s, struct err *err)
{
    struct small_tables *t = &s->small;

    return store_prepare(s, &t->team_put, sql_put, err) &&
           store_prepare(s, &t->team_token, sql_token, err) &&
           store_prepare(s, &t->team_remove, sql_remove, err) &&
           store_prepare(s, &t->teams, sql_load, err) &&
           store_prepare(s, &t->personal_keys, sql_personal_keys, err);
}

/* REPLACE would silently remove the other team. */
static bool check_token(struct store_sqlite *s, const struct team *team, struct err *err)
{
    struct db_stmt *q = s->small.team_token;
    int64_t other;

    db_bind_text_or_empty(q, 1, slice_cstr(team->api_token));
    db_bind_i64(q, 2, team->id);
    enum db_step step = db_step(q, err);
    if (step != DB_ROW)
        return step == DB_DONE || store_failed(s, err);
    other = db_col_i64(q, 0);
    db_reset(q);
    return err_set(err, ERR_INPUT, "api_token of team %lld belongs to team %lld already",
                   (long long)team->id, (long long)other);
}

static bool drop_ids_json(const struct team *team, struct buf *json)
{
    buf_add_char(json, '[');
    for (size_t i = 0; i < team->drop_count; i++) {
        if (i)
            buf_add_char(json, ',');
        buf_add_json_str(json, slice_cstr(team->drop[i]));
    }
    return buf_add_char(json, ']');
}

bool team_op_put(void *self, const struct team *team, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct db_stmt *q = s->small.team_put;
    struct buf drop = BUF_INIT(DROP_BYTES_MAX);
    bool ok = store_may_write(s, err) && check_token(s, team, err);

    if (ok && !drop_ids_json(team, &drop))
        ok = err_set(err, ERR_INPUT, "drop of team %lld is longer than %d bytes",
                     (long long)team->id, DROP_BYTES_MAX);
    if (ok) {
        db_bind_i64(q, 1, team->id);
        db_bind_blob(q, 2, team->uuid.b, sizeof(team->uuid.b));
        db_bind_text_or_empty(q, 3, slice_cstr(team->name));
        db_bind_text_or_empty(q, 4, slice_cstr(team->api_token));
        db_bind_text(q, 5, slice_cstr(team->slack_incoming_webhook));
        db_bind_text(q, 6, slice_cstr(team->bucket));
        db_bind_text(q, 7, slice_cstr(team->class_name));
        db_bind_text(q, 8, slice_cstr(team->organization));
        db_bind_i64(q, 9, team->anonymize_ips);
        db_bind_i64(q, 10, team->session_recording_opt_in);
        db_bind_i64(q, 11, team->over_quota_events);
        db_bind_i64(q, 12, team->over_quota_recordings);
        db_bind_text(q, 13, buf_slice(&drop));
        db_bind_text(q, 14, slice_cstr(team->extra_json ? team->extra_json : "{}"));
        ok = db_run(q, err) || store_failed(s, err);
    }
    buf_free(&drop);
    return ok;
}

bool team_op_remove(void *self, int64_t team_id, struct err *err)
{
    struct store_sqlite *s = store_self(self);

    if (!store_may_write(s, err))
        return false;
    db_bind_i64(s->small.team_remove, 1, team_id);
    return db_run(s->small.team_remove, err) || store_failed(s, err);
}

/* --- loading */

/* Column texts as C strings; they live until the set has copied them. */
static const char *text(struct arena *a, struct db_stmt *q, int at)
{
    struct slice s = db_col_text(q, at);

    return s.ptr ? arena_dup_cstr(a, s) : NULL;
}

static bool load_drop(struct arena *a, struct slice json, struct team *team, struct err *err)
{
    cJSON *list = json_parse(json, err);
    const cJSON *item;
    const char **ids;
    size_t count = 0;

    if (!list)
        return err_wrap(err, "drop of team %lld", (long long)team->id);
    ids = arena_alloc(a, (size_t)cJSON_GetArraySize(list) * sizeof(*ids) + 1);
    cJSON_ArrayForEach(item, list) if (cJSON_IsString(item)) ids[count++] =
        arena_dup_cstr(a, slice_cstr(item->valuestring));
    team->drop = ids;
    team->drop_count = count;
    json_free(list);
    return true;
}

static bool load_team(struct arena *a, struct db_stmt *q, struct team_set *set, struct err *err)
{
    struct team t = {.id = db_col_i64(q, 0)};

    if (!store_read_uuid(db_col_blob(q, 1), &t.uuid))
        return err_set(err, ERR_IO, "team %lld has no uuid", (long long)t.id);
    t.name = text(a, q, 2);
    t.api_token = text(a, q, 3);
    t.slack_incoming_webhook = text(a, q, 4);
    t.bucket = text(a, q, 5);
    t.class_name = text(a, q, 6);
    t.organization = text(a, q, 7);
    t.anonymize_ips = db_col_i64(q, 8) != 0;
    t.session_recording_opt_in = db_col_i64(q, 9) != 0;
    t.over_quota_events = db_col_i64(q, 10) != 0;
    t.over_quota_recordings = db_col_i64(q, 11) != 0;
    t.extra_json = text(a, q, 13);
    return load_drop(a, db_col_text(q, 12), &t, err) && team_set_add(set, &t, err);
}

static bool load_key(struct db_stmt *q, struct team_set *set, struct err *err)
{
    cJSON *json = json_parse(db_col_text(q, 1), err);
    int64_t team_id;
    bool ok = json && json_int(json_get(json, "team"), &team_id);

    if (ok)
        team_set_add_personal_key(set, db_col_text(q, 0), team_id);
    else if (json)
        err_set(err, ERR_INPUT, "a personal API key names no team");
    json_free(json);
    return ok;
}

bool team_op_load(void *self, struct team_set **result, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    struct team_set *set = team_set_new();
    struct arena *a = arena_new(4096);
    struct db_stmt *q = s->small.teams;
    enum db_step step;
    bool ok = true;

    while (ok && (step = db_step(q, err)) != DB_DONE)
        ok = step == DB_ROW && load_team(a, q, set, err);
    db_reset(q);
    q = s->small.personal_keys;
    while (ok && (step = db_step(q, err)) != DB_DONE)
        ok = step == DB_ROW && load_key(q, set, err);
    db_reset(q);
    arena_free(a);
    if (!ok) {
        team_set_unref(set);
        return store_failed(s, err);
    }
    team_set_seal(set);
    *result = set;
    return true;
}
