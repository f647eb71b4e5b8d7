#include "fake_store.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#define WAIT_US (10 * (int64_t)1000000)

/* A growing array of structs that can be copied and put back. */
struct table {
    char *rows;
    size_t count, cap, size;
};

#define ROW(t, type, i) (&((type *)(void *)(t)->rows)[i])

static void *table_add(struct table *t, const void *row)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->rows = mem_realloc(t->rows, t->cap * t->size);
    }
    memcpy(t->rows + t->count * t->size, row, t->size);
    return t->rows + t->count++ * t->size;
}

enum {
    PERSONS,
    IDS,
    GROUPS,
    TYPES,
    EVENTS,
    RECORDINGS,
    DEAD,
    COUNTERS,
    TEAMS,
    OBJECTS,
    STORAGE,
    LOGS,
    STATES,
    TABLES
};

struct storage_row {
    int64_t config_id;
    struct slice key, value;
};

struct failure {
    int nth; /* counts down to the first failing call; 0: no failure */
    int times;
    enum err_code code;
};

struct fake_store {
    struct lock lock; /* failures, calls, position */
    struct cond committed;
    struct arena *arena;
    struct table tables[TABLES];
    struct table saved[TABLES]; /* as of begin; append-only ones keep the count alone */
    bool is_open;
    struct failure failures[FAKE_OP_COUNT];
    uint64_t calls[FAKE_OP_COUNT];
    char *poison;
    struct feed_position position;
    struct feed_run *runs;
    size_t run_count;
    bool has_position;
    int64_t last_id;
    int64_t last_object_id; /* one for all kinds */
};

static const size_t row_sizes[TABLES] = {
    [PERSONS] = sizeof(struct fake_person *),
    [IDS] = sizeof(struct fake_distinct_id),
    [GROUPS] = sizeof(struct fake_group),
    [TYPES] = sizeof(struct fake_group_type),
    [EVENTS] = sizeof(struct event_row),
    [RECORDINGS] = sizeof(struct recording_row),
    [DEAD] = sizeof(struct dead_letter),
    [COUNTERS] = sizeof(struct fake_counter),
    [TEAMS] = sizeof(struct team),
    [OBJECTS] = sizeof(struct store_object),
    [STORAGE] = sizeof(struct storage_row),
    [LOGS] = sizeof(struct store_plugin_log),
    [STATES] = sizeof(struct store_plugin_state),
};

static bool is_append_only(int table)
{
    return table == EVENTS || table == RECORDINGS || table == DEAD || table == LOGS;
}

struct fake_store *fake_store_new(void)
{
    struct fake_store *f = mem_new(struct fake_store);

    lock_init(&f->lock, "fake store", RANK_STORE);
    cond_init(&f->committed);
    f->arena = arena_new(1 << 16);
    for (int i = 0; i < TABLES; i++)
        f->tables[i].size = row_sizes[i];
    return f;
}

static void free_saved(struct fake_store *f)
{
    for (int i = 0; i < TABLES; i++)
        mem_free(f->saved[i].rows);
    memset(f->saved, 0, sizeof(f->saved));
}

void fake_store_free(struct fake_store *f)
{
    for (int i = 0; i < TABLES; i++)
        mem_free(f->tables[i].rows);
    free_saved(f);
    mem_free(f->runs);
    mem_free(f->poison);
    arena_free(f->arena);
    cond_fini(&f->committed);
    lock_fini(&f->lock);
    mem_free(f);
}

/* --- failing ---------------------------------------------------------------------------------- */

void fake_store_fail(struct fake_store *f, enum fake_op op, int nth, int times, enum err_code code)
{
    lock_take(&f->lock);
    f->failures[op] = (struct failure){.nth = nth, .times = times, .code = code};
    lock_drop(&f->lock);
}

void fake_store_heal(struct fake_store *f)
{
    lock_take(&f->lock);
    memset(f->failures, 0, sizeof(f->failures));
    lock_drop(&f->lock);
}

void fake_store_poison(struct fake_store *f, const char *event)
{
    lock_take(&f->lock);
    mem_free(f->poison);
    f->poison = mem_dup_str(event);
    lock_drop(&f->lock);
}

