/* Last step of PIPE: everything about an event that does not depend on other events, as texts for
 * STORE.
 *
 * In the order of the specification: team, time, $set folding, identify and alias, the $snapshot
 * branch, name, $ip, campaign and initial properties, groups. What needs the store (persons, group
 * indexes) is only named here.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "model/event_time.h"
#include "pipe/pipe_priv.h"

/* The members of the event object that matter; of a repeated one the last. */
struct event_members {
    yyjson_val *event, *properties, *timestamp, *offset, *set, *set_once;
};

static void find_members(yyjson_val *root, struct event_members *m)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    yyjson_val *key;

    *m = (struct event_members){0};
    while ((key = yyjson_obj_iter_next(&it))) {
        struct slice name = json_text(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);

        if (slice_eq(name, SLICE("event")))
            m->event = value;
        else if (slice_eq(name, SLICE("properties")))
            m->properties = value;
        else if (slice_eq(name, SLICE("timestamp")))
            m->timestamp = value;
        else if (slice_eq(name, SLICE("offset")))
            m->offset = value;
        else if (slice_eq(name, SLICE("$set")))
            m->set = value;
        else if (slice_eq(name, SLICE("$set_once")))
            m->set_once = value;
    }
}

static void resolve_time(const struct event_envelope *e, const struct event_members *m,
                         const struct event_props *props, struct prepared *out)
{
    struct event_time_input in = {
        .timestamp = m->timestamp,
        .offset = m->offset,
        .has_sent_at = e->has_sent_at,
        .sent_at_us = e->sent_at_us,
        .ignore_sent_at = yyjson_is_true(props->known[PROP_IGNORE_SENT_AT]),
        .now_us = e->now_us,
        .clock_us = clock_wall_us(),
    };
    unsigned warnings = 0;

    out->timestamp_us = event_time_resolve(&in, &warnings);
    out->now_us = e->now_us;
    if (warnings & (EVENT_TIME_BAD_TIMESTAMP | EVENT_TIME_BAD_SENT_AT))
        out->warnings |= 1u << WARNING_TIMESTAMP;
    if (warnings & EVENT_TIME_IN_FUTURE)
        out->warnings |= 1u << WARNING_FUTURE;
}

/* A string as it is, anything else as compact JSON. Not yet cut: names are compared whole. */
static struct slice event_name(struct worker *w, yyjson_val *event, struct arena *arena)
{
    if (yyjson_is_str(event))
        return event_props_string(w, event, arena);
    buf_clear(&w->small);
    return json_value_write_clean(event, &w->small) ? arena_dup(arena, buf_slice(&w->small))
                                                    : SLICE("");
}

static void find_merge(struct worker *w, struct slice event, const struct event_props *props,
                       struct prepared *out)
{
    enum merge_mode mode = MERGE_NONE;
    yyjson_val *previous = NULL;

    if (slice_eq(event, SLICE("$identify"))) {
        mode = MERGE_IDENTIFY;
        previous = props->known[PROP_ANON_DISTINCT_ID];
    } else if (slice_eq(event, SLICE("$create_alias"))) {
        mode = MERGE_ALIAS;
        previous = props->known[PROP_ALIAS];
    } else if (slice_eq(event, SLICE("$merge_dangerously"))) {
        mode = MERGE_FORCE;
        previous = props->known[PROP_ALIAS];
    }
    if (mode == MERGE_NONE || !json_is_truthy(previous))
        return;
    out->previous_id = event_props_string(w, previous, out->arena);
    if (slice_eq(out->previous_id, out->distinct_id))
        return;
    if (distinct_ids_illegal(out->previous_id) || distinct_ids_illegal(out->distinct_id) ||
        distinct_ids_too_long(out->previous_id)) {
        out->warnings |= 1u << WARNING_ILLEGAL_DISTINCT_ID;
        return;
    }
    out->merge = mode;
}

static struct slice json_clean(struct worker *w, yyjson_val *value, struct arena *arena)
{
    buf_clear(&w->small);
    return value && json_value_write_clean(value, &w->small)
               ? arena_dup(arena, buf_slice(&w->small))
               : SLICE("");
}

static struct slice string_or_empty(struct worker *w, yyjson_val *value, struct arena *arena)
{
    return value && !yyjson_is_null(value) ? event_props_string(w, value, arena) : SLICE("");
}

static void prepare_snapshot(struct worker *w, const struct event_props *props,
                             const struct team *team, struct prepared *out)
{
    struct prepared_recording *r;

    if (!team->session_recording_opt_in) {
        out->kind = PREPARED_DROPPED;
        return;
    }
    r = arena_new_obj(out->arena, struct prepared_recording);
    out->kind = PREPARED_SNAPSHOT;
    r->session_id = string_or_empty(w, props->known[PROP_SESSION_ID], out->arena);
    r->window_id = string_or_empty(w, props->known[PROP_WINDOW_ID], out->arena);
    r->snapshot_data = json_clean(w, props->known[PROP_SNAPSHOT_DATA], out->arena);
    out->recording = r;
}

