#include "base/hash.h"
#include "ring_aid.h"

static int setup(void **state)
{
    struct rig *g = mem_new(struct rig);

    rig_init(g);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    mem_free(*state);
    return 0;
}

struct seen {
    struct rig *g;
    size_t stop_after;
};

static bool see(const struct feed_record *rec, void *ctx)
{
    struct seen *s = ctx;

    keep(s->g, rec);
    return s->stop_after == 0 || s->g->got_count < s->stop_after;
}

static uint64_t dir_hash(struct rig *g)
{
    uint32_t slots[50];
    size_t n = list_slots(g, slots, 50);
    uint64_t hash = n;

    for (size_t i = 0; i < n; i++) {
        struct buf bytes = BUF_INIT(16 << 20);
        struct err err = ERR_INIT;
        char *path = file_of(g, slots[i]);

        assert_true(fs_read_all(path, &bytes, &err));
        hash = hash64(bytes.ptr, bytes.len, hash);
        buf_free(&bytes);
        mem_free(path);
    }
    return hash;
}

static void test_walk(void **state)
{
    struct rig *g = *state;
    struct seen s = {.g = g};
    struct err err = ERR_INIT;
    uint64_t hash;

    rig_open(g);
    for (int i = 0; i < 100; i++)
        put(g, 10, 700);
    rig_close(g);
    hash = dir_hash(g);
    assert_true(ring_inspect(g->dir, see, &s, &err));
    assert_got(g, 0, 1000);
    got_clear(g);
    s.stop_after = 7;
    assert_true(ring_inspect(g->dir, see, &s, &err));
    assert_got(g, 0, 7);
    assert_int_equal(dir_hash(g), hash); /* read-only */
}

static void test_damage_is_told(void **state)
{
    struct rig *g = *state;
    struct seen s = {.g = g};
    struct err err = ERR_INIT;

    rig_open(g);
    for (int i = 0; i < 100; i++)
        put(g, 10, 700);
    rig_close(g);
    flip(g, 0, place_of(g, 0, 3) + 40);
    assert_false(ring_inspect(g->dir, see, &s, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "1 records are damaged, 0 are missing"));
    assert_int_equal(g->got_count, 999);
}

static void test_bad_directory(void **state)
{
    struct rig *g = *state;
    struct seen s = {.g = g};
    struct err err = ERR_INIT;

    assert_false(ring_inspect(g->dir, see, &s, &err)); /* absent: nothing is created */
    assert_int_equal(err.code, ERR_IO);
    assert_false(fs_exists(g->dir));
    assert_true(fs_mkdirs(g->dir, 0700, &err));
    assert_true(ring_inspect(g->dir, see, &s, &err)); /* empty */
    assert_int_equal(g->got_count, 0);
}

static void assert_elsewhere(struct rig *g, const char *dir, const char *expected)
{
    struct ring_options opt = g->opt;
    char *name;

    opt.dir = dir;
    name = ring_elsewhere(&opt);
    if (expected)
        assert_string_equal(name, expected);
    else
        assert_null(name);
    mem_free(name);
}

/* The ring beside: unread, read, with runs, of another cursor, and with a copy in its own place. */
static void test_elsewhere(void **state)
{
    struct rig *g = *state;
    struct feed_run run = {.from = 5, .to = 10};
    const char *name = strrchr(g->dir, '/') + 1;
    char other[RING_PATH_MAX];

    snprintf(other, sizeof(other), "%.*s/other", (int)(name - 1 - g->dir), g->dir);
    assert_elsewhere(g, other, NULL); /* nothing anywhere */
    rig_open(g);
    for (int i = 0; i < 10; i++)
        put(g, 1, 100);
    assert_elsewhere(g, other, name); /* no cursor at all */
    set_position(g, 5, 10);
    rig_close(g);
    assert_elsewhere(g, other, name);
    assert_elsewhere(g, g->dir, NULL);
    g->opt.runs = &run;
    g->opt.run_count = 1;
    assert_elsewhere(g, other, NULL); /* the run is all that is above the cursor */
    run.from = 6;
    assert_elsewhere(g, other, name);
    g->opt.run_count = 0;
    g->opt.position.offset = 10;
    assert_elsewhere(g, other, NULL);
    g->opt.position.offset = 5;
    g->opt.position.ring_id.b[0] ^= 1;
    assert_elsewhere(g, other, NULL); /* somebody else's */
    g->opt.position.ring_id.b[0] ^= 1;
    copy_dir(g->dir, other);
    assert_elsewhere(g, other, NULL); /* it is in its place */
    remove_files(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
