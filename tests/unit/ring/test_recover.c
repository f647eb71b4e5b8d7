/* Damage and recovery: torn tails, bad bytes, files that are not what they were. */
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

/* As after kill -9: what was written is there, nothing else happens. */
static void kill_and_copy(struct rig *g)
{
    char *copy = temp_dir_path(g->top, "copy");

    copy_dir(g->dir, copy);
    rig_close(g);
    remove_files(g->dir);
    copy_dir(copy, g->dir);
    remove_files(copy);
    mem_free(copy);
}

/* The writer leaves a mark behind the last record before it sleeps. */
static bool is_marked(struct rig *g, uint64_t end)
{
    uint32_t slot = newest_slot(g);
    uint64_t at = place_of(g, slot, end);
    char *path = file_of(g, slot);
    int fd = open(path, O_RDONLY);
    struct record_head head;

    assert_int_equal(pread(fd, &head, sizeof(head), (off_t)at), sizeof(head));
    close(fd);
    mem_free(path);
    return head.type == RECORD_TYPE_MARK;
}

static size_t index_of(const struct rig *g, uint64_t number)
{
    for (size_t i = 0; i < g->got_count; i++) {
        if (g->got[i] == number)
            return i;
    }
    return SIZE_MAX;
}

/* --- torn tails --- */

/* The file ends 1..200 bytes before the end of the last record. */
static void test_cut_file(void **state)
{
    struct rig *g = *state;

    for (size_t cut = 1; cut <= 200; cut += cut < 20 ? 1 : 13) {
        uint32_t slot;
        char *path;
        uint64_t end;

        remove_files(g->dir);
        g->next_number = 0;
        got_clear(g);
        rig_open(g);
        for (int i = 0; i < 5; i++)
            put(g, 1, 300); /* no padding: 336 bytes */
        kill_and_copy(g);
        slot = newest_slot(g);
        path = file_of(g, slot);
        end = place_of(g, slot, 5);
        assert_int_equal(truncate(path, (off_t)(end - cut)), 0);
        mem_free(path);
        rig_open(g);
        assert_int_equal(count_of(g, TORN), 1);
        drain(g);
        assert_got(g, 0, 4);
        assert_int_equal(count_of(g, CORRUPT), 0);
        assert_int_equal(status(g).end, 4);
        put(g, 1, 300);
        drain(g);
        assert_int_equal(g->got[4], 5);
        rig_close(g);
    }
}

/* Of the last write only a part reached the disk, the rest is what was there before: zeros. */
static void test_torn_write(void **state)
{
    struct rig *g = *state;
    char zeros[800] = {0};

    for (size_t cut = 1; cut < 3 * 336; cut += 41) {
        uint32_t slot;

        remove_files(g->dir);
        g->next_number = 0;
        got_clear(g);
        rig_open(g);
        put(g, 2, 300);
        put(g, 3, 300);
        kill_and_copy(g);
        slot = newest_slot(g);
        for (uint64_t at = place_of(g, slot, 5) - cut; at < place_of(g, slot, 2) + 3 * 336 + 40;)
            at += 800, overwrite(g, slot, at - 800, zeros, sizeof(zeros));
        rig_open(g);
        drain(g);
        assert_got(g, 0, 2); /* the group vanishes whole */
        assert_int_equal(count_of(g, TORN), 1);
        assert_int_equal(count_of(g, CORRUPT), 0);
        rig_close(g);
    }
}

/* A power cut kept the later pages of an unacknowledged write and lost the earlier ones. */
static void test_lost_first_page(void **state)
{
    struct rig *g = *state;
    char zeros[RING_PAGE] = {0};
    uint32_t slot;
    uint64_t at;

    rig_open(g);
    put(g, 1, 100);
    put(g, 30, 1000);
    kill_and_copy(g);
    slot = newest_slot(g);
    at = place_of(g, slot, 31);
    overwrite(g, slot, at, zeros, 40); /* the mark was not there */
    overwrite(g, slot, 2 * RING_PAGE, zeros, RING_PAGE);
    rig_open(g);
    drain(g);
    assert_got(g, 0, 1);
    assert_int_equal(count_of(g, TORN), 1);
    /* Nothing of it comes back later, either. */
    put(g, 1, 100);
    set_position(g, 0, 0);
    got_clear(g);
    reopen(g);
    drain(g);
    assert_int_equal(g->got_count, 2);
    assert_int_equal(g->got[1], 31);
    assert_int_equal(count_of(g, CORRUPT), 0);
}

