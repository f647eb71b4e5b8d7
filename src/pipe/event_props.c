/* The properties of one event: sorted once by what they mean here, then written once.
 *
 * Most of the work of a PIPE thread is done here, so every member is looked at once and copied
 * once. The names that matter are found by their length first. $set and $set_once are drafts:
 * references to values of the parsed event (and names that are static texts), joined in the order
 * of the specification:
 *
 *   properties.$set, then the event's own $set, then campaign values        (later ones win, first
 * places stay) the same for $set_once, with $initial_ values of campaign and browser properties
 *
 * $set, $set_once, $unset and the client's $group_N are remembered as slices of the written text.
 */
#include "base/hash.h"
#include "pipe/pipe_priv.h"

/* --- names ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum prop prop;
    const char *initial; /* of campaign and initial properties: the name in $set_once */
} known[] = {
    {"", PROP_OTHER, NULL},
    /* by length, see first_of_length */
    {"$ip", PROP_IP, NULL},
    {"$os", PROP_INITIAL, "$initial_os"},
    {"$set", PROP_SET, NULL},
    {"alias", PROP_ALIAS, NULL},
    {"gclid", PROP_CAMPAIGN, "$initial_gclid"},
    {"$unset", PROP_UNSET, NULL},
    {"fbclid", PROP_CAMPAIGN, "$initial_fbclid"},
    {"$groups", PROP_GROUPS, NULL},
    {"$group_0", PROP_GROUP_0, NULL},
    {"$group_1", PROP_GROUP_1, NULL},
    {"$group_2", PROP_GROUP_2, NULL},
    {"$group_3", PROP_GROUP_3, NULL},
    {"$group_4", PROP_GROUP_4, NULL},
    {"utm_term", PROP_CAMPAIGN, "$initial_utm_term"},
    {"$browser", PROP_INITIAL, "$initial_browser"},
    {"$set_once", PROP_SET_ONCE, NULL},
    {"$pathname", PROP_INITIAL, "$initial_pathname"},
    {"$referrer", PROP_INITIAL, "$initial_referrer"},
    {"$group_key", PROP_GROUP_KEY, NULL},
    {"$group_set", PROP_GROUP_SET, NULL},
    {"$window_id", PROP_WINDOW_ID, NULL},
    {"utm_source", PROP_CAMPAIGN, "$initial_utm_source"},
    {"utm_medium", PROP_CAMPAIGN, "$initial_utm_medium"},
    {"$group_type", PROP_GROUP_TYPE, NULL},
    {"$session_id", PROP_SESSION_ID, NULL},
    {"utm_content", PROP_CAMPAIGN, "$initial_utm_content"},
    {"utm_campaign", PROP_CAMPAIGN, "$initial_utm_campaign"},
    {"$device_type", PROP_INITIAL, "$initial_device_type"},
    {"$current_url", PROP_INITIAL, "$initial_current_url"},
    {"$snapshot_data", PROP_SNAPSHOT_DATA, NULL},
    {"$ignore_sent_at", PROP_IGNORE_SENT_AT, NULL},
    {"$browser_version", PROP_INITIAL, "$initial_browser_version"},
    {"$anon_distinct_id", PROP_ANON_DISTINCT_ID, NULL},
    {"$referring_domain", PROP_INITIAL, "$initial_referring_domain"},
};

#define LENGTH_MAX 17

/* known[] of length n stands at first_of_length[n] up to first_of_length[n + 1]. */
static const uint8_t first_of_length[LENGTH_MAX + 2] = {1,  1,  1,  1,  3,  4,  6,  8,  9, 16,
                                                        19, 24, 27, 30, 30, 31, 32, 33, 35};

/* Place in known[]; 0 is "other". */
static size_t find(struct slice name)
{
    if (name.len > LENGTH_MAX)
        return 0;
    for (size_t i = first_of_length[name.len]; i < first_of_length[name.len + 1]; i++) {
        if (memcmp(known[i].name, name.ptr, name.len) == 0)
            return i;
    }
    return 0;
}

/* --- sorting ---------------------------------------------------------------------------------- */

