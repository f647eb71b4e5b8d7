/* event_in.c - one or many events out of the posted JSON, encoded straight into the feed group.
 *
 * Two kinds of fault: one member that makes no sense as an event at all refuses the whole request
 * (the client's code is wrong, nothing is stored), one that merely lacks an id or a name is left
 * out and counted, because the others are good and a 400 would lose them.
 *
 * A record is written in place: the group gives room, the envelope without data goes first, the
 * JSON text of the tree behind it. Canonical text is hardly ever longer than what was posted (only
 * NaN -> null is), so room for the posted bytes is asked for first, and for the largest event
 * allowed when that was not enough.
 *
 * Small events grow on the way: an envelope is several times as long as the least event, and gzip
 * makes a few hundred kilobytes out of millions of them. So the group has a limit of its own, and
 * the request ends with the event that would pass it.
 */
#include "base/hash.h"
#include "base/utf8.h"
#include "in/capture/capture_priv.h"
#include "model/event_time.h"

#define DISTINCT_ID_POINTS 200
#define DISTINCT_ID_BYTES  (4 * DISTINCT_ID_POINTS)
#define ROOM_SLACK         64 /* the properties that are added, a NaN or two */
#define GROUP_EVENTS_HINT  10000
#define RECORD_EXTRA_HINT  128 /* head of the record, distinct id in the envelope */

struct event_members {
    yyjson_val *event, *uuid, *dollar_distinct_id, *distinct_id, *properties;
};

struct property_members {
    yyjson_val *distinct_id, *insert_id, *snapshot_data, *session_id;
};

struct reader {
    const struct capture_events_input *in;
    struct capture_events *out;
    struct event_envelope base; /* what all events of the request share */
    size_t members;
    size_t text_left; /* posted bytes that no event has used yet */
    struct err *err;
    char id_text[DISTINCT_ID_BYTES];
};

/* --- members --- */

static void find_event_members(yyjson_val *object, struct event_members *m)
{
    const struct json_wanted wanted[] = {
        {SLICE("event"), &m->event},
        {SLICE("uuid"), &m->uuid},
        {SLICE("$distinct_id"), &m->dollar_distinct_id},
        {SLICE("distinct_id"), &m->distinct_id},
        {SLICE("properties"), &m->properties},
    };

    json_members(object, wanted, ARRAY_LEN(wanted));
}

static void find_property_members(yyjson_val *object, struct property_members *m)
{
    const struct json_wanted wanted[] = {
        {SLICE("distinct_id"), &m->distinct_id},
        {SLICE("$insert_id"), &m->insert_id},
        {SLICE("$snapshot_data"), &m->snapshot_data},
        {SLICE("$session_id"), &m->session_id},
    };

    json_members(object, wanted, ARRAY_LEN(wanted));
}

/* --- distinct id --- */

static bool is_given(yyjson_val *v)
{
    return v && !yyjson_is_null(v) && !(yyjson_is_str(v) && yyjson_get_len(v) == 0);
}

/* Cuts to the maximum and takes out NUL, which no later place may see. */
static struct slice fit_distinct_id(struct reader *r, struct slice text)
{
    char *out = r->id_text;

    if (text.len > DISTINCT_ID_POINTS)
        text = utf8_cut_points(text, DISTINCT_ID_POINTS);
    if (!memchr(text.ptr, 0, text.len))
        return text;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != 0)
            *out++ = text.ptr[i];
        else
            out += utf8_put(0xfffd, out);
    }
    return slice_make(r->id_text, (size_t)(out - r->id_text));
}

static struct slice distinct_id_text(struct reader *r, yyjson_val *v)
{
    /* Enough for all that is kept; the rest is not even written. */
    struct buf text = BUF_INIT(r->in->event_bytes_max);
    struct slice id = SLICE_NONE;

    if (yyjson_is_str(v))
        return fit_distinct_id(r, json_text(v));
    if (yyjson_is_raw(v))
        return fit_distinct_id(r, slice_make(yyjson_get_raw(v), yyjson_get_len(v)));
    if (json_value_write(v, &text)) {
        id = fit_distinct_id(r, buf_slice(&text));
        if (id.ptr != r->id_text) {
            memcpy(r->id_text, id.ptr, id.len);
            id.ptr = r->id_text;
        }
    }
    buf_free(&text);
    return id;
}

