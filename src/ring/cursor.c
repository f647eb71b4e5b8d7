/* cursor.c - walks the records of one segment file, also over damage.
 *
 * The file is read in blocks of 1 MiB; records are given out as slices of the block, so a block
 * that somebody still holds is left alone and the next read gets a new one.
 *
 * Where a record does not fit (checksum, lap, sequence), the walk looks for the next place, on the
 * 8-byte grid, where a record of this lap with a higher sequence stands, and reports what lies
 * between as lost. The sequence in its possible range is what makes that search cheap: checksums
 * are calculated for few places only. Event texts come from outside and could imitate such places
 * (not the checksum, which needs the lap id), so the bytes checksummed in one search are limited:
 * behind the limit the rest of the segment counts as lost.
 *
 * A page that the disk cannot read is taken as zeros, and so becomes lost records as well.
 */
#include "base/crc32c.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "ring/ring_priv.h"

#include <sys/stat.h>
#include <unistd.h>

#define SEARCH_CRC_BYTES_MAX ((uint64_t)4 << 30)
#define SEARCH_PIECE_BYTES   (64u << 10)

void cursor_init(struct cursor *c)
{
    memset(c, 0, sizeof(*c));
    c->fd = -1;
}

void cursor_extend(struct cursor *c, const struct segment *s, uint64_t limit)
{
    /* Of the segment being written, what is not yet there must not get into a block. */
    c->file_bytes = s->end == SEGMENT_OPEN ? s->used : s->bytes;
    c->limit = limit;
}

bool cursor_open(struct cursor *c, const char *dir, const struct segment *s, uint64_t at,
                 uint64_t sequence, uint64_t limit, struct err *err)
{
    struct stat st;

    cursor_close(c);
    segment_path(dir, s->slot, ".seg", c->path);
    c->fd = segment_open(dir, s->slot, false, err);
    if (c->fd == -1)
        return false;
    cursor_extend(c, s, limit);
    /* The file may have been cut since its size was noted. */
    if (fstat(c->fd, &st) == 0)
        c->file_bytes = MIN(c->file_bytes, (uint64_t)st.st_size);
    c->lap_id = s->use.lap_id;
    c->at = at;
    c->expect = sequence;
    c->is_next_missing = s->is_next_missing;
    c->is_marked = false;
    c->is_torn = false;
    return true;
}

void cursor_close(struct cursor *c)
{
    if (c->fd != -1)
        close(c->fd);
    c->fd = -1;
    feed_block_unref(c->block);
    c->block = NULL;
    c->block_len = 0;
}

static void read_pages(struct cursor *c, size_t len)
{
    struct err err = ERR_INIT;
    size_t bad = 0;

    for (size_t at = 0; at < len; at += RING_PAGE) {
        size_t want = MIN(len - at, RING_PAGE);
        size_t got = 0;

        if (!fs_pread(c->fd, c->block->bytes + at, want, c->block_at + at, &got, c->path, &err)) {
            got = 0;
            bad++;
        }
        memset(c->block->bytes + at + got, 0, want - got);
    }
    log_error("ring", "segment cannot be read in part", KV_STR("file", c->path),
              KV_U64("at", c->block_at), KV_U64("pages", bad), KV_ERR(&err));
}

/* Makes the block hold at least `need` bytes from c->at on (fewer at the end of the file). */
static void load(struct cursor *c, size_t need)
{
    size_t len = (size_t)MIN(c->file_bytes - c->at, (uint64_t)MAX(need, RING_BLOCK_BYTES));
    struct err err = ERR_INIT;
    size_t got = 0;

    if (c->block && (c->block_cap < len || feed_block_is_shared(c->block))) {
        feed_block_unref(c->block);
        c->block = NULL;
    }
    if (!c->block) {
        c->block_cap = MAX(len, RING_BLOCK_BYTES);
        c->block = feed_block_new(c->block_cap);
        CHECK(c->block); /* a segment at most, the process cannot go on without */
    }
    c->block_at = c->at;
    c->block_len = len;
    if (!fs_pread(c->fd, c->block->bytes, len, c->at, &got, c->path, &err))
        read_pages(c, len);
    else
        memset(c->block->bytes + got, 0, len - got);
}

static struct slice peek(struct cursor *c, size_t need)
{
    if (c->at >= c->file_bytes)
        return SLICE_NONE;
    need = (size_t)MIN((uint64_t)need, c->file_bytes - c->at);
    if (!c->block || c->at < c->block_at || c->at + need > c->block_at + c->block_len)
        load(c, need);
    return slice_make(c->block->bytes + (c->at - c->block_at),
                      c->block_len - (size_t)(c->at - c->block_at));
}

