/* ring_aid.h - a ring in a directory of its own, numbered events, and looks at its files.
 *
 * An event's payload is its number (8 bytes) and filler that depends on it. A put waits for the
 * answer; a drain reads without waiting and checks that what comes is whole.
 */
#pragma once

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "ring/ring_priv.h"
#include "temp_dir.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AID __attribute__((unused)) static

struct answer {
    struct lock lock;
    struct cond cond;
    int waiting;
    int ok, failed;
    enum err_code last;
};

struct rig {
    char *top, *dir;
    struct metrics *metrics;
    struct ring_options opt;
    struct ring *ring;
    struct answer answer;
    uint64_t *got; /* numbers in the order they came */
    uint64_t *got_at;
    size_t got_count, got_cap;
    uint64_t next_number;
};

AID void rig_init(struct rig *g)
{
    memset(g, 0, sizeof(*g));
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    fault_clear();
    g->top = temp_dir_new();
    g->dir = temp_dir_path(g->top, "ring");
    g->opt = (struct ring_options){
        .dir = g->dir,
        .segment_bytes = 256 << 10,
        .first_segment_bytes = 64 << 10,
        .bytes_max = 8 << 20,
        .record_bytes_max = 1 << 20,
        .pending_bytes_max = 4 << 20,
        .tail_bytes_max = 1 << 20,
    };
    lock_init(&g->answer.lock, "answer", RANK_APP);
    cond_init(&g->answer.cond);
}

AID bool rig_try_open(struct rig *g, struct err *err)
{
    metrics_free(g->metrics);
    g->metrics = metrics_new();
    g->opt.metrics = g->metrics;
    g->ring = ring_open(&g->opt, err);
    return g->ring != NULL;
}

AID void rig_start(struct rig *g)
{
    struct err err = ERR_INIT;

    g->ring->probe_us = 2000;
    assert_true(ring_start(g->ring, &err));
}

AID void rig_open(struct rig *g)
{
    struct err err = ERR_INIT;

    if (!rig_try_open(g, &err))
        fail_msg("%s", err.text);
    rig_start(g);
}

AID void rig_close(struct rig *g)
{
    ring_free(g->ring);
    g->ring = NULL;
}

AID void rig_fini(struct rig *g)
{
    fault_clear();
    rig_close(g);
    metrics_free(g->metrics);
    mem_free(g->got);
    mem_free(g->got_at);
    mem_free(g->dir);
    temp_dir_free(g->top);
    cond_fini(&g->answer.cond);
    lock_fini(&g->answer.lock);
}

/* --- events --- */

AID char *event_make(uint64_t number, size_t bytes)
{
    char *p = mem_alloc(bytes);

    memcpy(p, &number, 8);
    for (size_t i = 8; i < bytes; i++)
        p[i] = (char)(number * 31 + i * 7);
    return p;
}

AID uint64_t event_check(struct slice payload)
{
    uint64_t number;
    char *want;

    assert_true(payload.len >= 8);
    memcpy(&number, payload.ptr, 8);
    want = event_make(number, payload.len);
    assert_memory_equal(want, payload.ptr, payload.len);
    mem_free(want);
    return number;
}

AID struct feed_group *group_make(struct rig *g, size_t count, size_t bytes)
{
    struct feed_group *group = feed_group_new(count * record_bytes(bytes));

    for (size_t i = 0; i < count; i++) {
        char *p = event_make(g->next_number, bytes);

        assert_true(feed_group_add(group, g->next_number * 3, RECORD_TYPE_EVENT,
                                   1000000 + g->next_number, slice_make(p, bytes)));
        g->next_number++;
        mem_free(p);
    }
    return group;
}

AID void on_done(void *ctx, const struct err *err)
{
    struct answer *a = ctx;

    lock_take(&a->lock);
    a->waiting--;
    a->last = err->code;
    if (err->code == ERR_NONE)
        a->ok++;
    else
        a->failed++;
    cond_broadcast(&a->cond);
    lock_drop(&a->lock);
}

/* Appends without waiting. False with err when it was refused; the numbers are used up then, too.
 */
AID bool post(struct rig *g, size_t count, size_t bytes, struct err *err)
{
    struct feed_writer w = ring_writer(g->ring);
    struct feed_group *group = group_make(g, count, bytes);

    lock_take(&g->answer.lock);
    g->answer.waiting++;
    lock_drop(&g->answer.lock);
    if (w.ops->append(w.self, group, on_done, &g->answer, err))
        return true;
    feed_group_free(group);
    lock_take(&g->answer.lock);
    g->answer.waiting--;
    lock_drop(&g->answer.lock);
    return false;
}

