/* A ring directory with segment files made of the input is opened, read and written.
 *
 * The input is one byte (how many files), then the files. A head with a right checksum is hard to
 * find, so the head's bytes are taken as they are and their checksums set: only records have to be
 * found by the fuzzer, whose checksums are set too where a record's head stands on the grid and an
 * odd key hash asks for it. */
#include "base/crc32c.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_checksums(char *file, size_t size)
{
    struct segment_use use;
    char head[SEGMENT_HEAD_BYTES];

    memcpy(&use, file + 16, sizeof(use));
    use.previous_end = MIN(use.previous_end, use.base);
    use.group_first = MIN(use.group_first, use.base);
    segment_head_encode(&use, head);
    memcpy(file, head, SEGMENT_HEAD_BYTES);
    for (size_t at = SEGMENT_HEAD_BYTES; at + RECORD_HEAD_BYTES <= size;) {
        struct record_head r;

        memcpy(&r, file + at, sizeof(r));
        if (!(r.key_hash & 1) || r.length > size - at - RECORD_HEAD_BYTES) {
            at += 8;
            continue;
        }
        r.crc32c = record_crc(use.lap_id, &r, slice_make(file + at + RECORD_HEAD_BYTES, r.length));
        memcpy(file + at, &r, sizeof(r));
        at += record_bytes(r.length);
    }
}

static void write_file(const char *dir, unsigned slot, const uint8_t *data, size_t size)
{
    struct segment_use use;
    size_t bytes = SEGMENT_HEAD_BYTES + (size > sizeof(use) ? size - sizeof(use) : 0);
    char *file = mem_zalloc(bytes);
    char path[RING_PATH_MAX];
    FILE *f;

    memcpy(file + 16, data, MIN(size, sizeof(use)));
    if (size > sizeof(use))
        memcpy(file + SEGMENT_HEAD_BYTES, data + sizeof(use), size - sizeof(use));
    set_checksums(file, bytes);
    segment_path(dir, slot, ".seg", path);
    f = fopen(path, "w");
    CHECK(f && fwrite(file, 1, bytes, f) == bytes);
    CHECK(fclose(f) == 0);
    mem_free(file);
}

static void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        char *path = fs_join(dir, e->d_name);

        if (e->d_name[0] != '.' && unlink(path) == -1)
            remove_dir(path);
        mem_free(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static void use_ring(const char *dir)
{
    struct ring_options opt = {.dir = dir,
                               .segment_bytes = 64 << 10,
                               .first_segment_bytes = 64 << 10,
                               .bytes_max = 1 << 30,
                               .record_bytes_max = 1 << 20,
                               .pending_bytes_max = 1 << 20,
                               .tail_bytes_max = 1 << 20};
    struct err err = ERR_INIT;
    struct ring *r = ring_open(&opt, &err);
    struct feed_record out[64];
    struct feed_reader rd;
    uint64_t last = 0;
    int n;

    if (!r)
        return;
    rd = ring_reader(r);
    while ((n = rd.ops->read(rd.self, out, 64, 1 << 20, 0, &err)) > 0) {
        for (int i = 0; i < n; i++) {
            CHECK(out[i].offset >= last);
            last = out[i].offset + 1;
            feed_block_unref(out[i].block);
        }
        rd.ops->release(rd.self, last);
    }
    ring_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* In memory where that is possible: the syncs would take most of the time. */
    bool has_shm = access("/dev/shm", W_OK) == 0;
    char dir[64];
    size_t files, each;

    if (size < 2)
        return 0;
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    snprintf(dir, sizeof(dir), "%s/fuzz-ring-XXXXXX", has_shm ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(dir));
    files = 1 + data[0] % 4;
    each = (size - 1) / files;
    for (size_t i = 0; i < files; i++)
        write_file(dir, (unsigned)i, data + 1 + i * each, each);
    use_ring(dir);
    remove_dir(dir);
    return 0;
}
