/* Teams and their directory.
 *
 * A set is built once, sealed, then only read: an array in id order, a map from tokens. Readers
 * count references on it, so publishing a new set is one pointer swap and nobody waits. A reader
 * that holds a reference may compare pointers to see whether its set is still the current one:
 * while it holds the old set, no new set can have that address.
 */
#include "model/team.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <stdlib.h>

struct personal_key {
    int64_t team_id;
};

struct team_set {
    atomic_size_t refs;
    struct arena *arena; /* texts and rows */
    struct team **teams; /* ascending by id once sealed */
    size_t count, cap;
    struct map *by_token;
    struct map *ids; /* bytes of the id -> team, while building */
    struct map *personal_keys;
    bool is_sealed;
};

struct team_set *team_set_new(void)
{
    struct team_set *s = mem_new(struct team_set);

    atomic_init(&s->refs, 1);
    s->arena = arena_new(4096);
    s->by_token = map_new();
    s->ids = map_new();
    s->personal_keys = map_new();
    return s;
}

static const char *keep(struct team_set *s, const char *text)
{
    return text ? arena_dup_cstr(s->arena, slice_cstr(text)) : NULL;
}

static const char *const *keep_list(struct team_set *s, const char *const *list, size_t count)
{
    const char **copy = arena_zalloc(s->arena, (count + 1) * sizeof(*copy));

    for (size_t i = 0; i < count; i++)
        copy[i] = keep(s, list[i]);
    return copy;
}

bool team_set_add(struct team_set *s, const struct team *team, struct err *err)
{
    struct slice token = slice_cstr(team->api_token);
    struct slice id = slice_make(&team->id, sizeof(team->id));
    struct team *copy;

    CHECK(!s->is_sealed);
    if (map_get(s->ids, id))
        return err_set(err, ERR_INPUT, "two teams have the id %lld", (long long)team->id);
    if (token.len == 0)
        return err_set(err, ERR_INPUT, "team %lld has no api_token", (long long)team->id);
    if (map_get(s->by_token, token))
        return err_set(err, ERR_INPUT, "team %lld has the api_token of another team",
                       (long long)team->id);
    copy = arena_new_obj(s->arena, struct team);
    *copy = *team;
    copy->name = keep(s, team->name ? team->name : "");
    copy->api_token = keep(s, team->api_token);
    copy->slack_incoming_webhook = keep(s, team->slack_incoming_webhook);
    copy->bucket = keep(s, team->bucket);
    copy->class_name = keep(s, team->class_name);
    copy->organization = keep(s, team->organization);
    copy->drop = keep_list(s, team->drop, team->drop_count);
    copy->extra_json = keep(s, team->extra_json ? team->extra_json : "{}");
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->teams = mem_realloc(s->teams, s->cap * sizeof(struct team *));
    }
    s->teams[s->count++] = copy;
    map_put(s->by_token, token, copy);
    map_put(s->ids, id, copy);
    return true;
}

void team_set_add_personal_key(struct team_set *s, struct slice key, int64_t team_id)
{
    struct personal_key *k = arena_new_obj(s->arena, struct personal_key);

    CHECK(!s->is_sealed);
    k->team_id = team_id;
    map_put(s->personal_keys, key, k);
}

static int by_id(const void *a, const void *b)
{
    const struct team *const *x = a;
    const struct team *const *y = b;

    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

void team_set_seal(struct team_set *s)
{
    if (s->count > 1)
        qsort(s->teams, s->count, sizeof(struct team *), by_id);
    map_free(s->ids);
    s->ids = NULL;
    s->is_sealed = true;
}

/* Only the count of a published set ever changes; everything else stays const. */
static struct team_set *counted(const struct team_set *s)
{
    return (struct team_set *)(uintptr_t)s;
}

void team_set_ref(const struct team_set *s)
{
    atomic_fetch_add_explicit(&counted(s)->refs, 1, memory_order_relaxed);
}

void team_set_unref(const struct team_set *s)
{
    struct team_set *own = counted(s);

    if (!own || atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) != 1)
        return;
    map_free(own->by_token);
    map_free(own->ids);
    map_free(own->personal_keys);
    mem_free(own->teams);
    arena_free(own->arena);
    mem_free(own);
}

const struct team *team_by_token(const struct team_set *s, struct slice token)
{
    return map_get(s->by_token, token);
}

const struct team *team_by_id(const struct team_set *s, int64_t id)
{
    size_t low = 0;
    size_t high = s->count;

    CHECK(s->is_sealed);
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->teams[mid]->id == id)
            return s->teams[mid];
        if (s->teams[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

int64_t team_of_personal_key(const struct team_set *s, struct slice key)
{
    const struct personal_key *k = map_get(s->personal_keys, key);

    return k ? k->team_id : 0;
}

size_t team_set_count(const struct team_set *s)
{
    return s->count;
}

const struct team *team_set_at(const struct team_set *s, size_t index)
{
    CHECK(index < s->count);
    return s->teams[index];
}

bool team_drops(const struct team *t, struct slice distinct_id)
{
    for (size_t i = 0; i < t->drop_count; i++) {
        if (slice_eq(slice_cstr(t->drop[i]), distinct_id))
            return true;
    }
    return false;
}

struct team_directory {
    struct lock lock; /* only for taking the reference together with the pointer */
    _Atomic(const struct team_set *) current;
};

struct team_directory *team_directory_new(void)
{
    struct team_directory *d = mem_new(struct team_directory);
    struct team_set *empty = team_set_new();

    lock_init(&d->lock, "team directory", RANK_TEAMS);
    team_set_seal(empty);
    atomic_init(&d->current, empty);
    return d;
}

void team_directory_free(struct team_directory *d)
{
    if (!d)
        return;
    team_set_unref(atomic_load(&d->current));
    lock_fini(&d->lock);
    mem_free(d);
}

void team_directory_publish(struct team_directory *d, struct team_set *set)
{
    const struct team_set *old;

    CHECK(set->is_sealed);
    lock_take(&d->lock);
    old = atomic_exchange_explicit(&d->current, set, memory_order_acq_rel);
    lock_drop(&d->lock);
    team_set_unref(old);
}

const struct team_set *team_directory_get(struct team_directory *d)
{
    const struct team_set *s;

    lock_take(&d->lock);
    s = atomic_load_explicit(&d->current, memory_order_acquire);
    team_set_ref(s);
    lock_drop(&d->lock);
    return s;
}

const struct team_set *team_directory_cached(struct team_directory *d,
                                             const struct team_set **cached)
{
    const struct team_set *current = atomic_load_explicit(&d->current, memory_order_acquire);

    if (current != *cached) {
        const struct team_set *fresh = team_directory_get(d);

        team_set_unref(*cached);
        *cached = fresh;
    }
    return *cached;
}
