/* One event against the store: dedupe, merge, groups, person, row, counter. Everything happens
 * inside the transaction that the committer has opened; on failure the committer rolls it back. */
#include "base/clock.h"
#include "base/log.h"
#include "pipe/pipe_priv.h"

void applier_init(struct applier *a, const struct pipe *p)
{
    size_t max = p->opt.properties_bytes_max ? p->opt.properties_bytes_max : TEXT_MAX;

    *a = (struct applier){
        .properties_max = max,
        .store = &p->opt.store,
        .is_policy_2023 = p->opt.merge_policy_2023,
        .seconds = p->meters.store_seconds,
        .persons = persons_new(&p->opt.store, max),
        .text = BUF_INIT(TEXT_MAX),
    };
}

void applier_fini(struct applier *a)
{
    persons_free(a->persons);
    buf_free(&a->text);
}

bool applier_is_about_data(const struct err *err)
{
    return err->code != ERR_RETRY && err->code != ERR_FULL && err->code != ERR_IO &&
           err->code != ERR_CORRUPT;
}

static bool end_as(struct applier *a, struct prepared *e, enum outcome outcome)
{
    static const enum store_count counts[OUTCOME_COUNT] = {
        [OUTCOME_STORED] = STORE_COUNT_STORED,
        [OUTCOME_DUPLICATE] = STORE_COUNT_DUPLICATE,
        [OUTCOME_DROPPED] = STORE_COUNT_DROPPED,
        [OUTCOME_DEAD] = STORE_COUNT_DEAD,
    };

    e->outcome = outcome;
    a->store->ops->count(a->store->self, counts[outcome], e->team_id,
                         e->now_us ? e->now_us : (int64_t)e->time_us, e->event);
    return true;
}

static bool apply_merge(struct applier *a, struct prepared *e, struct err *err)
{
    if (person_merge_apply(a->store, a->is_policy_2023, a->properties_max, e, &e->has_refused_merge,
                           err))
        return true;
    if (applier_is_about_data(err)) {
        /* The event is stored all the same, but not with half a merge: roll back and go without it.
         */
        log_warn("pipe", "persons were not merged", KV_I64("team", e->team_id), KV_ERR(err));
        e->merge = MERGE_NONE;
        a->lost_merge = true;
    }
    return false;
}

static bool insert_recording(struct applier *a, const struct prepared *e, bool *is_new,
                             struct err *err)
{
    struct recording_row row = {
        .uuid = e->uuid,
        .is_uuid_checked = e->is_uuid_checked,
        .team_id = e->team_id,
        .distinct_id = e->distinct_id,
        .session_id = e->recording->session_id,
        .window_id = e->recording->window_id,
        .snapshot_data = e->recording->snapshot_data,
        .timestamp_us = e->timestamp_us,
        .created_at_us = a->clock_us,
    };

    a->step = "createEvent";
    return a->store->ops->recording_insert(a->store->self, &row, is_new, err);
}

/* The row comes first: a duplicate must not touch its person again. */
static bool apply_recording(struct applier *a, struct prepared *e, struct err *err)
{
    struct person *person;
    bool is_new;

    if (!insert_recording(a, e, &is_new, err))
        return false;
    if (!is_new)
        return end_as(a, e, OUTCOME_DUPLICATE);
    a->step = "prepareEvent";
    e->has_refused_properties = false;
    e->written = 0;
    return persons_apply(a->persons, e, &person, err) && end_as(a, e, OUTCOME_STORED);
}

static bool insert_event(struct applier *a, struct prepared *e, const struct person *person,
                         const struct slice keys[STORE_GROUP_TYPES_MAX], struct err *err)
{
    struct event_row row = {
        .uuid = e->uuid,
        .is_uuid_checked = e->is_uuid_checked,
        .team_id = e->team_id,
        .event = e->event,
        .distinct_id = e->distinct_id,
        .has_person = true,
        .person_uuid = person->uuid,
        .properties = e->row_properties,
        .elements_chain = SLICE(""),
        .timestamp_us = e->timestamp_us,
        .created_at_us = a->clock_us,
    };
    int64_t id;

    memcpy(row.group_keys, keys, sizeof(row.group_keys));
    e->has_person = true;
    e->person_uuid = person->uuid;
    a->step = "createEvent";
    return a->store->ops->event_insert(a->store->self, &row, &id, err);
}

static bool apply_live(struct applier *a, struct prepared *e, struct err *err)
{
    struct slice keys[STORE_GROUP_TYPES_MAX];
    struct person *person;
    bool is_seen = false;

    if (e->is_uuid_checked &&
        !a->store->ops->event_seen(a->store->self, e->team_id, &e->uuid, &is_seen, err))
        return false;
    if (is_seen)
        return end_as(a, e, OUTCOME_DUPLICATE);
    if (e->merge != MERGE_NONE && !apply_merge(a, e, err))
        return false;
    if (e->kind == PREPARED_SNAPSHOT)
        return apply_recording(a, e, err);
    return groups_apply(a->store, e, keys, err) && persons_apply(a->persons, e, &person, err) &&
           (!e->group_identify ||
            groups_identify(a->store, a->properties_max, e, a->clock_us, &a->text, err)) &&
           insert_event(a, e, person, keys, err) && end_as(a, e, OUTCOME_STORED);
}

static bool apply(struct applier *a, struct prepared *e, struct err *err)
{
    a->step = "prepareEvent";
    switch (e->kind) {
    case PREPARED_DROPPED:
        return end_as(a, e, OUTCOME_DROPPED);
    case PREPARED_DEAD:
        return dead_letter_store(a->store, e, a->clock_us, err) && end_as(a, e, OUTCOME_DEAD);
    case PREPARED_LOST:
        e->outcome = OUTCOME_DEAD;
        return true;
    default:
        return apply_live(a, e, err);
    }
}

bool applier_run(struct applier *a, struct prepared *e, struct err *err)
{
    int64_t before;
    bool ok;

    if (++a->seen % SAMPLE_EVERY != 0 || !a->seconds)
        return apply(a, e, err);
    before = clock_mono_us();
    ok = apply(a, e, err);
    metric_observe(a->seconds, (double)(clock_mono_us() - before) / 1e6);
    return ok;
}