/* Counts the call; false when it has to fail. */
static bool enter(struct fake_store *f, enum fake_op op, struct err *err)
{
    struct failure *x = &f->failures[op];
    bool ok = true;

    lock_take(&f->lock);
    f->calls[op]++;
    if (x->nth > 1) {
        x->nth--;
    } else if (x->nth == 1 && x->times != 0) {
        x->times -= x->times > 0;
        ok = err_set(err, x->code, "the fake store fails in op %d", (int)op);
    }
    cond_broadcast(&f->committed);
    lock_drop(&f->lock);
    return ok;
}

uint64_t fake_store_calls(struct fake_store *f, enum fake_op op)
{
    uint64_t calls;

    lock_take(&f->lock);
    calls = f->calls[op];
    lock_drop(&f->lock);
    return calls;
}

static bool is_there(const struct fake_store *f, enum fake_op op, uint64_t wanted)
{
    uint64_t finished = f->has_position ? f->position.offset : 0;

    if (op != FAKE_OP_COUNT)
        return f->calls[op] >= wanted;
    for (size_t i = 0; i < f->run_count; i++)
        finished += f->runs[i].to - f->runs[i].from;
    return finished >= wanted;
}

static bool wait_for(struct fake_store *f, enum fake_op op, uint64_t wanted)
{
    bool ok = true;

    lock_take(&f->lock);
    while (ok && !is_there(f, op, wanted))
        ok = cond_wait_us(&f->committed, &f->lock, WAIT_US);
    lock_drop(&f->lock);
    return ok;
}

bool fake_store_wait(struct fake_store *f, uint64_t finished)
{
    return wait_for(f, FAKE_OP_COUNT, finished);
}

bool fake_store_wait_calls(struct fake_store *f, enum fake_op op, uint64_t calls)
{
    return wait_for(f, op, calls);
}

/* --- transactions ----------------------------------------------------------------------------- */

static bool op_begin(void *self, struct err *err)
{
    struct fake_store *f = self;

    CHECK(!f->is_open);
    if (!enter(f, FAKE_BEGIN, err))
        return false;
    f->is_open = true;
    for (int i = 0; i < TABLES; i++) {
        f->saved[i] = f->tables[i];
        f->saved[i].rows = NULL;
        if (!is_append_only(i) && f->tables[i].count)
            f->saved[i].rows = mem_dup(f->tables[i].rows, f->tables[i].count * f->tables[i].size);
    }
    /* Persons are pointers that must not move: save what they point to. */
    for (size_t i = 0; i < f->tables[PERSONS].count; i++) {
        struct fake_person **saved = ROW(&f->saved[PERSONS], struct fake_person *, i);

        *saved =
            mem_dup(*ROW(&f->tables[PERSONS], struct fake_person *, i), sizeof(struct fake_person));
    }
    return true;
}

static void end_transaction(struct fake_store *f, bool puts_back)
{
    for (size_t i = 0; i < f->saved[PERSONS].count; i++) {
        struct fake_person *saved = *ROW(&f->saved[PERSONS], struct fake_person *, i);

        if (puts_back)
            **ROW(&f->tables[PERSONS], struct fake_person *, i) = *saved;
        mem_free(saved);
    }
    for (int i = 0; i < TABLES && puts_back; i++) {
        f->tables[i].count = f->saved[i].count;
        if (i != PERSONS && f->saved[i].rows)
            memcpy(f->tables[i].rows, f->saved[i].rows, f->saved[i].count * f->saved[i].size);
    }
    free_saved(f);
    f->is_open = false;
}

static bool op_commit(void *self, const struct feed_position *position, const struct feed_run *runs,
                      size_t run_count, struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    if (!enter(f, FAKE_COMMIT, err))
        return false;
    end_transaction(f, false);
    if (!position)
        return true;
    lock_take(&f->lock);
    CHECK(!f->has_position || position->offset >= f->position.offset);
    f->position = *position;
    f->has_position = true;
    mem_free(f->runs);
    f->runs = mem_dup(runs, run_count * sizeof(*runs));
    f->run_count = run_count;
    cond_broadcast(&f->committed);
    lock_drop(&f->lock);
    return true;
}

static void op_rollback(void *self)
{
    struct fake_store *f = self;

    if (f->is_open)
        end_transaction(f, true);
}

/* --- persons ---------------------------------------------------------------------------------- */

static struct slice keep(struct fake_store *f, struct slice s)
{
    return s.ptr ? arena_dup(f->arena, s) : s;
}

