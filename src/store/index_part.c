/* One part of the event index in memory: hashes by arrival while it is open, sorted runs
 * afterwards.
 *
 * Arrays side by side instead of structs: 29 bytes an event, and each kind is sorted from its own
 * array. Sorting is by radix (hashes are evenly spread), stable, so that equal hashes keep the
 * order of their ids, and by the hash as a signed number, as the table orders it.
 */
#include "base/mem.h"
#include "store/store_priv.h"

#define CAP_FIRST 256
#define SIGN      ((uint64_t)1 << 63)

struct index_part *index_part_new(void)
{
    return mem_new(struct index_part);
}

static void free_arrays(struct index_part *p)
{
    mem_free(p->distinct_id);
    mem_free(p->uuid);
    mem_free(p->event);
    mem_free(p->delta);
    mem_free(p->is_checked);
    hash_index_free(&p->uuids);
    p->distinct_id = p->uuid = p->event = NULL;
    p->delta = NULL;
    p->is_checked = NULL;
}

void index_part_free_run(struct index_run *run)
{
    mem_free(run->hash);
    mem_free(run->delta);
    *run = (struct index_run){.hash = NULL};
}

void index_part_free(struct index_part *p)
{
    if (!p)
        return;
    free_arrays(p);
    for (int i = 0; i < INDEX_KINDS; i++)
        index_part_free_run(&p->runs[i]);
    mem_free(p);
}

bool index_part_is_full(const struct index_part *p)
{
    return p->count + p->batch == p->cap;
}

void index_part_grow(struct index_part *p)
{
    p->cap = p->cap ? p->cap * 2 : CAP_FIRST;
    p->distinct_id = mem_realloc(p->distinct_id, p->cap * sizeof(*p->distinct_id));
    p->uuid = mem_realloc(p->uuid, p->cap * sizeof(*p->uuid));
    p->event = mem_realloc(p->event, p->cap * sizeof(*p->event));
    p->delta = mem_realloc(p->delta, p->cap * sizeof(*p->delta));
    p->is_checked = mem_realloc(p->is_checked, p->cap * sizeof(*p->is_checked));
}

void index_part_add(struct index_part *p, const struct index_row *row)
{
    size_t at = p->count + p->batch;

    if (at == 0) {
        p->first_id = row->id;
        p->first_at = row->at_us;
    }
    CHECK(row->id - p->first_id < UINT32_MAX);
    p->distinct_id[at] = row->distinct_id;
    p->uuid[at] = row->uuid;
    p->event[at] = row->event;
    p->delta[at] = (uint32_t)(row->id - p->first_id);
    p->is_checked[at] = row->is_checked;
    p->batch++;
    p->batch_last_at = row->at_us;
}

void index_part_publish(struct index_part *p)
{
    for (; p->batch; p->batch--, p->count++) {
        if (p->batch > STORE_PREFETCH)
            hash_index_prefetch(&p->uuids, p->uuid[p->count + STORE_PREFETCH]);
        hash_index_add(&p->uuids, p->uuid[p->count], (uint32_t)p->count);
    }
    p->last_id = p->first_id + p->delta[p->count - 1];
    p->last_at = p->batch_last_at;
}

/* --- sorting */

static void count_digits(const uint64_t *hash, size_t count, size_t digits[8][256])
{
    memset(digits, 0, 8 * sizeof(digits[0]));
    for (size_t i = 0; i < count; i++)
        for (int d = 0; d < 8; d++)
            digits[d][((hash[i] ^ SIGN) >> 8 * d) & 0xff]++;
}

static void sort_digit(const struct index_run *from, struct index_run *to, int digit,
                       size_t starts[256])
{
    size_t at = 0, n;

    for (int i = 0; i < 256; i++, at += n) {
        n = starts[i];
        starts[i] = at;
    }
    for (size_t i = 0; i < from->count; i++) {
        size_t place = starts[((from->hash[i] ^ SIGN) >> 8 * digit) & 0xff]++;
        to->hash[place] = from->hash[i];
        to->delta[place] = from->delta[i];
    }
}