/* A group that spans segments and has no end is cut where it began. */
static void test_cut_spanning_group(void **state)
{
    struct rig *g = *state;
    char zeros[RING_PAGE] = {0};

    for (int lost_all = 0; lost_all < 2; lost_all++) {
        uint32_t slot;

        remove_files(g->dir);
        g->next_number = 0;
        got_clear(g);
        rig_open(g);
        put(g, 5, 1000);
        put(g, 700, 1000);
        kill_and_copy(g);
        slot = newest_slot(g);
        assert_int_equal(head_of(g, slot).group_first, 5);
        if (lost_all) {
            for (uint64_t at = SEGMENT_HEAD_BYTES; at < 256 << 10; at += RING_PAGE)
                overwrite(g, slot, at, zeros, RING_PAGE);
        } else {
            overwrite(g, slot, place_of(g, slot, 705), zeros, 40);
            overwrite(g, slot, place_of(g, slot, 704), zeros, 1036);
        }
        rig_open(g);
        assert_int_equal(count_of(g, TORN), 1);
        assert_int_equal(status(g).end, 5);
        put(g, 1, 50);
        drain(g);
        assert_int_equal(g->got_count, 6);
        assert_int_equal(g->got_at[5], 5);
        assert_int_equal(g->got[5], 705);
        set_position(g, 0, 6);
        got_clear(g);
        reopen(g);
        drain(g);
        assert_int_equal(g->got_count, 6);
        assert_int_equal(count_of(g, GAP), 0);
        rig_close(g);
        g->opt.has_position = false;
    }
}

/* --- damage --- */

/* One byte of an acknowledged record, in turn everywhere in it: just that record is missing. */
static void test_flip_everywhere(void **state)
{
    struct rig *g = *state;
    char *pristine = temp_dir_path(g->top, "pristine");
    uint32_t slot;
    uint64_t at;

    rig_open(g);
    for (int i = 0; i < 9; i++)
        put(g, 1, 64);
    AWAIT(is_marked(g, 9));
    copy_dir(g->dir, pristine);
    rig_close(g);
    slot = newest_slot(g);
    for (int which = 0; which < 9; which += 4) {
        for (uint64_t i = 0; i < RECORD_HEAD_BYTES + 64; i += 3) {
            remove_files(g->dir);
            copy_dir(pristine, g->dir);
            at = place_of(g, slot, (uint64_t)which);
            flip(g, slot, at + i);
            got_clear(g);
            rig_open(g);
            drain(g);
            assert_int_equal(g->got_count, 8);
            assert_int_equal(index_of(g, (uint64_t)which), SIZE_MAX);
            assert_int_equal(count_of(g, CORRUPT), 1);
            assert_int_equal(count_of(g, TORN), 0);
            rig_close(g);
        }
    }
    mem_free(pristine);
}

/* The same inside one request, the last thing written: the mark proves that it was acknowledged. */
static void test_flip_in_last_group(void **state)
{
    struct rig *g = *state;
    char *kept;
    uint32_t slot;
    char name[80];

    rig_open(g);
    put(g, 1000, 100);
    AWAIT(is_marked(g, 1000));
    kill_and_copy(g);
    slot = newest_slot(g);
    flip(g, slot, place_of(g, slot, 500) + 50);
    rig_open(g);
    drain(g);
    assert_int_equal(g->got_count, 999);
    assert_int_equal(index_of(g, 500), SIZE_MAX);
    assert_int_equal(count_of(g, CORRUPT), 1);
    assert_int_equal(count_of(g, TORN), 0);
    snprintf(name, sizeof(name), "quarantine/%08" PRIu64 "-%" PRIu64 ".corrupt",
             head_of(g, slot).lap_no, place_of(g, slot, 500));
    kept = temp_dir_path(g->dir, name);
    assert_true(fs_exists(kept));
    mem_free(kept);
}

