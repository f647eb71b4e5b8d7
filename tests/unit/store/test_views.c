/* Random work against a simple model: after every batch the views, the operations and a reader give
 * what the model has, whatever was folded, rolled back, reopened or crashed in between. */
#include "base/rand.h"
#include "store/reader.h"
#include "store_aid.h"

#define IDS     40
#define PERSONS 4000
#define GROUPS  6
#define STEPS   400

struct model {
    int owner[IDS];      /* person number, 0: nobody */
    int64_t id_row[IDS]; /* row id of the distinct id */
    int64_t id_version[IDS];
    struct {
        int64_t version;
        int value; /* in the properties */
        bool is_identified;
    } persons[PERSONS];
    int person_count;
    int64_t id_count;
    int group_value[GROUPS]; /* 0: none */
    int64_t group_version[GROUPS];
    int64_t changes, events;
    bool has_event[PERSONS];
};

static void name_of(int id, char text[16])
{
    snprintf(text, 16, "id-%d", id);
}

static struct slice value_of(int value, char text[32])
{
    return slice_make(text, (size_t)snprintf(text, 32, "{\"v\":%d}", value));
}

static struct person *get(struct aid *aid, const struct model *m, int id)
{
    char name[16];
    name_of(id, name);
    struct person *p = aid_person(aid, name);
    int owner = m->owner[id];
    char text[32];

    assert_int_equal(p != NULL, owner != 0);
    if (p) {
        assert_int_equal(p->id, owner);
        assert_int_equal(p->version, m->persons[owner].version);
        assert_true(slice_eq(p->properties, value_of(m->persons[owner].value, text)));
        assert_int_equal(p->is_identified, m->persons[owner].is_identified);
    }
    return p;
}

static void create(struct aid *aid, struct model *m, int id)
{
    int n = ++m->person_count, second = (int)(rand_u64() % IDS);
    char text[32], names[40], name[16];

    name_of(id, name);
    snprintf(names, sizeof(names), "%s", name);
    if (second != id && m->owner[second] == 0 && rand_u64() % 2) {
        name_of(second, name);
        snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s", name);
    } else {
        second = id;
    }
    value_of(n, text);
    struct person *p = aid_create(aid, (uint64_t)n, names, text);
    assert_int_equal(p->id, n);
    m->persons[n].version = 0;
    m->persons[n].value = n;
    m->persons[n].is_identified = false;
    m->changes += 2 + (second != id);
    m->owner[id] = m->owner[second] = n;
    m->id_version[id] = m->id_version[second] = 0;
    m->id_row[id] = ++m->id_count;
    if (second != id)
        m->id_row[second] = ++m->id_count;
}

static void update(struct aid *aid, struct model *m, struct person *p)
{
    char text[32];
    struct person_change next = {.created_at_us = p->created_at_us};
    int n = (int)p->id;

    m->persons[n].version++;
    m->persons[n].value = (int)(rand_u64() % 1000);
    m->persons[n].is_identified |= rand_u64() % 4 == 0;
    m->changes++;
    next.is_identified = m->persons[n].is_identified;
    next.properties = value_of(m->persons[n].value, text);
    must(aid->ops->person_update(aid->self, p, &next, &aid->err));
}

static void merge(struct aid *aid, struct model *m, struct person *from, struct person *to)
{
    int a = (int)from->id, b = (int)to->id;

    must(aid->ops->person_merge(aid->self, from, to, &aid->err));
    for (int i = 0; i < IDS; i++)
        if (m->owner[i] == a) {
            m->owner[i] = b;
            m->id_version[i]++;
            m->changes++;
        }
    m->changes++;
}

