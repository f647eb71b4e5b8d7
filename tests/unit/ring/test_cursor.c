/* Walks over a segment file made by hand. */
#include "ring_aid.h"

struct made {
    char *dir;
    struct segment *s;
    char *bytes;
    uint64_t at;
};

#define LAP  1234567u
#define SIZE (3u << 20)

static int setup(void **state)
{
    struct made *m = mem_new(struct made);

    log_setup(LOG_NONE, LOG_CLASSIC, false);
    m->dir = temp_dir_new();
    m->bytes = mem_zalloc(SIZE);
    m->at = SEGMENT_HEAD_BYTES;
    m->s = segment_new(0, SIZE);
    m->s->use.lap_id = LAP;
    m->s->use.base = 50;
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct made *m = *state;

    segment_free(m->s);
    mem_free(m->bytes);
    temp_dir_free(m->dir);
    mem_free(m);
    return 0;
}

/* Returns where the record stands. */
static uint64_t add(struct made *m, uint64_t sequence, uint16_t type, size_t bytes, uint64_t lap)
{
    struct feed_group *g = feed_group_new(bytes);
    char *payload = event_make(sequence, MAX(bytes, 8));
    uint64_t at = m->at;

    assert_true(feed_group_add(g, 1, type, 1, slice_make(payload, bytes)));
    record_stamp(g->block->bytes, lap, sequence, 3);
    assert_true(m->at + g->bytes <= SIZE);
    memcpy(m->bytes + m->at, g->block->bytes, g->bytes);
    m->at += g->bytes;
    mem_free(payload);
    feed_group_free(g);
    return at;
}

static void walk_open(struct made *m, struct cursor *c, uint64_t limit)
{
    struct err err = ERR_INIT;
    char path[RING_PATH_MAX];
    FILE *f;

    segment_path(m->dir, 0, ".seg", path);
    f = fopen(path, "w");
    assert_int_equal(fwrite(m->bytes, 1, SIZE, f), SIZE);
    fclose(f);
    cursor_init(c);
    assert_true(cursor_open(c, m->dir, m->s, SEGMENT_HEAD_BYTES, 50, limit, &err));
}

static void test_all_is_well(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct feed_record rec;
    uint64_t n = 50;

    for (uint64_t i = 0; i < 30; i++)
        add(m, 50 + i, 1, i * 3000 + 8, LAP);
    walk_open(m, &c, SEGMENT_OPEN);
    while (cursor_next(&c, &rec) == CURSOR_RECORD) {
        assert_int_equal(rec.offset, n);
        assert_int_equal(event_check(rec.payload), n);
        n++;
    }
    assert_int_equal(n, 80);
    assert_false(c.is_torn);
    assert_false(c.is_marked);
    assert_int_equal(c.at, m->at);
    cursor_close(&c);
    cursor_close(&c);
}

static void test_limit_and_mark(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct feed_record rec;

    add(m, 50, 1, 100, LAP);
    add(m, 51, 1, 100, LAP);
    add(m, 52, RECORD_TYPE_MARK, 0, LAP);
    add(m, 53, 1, 100, LAP); /* behind a mark nothing counts */
    walk_open(m, &c, 51);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_RECORD);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_END);
    cursor_extend(&c, m->s, SEGMENT_OPEN);
    m->s->used = 0;
    c.file_bytes = SIZE;
    assert_int_equal(cursor_next(&c, &rec), CURSOR_RECORD);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_END);
    assert_true(c.is_marked);
    assert_int_equal(c.expect, 52);
    cursor_close(&c);
}

static void test_hole(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct feed_record rec;
    uint64_t bad;
    uint64_t good;

    add(m, 50, 1, 100, LAP);
    bad = add(m, 51, 1, 50000, LAP);
    add(m, 52, 1, 100, LAP + 1); /* another lap */
    good = add(m, 53, 1, 100, LAP);
    m->bytes[bad + 777] ^= 1;
    walk_open(m, &c, SEGMENT_OPEN);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_RECORD);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_LOST);
    assert_int_equal(c.lost_from, 51);
    assert_int_equal(c.lost_to, 53);
    assert_int_equal(c.bad_from, bad);
    assert_int_equal(c.bad_to, good);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_RECORD);
    assert_int_equal(rec.offset, 53);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_END);
    cursor_close(&c);
}

/* What ends too early: nothing more below the limit. */
static void test_early_end(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct feed_record rec;

    add(m, 50, 1, 100, LAP);
    for (int is_next_missing = 0; is_next_missing < 2; is_next_missing++) {
        m->s->is_next_missing = is_next_missing;
        walk_open(m, &c, 60);
        assert_int_equal(cursor_next(&c, &rec), CURSOR_RECORD);
        assert_int_equal(cursor_next(&c, &rec), CURSOR_LOST);
        assert_int_equal(c.lost_from, 51);
        assert_int_equal(c.lost_to, 60);
        assert_int_equal(c.is_gap, is_next_missing);
        assert_int_equal(cursor_next(&c, &rec), CURSOR_END);
        cursor_close(&c);
    }
}

static void test_torn(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct feed_record rec;

    add(m, 50, 1, 100, LAP);
    add(m, 51, 1, 100, LAP - 1);
    walk_open(m, &c, SEGMENT_OPEN);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_RECORD);
    assert_int_equal(cursor_next(&c, &rec), CURSOR_END);
    assert_true(c.is_torn);
    cursor_close(&c);
}

/* A block that somebody holds stays as it is while the walk goes on. */
static void test_held_blocks(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct feed_record kept[40];
    size_t n = 0;

    for (uint64_t i = 0; i < 40; i++)
        add(m, 50 + i, 1, 70000, LAP);
    walk_open(m, &c, SEGMENT_OPEN);
    while (cursor_next(&c, &kept[n]) == CURSOR_RECORD)
        feed_block_ref(kept[n++].block);
    cursor_close(&c);
    assert_int_equal(n, 40);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(event_check(kept[i].payload), 50 + i);
        feed_block_unref(kept[i].block);
    }
}

static void test_absent_file(void **state)
{
    struct made *m = *state;
    struct cursor c;
    struct err err = ERR_INIT;

    cursor_init(&c);
    assert_false(cursor_open(&c, m->dir, m->s, 0, 0, 1, &err));
    assert_int_equal(err.code, ERR_IO);
    cursor_close(&c);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_all_is_well), CASE(test_limit_and_mark), CASE(test_hole),
        CASE(test_early_end),   CASE(test_torn),           CASE(test_held_blocks),
        CASE(test_absent_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