AID void await_answers(struct rig *g)
{
    lock_take(&g->answer.lock);
    while (g->answer.waiting)
        cond_wait(&g->answer.cond, &g->answer.lock);
    lock_drop(&g->answer.lock);
}

/* One group, durable; false when it was refused or failed (code in *code). */
AID bool try_put(struct rig *g, size_t count, size_t bytes, enum err_code *code)
{
    struct err err = ERR_INIT;

    g->answer.last = ERR_NONE;
    if (!post(g, count, bytes, &err)) {
        *code = err.code;
        return false;
    }
    await_answers(g);
    *code = g->answer.last;
    return *code == ERR_NONE;
}

AID void put(struct rig *g, size_t count, size_t bytes)
{
    enum err_code code;

    if (!try_put(g, count, bytes, &code))
        fail_msg("put: %s", err_code_name(code));
}

AID void got_clear(struct rig *g)
{
    g->got_count = 0;
}

AID void keep(struct rig *g, const struct feed_record *rec)
{
    if (g->got_count == g->got_cap) {
        g->got_cap = g->got_cap ? g->got_cap * 2 : 64;
        g->got = mem_realloc(g->got, g->got_cap * sizeof(*g->got));
        g->got_at = mem_realloc(g->got_at, g->got_cap * sizeof(*g->got_at));
    }
    assert_int_equal(rec->type, RECORD_TYPE_EVENT);
    g->got_at[g->got_count] = rec->offset;
    g->got[g->got_count] = event_check(rec->payload);
    assert_int_equal(rec->key_hash, g->got[g->got_count] * 3);
    assert_int_equal(rec->time_us, 1000000 + g->got[g->got_count]);
    if (g->got_count)
        assert_true(rec->offset > g->got_at[g->got_count - 1]);
    g->got_count++;
}

/* Up to `max` records that are there; returns the count. */
AID size_t read_some(struct rig *g, size_t max, int64_t timeout_us)
{
    struct feed_reader rd = ring_reader(g->ring);
    struct feed_record out[64];
    struct err err = ERR_INIT;
    int n = rd.ops->read(rd.self, out, MIN(max, ARRAY_LEN(out)), 1 << 20, timeout_us, &err);

    if (n < 0)
        fail_msg("read: %s", err.text);
    for (int i = 0; i < n; i++) {
        keep(g, &out[i]);
        feed_block_unref(out[i].block);
    }
    return (size_t)n;
}

AID void drain(struct rig *g)
{
    while (read_some(g, 64, 0) > 0)
        continue;
}

AID void release(struct rig *g, uint64_t offset)
{
    struct feed_reader rd = ring_reader(g->ring);

    rd.ops->release(rd.self, offset);
}

AID struct feed_status status(struct rig *g)
{
    struct feed_reader rd = ring_reader(g->ring);
    struct feed_status s;

    rd.ops->status(rd.self, &s);
    return s;
}

/* As the store would: the cursor of the next open. */
AID void set_position(struct rig *g, uint64_t offset, uint64_t seen_end)
{
    g->opt.has_position = true;
    if (g->ring)
        g->opt.position = ring_position(g->ring);
    g->opt.position.offset = offset;
    g->opt.position.seen_end = seen_end;
}

AID void reopen(struct rig *g)
{
    rig_close(g);
    rig_open(g);
}

/* Numbers came as from, from+1, ..., to-1. */
AID void assert_got(struct rig *g, uint64_t from, uint64_t to)
{
    assert_int_equal(g->got_count, to - from);
    for (size_t i = 0; i < g->got_count; i++)
        assert_int_equal(g->got[i], from + i);
}

AID uint64_t count_of(struct rig *g, const char *name)
{
    struct buf text = BUF_INIT(1 << 20);
    const char *at;
    char line[200];
    uint64_t value = 0;

    assert_true(metrics_prometheus(g->metrics, false, &text));
    snprintf(line, sizeof(line), "\n%s ", name);
    at = strstr(buf_cstr(&text), line);
    if (!at)
        fail_msg("no metric %s", name);
    else
        value = strtoull(at + strlen(line), NULL, 10);
    buf_free(&text);
    return value;
}

#define CORRUPT "hedgerow_queue_corrupt_records_total"
#define TORN    "hedgerow_queue_torn_tail_total"
#define GAP     "hedgerow_queue_gap_records_total"

