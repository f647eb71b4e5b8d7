/* Which offsets are done: the cursor and the runs above it.
 *
 * PIPE threads finish out of order, so single offsets come in any order within a window that
 * read-ahead bounds. A ring of bits takes them at one store each; with several workers the bits
 * alternate, which a list of ranges would pay for. Ranges are made only when a transaction needs
 * them.
 */
#include "base/mem.h"
#include "pipe/pipe_priv.h"

struct finished {
    uint64_t cursor; /* everything below is done and forgotten */
    uint64_t end;    /* no bit is set from here on */
    size_t span;     /* bits, a power of two */
    uint64_t *bits;  /* of offset o: bit o % span */
    struct feed_run *runs;
    size_t runs_cap;
};

static bool get(const struct finished *f, uint64_t offset)
{
    size_t at = (size_t)(offset & (f->span - 1));

    return f->bits[at / 64] >> (at % 64) & 1;
}

static void put(struct finished *f, uint64_t offset, bool value)
{
    size_t at = (size_t)(offset & (f->span - 1));
    uint64_t bit = UINT64_C(1) << (at % 64);

    f->bits[at / 64] = value ? f->bits[at / 64] | bit : f->bits[at / 64] & ~bit;
}

struct finished *finished_new(uint64_t cursor, const struct feed_run *runs, size_t count,
                              size_t span)
{
    struct finished *f = mem_new(struct finished);

    f->cursor = f->end = cursor;
    f->span = 1024;
    for (size_t i = 0; i < count; i++)
        span = runs[i].to > cursor ? MAX(span, (size_t)(runs[i].to - cursor)) : span;
    while (f->span < span)
        f->span *= 2;
    f->bits = mem_new_array(uint64_t, f->span / 64);
    for (size_t i = 0; i < count; i++)
        finished_gap(f, runs[i].from, runs[i].to);
    return f;
}

void finished_free(struct finished *f)
{
    if (!f)
        return;
    mem_free(f->bits);
    mem_free(f->runs);
    mem_free(f);
}

size_t finished_span(const struct finished *f)
{
    return f->span;
}

void finished_set(struct finished *f, uint64_t offset)
{
    CHECK(offset >= f->cursor);
    CHECK(offset - f->cursor < f->span);
    put(f, offset, true);
    f->end = MAX(f->end, offset + 1);
}

void finished_unset(struct finished *f, uint64_t offset)
{
    CHECK(offset >= f->cursor);
    CHECK(offset - f->cursor < f->span);
    put(f, offset, false);
}

void finished_gap(struct finished *f, uint64_t from, uint64_t to)
{
    from = MAX(from, f->cursor);
    if (from == f->cursor && from < to && f->end <= to) {
        /* A jump of any size: what is below is done, nothing above is. */
        memset(f->bits, 0, f->span / 8);
        f->cursor = f->end = to;
        return;
    }
    for (; from < to; from++)
        finished_set(f, from);
}

uint64_t finished_cursor(const struct finished *f)
{
    uint64_t at = f->cursor;

    while (at < f->end) {
        if (at % 64 == 0 && at + 64 <= f->end && f->bits[(at & (f->span - 1)) / 64] == UINT64_MAX)
            at += 64;
        else if (get(f, at))
            at++;
        else
            break;
    }
    return at;
}

static void add_run(struct finished *f, size_t count, uint64_t from, uint64_t to)
{
    if (count == f->runs_cap) {
        f->runs_cap = MAX(64, 2 * f->runs_cap);
        f->runs = mem_realloc(f->runs, f->runs_cap * sizeof(*f->runs));
    }
    f->runs[count] = (struct feed_run){.from = from, .to = to};
}

/* The next offset from `at` on whose bit is `value`; whole words are skipped. */
static uint64_t seek(const struct finished *f, uint64_t at, bool value)
{
    uint64_t skip = value ? 0 : UINT64_MAX;

    while (at < f->end) {
        if (at % 64 == 0 && at + 64 <= f->end && f->bits[(at & (f->span - 1)) / 64] == skip)
            at += 64;
        else if (get(f, at) != value)
            at++;
        else
            break;
    }
    return MIN(at, f->end);
}

size_t finished_runs(struct finished *f, uint64_t cursor, const struct feed_run **runs)
{
    size_t count = 0;
    uint64_t at = seek(f, cursor, true);

    while (at < f->end) {
        uint64_t to = seek(f, at, false);

        add_run(f, count++, at, to);
        at = seek(f, to, true);
    }
    *runs = f->runs;
    return count;
}

void finished_move(struct finished *f, uint64_t cursor)
{
    CHECK(cursor >= f->cursor);
    for (; f->cursor < cursor; f->cursor++) {
        if (f->cursor % 64 == 0 && f->cursor + 64 <= cursor) {
            f->bits[(f->cursor & (f->span - 1)) / 64] = 0;
            f->cursor += 63;
        } else {
            put(f, f->cursor, false);
        }
    }
    f->end = MAX(f->end, cursor);
}
