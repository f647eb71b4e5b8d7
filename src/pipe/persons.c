/* Whose event it is, and what the event says about that person.
 *
 * Most events of a known person change nothing: $set_once holds $initial_… values that are there
 * already. Finding that out takes parsing both objects, so what was found is remembered: a person
 * at a version, and a change that did nothing to it, named by the fingerprint that PIPE made. While
 * the version stands, the same change does nothing again. A rollback takes versions back, so it
 * empties the table.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#define REMEMBERED 16384 /* a power of two */

struct no_change {
    int64_t person_id;
    int64_t version;
    uint64_t change; /* 0: free */
};

struct persons {
    const struct store *store;
    size_t properties_max;
    struct buf text;
    struct no_change *remembered;
};

struct persons *persons_new(const struct store *store, size_t properties_max)
{
    struct persons *ps = mem_new(struct persons);

    ps->store = store;
    ps->properties_max = properties_max;
    ps->text = BUF_INIT(TEXT_MAX);
    ps->remembered = mem_new_array(struct no_change, REMEMBERED);
    return ps;
}

void persons_free(struct persons *ps)
{
    if (!ps)
        return;
    buf_free(&ps->text);
    mem_free(ps->remembered);
    mem_free(ps);
}

void persons_forget(struct persons *ps)
{
    memset(ps->remembered, 0, REMEMBERED * sizeof(*ps->remembered));
}

static struct no_change *slot_of(struct persons *ps, const struct person *person)
{
    uint64_t mixed = (uint64_t)person->id * UINT64_C(0x9e3779b97f4a7c15);

    return &ps->remembered[(mixed >> 32) & (REMEMBERED - 1)];
}

static bool create(struct persons *ps, struct prepared *e, struct person **person, struct err *err)
{
    struct uuid uuid = uuid_uuidt(clock_wall_us());
    struct person_change state = {
        .properties = person_props_limit(ps->properties_max, SLICE("{}"),
                                         e->first.ptr ? e->first : SLICE("{}"), e),
        .created_at_us = e->timestamp_us,
        .is_identified = false,
    };

    e->written += state.properties.len;
    return ps->store->ops->person_create(ps->store->self, e->team_id, &uuid, &state,
                                         &e->distinct_id, 1, person, err);
}

static bool update(struct persons *ps, struct prepared *e, struct person *person, struct err *err)
{
    struct no_change *known = slot_of(ps, person);
    struct props_change change = {.set = e->set, .set_once = e->set_once, .unset = e->unset};
    struct person_change state = {.created_at_us = person->created_at_us,
                                  .is_identified = person->is_identified};
    bool is_changed;

    if (known->change == e->change && known->person_id == person->id &&
        known->version == person->version)
        return true;
    if (!person_props_change(person->properties, &change, &ps->text, &is_changed, err))
        return false;
    if (!is_changed) {
        *known = (struct no_change){
            .person_id = person->id, .version = person->version, .change = e->change};
        return true;
    }
    state.properties =
        person_props_limit(ps->properties_max, person->properties, buf_slice(&ps->text), e);
    if (state.properties.ptr == person->properties.ptr)
        return true; /* refused */
    e->written += state.properties.len;
    return ps->store->ops->person_update(ps->store->self, person, &state, err);
}

bool persons_apply(struct persons *ps, struct prepared *e, struct person **person, struct err *err)
{
    if (!ps->store->ops->person_get(ps->store->self, e->team_id, e->distinct_id, person, err))
        return false;
    if (!*person)
        return create(ps, e, person, err);
    /* A $groupidentify event never changes an existing person. */
    if (e->change == 0 || e->is_group_identify)
        return true;
    return update(ps, e, *person, err);
}
