/* Values of the MaxMind DB format (its public specification, version 2.0).
 *
 *   control byte: type in the upper three bits (0: the next byte + 7), size in the lower five
 *   (29, 30, 31: one, two, three more bytes); a pointer has its own layout and counts from the
 * start of the data section; a map of n is n pairs of key and value, an array of n is n values.
 */
#include "geo/geo_priv.h"

#include <string.h>

struct head {
    unsigned type;
    uint32_t size;
    size_t at; /* of the payload */
};

static uint64_t big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool has(const struct geo_reader *r, size_t at, size_t count)
{
    return at <= r->size && count <= r->size - at;
}

/* size is the pointer's target then. */
static bool read_pointer(const struct geo_reader *r, unsigned control, struct head *h)
{
    static const uint32_t base[] = {0, 2048, 526336, 0};
    size_t more = ((control >> 3) & 3) + 1;

    if (!has(r, h->at, more))
        return false;
    h->size = (uint32_t)big_endian(r->data + h->at, more);
    if (more < 4)
        h->size |= (control & 7) << (8 * more);
    h->size += base[more - 1];
    h->at += more;
    return true;
}

static bool read_size(const struct geo_reader *r, unsigned control, struct head *h)
{
    static const uint32_t base[] = {29, 285, 65821};
    size_t more;

    h->size = control & 31;
    if (h->size < 29)
        return true;
    more = h->size - 28;
    if (!has(r, h->at, more))
        return false;
    h->size = base[more - 1] + (uint32_t)big_endian(r->data + h->at, more);
    h->at += more;
    return true;
}

static bool read_head(struct geo_reader *r, size_t at, struct head *h)
{
    unsigned control;

    if (r->budget == 0 || !has(r, at, 1))
        return false;
    r->budget--;
    control = r->data[at];
    h->type = control >> 5;
    h->at = at + 1;
    if (h->type == GEO_POINTER)
        return read_pointer(r, control, h);
    if (h->type == 0) {
        if (!has(r, h->at, 1))
            return false;
        h->type = r->data[h->at++] + 7u;
    }
    return read_size(r, control, h);
}

static bool read_whole(const struct head *h, const uint8_t *bytes, size_t most, struct geo_value *v)
{
    if (h->size > most)
        return false;
    v->whole = h->size <= 8 ? big_endian(bytes, h->size) : 0;
    v->number = (double)v->whole;
    return true;
}

static bool read_int32(const struct head *h, const uint8_t *bytes, struct geo_value *v)
{
    int32_t value;

    if (!read_whole(h, bytes, 4, v))
        return false;
    value = (int32_t)(uint32_t)v->whole;
    v->number = value;
    v->whole = value < 0 ? 0 : (uint64_t)value;
    return true;
}

static bool read_float(const struct head *h, const uint8_t *bytes, struct geo_value *v)
{
    uint64_t bits = big_endian(bytes, h->size);
    uint32_t half = (uint32_t)bits;
    float single;

    if (h->type == GEO_DOUBLE && h->size == sizeof(v->number)) {
        memcpy(&v->number, &bits, sizeof(v->number));
        return true;
    }
    if (h->type != GEO_FLOAT || h->size != sizeof(single))
        return false;
    memcpy(&single, &half, sizeof(single));
    v->number = single;
    return true;
}

static bool read_body(const struct geo_reader *r, const struct head *h, struct geo_value *v)
{
    const uint8_t *bytes = r->data + h->at;

    *v = (struct geo_value){.type = (enum geo_type)h->type, .at = h->at};
    switch (v->type) {
    case GEO_MAP:
    case GEO_ARRAY:
        v->count = h->size;
        if (v->count == 0)
            v->next = h->at;
        return true;
    case GEO_BOOLEAN: /* its size is its value */
        v->whole = h->size;
        v->next = h->at;
        return h->size <= 1;
    default:
        break;
    }
    if (!has(r, h->at, h->size))
        return false;
    v->next = h->at + h->size;
    switch (v->type) {
    case GEO_STRING:
        v->text = slice_make(bytes, h->size);
        return true;
    case GEO_BYTES:
        return true;
    case GEO_DOUBLE:
    case GEO_FLOAT:
        return (h->size == 4 || h->size == 8) && read_float(h, bytes, v);
    case GEO_UINT16:
        return read_whole(h, bytes, 2, v);
    case GEO_UINT32:
        return read_whole(h, bytes, 4, v);
    case GEO_UINT64:
        return read_whole(h, bytes, 8, v);
    case GEO_UINT128:
        return read_whole(h, bytes, 16, v);
    case GEO_INT32:
        return read_int32(h, bytes, v);
    default: /* containers and end markers have no place in a database */
        return false;
    }
}

