/* Groups: $groups on any event names them, $groupidentify gives them properties. */
#include "base/clock.h"
#include "pipe/pipe_priv.h"

#define NAME_BYTES 12 /* ,"$group_N": */

/* The indexes of the event's groups, and which entry of $groups stands for each (-1: none). */
static bool find_indexes(const struct store *store, const struct prepared *e,
                         int entries[STORE_GROUP_TYPES_MAX], struct err *err)
{
    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++)
        entries[i] = -1;
    for (size_t i = 0; i < e->group_count; i++) {
        int index;

        if (!store->ops->group_type(store->self, e->team_id, e->groups[i].type, &index, err))
            return false;
        if (index >= 0 && index < STORE_GROUP_TYPES_MAX)
            entries[index] = (int)i;
    }
    return true;
}

static char *put(char *out, const char *bytes, size_t len)
{
    memcpy(out, bytes, len);
    return out + len;
}

/* The properties with $group_N: in the client's place when it sent that name, else at the end. */
static struct slice rewrite(struct prepared *e, const int entries[STORE_GROUP_TYPES_MAX])
{
    const char *from = e->properties.ptr;
    const char *end = from + e->properties.len - 1; /* the closing brace */
    size_t room = e->properties.len + STORE_GROUP_TYPES_MAX * NAME_BYTES;
    char *out;
    size_t at = 0;

    for (size_t i = 0; i < e->group_count; i++)
        room += e->groups[i].json.len;
    if (!e->grouped)
        e->grouped = arena_alloc(e->arena, room);
    out = e->grouped;
    /* The client may have sent them in any order: each time the next place in the text. */
    for (;;) {
        int next = -1;

        for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++) {
            if (entries[i] != -1 && e->sent_groups[i].to > at &&
                (next == -1 || e->sent_groups[i].from < e->sent_groups[next].from))
                next = i;
        }
        if (next == -1)
            break;
        out = put(out, from + at, e->sent_groups[next].from - at);
        out = put(out, e->groups[entries[next]].json.ptr, e->groups[entries[next]].json.len);
        at = e->sent_groups[next].to;
    }
    out = put(out, from + at, (size_t)(end - from) - at);
    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++) {
        char name[] = ",\"$group_0\":";

        if (entries[i] == -1 || e->sent_groups[i].to > 0)
            continue;
        name[9] = (char)('0' + i);
        out = put(out, name, NAME_BYTES); /* there is a member before it: $groups stays */
        out = put(out, e->groups[entries[i]].json.ptr, e->groups[entries[i]].json.len);
    }
    *out++ = '}';
    return slice_make(e->grouped, (size_t)(out - e->grouped));
}

bool groups_apply(const struct store *store, struct prepared *e,
                  struct slice keys[STORE_GROUP_TYPES_MAX], struct err *err)
{
    int entries[STORE_GROUP_TYPES_MAX];
    bool has_any = false;

    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++)
        keys[i] = e->sent_groups[i].key;
    e->row_properties = e->properties;
    if (e->group_count == 0)
        return true;
    if (!find_indexes(store, e, entries, err))
        return false;
    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++) {
        if (entries[i] == -1)
            continue;
        keys[i] = e->groups[entries[i]].key;
        has_any = true;
    }
    if (has_any)
        e->row_properties = rewrite(e, entries);
    return true;
}

bool groups_identify(const struct store *store, size_t properties_max, struct prepared *e,
                     int64_t clock_us, struct buf *text, struct err *err)
{
    const struct prepared_identify *g = e->group_identify;
    struct store_group *stored;
    struct slice was = SLICE("{}");
    struct slice now = g->set;
    struct store_group state = {.created_at_us = MIN(clock_us, e->timestamp_us), .version = 1};
    bool is_changed;
    int index;

    if (!store->ops->group_type(store->self, e->team_id, g->type, &index, err))
        return false;
    if (index < 0)
        return true; /* the team has five other types */
    if (!store->ops->group_get(store->self, e->team_id, index, g->key, &stored, err))
        return false;
    if (stored) {
        if (!person_props_group(stored->properties, g->set, text, &is_changed, err))
            return false;
        if (!is_changed)
            return true;
        was = stored->properties;
        now = buf_slice(text);
        state.created_at_us = MIN(stored->created_at_us, e->timestamp_us);
        state.version = stored->version + 1;
    }
    state.properties = person_props_limit(properties_max, was, now, e);
    if (stored && state.properties.ptr == was.ptr)
        return true; /* refused */
    e->written += state.properties.len;
    return store->ops->group_put(store->self, e->team_id, index, g->key, &state, err);
}