static enum record_state check_here(struct cursor *c, struct record_head *head, struct slice *bytes)
{
    enum record_state state;

    *bytes = peek(c, RECORD_HEAD_BYTES);
    state = record_check(*bytes, c->lap_id, head);
    if (state == RECORD_SHORT && bytes->len >= RECORD_HEAD_BYTES &&
        head->length <= c->file_bytes - c->at - RECORD_HEAD_BYTES) {
        *bytes = peek(c, RECORD_HEAD_BYTES + (size_t)head->length);
        state = record_check(*bytes, c->lap_id, head);
    }
    return state;
}

/* The checksum of the record at file offset `at`, read in pieces of its own. */
static bool verify(const struct cursor *c, uint64_t at, const struct record_head *head, char *piece)
{
    uint32_t crc = record_crc(c->lap_id, head, SLICE_NONE);
    uint64_t left = head->length;
    struct err err = ERR_INIT;

    at += RECORD_HEAD_BYTES;
    while (left) {
        size_t want = (size_t)MIN(left, SEARCH_PIECE_BYTES);
        size_t got = 0;

        if (!fs_pread(c->fd, piece, want, at, &got, c->path, &err) || got < want)
            return false;
        crc = crc32c(crc, piece, want);
        at += want;
        left -= want;
    }
    return crc == head->crc32c;
}

/* Looks for a record behind `from` whose sequence is above c->expect. Leaves c->at there. */
static bool search(struct cursor *c, uint64_t from, struct record_head *head)
{
    char *piece = mem_alloc(SEARCH_PIECE_BYTES);
    uint64_t crc_bytes = 0;
    bool is_found = false;

    c->at = from;
    while (!is_found && c->at + RECORD_HEAD_BYTES <= c->file_bytes &&
           crc_bytes < SEARCH_CRC_BYTES_MAX) {
        struct slice s = peek(c, RECORD_HEAD_BYTES);
        uint64_t rest = c->file_bytes - c->at;
        uint64_t top = MIN(c->limit, c->expect + rest / RECORD_HEAD_BYTES + 1);
        size_t i;

        for (i = 0; i + RECORD_HEAD_BYTES <= s.len; i += 8) {
            uint64_t sequence;

            memcpy(&sequence, s.ptr + i + offsetof(struct record_head, sequence), 8);
            if (sequence <= c->expect || sequence >= top)
                continue;
            memcpy(head, s.ptr + i, sizeof(*head));
            if (head->length > rest - i - RECORD_HEAD_BYTES || head->flags > RECORD_FLAGS_ALL)
                continue;
            crc_bytes += RECORD_HEAD_BYTES + (uint64_t)head->length;
            if (verify(c, c->at + i, head, piece)) {
                is_found = true;
                break;
            }
        }
        c->at += i;
    }
    mem_free(piece);
    return is_found;
}

/* Called at a place that holds no record with c->expect. */
static enum cursor_step lose(struct cursor *c, enum record_state state)
{
    struct record_head head;
    uint64_t at = c->at;

    c->is_gap = false;
    if (search(c, at + 8, &head)) {
        c->lost_to = head.sequence;
        c->bad_to = c->at;
    } else if (c->limit == SEGMENT_OPEN) {
        c->at = at;
        c->is_torn = state != RECORD_END;
        return CURSOR_END;
    } else {
        c->lost_to = c->limit;
        c->bad_to = c->file_bytes;
        c->is_gap = c->is_next_missing;
    }
    c->lost_from = c->expect;
    c->bad_from = MIN(at, c->bad_to);
    c->expect = c->lost_to;
    return CURSOR_LOST;
}

enum cursor_step cursor_next(struct cursor *c, struct feed_record *rec)
{
    struct record_head head;
    struct slice bytes;
    enum record_state state;

    if (c->expect >= c->limit)
        return CURSOR_END;
    state = check_here(c, &head, &bytes);
    if (state != RECORD_OK || head.sequence != c->expect)
        return lose(c, state);
    if (head.type == RECORD_TYPE_MARK) {
        if (c->limit != SEGMENT_OPEN)
            return lose(c, state);
        c->is_marked = true;
        return CURSOR_END;
    }
    *rec = (struct feed_record){
        .offset = head.sequence,
        .time_us = head.time_us,
        .key_hash = head.key_hash,
        .type = head.type,
        .payload = slice_make(bytes.ptr + RECORD_HEAD_BYTES, head.length),
        .block = c->block,
    };
    c->flags = head.flags;
    c->at += record_bytes(head.length);
    c->expect++;
    return CURSOR_RECORD;
}