static struct slice find_distinct_id(struct reader *r, const struct event_members *m,
                                     const struct property_members *p)
{
    yyjson_val *const places[] = {m->dollar_distinct_id, p->distinct_id, m->distinct_id};

    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (is_given(places[i]))
            return distinct_id_text(r, places[i]);
    return SLICE_NONE;
}

/* --- uuid --- */

static void add_part(struct buf *name, struct slice part)
{
    uint32_t len = (uint32_t)part.len;
    uint8_t le[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};

    buf_add(name, le, sizeof le);
    buf_add_slice(name, part);
}

/* The id of an event whose client names it by $insert_id: v5 of four parts, each behind its length
 * in four bytes, little endian (team as decimal text, event, distinct id, insert id). It must never
 * change, or retries that cross an update are stored twice. */
static bool derive_uuid(const struct event_envelope *e, struct slice event, yyjson_val *insert_id,
                        size_t bytes_max, struct uuid *out)
{
    struct buf name = BUF_INIT(2 * bytes_max + DISTINCT_ID_BYTES + 64);
    struct slice text = SLICE_NONE;
    char team[24];
    struct buf digits = {.ptr = team, .cap = sizeof team, .max = sizeof team};
    bool ok;

    if (yyjson_is_str(insert_id))
        text = json_text(insert_id);
    else if (yyjson_is_raw(insert_id))
        text = slice_make(yyjson_get_raw(insert_id), yyjson_get_len(insert_id));
    if (text.len == 0)
        return false;
    buf_add_i64(&digits, e->team_id);
    add_part(&name, buf_slice(&digits));
    add_part(&name, event);
    add_part(&name, e->distinct_id);
    add_part(&name, text);
    ok = !name.is_over; /* else the event is over the limit too */
    if (ok)
        *out = uuid_v5(buf_slice(&name));
    buf_free(&name);
    return ok;
}

static void choose_uuid(const struct reader *r, const struct event_members *m,
                        const struct property_members *p, struct event_envelope *e)
{
    /* The nil UUID says "none" (RFC 9562): taken as an id it would make all events of a broken
     * client duplicates of its first. */
    if (yyjson_is_str(m->uuid) && uuid_parse_loose(json_text(m->uuid), &e->uuid) &&
        !uuid_is_nil(&e->uuid))
        e->flags |= EVENT_UUID_CHECKED;
    else if (p->insert_id &&
             derive_uuid(e, json_text(m->event), p->insert_id, r->in->event_bytes_max, &e->uuid))
        e->flags |= EVENT_UUID_CHECKED;
    else
        e->uuid = uuid_v7(e->now_us);
}

/* --- record --- */

static bool write_event(yyjson_val *event, bool has_properties, struct buf *out)
{
    static const char *const skip[] = {"properties", NULL};
    size_t count = 0;

    if (has_properties)
        return json_value_write(event, out);
    return json_object_write(event, skip, true, &count, out) &&
           buf_add_str(out, count ? ",\"properties\":{}}" : "\"properties\":{}}");
}

static struct feed_group *new_group(const struct reader *r)
{
    size_t events = MIN(r->members, (size_t)GROUP_EVENTS_HINT);
    size_t extra = RECORD_EXTRA_HINT + event_encoded_bytes(&r->base);

    return feed_group_new(
        MIN(r->in->text_bytes + ROOM_SLACK + events * extra, r->in->group_bytes_max));
}

/* The envelope's last field is the data: length (u32, little endian), then the text. It was encoded
 * empty, and now the text stands behind it. */
static void set_data_length(char *text, size_t len)
{
    for (int i = 0; i < 4; i++)
        text[i - 4] = (char)(uint8_t)(len >> (8 * i));
}

static bool group_has_room(const struct reader *r, size_t payload)
{
    size_t used = feed_group_bytes(r->out->group), max = r->in->group_bytes_max;

    return used <= max && record_bytes(payload) <= max - used;
}