/* --- files --- */

AID char *file_of(struct rig *g, uint32_t slot)
{
    char name[32];

    snprintf(name, sizeof(name), "%08" PRIu32 ".seg", slot);
    return temp_dir_path(g->dir, name);
}

/* Slots of the segment files, ascending; returns the count. */
AID size_t list_slots(struct rig *g, uint32_t *slots, size_t max)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < 200 && n < max; slot++) {
        char *path = file_of(g, slot);

        if (fs_exists(path))
            slots[n++] = slot;
        mem_free(path);
    }
    return n;
}

AID struct segment_use head_of(struct rig *g, uint32_t slot)
{
    struct segment_use use = {0};
    char head[SEGMENT_HEAD_BYTES];
    char *path = file_of(g, slot);
    int fd = open(path, O_RDONLY);

    assert_true(fd != -1);
    assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
    assert_int_equal(segment_head_decode(head, &use), SEGMENT_VALID);
    close(fd);
    mem_free(path);
    return use;
}

/* The slot with the highest lap. Others may be deleted meanwhile. */
AID uint32_t newest_slot(struct rig *g)
{
    uint32_t slots[200];
    size_t n = list_slots(g, slots, ARRAY_LEN(slots));
    uint32_t best = 0;
    uint64_t lap = 0;

    for (size_t i = 0; i < n; i++) {
        char head[SEGMENT_HEAD_BYTES] = {0};
        struct segment_use use;
        char *path = file_of(g, slots[i]);
        int fd = open(path, O_RDONLY);

        if (fd != -1 && pread(fd, head, sizeof(head), 0) == sizeof(head) &&
            segment_head_decode(head, &use) == SEGMENT_VALID && use.lap_no > lap) {
            lap = use.lap_no;
            best = slots[i];
        }
        if (fd != -1)
            close(fd);
        mem_free(path);
    }
    return best;
}

/* File offset of the record with `offset` in a segment, and of the end of what was written. */
AID uint64_t place_of(struct rig *g, uint32_t slot, uint64_t offset)
{
    struct segment_use use = head_of(g, slot);
    char *path = file_of(g, slot);
    int fd = open(path, O_RDONLY);
    uint64_t at = SEGMENT_HEAD_BYTES;
    struct record_head head;

    for (uint64_t i = use.base; i < offset; i++) {
        assert_int_equal(pread(fd, &head, sizeof(head), (off_t)at), sizeof(head));
        assert_int_equal(head.sequence, i);
        at += record_bytes(head.length);
    }
    close(fd);
    mem_free(path);
    return at;
}

AID void overwrite(struct rig *g, uint32_t slot, uint64_t at, const void *bytes, size_t len)
{
    char *path = file_of(g, slot);
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
    mem_free(path);
}

AID void flip(struct rig *g, uint32_t slot, uint64_t at)
{
    char *path = file_of(g, slot);
    int fd = open(path, O_RDWR);
    char byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
    mem_free(path);
}

AID void copy_file(const char *from, const char *to)
{
    struct buf bytes = BUF_INIT(64 << 20);
    struct err err = ERR_INIT;
    int fd;

    /* Files may vanish while a running ring is copied. */
    if (fs_read_all(from, &bytes, &err)) {
        fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(fd != -1);
        assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
        close(fd);
    }
    buf_free(&bytes);
}

AID void copy_dir(const char *from, const char *to)
{
    struct err err = ERR_INIT;
    DIR *d = opendir(from);
    struct dirent *e;

    assert_true(d != NULL);
    assert_true(fs_mkdirs(to, 0700, &err));
    while ((e = readdir(d)) != NULL) {
        char *a = fs_join(from, e->d_name);
        char *b = fs_join(to, e->d_name);
        struct stat st;

        if (stat(a, &st) == 0 && S_ISREG(st.st_mode))
            copy_file(a, b);
        mem_free(a);
        mem_free(b);
    }
    closedir(d);
}

AID void remove_files(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

/* Until `cond` holds; what it waits for is done by another thread without a call-back. */
#define AWAIT(cond_)                                        \
    do {                                                    \
        int64_t until_ = clock_mono_us() + 10000000;        \
        while (!(cond_)) {                                  \
            if (clock_mono_us() > until_)                   \
                fail_msg("waited too long for %s", #cond_); \
            usleep(500);                                    \
        }                                                   \
    } while (0)