static struct fake_distinct_id *find_id(struct fake_store *f, int64_t team_id, struct slice id)
{
    for (size_t i = 0; i < f->tables[IDS].count; i++) {
        struct fake_distinct_id *d = ROW(&f->tables[IDS], struct fake_distinct_id, i);

        if (d->team_id == team_id && slice_eq(d->id, id))
            return d;
    }
    return NULL;
}

static struct fake_person *find_person(struct fake_store *f, int64_t id)
{
    return *ROW(&f->tables[PERSONS], struct fake_person *, (size_t)id - 1);
}

static bool op_person_get(void *self, int64_t team_id, struct slice distinct_id,
                          struct person **person, struct err *err)
{
    struct fake_store *f = self;
    struct fake_distinct_id *d;

    CHECK(f->is_open);
    if (!enter(f, FAKE_PERSON_GET, err))
        return false;
    d = find_id(f, team_id, distinct_id);
    *person = d ? &find_person(f, d->person_id)->p : NULL;
    return true;
}

static bool add_id(struct fake_store *f, const struct person *person, struct slice id,
                   struct err *err)
{
    struct fake_distinct_id d = {
        .team_id = person->team_id, .id = keep(f, id), .person_id = person->id};

    if (find_id(f, person->team_id, id))
        return err_set(err, ERR_BUG, "the distinct id belongs to somebody already");
    table_add(&f->tables[IDS], &d);
    return true;
}

static bool create(struct fake_store *f, int64_t team_id, const struct uuid *uuid,
                   const struct person_change *state, const struct slice *ids, size_t count,
                   struct person **person, struct err *err)
{
    struct fake_person *p = arena_new_obj(f->arena, struct fake_person);

    p->p = (struct person){
        .id = (int64_t)f->tables[PERSONS].count + 1,
        .uuid = *uuid,
        .team_id = team_id,
        .properties = keep(f, state->properties),
        .created_at_us = state->created_at_us,
        .is_identified = state->is_identified,
    };
    table_add(&f->tables[PERSONS], &p);
    for (size_t i = 0; i < count; i++) {
        if (!add_id(f, &p->p, ids[i], err))
            return false;
    }
    *person = &p->p;
    return true;
}

static bool op_person_create(void *self, int64_t team_id, const struct uuid *uuid,
                             const struct person_change *state, const struct slice *distinct_ids,
                             size_t count, struct person **person, struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    return enter(f, FAKE_PERSON_CREATE, err) &&
           create(f, team_id, uuid, state, distinct_ids, count, person, err);
}

static bool op_person_update(void *self, struct person *person, const struct person_change *state,
                             struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    if (!enter(f, FAKE_PERSON_UPDATE, err))
        return false;
    person->properties = keep(f, state->properties);
    person->created_at_us = state->created_at_us;
    person->is_identified = state->is_identified;
    person->version++;
    return true;
}

static bool op_distinct_id_add(void *self, struct person *person, struct slice distinct_id,
                               struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    return enter(f, FAKE_DISTINCT_ID_ADD, err) && add_id(f, person, distinct_id, err);
}

static bool op_person_merge(void *self, struct person *from, struct person *to, struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    CHECK(from->id != to->id);
    if (!enter(f, FAKE_PERSON_MERGE, err))
        return false;
    for (size_t i = 0; i < f->tables[IDS].count; i++) {
        struct fake_distinct_id *d = ROW(&f->tables[IDS], struct fake_distinct_id, i);

        if (d->person_id != from->id)
            continue;
        d->person_id = to->id;
        d->version++;
    }
    find_person(f, from->id)->is_deleted = true;
    return true;
}

struct person *fake_store_person(struct fake_store *f, int64_t team_id, const char *const *ids,
                                 size_t count, const char *properties, int64_t created_at_us)
{
    struct slice list[8];
    struct uuid uuid = uuid_uuidt(clock_wall_us());
    struct person_change state = {.properties = slice_cstr(properties),
                                  .created_at_us = created_at_us};
    struct person *person = NULL;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < count; i++)
        list[i] = slice_cstr(ids[i]);
    CHECK(create(f, team_id, &uuid, &state, list, count, &person, &err));
    return person;
}

/* --- groups ----------------------------------------------------------------------------------- */

static bool op_group_type(void *self, int64_t team_id, struct slice type, int *index,
                          struct err *err)
{
    struct fake_store *f = self;
    struct fake_group_type row = {.team_id = team_id};