enum add_result { ADDED, ADD_TOO_BIG, ADD_FULL };

static enum add_result add_record(struct reader *r, const struct event_envelope *e,
                                  yyjson_val *event, bool has_properties)
{
    size_t head = event_encoded_bytes(e);
    size_t room_max = r->in->event_bytes_max;
    size_t room = MIN(r->text_left + ROOM_SLACK, room_max);

    if (!r->out->group)
        r->out->group = new_group(r);
    for (;;) {
        char *at = feed_group_open(r->out->group, head + room + 1);
        /* One byte more than the maximum, so that no writer needs to move the buffer for its NUL.
         */
        struct buf text = {.ptr = at ? at + head : NULL, .cap = room + 1, .max = room};

        if (!at)
            return ADD_FULL;
        if (write_event(event, has_properties, &text)) {
            if (!group_has_room(r, head + text.len))
                return ADD_FULL;
            event_encode(e, at);
            set_data_length(text.ptr, text.len);
            feed_group_close(r->out->group, hash_event_key(e->team_id, e->distinct_id),
                             RECORD_TYPE_EVENT, (uint64_t)e->now_us, head + text.len);
            r->text_left -= MIN(r->text_left, text.len);
            return ADDED;
        }
        if (room == room_max)
            return ADD_TOO_BIG;
        room = room_max;
    }
}

/* --- one event --- */

static enum capture_reply refuse(struct reader *r, const char *detail)
{
    err_set(r->err, ERR_INPUT, "Invalid payload: %s", detail);
    return CAPTURE_INVALID_PAYLOAD;
}

static enum capture_reply drop(struct reader *r, enum capture_drop why)
{
    r->out->dropped[why]++;
    return CAPTURE_OK;
}

static bool is_snapshot(yyjson_val *event)
{
    return slice_eq(json_text(event), SLICE("$snapshot"));
}

static enum capture_reply check_snapshot(struct reader *r, const struct property_members *p)
{
    if (!p->snapshot_data || yyjson_is_null(p->snapshot_data))
        return refuse(r, "$snapshot events must contain property \"$snapshot_data\"!");
    if (!p->session_id || yyjson_is_null(p->session_id))
        return refuse(r, "$snapshot events must contain property \"$session_id\"!");
    return CAPTURE_OK;
}

static enum capture_reply store_event(struct reader *r, yyjson_val *event,
                                      const struct event_members *m,
                                      const struct property_members *p, struct event_envelope *e)
{
    choose_uuid(r, m, p, e);
    switch (add_record(r, e, event, yyjson_is_obj(m->properties))) {
    case ADDED:
        r->out->accepted++;
        return CAPTURE_OK;
    case ADD_TOO_BIG:
        drop(r, CAPTURE_DROP_TOO_BIG);
        return r->members == 1 ? CAPTURE_TOO_LARGE : CAPTURE_OK;
    case ADD_FULL:
        err_set(r->err, ERR_LIMIT, "the events of the request take more than %zu bytes",
                r->in->group_bytes_max);
        break;
    }
    return CAPTURE_TOO_LARGE;
}

static enum capture_reply read_event(struct reader *r, yyjson_val *event)
{
    const struct team *team = r->in->team;
    struct event_envelope e = r->base;
    struct event_members m;
    struct property_members p;
    enum capture_reply reply;
    bool is_recording;

    if (!yyjson_is_obj(event) || yyjson_get_len(event) == 0)
        return refuse(r, "some events are null");
    find_event_members(event, &m);
    if (!m.event)
        return refuse(r, "All events must have the event name field \"event\"!");
    if (!yyjson_is_str(m.event) || yyjson_get_len(m.event) == 0)
        return drop(r, CAPTURE_DROP_NO_NAME);
    if (m.properties && !yyjson_is_obj(m.properties) &&
        (yyjson_is_raw(m.properties) || capture_body_is_filled(m.properties)))
        return refuse(r, "Properties must be a JSON object!");
    find_property_members(yyjson_is_obj(m.properties) ? m.properties : NULL, &p);
    e.distinct_id = find_distinct_id(r, &m, &p);
    if (e.distinct_id.len == 0)
        return drop(r, CAPTURE_DROP_NO_ID);
    is_recording = is_snapshot(m.event);
    if (is_recording && team->over_quota_recordings)
        return drop(r, CAPTURE_DROP_RECORDING_QUOTA);
    if (!is_recording && team->over_quota_events)
        return drop(r, CAPTURE_DROP_EVENT_QUOTA);
    if (team_drops(team, e.distinct_id))
        return drop(r, CAPTURE_DROP_LISTED);
    if (is_recording && (reply = check_snapshot(r, &p)) != CAPTURE_OK)
        return reply;
    return store_event(r, event, &m, &p, &e);
}