static void test_zeroed_pages(void **state)
{
    struct rig *g = *state;
    char zeros[RING_PAGE] = {0};
    uint32_t slot;
    uint64_t first, last;

    rig_open(g);
    for (int i = 0; i < 50; i++)
        put(g, 1, 1000);
    kill_and_copy(g);
    slot = newest_slot(g);
    overwrite(g, slot, 5 * RING_PAGE, zeros, RING_PAGE);
    first = (4 * RING_PAGE) / 1040;
    last = (5 * RING_PAGE - 1) / 1040;
    rig_open(g);
    drain(g);
    assert_int_equal(g->got_count, 50 - (last - first + 1));
    assert_int_equal(count_of(g, CORRUPT), last - first + 1);
    for (uint64_t n = 0; n < 50; n++)
        assert_true((index_of(g, n) == SIZE_MAX) == (n >= first && n <= last));
}

/* Damage in a segment that is not the newest, and in several places. */
static void test_damage_in_old_segments(void **state)
{
    struct rig *g = *state;
    uint32_t slot = 0;
    uint64_t bad[] = {3, 10, 11, 40};

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 300; i++)
        put(g, 1, 1000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        flip(g, slot, place_of(g, slot, bad[i]) + 200);
    drain(g);
    assert_int_equal(g->got_count, 296);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(index_of(g, bad[i]), SIZE_MAX);
    assert_int_equal(count_of(g, CORRUPT), 4);
}

/* A wrong length may point anywhere: to the end, behind it, into the next record. */
static void test_wrong_lengths(void **state)
{
    struct rig *g = *state;
    const uint32_t lengths[] = {0, 1, 65, 2000, 250000, 1u << 30, UINT32_MAX};
    uint32_t slot;

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        remove_files(g->dir);
        g->next_number = 0;
        got_clear(g);
        rig_open(g);
        for (int k = 0; k < 20; k++)
            put(g, 1, 64);
        kill_and_copy(g);
        slot = newest_slot(g);
        overwrite(g, slot, place_of(g, slot, 7), &lengths[i], 4);
        rig_open(g);
        drain(g);
        assert_int_equal(g->got_count, 19);
        assert_int_equal(index_of(g, 7), SIZE_MAX);
        rig_close(g);
    }
}

/* Payloads that look like records do not pass for them. */
static void test_forged_records(void **state)
{
    struct rig *g = *state;
    struct feed_writer w;
    struct err err = ERR_INIT;
    struct feed_group *group;
    char payload[4000];
    uint32_t slot;

    rig_open(g);
    w = ring_writer(g->ring);
    for (size_t at = 4; at + RECORD_HEAD_BYTES <= sizeof(payload); at += 8) {
        struct record_head head = {.length = 8, .sequence = 2, .flags = 3, .type = 1};

        memcpy(payload + at, &head, MIN(sizeof(head), sizeof(payload) - at));
    }
    put(g, 1, 100);
    group = feed_group_new(4096);
    assert_true(feed_group_add(group, 1, 1, 1, slice_make(payload, sizeof(payload))));
    g->answer.waiting++;
    assert_true(w.ops->append(w.self, group, on_done, &g->answer, &err));
    await_answers(g);
    put(g, 1, 100);
    kill_and_copy(g);
    slot = newest_slot(g);
    flip(g, slot, place_of(g, slot, 1) + 30);
    rig_open(g);
    drain(g);
    assert_got(g, 0, 2);
    assert_int_equal(g->got_at[1], 2);
}

/* --- segments that are not what they were --- */

/* Half of the head is bad: the other copy counts. */
static void test_one_bad_head(void **state)
{
    struct rig *g = *state;

    for (int copy = 0; copy < 2; copy++) {
        uint64_t number = g->next_number;
        uint32_t slot;

        rig_open(g);
        put(g, 3, 100);
        kill_and_copy(g);
        slot = newest_slot(g);
        flip(g, slot, (copy ? SEGMENT_COPY_AT : 0) + 20);
        got_clear(g);
        rig_open(g);
        drain(g);
        assert_int_equal(g->got[g->got_count - 1], number + 2);
        rig_close(g);
        remove_files(g->dir);
    }
}