    CHECK(f->is_open);
    if (!enter(f, FAKE_GROUP_TYPE, err))
        return false;
    for (size_t i = 0; i < f->tables[TYPES].count; i++) {
        struct fake_group_type *t = ROW(&f->tables[TYPES], struct fake_group_type, i);

        if (t->team_id != team_id)
            continue;
        if (slice_eq(t->type, type)) {
            *index = t->index;
            return true;
        }
        row.index++;
    }
    *index = row.index < STORE_GROUP_TYPES_MAX ? row.index : -1;
    row.type = keep(f, type);
    if (*index != -1)
        table_add(&f->tables[TYPES], &row);
    return true;
}

static struct fake_group *find_group(struct fake_store *f, int64_t team_id, int type_index,
                                     struct slice key)
{
    for (size_t i = 0; i < f->tables[GROUPS].count; i++) {
        struct fake_group *g = ROW(&f->tables[GROUPS], struct fake_group, i);

        if (g->team_id == team_id && g->type_index == type_index && slice_eq(g->key, key))
            return g;
    }
    return NULL;
}

static bool op_group_get(void *self, int64_t team_id, int type_index, struct slice key,
                         struct store_group **group, struct err *err)
{
    struct fake_store *f = self;
    struct fake_group *g = find_group(f, team_id, type_index, key);

    CHECK(f->is_open);
    *group = g ? &g->state : NULL;
    return enter(f, FAKE_GROUP_GET, err);
}