static void work_on_group(struct aid *aid, struct model *m)
{
    int n = (int)(rand_u64() % GROUPS);
    struct store_group *g, next;
    char name[16], text[32];

    name_of(n, name);
    must(aid->ops->group_get(aid->self, 1, n % 3, slice_cstr(name), &g, &aid->err));
    assert_int_equal(g != NULL, m->group_value[n] != 0);
    if (g)
        assert_int_equal(g->version, m->group_version[n]);
    m->group_value[n] = 1 + (int)(rand_u64() % 1000);
    next = (struct store_group){.properties = value_of(m->group_value[n], text),
                                .created_at_us = n,
                                .version = ++m->group_version[n]};
    must(aid->ops->group_put(aid->self, 1, n % 3, slice_cstr(name), &next, &aid->err));
    m->changes++;
}

static void work_on_event(struct aid *aid, struct model *m)
{
    uint64_t n = rand_u64() % PERSONS;

    assert_int_equal(aid_seen(aid, 1, n), m->has_event[n]);
    if (m->has_event[n])
        return;
    assert_int_equal(aid_insert(aid, n), m->changes + 1);
    m->changes++;
    m->events++;
    m->has_event[n] = true;
}

static void one_operation(struct aid *aid, struct model *m)
{
    int id = (int)(rand_u64() % IDS), other = (int)(rand_u64() % IDS);
    struct person *p = get(aid, m, id), *q = get(aid, m, other);
    char name[16];

    switch (rand_u64() % 8) {
    case 0:
    case 1:
        if (p)
            update(aid, m, p);
        else
            create(aid, m, id);
        break;
    case 2:
        if (p && q && p != q)
            merge(aid, m, p, q);
        break;
    case 3:
        name_of(other, name);
        if (p && !q) {
            must(aid->ops->distinct_id_add(aid->self, p, slice_cstr(name), &aid->err));
            m->owner[other] = m->owner[id];
            m->id_version[other] = 0;
            m->id_row[other] = ++m->id_count;
            m->changes++;
        }
        break;
    case 4:
        work_on_group(aid, m);
        break;
    case 5:
        if (!p)
            create(aid, m, id);
        break;
    default:
        work_on_event(aid, m);
        break;
    }
}

/* --- comparing */

static void add_uuid(struct buf *out, uint64_t n)
{
    struct uuid uuid = aid_uuid(n);
    char text[UUID_TEXT_LEN + 1];

    uuid_format(&uuid, text);
    buf_add_str(out, text);
}

static void expect_text(struct aid *aid, const char *sql, int columns, struct buf *wanted)
{
    if (wanted->len)
        wanted->len--; /* the last line feed */
    expect_rows(sql, columns, buf_cstr(wanted));
    buf_clear(wanted);
}

static void compare_persons(struct aid *aid, const struct model *m, struct buf *out)
{
    for (int n = 1; n <= m->person_count; n++) {
        bool has_id = false;
        for (int i = 0; i < IDS; i++)
            has_id |= m->owner[i] == n;
        if (!has_id)
            continue; /* merged away */
        buf_addf(out, "%d|", n);
        add_uuid(out, (uint64_t)n);
        buf_addf(out, "|{\"v\":%d}|%d|%lld\n", m->persons[n].value, m->persons[n].is_identified,
                 (long long)m->persons[n].version);
    }
    expect_text(aid,
                "SELECT id, uuid, properties, is_identified, version FROM v_persons ORDER BY id", 5,
                out);
}

static void compare_ids(struct aid *aid, const struct model *m, struct buf *out)
{
    for (int64_t row = 1; row <= m->id_count; row++)
        for (int i = 0; i < IDS; i++)
            if (m->owner[i] && m->id_row[i] == row) {
                buf_addf(out, "%lld|id-%d|", (long long)row, i);
                add_uuid(out, (uint64_t)m->owner[i]);
                buf_addf(out, "|%lld\n", (long long)m->id_version[i]);
            }
    expect_text(
        aid, "SELECT id, distinct_id, person_uuid, version FROM v_person_distinct_ids ORDER BY id",
        4, out);
}