/* --- all of them --- */

static struct event_envelope shared_fields(const struct capture_events_input *in)
{
    return (struct event_envelope){
        .team_id = in->team->id,
        .ip = in->team->anonymize_ips ? SLICE_NONE : in->ip,
        .site_url = in->site_url,
        .token = slice_cstr(in->team->api_token),
        .traceparent = in->traceparent,
        .now_us = in->now_us,
        .sent_at_us = in->sent_at_us,
        .has_sent_at = in->has_sent_at,
        .data = SLICE(""),
    };
}

static enum capture_reply read_array(struct reader *r, yyjson_val *array)
{
    size_t at, count;
    yyjson_val *member;

    r->members = yyjson_arr_size(array);
    yyjson_arr_foreach(array, at, count, member)
    {
        enum capture_reply reply = read_event(r, member);

        if (reply != CAPTURE_OK)
            return reply;
    }
    return CAPTURE_OK;
}

static enum capture_reply read_root(struct reader *r)
{
    yyjson_val *root = r->in->root, *batch;

    if (yyjson_is_arr(root))
        return read_array(r, root);
    batch = json_member(root, SLICE("batch"));
    if (!batch || !capture_body_is_filled(batch)) {
        r->members = 1;
        return read_event(r, root);
    }
    if (!yyjson_is_arr(batch))
        return refuse(r, "\"batch\" must be an array of events!");
    if (yyjson_is_true(json_member(root, SLICE("historical_migration"))))
        r->base.flags |= EVENT_HISTORICAL;
    return read_array(r, batch);
}

enum capture_reply capture_events_read(const struct capture_events_input *in,
                                       struct capture_events *out, struct err *err)
{
    struct reader r = {.in = in, .out = out, .text_left = in->text_bytes, .err = err};
    enum capture_reply reply;

    *out = (struct capture_events){.group = NULL};
    r.base = shared_fields(in);
    reply = read_root(&r);
    out->received = r.members;
    if (reply != CAPTURE_OK) {
        /* Nothing of the request came in; only the one event that was too big alone is counted. */
        size_t too_big = r.members == 1 ? out->dropped[CAPTURE_DROP_TOO_BIG] : 0;

        feed_group_free(out->group);
        *out = (struct capture_events){.received = too_big};
        out->dropped[CAPTURE_DROP_TOO_BIG] = too_big;
    }
    return reply;
}

/* --- sent_at --- */

bool capture_events_sent_at(const struct capture_source *src, yyjson_val *root, int64_t *us,
                            bool *is_bad)
{
    yyjson_val *member = yyjson_is_obj(root) ? json_member(root, SLICE("sent_at")) : NULL;
    struct slice in_body = SLICE_NONE;
    struct slice text = SLICE_NONE;

    if (yyjson_is_str(member))
        in_body = json_text(member);
    else if (yyjson_is_raw(member))
        in_body = slice_make(yyjson_get_raw(member), yyjson_get_len(member));
    else if (member && capture_body_is_filled(member))
        in_body = SLICE("not a time"); /* true, a list, an object */
    const struct slice places[] = {src->query.underscore, src->query.sent_at, in_body,
                                   src->form.sent_at};
    for (size_t i = 0; i < ARRAY_LEN(places) && text.len == 0; i++)
        text = places[i];
    *is_bad = text.len > 0 && !event_time_parse_sent_at(text, us);
    return text.len > 0 && !*is_bad;
}