void event_props_sort(struct worker *w, yyjson_val *properties, yyjson_val *more,
                      struct event_props *props)
{
    struct draft *d = &w->properties;

    memset(props, 0, sizeof(*props));
    draft_clear(d);
    draft_put_all(d, properties);
    draft_put_all(d, more);
    for (size_t i = 0; i < d->names.count; i++) {
        size_t at = find(d->names.keys[i]);

        d->marks[i] = (uint8_t)at;
        if (known[at].prop != PROP_OTHER && known[at].prop < PROP_KNOWN_COUNT)
            props->known[known[at].prop] = d->values[i];
    }
}

void event_props_fold(struct worker *w, const struct event_props *props)
{
    const struct draft *d = &w->properties;

    draft_clear(&w->set);
    draft_clear(&w->set_once);
    draft_put_all(&w->set, props->known[PROP_SET]);
    draft_put_all(&w->set_once, props->known[PROP_SET_ONCE]);
    draft_put_all(&w->set, props->top_set);
    draft_put_all(&w->set_once, props->top_set_once);
    for (size_t i = 0; i < d->names.count; i++) {
        if (known[d->marks[i]].prop == PROP_CAMPAIGN)
            draft_put(&w->set, d->names.keys[i], d->values[i]);
        if (known[d->marks[i]].prop >= PROP_CAMPAIGN)
            draft_put(&w->set_once, slice_cstr(known[d->marks[i]].initial), d->values[i]);
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Places in the text that is being written; slices only when it is complete and will not move any
 * more. */
struct place {
    size_t from, to;
};

struct writing {
    struct worker *w;
    const struct event_props *props;
    struct buf *out;
    struct place places[PROP_KNOWN_COUNT];
    bool is_empty;
};

/* Is the member one that a draft stands for? An object or nothing is; other values of the client
 * stay as they are unless there is something to store in their place. */
static const struct draft *draft_of(const struct writing *wr, enum prop prop)
{
    const struct draft *d = prop == PROP_SET ? &wr->w->set : &wr->w->set_once;
    yyjson_val *own = wr->props->known[prop];
    yyjson_val *top = prop == PROP_SET ? wr->props->top_set : wr->props->top_set_once;

    return yyjson_is_obj(own) || yyjson_is_obj(top) || d->names.count > 0 ? d : NULL;
}

static bool write_name(struct writing *wr, struct slice name)
{
    bool is_first = wr->is_empty;

    wr->is_empty = false;
    return json_name_write(name, is_first, true, wr->out);
}

static bool write_draft(struct writing *wr, enum prop prop, const struct draft *d)
{
    wr->places[prop].from = wr->out->len;
    if (!draft_write(d, wr->out))
        return false;
    wr->places[prop].to = wr->out->len;
    return true;
}

static bool write_one(struct writing *wr, struct slice name, yyjson_val *value, enum prop prop)
{
    const struct draft *d = prop == PROP_SET || prop == PROP_SET_ONCE ? draft_of(wr, prop) : NULL;

    if (!write_name(wr, name))
        return false;
    if (d)
        return write_draft(wr, prop, d);
    if (prop == PROP_OTHER || prop >= PROP_KNOWN_COUNT)
        return json_value_write_clean(value, wr->out);
    wr->places[prop].from = wr->out->len;
    if (!json_value_write_clean(value, wr->out))
        return false;
    wr->places[prop].to = wr->out->len;
    return true;
}

/* $set or $set_once that the client's properties did not have. */
static bool write_added(struct writing *wr, enum prop prop, struct slice name)
{
    const struct draft *d = wr->props->known[prop] ? NULL : draft_of(wr, prop);

    return !d || (write_name(wr, name) && write_draft(wr, prop, d));
}

static bool write_all(struct writing *wr, struct slice ip)
{
    const struct draft *d = &wr->w->properties;
    bool ok = buf_add_char(wr->out, '{');

    for (size_t i = 0; ok && i < d->names.count; i++)
        ok = write_one(wr, d->names.keys[i], d->values[i], known[d->marks[i]].prop);
    if (ok && ip.len > 0 && !wr->props->known[PROP_IP])
        ok = write_name(wr, SLICE("$ip")) && json_string_write(ip, true, wr->out);
    return ok && write_added(wr, PROP_SET, SLICE("$set")) &&
           write_added(wr, PROP_SET_ONCE, SLICE("$set_once")) && buf_add_char(wr->out, '}');
}

static struct slice sub(struct slice text, struct place at)
{
    return at.to > at.from ? slice_make(text.ptr + at.from, at.to - at.from) : SLICE_NONE;
}

/* Two events with the same fingerprint do the same to a person: for $set_once only the names count.
 */
static uint64_t change_of(const struct worker *w, const struct prepared *out)
{
    uint64_t h = hash64(out->set.ptr, out->set.len, 1);

    h = hash64(out->unset.ptr, out->unset.len, h);
    for (size_t i = 0; i < w->set_once.names.count; i++)
        h = hash64(w->set_once.names.keys[i].ptr, w->set_once.names.keys[i].len, h);
    return h ? h : 1;
}

static bool write_first(struct worker *w, struct prepared *out)
{
    if (!out->set_once.ptr || !out->set.ptr) {
        out->first = out->set.ptr ? out->set : out->set_once;
        return true;
    }
    draft_clear(&w->first);
    draft_copy(&w->first, &w->set_once);
    draft_copy(&w->first, &w->set);
    buf_clear(&w->text);
    if (!draft_write(&w->first, &w->text))
        return false;
    out->first = arena_dup(out->arena, buf_slice(&w->text));
    return true;
}

struct slice event_props_text(struct slice text, struct arena *arena)
{
    char *out;
    size_t len = 0;

    if (text.len == 0 || !memchr(text.ptr, '\0', text.len))
        return arena_dup(arena, text);
    out = arena_alloc(arena, 3 * text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\0') {
            out[len++] = text.ptr[i];
            continue;
        }
        memcpy(out + len, "\xef\xbf\xbd", 3);
        len += 3;
    }
    return slice_make(out, len);
}

struct slice event_props_string(struct worker *w, yyjson_val *value, struct arena *arena)
{
    if (yyjson_is_str(value))
        return event_props_text(json_text(value), arena);
    buf_clear(&w->small);
    return json_string_form(value, &w->small) ? event_props_text(buf_slice(&w->small), arena)
                                              : SLICE("");
}

static void remember_sent_groups(struct worker *w, const struct writing *wr, struct prepared *out)
{
    for (size_t i = 0; i < STORE_GROUP_TYPES_MAX; i++) {
        enum prop prop = (enum prop)(PROP_GROUP_0 + i);
        yyjson_val *value = wr->props->known[prop];

        if (!value)
            continue;
        out->sent_groups[i].from = (uint32_t)wr->places[prop].from;
        out->sent_groups[i].to = (uint32_t)wr->places[prop].to;
        if (!yyjson_is_null(value))
            out->sent_groups[i].key = event_props_string(w, value, out->arena);
    }
}

bool event_props_write(struct worker *w, const struct event_props *props, struct slice ip,
                       struct prepared *out)
{
    struct writing wr = {.w = w, .props = props, .out = &w->text, .is_empty = true};
    yyjson_val *unset = props->known[PROP_UNSET];

    buf_clear(&w->text);
    if (!write_all(&wr, ip))
        return false;
    out->properties = arena_dup(out->arena, buf_slice(&w->text));
    if (w->set.names.count > 0)
        out->set = sub(out->properties, wr.places[PROP_SET]);
    if (w->set_once.names.count > 0)
        out->set_once = sub(out->properties, wr.places[PROP_SET_ONCE]);
    if (yyjson_is_obj(unset) || yyjson_is_arr(unset))
        out->unset = sub(out->properties, wr.places[PROP_UNSET]);
    remember_sent_groups(w, &wr, out);
    if (out->set.ptr || out->set_once.ptr || out->unset.ptr)
        out->change = change_of(w, out);
    return write_first(w, out);
}