static void compare(struct aid *aid, const struct model *m)
{
    struct buf out = BUF_INIT(1 << 20);
    char sql[64];

    compare_persons(aid, m, &out);
    compare_ids(aid, m, &out);
    for (int n = 0; n < GROUPS; n++)
        if (m->group_value[n])
            buf_addf(&out, "%d|id-%d|{\"v\":%d}|%d|%lld\n", n % 3, n, m->group_value[n], n,
                     (long long)m->group_version[n]);
    expect_text(
        aid,
        "SELECT group_type_index, group_key, group_properties, created_at, version FROM v_groups "
        "ORDER BY group_key",
        5, &out);
    expect_rows("SELECT change_seq FROM meta", 1,
                (snprintf(sql, sizeof(sql), "%lld", (long long)m->changes), sql));
    expect_rows("SELECT count(*) FROM v_events", 1,
                (snprintf(sql, sizeof(sql), "%lld", (long long)m->events), sql));
    buf_free(&out);
}

static void compare_reader(struct aid *aid, const struct model *m)
{
    struct store_reader *r = store_reader_open(aid->path, &aid->err);
    int id = (int)(rand_u64() % IDS);
    struct buf json = BUF_INIT(1 << 16), wanted = BUF_INIT(1 << 16);
    char name[16];

    must(r != NULL);
    name_of(id, name);
    bool ok = store_reader_person(r, 1, slice_cstr(name), &json, &aid->err);
    assert_int_equal(ok, m->owner[id] != 0);
    if (ok) {
        buf_addf(&wanted, "{\"id\":%d,", m->owner[id]);
        assert_true(slice_starts(buf_slice(&json), buf_slice(&wanted)));
    } else {
        assert_int_equal(aid->err.code, ERR_GONE);
    }
    buf_free(&json);
    buf_free(&wanted);
    store_reader_close(r);
}

/* --- the run */

static void between_batches(struct aid *aid)
{
    uint64_t dice = rand_u64() % 12;
    bool more;

    if (dice < 4)
        must(aid->ops->tidy(aid->self, &more, &aid->err));
    else if (dice == 4)
        aid_tidy(aid);
    else if (dice == 5) {
        fault_arm("store.tidy", 1, 1);
        UNUSED(aid->ops->tidy(aid->self, &more, &aid->err));
        fault_clear();
    } else if (dice == 6) {
        aid_reopen(aid);
    } else if (dice == 7) {
        aid_crash(aid);
        aid_open_again(aid);
    }
}

static void one_batch(struct aid *aid, struct model *m)
{
    struct model before = *m;
    int count = (int)(rand_u64() % 30);

    aid_begin(aid);
    for (int i = 0; i < count; i++)
        one_operation(aid, m);
    switch (rand_u64() % 6) {
    case 0:
        aid->ops->rollback(aid->self);
        *m = before;
        break;
    case 1:
        fault_arm("store.commit", 1, 1);
        assert_false(aid->ops->commit(aid->self, NULL, NULL, 0, &aid->err));
        fault_clear();
        aid->ops->rollback(aid->self);
        *m = before;
        break;
    default:
        aid_commit(aid);
        break;
    }
}

static void run(uint64_t seed, bool with_thread)
{
    struct aid a, *aid = &a;
    struct model *m = mem_new(struct model);

    rand_fake_seed(seed);
    aid_open(aid);
    aid_close_store(aid);
    aid->opt.index_part_events = 50;
    aid->opt.distinct_id_cache_entries = 10; /* most look-ups go past the caches */
    aid_open_again(aid);
    for (int step = 0; step < STEPS; step++) {
        if (with_thread && !aid_store(aid)->tidy.is_running)
            must(store_sqlite_start(&aid->store, &aid->err));
        one_batch(aid, m);
        compare(aid, m);
        between_batches(aid);
        compare(aid, m);
        if (step % 10 == 0)
            compare_reader(aid, m);
    }
    aid_close(aid);
    mem_free(m);
}

static void alone(void **state)
{
    UNUSED(state);
    run(1, false);
    run(2, false);
}

static void with_the_tidy_thread(void **state)
{
    UNUSED(state);
    run(3, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(alone),
                                       cmocka_unit_test(with_the_tidy_thread)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
