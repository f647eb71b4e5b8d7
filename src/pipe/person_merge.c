/* Two distinct ids that are one person: $identify, $create_alias, $merge_dangerously.
 *
 * A is the person of the previous id, B the one of the event's own id. Everything happens inside
 * the batch's transaction against its overlay, so nobody can come in between. B survives: it keeps
 * its uuid, its values win over A's.
 */
#include "base/clock.h"
#include "pipe/pipe_priv.h"

struct merge {
    const struct store *store;
    struct prepared *e;
    size_t properties_max;
    bool sets_flag;      /* the surviving person becomes identified */
    bool refuses_merged; /* an identified A stays what it is */
    struct buf text;
};

static bool set_flag(struct merge *m, struct person *person, struct err *err)
{
    struct person_change state = {.properties = person->properties,
                                  .created_at_us = person->created_at_us,
                                  .is_identified = true};

    if (!m->sets_flag || person->is_identified)
        return true;
    m->e->written += state.properties.len;
    return m->store->ops->person_update(m->store->self, person, &state, err);
}

static bool create_both(struct merge *m, struct err *err)
{
    struct slice ids[] = {m->e->distinct_id, m->e->previous_id};
    struct uuid uuid = uuid_uuidt(clock_wall_us());
    struct person_change state = {.properties = SLICE("{}"),
                                  .created_at_us = m->e->timestamp_us,
                                  .is_identified = m->sets_flag};
    struct person *person;

    return m->store->ops->person_create(m->store->self, m->e->team_id, &uuid, &state, ids,
                                        ARRAY_LEN(ids), &person, err);
}

static bool join(struct merge *m, struct person *a, struct person *b, struct err *err)
{
    struct person_change state = {.created_at_us = MIN(a->created_at_us, b->created_at_us),
                                  .is_identified =
                                      m->sets_flag || a->is_identified || b->is_identified};

    if (!person_props_join(a->properties, b->properties, &m->text, err))
        return false;
    state.properties =
        person_props_limit(m->properties_max, b->properties, buf_slice(&m->text), m->e);
    m->e->written += state.properties.len;
    return m->store->ops->person_update(m->store->self, b, &state, err) &&
           m->store->ops->person_merge(m->store->self, a, b, err);
}

static bool decide(struct merge *m, struct person *a, struct person *b, bool *is_refused,
                   struct err *err)
{
    const struct store_ops *ops = m->store->ops;

    if (!a && !b)
        return create_both(m, err);
    if (!b)
        return ops->distinct_id_add(m->store->self, a, m->e->distinct_id, err) &&
               set_flag(m, a, err);
    if (!a)
        return ops->distinct_id_add(m->store->self, b, m->e->previous_id, err) &&
               set_flag(m, b, err);
    if (a->id == b->id)
        return set_flag(m, a, err);
    if (a->is_identified && m->refuses_merged) {
        *is_refused = true;
        return set_flag(m, b, err); /* the event's own person is identified all the same */
    }
    return join(m, a, b, err);
}

bool person_merge_apply(const struct store *store, bool is_policy_2023, size_t properties_max,
                        struct prepared *e, bool *is_refused, struct err *err)
{
    bool like_identify = e->merge == MERGE_IDENTIFY || (is_policy_2023 && e->merge == MERGE_ALIAS);
    struct merge m = {
        .store = store,
        .e = e,
        .properties_max = properties_max,
        .sets_flag = like_identify || e->merge == MERGE_FORCE,
        .refuses_merged = like_identify,
        .text = BUF_INIT(TEXT_MAX),
    };
    struct person *a, *b;
    bool ok;

    *is_refused = false;
    ok = store->ops->person_get(store->self, e->team_id, e->previous_id, &a, err) &&
         store->ops->person_get(store->self, e->team_id, e->distinct_id, &b, err) &&
         decide(&m, a, b, is_refused, err);
    buf_free(&m.text);
    return ok;
}