void index_part_sort_run(struct index_run *run)
{
    struct index_run other = {.count = run->count}, swap;
    size_t(*digits)[256];

    if (run->count < 2)
        return;
    other.hash = mem_alloc(run->count * sizeof(*other.hash));
    other.delta = mem_alloc(run->count * sizeof(*other.delta));
    digits = mem_alloc(8 * sizeof(*digits));
    count_digits(run->hash, run->count, digits);
    for (int d = 0; d < 8; d++) {
        if (digits[d][((run->hash[0] ^ SIGN) >> 8 * d) & 0xff] == run->count)
            continue; /* all have the same */
        sort_digit(run, &other, d, digits[d]);
        swap = *run;
        *run = other;
        other = swap;
    }
    mem_free(digits);
    index_part_free_run(&other);
}

static void run_fill(struct index_run *run, const struct index_part *p, const uint64_t *hash,
                     const bool *wanted)
{
    run->hash = mem_alloc(MAX(p->count, (size_t)1) * sizeof(*run->hash));
    run->delta = mem_alloc(MAX(p->count, (size_t)1) * sizeof(*run->delta));
    for (size_t i = 0; i < p->count; i++) {
        if (wanted && !wanted[i])
            continue;
        run->hash[run->count] = hash[i];
        run->delta[run->count++] = p->delta[i];
    }
}

static void fill_unchecked(struct index_run *run, const struct index_part *p)
{
    bool *wanted = mem_alloc(MAX(p->count, (size_t)1));

    for (size_t i = 0; i < p->count; i++)
        wanted[i] = !p->is_checked[i];
    run_fill(run, p, p->uuid, wanted);
    mem_free(wanted);
}

void index_part_sort(struct index_part *p, struct index_run runs[INDEX_KINDS])
{
    memset(runs, 0, INDEX_KINDS * sizeof(*runs));
    run_fill(&runs[INDEX_DISTINCT_ID - 1], p, p->distinct_id, NULL);
    run_fill(&runs[INDEX_UUID - 1], p, p->uuid, p->is_checked);
    fill_unchecked(&runs[INDEX_UUID_UNCHECKED - 1], p);
    run_fill(&runs[INDEX_EVENT - 1], p, p->event, NULL);
    for (int i = 0; i < INDEX_KINDS; i++)
        index_part_sort_run(&runs[i]);
}

void index_part_take(struct index_part *p, struct index_run runs[INDEX_KINDS])
{
    memcpy(p->runs, runs, INDEX_KINDS * sizeof(*runs));
    free_arrays(p);
    p->state = PART_SORTED;
}

/* --- look-up */

static size_t lower_bound(const struct index_run *run, uint64_t hash)
{
    size_t from = 0, to = run->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if ((int64_t)run->hash[middle] < (int64_t)hash)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static size_t find_in_run(const struct index_part *p, const struct index_run *run, uint64_t hash,
                          int64_t *ids, size_t max)
{
    size_t found = 0;

    for (size_t i = lower_bound(run, hash); i < run->count && run->hash[i] == hash; i++)
        if (found < max)
            ids[found++] = p->first_id + run->delta[i];
    return found;
}

size_t index_part_find_uuid(const struct index_part *p, uint64_t hash, bool checked_only,
                            int64_t *ids, size_t max)
{
    size_t found = 0, walk = HASH_INDEX_START;

    if (p->state == PART_SORTED) {
        found = find_in_run(p, &p->runs[INDEX_UUID - 1], hash, ids, max);
        if (!checked_only)
            found +=
                find_in_run(p, &p->runs[INDEX_UUID_UNCHECKED - 1], hash, ids + found, max - found);
        return found;
    }
    for (uint32_t *at; found < max && (at = hash_index_next(&p->uuids, hash, &walk));)
        if (p->uuid[*at] == hash && (p->is_checked[*at] || !checked_only))
            ids[found++] = p->first_id + p->delta[*at];
    return found;
}
