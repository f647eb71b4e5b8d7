/* Three sorted arrays: exact patterns are found by bisection, which is what nearly all requests
 * need; named patterns and prefixes are few and are tried one after the other. */
#include "net/http_route.h"

#include "base/mem.h"

#include <stdlib.h>

struct entry {
    const struct http_route *route;
    struct slice pattern;
};

struct table {
    struct entry *entries;
    size_t count;
};

struct http_router {
    struct table exact, named, prefix;
};

static const struct entry *entry_at(const void *item)
{
    return item;
}

static int by_text(const void *a, const void *b)
{
    return slice_compare(entry_at(a)->pattern, entry_at(b)->pattern);
}

static int by_length(const void *a, const void *b)
{
    size_t x = entry_at(a)->pattern.len, y = entry_at(b)->pattern.len;

    return x == y ? by_text(a, b) : x > y ? -1 : 1;
}

static bool is_name(struct slice segment)
{
    return segment.len > 0 && segment.ptr[0] == ':';
}

// Segment by segment; all names are alike and come behind fixed segments. 0: the same shape.
static int by_shape(const void *a, const void *b)
{
    struct slice x = entry_at(a)->pattern, y = entry_at(b)->pattern, p, q;

    for (;;) {
        bool more_x = slice_split(&x, '/', &p), more_y = slice_split(&y, '/', &q);
        int order;

        if (!more_x || !more_y)
            return (int)more_x - (int)more_y;
        if (is_name(p) != is_name(q))
            return is_name(p) ? 1 : -1;
        order = is_name(p) ? 0 : slice_compare(p, q);
        if (order)
            return order;
    }
}

static size_t count_names(struct slice pattern)
{
    struct slice segment;
    size_t count = 0;

    while (slice_split(&pattern, '/', &segment))
        count += is_name(segment);
    return count;
}

static bool check(const struct http_route *r, struct err *err)
{
    struct slice pattern = slice_cstr(r->pattern), rest = pattern, segment;

    if (!slice_starts(pattern, SLICE("/")) || !r->methods || !r->handler)
        return err_set(err, ERR_BUG,
                       "route \"%.*s\": needs a pattern that begins with /, methods "
                       "and a handler",
                       SLICE_ARG(pattern));
    while (slice_split(&rest, '/', &segment))
        if (segment.len == 1 && is_name(segment))
            return err_set(err, ERR_BUG, "route \"%s\": a segment has no name", r->pattern);
    if (count_names(pattern) > 4)
        return err_set(err, ERR_BUG, "route \"%s\": more than 4 names", r->pattern);
    if (r->is_prefix && count_names(pattern))
        return err_set(err, ERR_BUG, "route \"%s\": names in a prefix", r->pattern);
    return true;
}

static void put(struct table *t, const struct http_route *route)
{
    t->entries[t->count++] = (struct entry){route, slice_cstr(route->pattern)};
}

static void sort(struct table *t, int (*compare)(const void *, const void *))
{
    if (t->count > 1)
        qsort(t->entries, t->count, sizeof(*t->entries), compare);
}

struct http_router *http_router_new(const struct http_route *routes, size_t count, struct err *err)
{
    struct http_router *r;

    for (size_t i = 0; i < count; i++)
        if (!check(&routes[i], err))
            return NULL;
    r = mem_new(struct http_router);
    r->exact.entries = mem_new_array(struct entry, count + 1);
    r->named.entries = mem_new_array(struct entry, count + 1);
    r->prefix.entries = mem_new_array(struct entry, count + 1);
    for (size_t i = 0; i < count; i++)
        put(routes[i].is_prefix                              ? &r->prefix
            : count_names(slice_cstr(routes[i].pattern)) > 0 ? &r->named
                                                             : &r->exact,
            &routes[i]);
    sort(&r->exact, by_text);
    sort(&r->named, by_shape);
    sort(&r->prefix, by_length);
    return r;
}

void http_router_free(struct http_router *r)
{
    if (!r)
        return;
    mem_free(r->exact.entries);
    mem_free(r->named.entries);
    mem_free(r->prefix.entries);
    mem_free(r);
}

// Takes the route when it is for the method; remembers in any case what its pattern allows.
static void offer(struct http_match *m, const struct http_route *route, enum http_method method)
{
    if (!m->route && (route->methods & method))
        m->route = route;
    m->allow |= route->methods;
}

static void find_exact(const struct table *t, struct slice path, bool is_slash,
                       enum http_method method, struct http_match *m)
{
    size_t low = 0, high = t->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slice_compare(t->entries[middle].pattern, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < t->count && slice_eq(t->entries[low].pattern, path); low++)
        if (!is_slash || t->entries[low].route->slash)
            offer(m, t->entries[low].route, method);
}

static bool fits_names(struct slice pattern, struct slice path, struct http_match *m)
{
    struct slice name, value;

    m->param_count = 0;
    for (;;) {
        bool more = slice_split(&pattern, '/', &name);

        if (more != slice_split(&path, '/', &value))
            return false;
        if (!more)
            return true;
        if (!is_name(name)) {
            if (!slice_eq(name, value))
                return false;
            continue;
        }
        if (value.len == 0)
            return false;
        m->params[m->param_count++] =
            (struct http_param){slice_make(name.ptr + 1, name.len - 1), value};
    }
}

static void find_named(const struct table *t, struct slice path, bool is_slash,
                       enum http_method method, struct http_match *m)
{
    const struct entry *first = NULL;
    struct http_match found = *m;

    for (size_t i = 0; i < t->count && (!first || by_shape(first, &t->entries[i]) == 0); i++) {
        const struct entry *e = &t->entries[i];
        bool had_route = found.route != NULL;

        if ((is_slash && !e->route->slash) || !fits_names(e->pattern, path, &found))
            continue;
        first = first ? first : e;
        offer(&found, e->route, method);
        if (!had_route) // the names are those of the route that was taken
            *m = found;
        m->allow = found.allow;
    }
}

static void find_prefix(const struct table *t, struct slice path, enum http_method method,
                        struct http_match *m)
{
    const struct entry *first = NULL;

    for (size_t i = 0; i < t->count; i++) {
        const struct entry *e = &t->entries[i];

        if (first ? !slice_eq(first->pattern, e->pattern) : !slice_starts(path, e->pattern))
            continue;
        first = e;
        offer(m, e->route, method);
    }
}

void http_router_find(const struct http_router *r, struct slice path, enum http_method method,
                      struct http_match *match)
{
    bool has_slash = path.len > 1 && path.ptr[path.len - 1] == '/';
    struct slice bare = slice_make(path.ptr, path.len - has_slash);

    *match = (struct http_match){.route = NULL};
    find_exact(&r->exact, path, false, method, match);
    if (!match->allow && has_slash)
        find_exact(&r->exact, bare, true, method, match);
    if (!match->allow)
        find_named(&r->named, path, false, method, match);
    if (!match->allow && has_slash)
        find_named(&r->named, bare, true, method, match);
    if (!match->allow)
        find_prefix(&r->prefix, path, method, match);
    if (!match->route)
        match->param_count = 0;
}