bool geo_value_read(struct geo_reader *r, size_t at, struct geo_value *v)
{
    struct head h;
    size_t next;

    if (!read_head(r, at, &h))
        return false;
    if (h.type != GEO_POINTER)
        return read_body(r, &h, v);
    next = h.at;
    /* A pointer to a pointer is not allowed: no rings. */
    if (!read_head(r, h.size, &h) || h.type == GEO_POINTER || !read_body(r, &h, v))
        return false;
    v->next = next;
    return true;
}

/* --- walking ---------------------------------------------------------------------------------- */

/* Where inline values end; does not follow pointers, nor look into what it passes. */
static bool find_end(struct geo_reader *r, size_t at, uint64_t values, int depth, size_t *end)
{
    for (; values > 0; values--) {
        struct head h;

        if (!read_head(r, at, &h))
            return false;
        at = h.at;
        if (h.type == GEO_POINTER || h.type == GEO_BOOLEAN)
            continue;
        if (h.type == GEO_MAP || h.type == GEO_ARRAY) {
            if (depth == GEO_DEPTH_MAX ||
                !find_end(r, at, h.type == GEO_MAP ? 2 * (uint64_t)h.size : h.size, depth + 1, &at))
                return false;
            continue;
        }
        if (!has(r, at, h.size))
            return false;
        at += h.size;
    }
    *end = at;
    return true;
}

struct geo_walk geo_walk_start(struct geo_reader *r, struct geo_value *of)
{
    bool is_container = of->type == GEO_MAP || of->type == GEO_ARRAY;

    return (struct geo_walk){
        .reader = r, .of = of, .at = of->at, .left = is_container ? of->count : 0};
}

/* Puts w->at behind the value that the last step gave. */
static bool pass_last(struct geo_walk *w)
{
    struct geo_value *v = w->last;

    if (!v)
        return true;
    w->last = NULL;
    w->at = v->next;
    return w->at != 0 ||
           find_end(w->reader, v->at, (uint64_t)v->count * (v->type == GEO_MAP ? 2 : 1), 0, &w->at);
}

static bool walk_on(struct geo_walk *w, struct slice *key, struct geo_value *value)
{
    struct geo_value k;

    if (w->is_bad || !pass_last(w))
        goto bad;
    if (w->left == 0) {
        if (w->of->next == 0)
            w->of->next = w->at;
        return false;
    }
    w->left--;
    if (key) {
        if (!geo_value_read(w->reader, w->at, &k) || k.type != GEO_STRING)
            goto bad;
        *key = k.text;
        w->at = k.next;
    }
    if (!geo_value_read(w->reader, w->at, value))
        goto bad;
    w->last = value;
    return true;
bad:
    w->is_bad = true;
    return false;
}

bool geo_walk_member(struct geo_walk *w, struct slice *key, struct geo_value *value)
{
    return walk_on(w, key, value);
}

bool geo_walk_element(struct geo_walk *w, struct geo_value *value)
{
    return walk_on(w, NULL, value);
}

bool geo_walk_finish(struct geo_walk *w)
{
    if (w->is_bad || w->of->next != 0)
        return !w->is_bad;
    w->is_bad = !pass_last(w) ||
                !find_end(w->reader, w->at,
                          w->of->type == GEO_MAP ? 2 * (uint64_t)w->left : w->left, 0, &w->at);
    w->of->next = w->at;
    w->left = 0;
    return !w->is_bad;
}

bool geo_value_check(struct geo_reader *r, struct geo_value *v, int depth)
{
    struct geo_walk w = geo_walk_start(r, v);
    struct geo_value value;
    struct slice key;

    if (depth == GEO_DEPTH_MAX)
        return false;
    while (v->type == GEO_MAP ? geo_walk_member(&w, &key, &value) : geo_walk_element(&w, &value)) {
        if (!geo_value_check(r, &value, depth + 1))
            return false;
    }
    return !w.is_bad;
}