static void prepare_groups(struct worker *w, const struct event_props *props, struct prepared *out)
{
    yyjson_val *groups = props->known[PROP_GROUPS];
    struct draft *d = &w->first; /* free again: the properties are written */
    size_t count;

    if (!yyjson_is_obj(groups) || yyjson_obj_size(groups) == 0)
        return;
    draft_clear(d);
    draft_put_all(d, groups);
    count = MIN(d->names.count, (size_t)GROUPS_MAX);
    out->groups = arena_zalloc(out->arena, count * sizeof(*out->groups));
    for (size_t i = 0; i < count; i++) {
        struct prepared_group *g = &out->groups[out->group_count];

        if (distinct_ids_too_long(d->names.keys[i]))
            continue;
        g->type = event_props_text(d->names.keys[i], out->arena);
        g->json = json_clean(w, d->values[i], out->arena);
        g->key = yyjson_is_null(d->values[i]) ? SLICE_NONE
                                              : event_props_string(w, d->values[i], out->arena);
        out->group_count++;
    }
}

static void prepare_group_identify(struct worker *w, const struct event_props *props,
                                   struct prepared *out)
{
    struct prepared_identify *g;

    if (!json_is_truthy(props->known[PROP_GROUP_TYPE]) ||
        !json_is_truthy(props->known[PROP_GROUP_KEY]))
        return;
    g = arena_new_obj(out->arena, struct prepared_identify);
    g->type = event_props_string(w, props->known[PROP_GROUP_TYPE], out->arena);
    g->key = event_props_string(w, props->known[PROP_GROUP_KEY], out->arena);
    g->set = yyjson_is_obj(props->known[PROP_GROUP_SET])
                 ? json_clean(w, props->known[PROP_GROUP_SET], out->arena)
                 : SLICE("{}");
    if (!distinct_ids_too_long(g->type) && !distinct_ids_too_long(g->key))
        out->group_identify = g;
}

static enum step_result dead(struct step_work *work, enum dead_reason reason)
{
    work->dead_reason = reason;
    return STEP_DEAD;
}

static enum step_result check(struct step_work *work, const struct team *team,
                              const struct event_members *m, struct err *err)
{
    const struct event_envelope *e = &work->envelope;

    if (!team) {
        err_set(err, ERR_INPUT, "No team found with ID %lld. Can't ingest event.",
                (long long)e->team_id);
        return dead(work, DEAD_TEAM);
    }
    if (distinct_ids_too_long(e->distinct_id)) {
        err_set(err, ERR_INPUT, "distinct_id is longer than %d characters", ID_POINTS_MAX);
        return dead(work, DEAD_DISTINCT_ID);
    }
    if (!m->event) {
        err_set(err, ERR_INPUT, "Missing event name");
        return dead(work, DEAD_EVENT_NAME);
    }
    return STEP_NEXT;
}

static void fill_head(struct step_work *work, struct prepared *out)
{
    const struct event_envelope *e = &work->envelope;

    out->uuid = e->uuid;
    out->is_uuid_checked = (e->flags & EVENT_UUID_CHECKED) != 0;
    out->team_id = e->team_id;
    out->distinct_id = worker_keep_text(work, e->distinct_id);
    out->now_us = e->now_us;
    out->event = SLICE("");
}

enum step_result prepare_step(struct step_work *work, struct err *err)
{
    struct worker *w = work->worker;
    struct prepared *out = worker_output(work);
    const struct team_set *teams = team_directory_cached(w->pipe->opt.teams, &w->teams);
    const struct team *team = team_by_id(teams, work->envelope.team_id);
    struct event_members m;
    struct event_props props;
    enum step_result result;
    struct slice ip;

    find_members(work->doc.root, &m);
    fill_head(work, out);
    if (m.event)
        out->event = utf8_cut_utf16(event_name(w, m.event, out->arena), EVENT_NAME_UNITS);
    result = check(work, team, &m, err);
    if (result != STEP_NEXT)
        return result;
    event_props_sort(w, m.properties, work->plugin.markers, &props);
    props.top_set = m.set;
    props.top_set_once = m.set_once;
    resolve_time(&work->envelope, &m, &props, out);
    find_merge(w, out->event, &props, out);
    if (slice_eq(out->event, SLICE("$snapshot"))) {
        prepare_snapshot(w, &props, team, out);
        return STEP_NEXT;
    }
    event_props_fold(w, &props);
    ip = team->anonymize_ips ? SLICE_NONE : work->envelope.ip;
    if (!event_props_write(w, &props, ip, out)) {
        err_set(err, ERR_LIMIT, "properties are longer than %zu bytes", TEXT_MAX);
        return dead(work, DEAD_UNPARSABLE);
    }
    prepare_groups(w, &props, out);
    out->is_group_identify = slice_eq(out->event, SLICE("$groupidentify"));
    if (out->is_group_identify)
        prepare_group_identify(w, &props, out);
    return STEP_NEXT;
}
