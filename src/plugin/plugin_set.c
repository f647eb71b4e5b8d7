/* The configs of a moment. Built once, sealed, then only read; readers count references on it (see
 * model/team.c, which works the same way). */
#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "plugin/plugin_priv.h"

#include <stdlib.h>

struct plugin_team_range { /* the enabled configs of a team stand together in `chain` */
    int64_t team_id;
    size_t from, count;
};

struct plugin_set {
    atomic_size_t refs;
    struct arena *arena;
    struct plugin_config **all; /* by team, order, id once sealed */
    size_t count, cap;
    const struct plugin_config **chain;
    struct plugin_team_range *teams; /* ascending */
    size_t team_count;
    bool is_sealed;
};

struct plugin_set *plugin_set_new(void)
{
    struct plugin_set *s = mem_new(struct plugin_set);

    atomic_init(&s->refs, 1);
    s->arena = arena_new(4096);
    return s;
}

static uint64_t hash_slice(struct slice text, uint64_t seed)
{
    uint64_t len = text.ptr ? text.len + 1 : 0;

    seed = hash64(&len, sizeof(len), seed);
    return text.ptr ? hash64(text.ptr, text.len, seed) : seed;
}

static uint64_t hash_cstr(const char *text, uint64_t seed)
{
    return hash_slice(slice_cstr(text), seed);
}

static uint64_t fingerprint(const struct plugin_config *c)
{
    const int64_t ids[] = {c->id, c->team_id, c->plugin_id};
    uint64_t h = hash64(ids, sizeof(ids), c->fingerprint);

    h = hash_cstr(c->plugin_name, h);
    h = hash_cstr(c->builtin, h);
    h = hash_slice(c->source, h);
    h = hash_cstr(c->source_path, h);
    h = hash_cstr(c->config_json, h);
    for (size_t i = 0; i < c->attachment_count; i++) {
        const struct plugin_attachment *a = &c->attachments[i];

        h = hash_cstr(a->key, h);
        h = hash_cstr(a->content_type, h);
        h = hash_cstr(a->file_name, h);
        h = hash_slice(a->contents, h);
    }
    return hash_cstr(c->load_error, h);
}

static const char *keep(struct plugin_set *s, const char *text)
{
    return text ? arena_dup_cstr(s->arena, slice_cstr(text)) : NULL;
}

static const struct plugin_attachment *keep_attachments(struct plugin_set *s,
                                                        const struct plugin_config *c)
{
    struct plugin_attachment *copy =
        arena_zalloc(s->arena, (c->attachment_count + 1) * sizeof(*copy));

    for (size_t i = 0; i < c->attachment_count; i++) {
        copy[i].key = keep(s, c->attachments[i].key);
        copy[i].content_type = keep(s, c->attachments[i].content_type);
        copy[i].file_name = keep(s, c->attachments[i].file_name);
        copy[i].contents = arena_dup(s->arena, c->attachments[i].contents);
    }
    return copy;
}

void plugin_set_add(struct plugin_set *s, const struct plugin_config *c)
{
    struct plugin_config *copy = arena_new_obj(s->arena, struct plugin_config);

    CHECK(!s->is_sealed && c->state);
    *copy = *c;
    copy->plugin_name = keep(s, c->plugin_name ? c->plugin_name : "");
    copy->builtin = keep(s, c->builtin);
    copy->source = arena_dup(s->arena, c->source);
    copy->source_path = keep(s, c->source_path ? c->source_path : "/index.js");
    copy->config_json = keep(s, c->config_json ? c->config_json : "{}");
    copy->attachments = keep_attachments(s, c);
    copy->load_error = keep(s, c->load_error);
    copy->fingerprint = fingerprint(copy);
    plugin_state_ref(copy->state);
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->all = mem_realloc(s->all, s->cap * sizeof(struct plugin_config *));
    }
    s->all[s->count++] = copy;
}

static int by_chain(const void *a, const void *b)
{
    const struct plugin_config *x = *(const struct plugin_config *const *)a;
    const struct plugin_config *y = *(const struct plugin_config *const *)b;

    if (x->team_id != y->team_id)
        return (x->team_id > y->team_id) - (x->team_id < y->team_id);
    if (x->order != y->order)
        return (x->order > y->order) - (x->order < y->order);
    return (x->id > y->id) - (x->id < y->id);
}

void plugin_set_seal(struct plugin_set *s)
{
    size_t used = 0;

    if (s->count > 1)
        qsort(s->all, s->count, sizeof(struct plugin_config *), by_chain);
    s->chain = arena_zalloc(s->arena, (s->count + 1) * sizeof(struct plugin_config *));
    s->teams = arena_zalloc(s->arena, (s->count + 1) * sizeof(*s->teams));
    for (size_t i = 0; i < s->count; i++) {
        const struct plugin_config *c = s->all[i];
        struct plugin_team_range *last = s->team_count ? &s->teams[s->team_count - 1] : NULL;

        if (!c->is_enabled)
            continue;
        if (!last || last->team_id != c->team_id) {
            last = &s->teams[s->team_count++];
            *last = (struct plugin_team_range){.team_id = c->team_id, .from = used};
        }
        s->chain[used++] = c;
        last->count++;
    }
    s->is_sealed = true;
}

/* Only the count of a sealed set ever changes; everything else stays const. */
static struct plugin_set *counted(const struct plugin_set *s)
{
    return (struct plugin_set *)(uintptr_t)s;
}

void plugin_set_ref(const struct plugin_set *s)
{
    atomic_fetch_add_explicit(&counted(s)->refs, 1, memory_order_relaxed);
}

void plugin_set_unref(const struct plugin_set *s)
{
    struct plugin_set *own = counted(s);

    if (!own || atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < own->count; i++)
        plugin_state_unref(own->all[i]->state);
    mem_free(own->all);
    arena_free(own->arena);
    mem_free(own);
}

const struct plugin_config *const *plugin_set_team(const struct plugin_set *s, int64_t team_id,
                                                   size_t *count)
{
    size_t low = 0;
    size_t high = s->team_count;

    CHECK(s->is_sealed);
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->teams[mid].team_id == team_id) {
            *count = s->teams[mid].count;
            return s->chain + s->teams[mid].from;
        }
        if (s->teams[mid].team_id < team_id)
            low = mid + 1;
        else
            high = mid;
    }
    *count = 0;
    return NULL;
}

size_t plugin_set_count(const struct plugin_set *s)
{
    return s->count;
}

const struct plugin_config *plugin_set_at(const struct plugin_set *s, size_t index)
{
    CHECK(index < s->count);
    return s->all[index];
}

const struct plugin_config *plugin_set_find(const struct plugin_set *s, int64_t config_id)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->all[i]->id == config_id)
            return s->all[i];
    }
    return NULL;
}