static bool op_group_put(void *self, int64_t team_id, int type_index, struct slice key,
                         const struct store_group *state, struct err *err)
{
    struct fake_store *f = self;
    struct fake_group *g = find_group(f, team_id, type_index, key);
    struct fake_group row = {
        .team_id = team_id, .type_index = type_index, .key = keep(f, key), .state = *state};

    CHECK(f->is_open);
    if (!enter(f, FAKE_GROUP_PUT, err))
        return false;
    row.state.properties = keep(f, state->properties);
    if (g)
        *g = row;
    else
        table_add(&f->tables[GROUPS], &row);
    return true;
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool op_event_seen(void *self, int64_t team_id, const struct uuid *uuid, bool *seen,
                          struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    *seen = false;
    for (size_t i = 0; i < f->tables[EVENTS].count && !*seen; i++) {
        const struct event_row *row = ROW(&f->tables[EVENTS], struct event_row, i);

        *seen = row->is_uuid_checked && row->team_id == team_id && uuid_eq(&row->uuid, uuid);
    }
    return enter(f, FAKE_EVENT_SEEN, err);
}

static bool op_event_insert(void *self, const struct event_row *row, int64_t *id, struct err *err)
{
    struct fake_store *f = self;
    struct event_row copy = *row;
    bool is_poison;

    CHECK(f->is_open);
    if (!enter(f, FAKE_EVENT_INSERT, err))
        return false;
    lock_take(&f->lock);
    is_poison = f->poison && slice_eq(row->event, slice_cstr(f->poison));
    lock_drop(&f->lock);
    if (is_poison)
        return err_set(err, ERR_INPUT, "this event cannot be stored");
    copy.event = keep(f, row->event);
    copy.distinct_id = keep(f, row->distinct_id);
    copy.properties = keep(f, row->properties);
    copy.elements_chain = keep(f, row->elements_chain);
    for (int i = 0; i < STORE_GROUP_TYPES_MAX; i++)
        copy.group_keys[i] = keep(f, row->group_keys[i]);
    table_add(&f->tables[EVENTS], &copy);
    *id = ++f->last_id;
    return true;
}

static bool has_recording(const struct fake_store *f, const struct recording_row *row)
{
    for (size_t i = 0; row->is_uuid_checked && i < fake_store_recording_count(f); i++) {
        const struct recording_row *r = fake_store_recording_at(f, i);
        if (r->is_uuid_checked && r->team_id == row->team_id && uuid_eq(&r->uuid, &row->uuid))
            return true;
    }
    return false;
}

static bool op_recording_insert(void *self, const struct recording_row *row, bool *is_new,
                                struct err *err)
{
    struct fake_store *f = self;
    struct recording_row copy = *row;

    CHECK(f->is_open);
    if (!enter(f, FAKE_RECORDING_INSERT, err))
        return false;
    *is_new = !has_recording(f, row);
    if (!*is_new)
        return true;
    copy.distinct_id = keep(f, row->distinct_id);
    copy.session_id = keep(f, row->session_id);
    copy.window_id = keep(f, row->window_id);
    copy.snapshot_data = keep(f, row->snapshot_data);
    table_add(&f->tables[RECORDINGS], &copy);
    return true;
}

static bool op_dead_letter_insert(void *self, const struct dead_letter *d, struct err *err)
{
    struct fake_store *f = self;
    struct dead_letter copy = *d;

    CHECK(f->is_open);
    if (!enter(f, FAKE_DEAD_LETTER_INSERT, err))
        return false;
    copy.stage = keep(f, d->stage);
    copy.reason = keep(f, d->reason);
    copy.envelope = keep(f, d->envelope);
    table_add(&f->tables[DEAD], &copy);
    return true;
}

static void op_count(void *self, enum store_count what, int64_t team_id, int64_t at_us,
                     struct slice event)
{
    struct fake_store *f = self;
    struct fake_counter row = {.what = what, .team_id = team_id, .count = 1};

    CHECK(f->is_open);
    UNUSED(at_us);
    for (size_t i = 0; i < f->tables[COUNTERS].count; i++) {
        struct fake_counter *c = ROW(&f->tables[COUNTERS], struct fake_counter, i);

        if (c->what == what && c->team_id == team_id && slice_eq(c->event, event)) {
            c->count++;
            return;
        }
    }
    row.event = keep(f, event);
    table_add(&f->tables[COUNTERS], &row);
}

/* --- teams, objects, the rest ----------------------------------------------------------------- */

static const char *keep_text(struct fake_store *f, const char *text)
{
    return text ? arena_dup_cstr(f->arena, slice_cstr(text)) : NULL;
}

static struct team *find_team(struct fake_store *f, int64_t id)
{
    for (size_t i = 0; i < f->tables[TEAMS].count; i++) {
        struct team *t = ROW(&f->tables[TEAMS], struct team, i);

        if (t->id == id)
            return t;
    }
    return NULL;
}

static bool op_team_put(void *self, const struct team *team, struct err *err)
{
    struct fake_store *f = self;
    struct team *old = find_team(f, team->id);
    struct team row = *team;

    UNUSED(err);
    row.name = keep_text(f, team->name);
    row.api_token = keep_text(f, team->api_token);
    row.slack_incoming_webhook = keep_text(f, team->slack_incoming_webhook);
    row.bucket = keep_text(f, team->bucket);
    row.class_name = keep_text(f, team->class_name);
    row.organization = keep_text(f, team->organization);
    row.extra_json = keep_text(f, team->extra_json);
    row.drop = NULL;
    row.drop_count = 0;
    if (old)
        *old = row;
    else
        table_add(&f->tables[TEAMS], &row);
    return true;
}

static bool op_team_remove(void *self, int64_t team_id, struct err *err)
{
    struct fake_store *f = self;
    struct team *old = find_team(f, team_id);

    UNUSED(err);
    if (old)
        *old = *ROW(&f->tables[TEAMS], struct team, --f->tables[TEAMS].count);
    return true;
}

static bool op_teams_load(void *self, struct team_set **set, struct err *err)
{
    struct fake_store *f = self;

    *set = team_set_new();
    for (size_t i = 0; i < f->tables[TEAMS].count; i++) {
        if (!team_set_add(*set, ROW(&f->tables[TEAMS], struct team, i), err)) {
            team_set_unref(*set);
            return false;
        }
    }
    team_set_seal(*set);
    return true;
}

static struct store_object *find_object(struct fake_store *f, const char *kind, const char *key,
                                        int64_t id)
{
    for (size_t i = 0; i < f->tables[OBJECTS].count; i++) {
        struct store_object *o = ROW(&f->tables[OBJECTS], struct store_object, i);

        if (strcmp(o->kind, kind) == 0 && (key ? strcmp(o->key, key) == 0 : o->id == id))
            return o;
    }
    return NULL;
}

static bool op_object_remove(void *self, const char *kind, const char *key, struct err *err)
{
    struct fake_store *f = self;
    struct store_object *o = find_object(f, kind, key, 0);

    UNUSED(err);
    if (o)
        *o = *ROW(&f->tables[OBJECTS], struct store_object, --f->tables[OBJECTS].count);
    return true;
}

static bool op_object_put(void *self, const struct store_object *o, struct err *err)
{
    struct fake_store *f = self;
    struct store_object *old = find_object(f, o->kind, o->key, 0);
    struct store_object row = {
        .kind = keep_text(f, o->kind), .key = keep_text(f, o->key), .json = keep_text(f, o->json)};

    UNUSED(err);
    row.id = old ? old->id : ++f->last_object_id;
    if (old)
        *old = row;
    else
        table_add(&f->tables[OBJECTS], &row);
    return true;
}

static bool op_objects_each(void *self, store_object_fn *fn, void *ctx, struct err *err)
{
    struct fake_store *f = self;

    UNUSED(err);
    for (size_t i = 0; i < f->tables[OBJECTS].count; i++) {
        if (!fn(ROW(&f->tables[OBJECTS], struct store_object, i), ctx))
            break;
    }
    return true;
}

static bool op_object_get(void *self, const char *kind, int64_t id, store_object_fn *fn, void *ctx,
                          struct err *err)
{
    struct store_object *o = find_object(self, kind, NULL, id);

    UNUSED(err);
    if (o) {
        struct store_object copy = *o; /* the row may move */
        fn(&copy, ctx);
    }
    return true;
}

/* --- plugins ---------------------------------------------------------------------------------- */

static struct storage_row *find_storage(struct fake_store *f, int64_t config_id, struct slice key)
{
    for (size_t i = 0; i < f->tables[STORAGE].count; i++) {
        struct storage_row *row = ROW(&f->tables[STORAGE], struct storage_row, i);

        if (row->config_id == config_id && slice_eq(row->key, key))
            return row;
    }
    return NULL;
}

static bool op_storage_get(void *self, int64_t config_id, struct slice key, struct buf *value,
                           bool *found, struct err *err)
{
    struct storage_row *row = find_storage(self, config_id, key);

    *found = row != NULL;
    return !row || buf_add_slice(value, row->value) || err_set(err, ERR_LIMIT, "too long");
}

static bool op_storage_set(void *self, int64_t config_id, struct slice key, struct slice value,
                           struct err *err)
{
    struct fake_store *f = self;
    struct storage_row *old = find_storage(f, config_id, key);

    CHECK(f->is_open);
    if (!enter(f, FAKE_STORAGE_SET, err))
        return false;
    if (old)
        old->value = keep(f, value);
    else
        table_add(&f->tables[STORAGE], &(struct storage_row){.config_id = config_id,
                                                             .key = keep(f, key),
                                                             .value = keep(f, value)});
    return true;
}

static bool op_storage_remove(void *self, int64_t config_id, struct slice key, struct err *err)
{
    struct fake_store *f = self;
    struct storage_row *row = find_storage(f, config_id, key);

    CHECK(f->is_open);
    UNUSED(err);
    if (row)
        *row = *ROW(&f->tables[STORAGE], struct storage_row, --f->tables[STORAGE].count);
    return true;
}

static bool op_logs_insert(void *self, const struct store_plugin_log *rows, size_t count,
                           struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    if (!enter(f, FAKE_LOGS_INSERT, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct store_plugin_log row = rows[i];

        row.source = keep(f, row.source);
        row.type = keep(f, row.type);
        row.message = keep(f, row.message);
        row.instance_id = keep(f, row.instance_id);
        table_add(&f->tables[LOGS], &row);
    }
    return true;
}

static struct store_plugin_state *plugin_state_of(struct fake_store *f, int64_t config_id)
{
    for (size_t i = 0; i < f->tables[STATES].count; i++) {
        struct store_plugin_state *row = ROW(&f->tables[STATES], struct store_plugin_state, i);

        if (row->config_id == config_id)
            return row;
    }
    return table_add(&f->tables[STATES], &(struct store_plugin_state){.config_id = config_id});
}

static bool op_error_put(void *self, int64_t config_id, const char *error_json, struct err *err)
{
    struct fake_store *f = self;

    CHECK(f->is_open);
    UNUSED(err);
    plugin_state_of(f, config_id)->error_json = keep_text(f, error_json);
    return true;
}

static bool op_circuit_put(void *self, int64_t config_id, int64_t until_us, const char *why,
                           struct err *err)
{
    struct fake_store *f = self;
    struct store_plugin_state *row = plugin_state_of(f, config_id);

    CHECK(f->is_open);
    UNUSED(err);
    row->circuit_until_us = until_us;
    row->circuit_why = keep_text(f, why);
    return true;
}

static bool op_states_each(void *self, bool (*fn)(const struct store_plugin_state *, void *),
                           void *ctx, struct err *err)
{
    struct fake_store *f = self;

    UNUSED(err);
    for (size_t i = 0; i < f->tables[STATES].count; i++) {
        if (!fn(ROW(&f->tables[STATES], struct store_plugin_state, i), ctx))
            break;
    }
    return true;
}

static bool op_position(void *self, struct feed_position *position, struct feed_run **runs,
                        size_t *run_count, bool *found, struct err *err)
{
    struct fake_store *f = self;

    UNUSED(err);
    lock_take(&f->lock);
    *found = f->has_position;
    *position = f->position;
    *runs = mem_dup(f->runs, f->run_count * sizeof(*f->runs));
    *run_count = f->run_count;
    lock_drop(&f->lock);
    return true;
}

static bool op_tidy(void *self, bool *more, struct err *err)
{
    struct fake_store *f = self;

    CHECK(!f->is_open);
    *more = false;
    return enter(f, FAKE_TIDY, err);
}

static void op_status(void *self, struct store_status *out)
{
    const struct fake_store *f = self;

    *out = (struct store_status){.events = f->tables[EVENTS].count, .last_change = f->last_id};
}

static const struct store_ops fake_ops = {
    .begin = op_begin,
    .commit = op_commit,
    .rollback = op_rollback,
    .person_get = op_person_get,
    .person_create = op_person_create,
    .person_update = op_person_update,
    .distinct_id_add = op_distinct_id_add,
    .person_merge = op_person_merge,
    .group_type = op_group_type,
    .group_get = op_group_get,
    .group_put = op_group_put,
    .event_seen = op_event_seen,
    .event_insert = op_event_insert,
    .recording_insert = op_recording_insert,
    .dead_letter_insert = op_dead_letter_insert,
    .count = op_count,
    .team_put = op_team_put,
    .team_remove = op_team_remove,
    .teams_load = op_teams_load,
    .object_put = op_object_put,
    .object_remove = op_object_remove,
    .objects_each = op_objects_each,
    .object_get = op_object_get,
    .plugin_storage_get = op_storage_get,
    .plugin_storage_set = op_storage_set,
    .plugin_storage_remove = op_storage_remove,
    .plugin_logs_insert = op_logs_insert,
    .plugin_error_put = op_error_put,
    .plugin_circuit_put = op_circuit_put,
    .plugin_states_each = op_states_each,
    .position = op_position,
    .tidy = op_tidy,
    .status = op_status,
};

struct store fake_store_ops(struct fake_store *f)
{
    return (struct store){.ops = &fake_ops, .self = f};
}

/* --- looking ---------------------------------------------------------------------------------- */

size_t fake_store_person_count(const struct fake_store *f)
{
    return f->tables[PERSONS].count;
}

const struct fake_person *fake_store_person_at(const struct fake_store *f, size_t i)
{
    return *ROW(&f->tables[PERSONS], struct fake_person *, i);
}

#define LOOK(name, table, type)                                              \
    size_t fake_store_##name##_count(const struct fake_store *f)             \
    {                                                                        \
        return f->tables[table].count;                                       \
    }                                                                        \
    const type *fake_store_##name##_at(const struct fake_store *f, size_t i) \
    {                                                                        \
        CHECK(i < f->tables[table].count);                                   \
        return ROW(&f->tables[table], type, i);                              \
    }

LOOK(distinct_id, IDS, struct fake_distinct_id)
LOOK(event, EVENTS, struct event_row)
LOOK(recording, RECORDINGS, struct recording_row)
LOOK(dead, DEAD, struct dead_letter)
LOOK(group, GROUPS, struct fake_group)
LOOK(group_type, TYPES, struct fake_group_type)
LOOK(plugin_log, LOGS, struct store_plugin_log)
LOOK(plugin_state, STATES, struct store_plugin_state)

uint64_t fake_store_counted(const struct fake_store *f, enum store_count what, int64_t team_id)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < f->tables[COUNTERS].count; i++) {
        const struct fake_counter *c = ROW(&f->tables[COUNTERS], struct fake_counter, i);

        if (c->what == what && c->team_id == team_id)
            sum += c->count;
    }
    return sum;
}

struct feed_position fake_store_position(struct fake_store *f, const struct feed_run **runs,
                                         size_t *count)
{
    struct feed_position position;

    lock_take(&f->lock);
    position = f->position;
    *runs = f->runs;
    *count = f->run_count;
    lock_drop(&f->lock);
    return position;
}