/* Both copies are bad: the file goes to quarantine, the hole is told, the rest is read. */
static void test_bad_head(void **state)
{
    struct rig *g = *state;
    uint32_t slots[20];
    uint32_t middle = 0;

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 900; i++)
        put(g, 1, 1000);
    set_position(g, 0, 0);
    rig_close(g);
    assert_true(list_slots(g, slots, 20) > 3);
    for (size_t i = 0; i < 4; i++) {
        if (head_of(g, slots[i]).base > 0 && slots[i] != newest_slot(g))
            middle = slots[i];
    }
    flip(g, middle, 20);
    flip(g, middle, SEGMENT_COPY_AT + 20);
    rig_open(g);
    drain(g);
    assert_true(g->got_count < 900);
    assert_int_equal(count_of(g, GAP), 900 - g->got_count);
    assert_int_equal(g->got[g->got_count - 1], 899);
}

/* Last week's bytes in a segment file: nothing old comes back, nothing new is hidden. */
static void test_last_weeks_bytes(void **state)
{
    struct rig *g = *state;
    char *week = temp_dir_path(g->top, "week");
    uint32_t slots[40];
    size_t n;
    uint64_t released;

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 1500; i++) {
        put(g, 1, 1000);
        drain(g);
        release(g, status(g).end);
    }
    copy_dir(g->dir, week);
    released = status(g).end;
    for (int i = 0; i < 1500; i++)
        put(g, 1, 1000);
    set_position(g, released, released);
    rig_close(g);
    n = list_slots(g, slots, 40);
    for (size_t i = 0; i < n; i++) {
        char *kept = temp_dir_path(g->top, "kept");
        char name[32];
        char *old;
        char *now = file_of(g, slots[i]);
        bool is_newest = slots[i] == newest_slot(g);

        snprintf(name, sizeof(name), "week/%08u.seg", slots[i]);
        old = temp_dir_path(g->top, name);
        copy_dir(g->dir, kept);
        if (fs_exists(old)) {
            uint64_t base = head_of(g, slots[i]).base;

            copy_file(old, now);
            got_clear(g);
            rig_open(g);
            put(g, 1, 50);
            drain(g);
            assert_true(g->got[0] >= released);
            assert_int_equal(g->got[g->got_count - 1], g->next_number - 1);
            /* A file of the very same lap just lacks its later records. */
            if (!is_newest && base >= released)
                assert_true(count_of(g, GAP) > 0);
            if (!is_newest)
                assert_int_equal(count_of(g, GAP) + count_of(g, CORRUPT) + g->got_count, 1501);
            rig_close(g);
            g->next_number--;
        }
        remove_files(g->dir);
        copy_dir(kept, g->dir);
        mem_free(kept);
        mem_free(old);
        mem_free(now);
    }
    mem_free(week);
}

static void test_deleted_segment(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;
    char *path;
    uint64_t base;
    uint32_t slots[20];
    uint32_t oldest = 0;

    g->opt.tail_bytes_max = 0;
    rig_open(g);
    for (int i = 0; i < 900; i++)
        put(g, 1, 1000);
    set_position(g, 20, 20);
    rig_close(g);
    assert_true(list_slots(g, slots, 20) > 3);
    base = head_of(g, 0).base;
    assert_int_equal(base, 0);
    path = file_of(g, oldest);
    assert_int_equal(unlink(path), 0);
    mem_free(path);
    assert_false(rig_try_open(g, &err));
    assert_int_equal(err.code, ERR_GONE);
    g->opt.accept_gap = true;
    rig_open(g);
    drain(g);
    assert_int_equal(count_of(g, GAP) + g->got_count, 880);
    assert_int_equal(g->got[g->got_count - 1], 899);
}

/* A copy of a segment under another name is harmless. */
static void test_copied_segment(void **state)
{
    struct rig *g = *state;
    char *from, *to;

    rig_open(g);
    put(g, 10, 100);
    kill_and_copy(g);
    from = file_of(g, newest_slot(g));
    to = file_of(g, 77);
    copy_file(from, to);
    rig_open(g);
    put(g, 1, 100);
    drain(g);
    assert_got(g, 0, 11);
    mem_free(from);
    mem_free(to);
}

static void test_newer_version_is_refused(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;
    uint32_t version = 99;

    rig_open(g);
    put(g, 1, 100);
    rig_close(g);
    overwrite(g, 0, 8, &version, 4);
    overwrite(g, 0, SEGMENT_COPY_AT + 8, &version, 4);
    assert_false(rig_try_open(g, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.text, "newer version"));
}

static void test_leftover_is_removed(void **state)
{
    struct rig *g = *state;
    char *path = temp_dir_path(g->dir, "00000005.tmp");

    temp_dir_write(g->dir, "00000005.tmp", "half");
    rig_open(g);
    assert_false(fs_exists(path));
    mem_free(path);
}

/* Records of an earlier lap that follow the end of the newest one are not taken for its own. */
static void test_old_bytes_behind_the_end(void **state)
{
    struct rig *g = *state;

    g->opt.bytes_max = 1 << 20;
    rig_open(g);
    for (int i = 0; i < 1000; i++) {
        put(g, 1, 1000);
        drain(g);
        release(g, status(g).end);
    }
    for (int round = 0; round < 5; round++) {
        uint64_t end = status(g).end;

        put(g, 2, 100);
        kill_and_copy(g);
        g->opt.has_position = true;
        g->opt.position = (struct feed_position){.ring_id = head_of(g, newest_slot(g)).ring_id,
                                                 .epoch = 1,
                                                 .offset = end,
                                                 .seen_end = end};
        got_clear(g);
        rig_open(g);
        assert_int_equal(count_of(g, TORN), 0);
        drain(g);
        assert_got(g, g->next_number - 2, g->next_number);
        release(g, status(g).end);
    }
}

/* --- crash images: copies of the directory at arbitrary moments --- */

static void test_copies_while_running(void **state)
{
    struct rig *g = *state;
    struct rig *h = mem_new(struct rig);
    uint64_t acked = 0;

    rig_init(h);
    g->opt.bytes_max = 2 << 20;
    rig_open(g);
    for (int i = 0; i < 60; i++) {
        uint64_t released = status(g).cursor;
        struct err err = ERR_INIT;

        acked = g->next_number;
        for (int k = 0; k < 5; k++)
            assert_true(post(g, (size_t)(1 + (i * 5 + k) % 40), 700, &err));
        remove_files(h->dir);
        copy_dir(g->dir, h->dir); /* meanwhile they are written */
        await_answers(g);
        drain(g);
        h->opt.has_position = true;
        h->opt.position = ring_position(g->ring);
        h->opt.position.offset = h->opt.position.seen_end = released;
        got_clear(h);
        rig_open(h);
        drain(h);
        /* Files are copied one after the other: behind what was answered there may be holes. */
        assert_true(h->got_count >= acked - released);
        for (size_t k = 0; k < h->got_count; k++) {
            assert_int_equal(h->got[k], h->got_at[k]);
            if (k < acked - released)
                assert_int_equal(h->got[k], released + k);
        }
        rig_close(h);
        if (i % 4 == 0)
            release(g, status(g).end);
    }
    rig_fini(h);
    mem_free(h);
}

static void test_read_only_directory(void **state)
{
    struct rig *g = *state;
    struct err err = ERR_INIT;

    if (geteuid() == 0)
        skip(); /* root may write anywhere */
    assert_int_equal(mkdir(g->dir, 0500), 0);
    assert_false(rig_try_open(g, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, g->dir));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_cut_file),
        CASE(test_torn_write),
        CASE(test_lost_first_page),
        CASE(test_cut_spanning_group),
        CASE(test_flip_everywhere),
        CASE(test_flip_in_last_group),
        CASE(test_zeroed_pages),
        CASE(test_damage_in_old_segments),
        CASE(test_wrong_lengths),
        CASE(test_forged_records),
        CASE(test_one_bad_head),
        CASE(test_bad_head),
        CASE(test_last_weeks_bytes),
        CASE(test_deleted_segment),
        CASE(test_copied_segment),
        CASE(test_newer_version_is_refused),
        CASE(test_leftover_is_removed),
        CASE(test_old_bytes_behind_the_end),
        CASE(test_copies_while_running),
        CASE(test_read_only_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
