/* The GeoIP plugin: what PostHog's own does, without leaving C.
 *
 * For an event with an address that the database knows, `$geoip_…` goes into the properties and
 * into the event's `$set`, and `$initial_geoip_…` into its `$set_once`. Those two begin with a
 * basic set of names that are null when the record lacks them, so that a person who has moved does
 * not keep half of the old place; what the event itself set there stays unless the record knows
 * better. The order of members is that of JavaScript's objects: a name keeps its first place.
 */
#include "base/mem.h"
#include "model/json_index.h"
#include "plugin/builtin.h"

#define LOOPBACK "127.0.0.1"
#define LOOPBACK_IS \
    "13.106.122.3" /* what the original looks up instead, for tries on one machine */
#define ADDRESS_MAX        64
#define LOCATION_BYTES_MAX ((size_t)256 << 10) /* 40 names of 1 KiB, each byte escaped */

/* --- what a record gives ---------------------------------------------------------------------- */

#define SUBDIVISIONS_BASIC 2

enum member {
    CITY_NAME,
    CITY_CONFIDENCE,
    COUNTRY_NAME,
    COUNTRY_CODE,
    COUNTRY_CONFIDENCE,
    CONTINENT_NAME,
    CONTINENT_CODE,
    POSTAL_CODE,
    POSTAL_CODE_CONFIDENCE,
    LATITUDE,
    LONGITUDE,
    ACCURACY_RADIUS,
    TIME_ZONE,
    SUBDIVISIONS, /* three for each: code, name, confidence */
    MEMBER_COUNT = SUBDIVISIONS + 3 * GEO_SUBDIVISIONS_MAX,
};

struct member_name { /* as they are written: ,"name": */
    const char *current, *initial;
    uint8_t current_len, initial_len;
    bool is_basic;
};

#define CURRENT       "$geoip_"
#define INITIAL       "$initial_geoip_"
#define WRITTEN(name) ",\"" name "\":"
#define NAMED(name, basic)                                                                  \
    {                                                                                       \
        .current = WRITTEN(CURRENT name), .current_len = sizeof(WRITTEN(CURRENT name)) - 1, \
        .initial = WRITTEN(INITIAL name), .initial_len = sizeof(WRITTEN(INITIAL name)) - 1, \
        .is_basic = (basic)                                                                 \
    }
#define SUBDIVISION(n, basic)                                                           \
    [SUBDIVISIONS +                                                                     \
        3 * ((n)-1)] = NAMED("subdivision_" #n "_code", basic),                         \
            [SUBDIVISIONS + 3 * ((n)-1) + 1] = NAMED("subdivision_" #n "_name", basic), \
            [SUBDIVISIONS + 3 * ((n)-1) + 2] = NAMED("subdivision_" #n "_confidence", basic)

static const struct member_name names[MEMBER_COUNT] = {
    [CITY_NAME] = NAMED("city_name", true),
    [CITY_CONFIDENCE] = NAMED("city_confidence", true),
    [COUNTRY_NAME] = NAMED("country_name", true),
    [COUNTRY_CODE] = NAMED("country_code", true),
    [COUNTRY_CONFIDENCE] = NAMED("country_confidence", false),
    [CONTINENT_NAME] = NAMED("continent_name", true),
    [CONTINENT_CODE] = NAMED("continent_code", true),
    [POSTAL_CODE] = NAMED("postal_code", true),
    [POSTAL_CODE_CONFIDENCE] = NAMED("postal_code_confidence", false),
    [LATITUDE] = NAMED("latitude", true),
    [LONGITUDE] = NAMED("longitude", true),
    [ACCURACY_RADIUS] = NAMED("accuracy_radius", true),
    [TIME_ZONE] = NAMED("time_zone", true),
    SUBDIVISION(1, true),
    SUBDIVISION(2, true),
    SUBDIVISION(3, false),
    SUBDIVISION(4, false),
    SUBDIVISION(5, false),
    SUBDIVISION(6, false),
    SUBDIVISION(7, false),
    SUBDIVISION(8, false),
};

struct location { /* the values' JSON texts stand one behind the other */
    struct buf texts;
    size_t from[MEMBER_COUNT], to[MEMBER_COUNT]; /* equal: the record lacks it */
};

static void add_text(struct location *l, size_t member, struct slice text)
{
    l->from[member] = l->texts.len;
    if (text.len > 0)
        (void)json_string_write(text, false, &l->texts);
    l->to[member] = l->texts.len;
}

static void add_number(struct location *l, size_t member, bool is_there, double number)
{
    l->from[member] = l->texts.len;
    if (is_there)
        (void)json_number_js(number, &l->texts);
    l->to[member] = l->texts.len;
}

static bool location_make(struct location *l, const struct geo_record *r)
{
    add_text(l, CITY_NAME, r->city.name);
    add_number(l, CITY_CONFIDENCE, r->city.confidence >= 0, r->city.confidence);
    add_text(l, COUNTRY_NAME, r->country.name);
    add_text(l, COUNTRY_CODE, r->country.code);
    add_number(l, COUNTRY_CONFIDENCE, r->country.confidence >= 0, r->country.confidence);
    add_text(l, CONTINENT_NAME, r->continent.name);
    add_text(l, CONTINENT_CODE, r->continent.code);
    add_text(l, POSTAL_CODE, r->postal_code);
    add_number(l, POSTAL_CODE_CONFIDENCE, r->postal_confidence >= 0, r->postal_confidence);
    add_number(l, LATITUDE, r->has_location, r->latitude);
    add_number(l, LONGITUDE, r->has_location, r->longitude);
    add_number(l, ACCURACY_RADIUS, r->has_accuracy, r->accuracy_radius);
    add_text(l, TIME_ZONE, r->time_zone);
    for (size_t i = 0; i < r->subdivision_count; i++) {
        const struct geo_place *place = &r->subdivisions[i];
        size_t first = SUBDIVISIONS + 3 * i;

        add_text(l, first, place->code);
        add_text(l, first + 1, place->name);
        add_number(l, first + 2, place->confidence >= 0, place->confidence);
    }
    return !l->texts.is_over;
}

static bool location_has(const struct location *l, size_t member)
{
    return l->to[member] > l->from[member];
}

static struct slice location_text(const struct location *l, size_t member)
{
    return location_has(l, member)
               ? slice_make(l->texts.ptr + l->from[member], l->to[member] - l->from[member])
               : SLICE("null");
}

/* --- objects with it -------------------------------------------------------------------------- */

enum object { PROPERTIES, SET, SET_ONCE };

struct writing {
    enum object object;
    yyjson_val *theirs; /* what the event has; NULL: nothing */
    const struct location *location;
    struct buf *out;
    bool is_empty;
};

static struct slice written_name(const struct writing *w, size_t member)
{
    const struct member_name *n = &names[member];

    return w->object == SET_ONCE ? slice_make(n->initial, n->initial_len)
                                 : slice_make(n->current, n->current_len);
}

static struct slice plain_name(const struct writing *w, size_t member)
{
    struct slice written = written_name(w, member);

    return slice_make(written.ptr + 2, written.len - 4);
}

static bool write_ours(struct writing *w, size_t member)
{
    struct slice name = written_name(w, member);
    size_t comma = w->is_empty ? 1 : 0;

    w->is_empty = false;
    return buf_add(w->out, name.ptr + comma, name.len - comma) &&
           buf_add_slice(w->out, location_text(w->location, member));
}

static bool is_default(const struct writing *w, size_t member)
{
    return w->object != PROPERTIES && names[member].is_basic;
}

/* Theirs, behind what the object has so far. */
static bool write_theirs(struct writing *w)
{
    size_t brace = w->is_empty ? w->out->len - 1 : w->out->len, count = 0;

    w->out->len = brace;
    if (!json_object_write(w->theirs, NULL, true, &count, w->out))
        return false;
    if (w->is_empty)
        w->is_empty = count == 0;
    else if (count > 0)
        w->out->ptr[brace] = ',';
    else
        w->out->len = brace;
    return true;
}

/* Nothing of theirs has a name of ours: the basic set, theirs, what else was found. */
static bool write_apart(struct writing *w)
{
    bool ok = buf_add_char(w->out, '{');

    for (size_t i = 0; ok && i < MEMBER_COUNT; i++) {
        if (is_default(w, i))
            ok = write_ours(w, i);
    }
    if (ok && w->theirs)
        ok = write_theirs(w);
    for (size_t i = 0; ok && i < MEMBER_COUNT; i++) {
        if (location_has(w->location, i) && !is_default(w, i))
            ok = write_ours(w, i);
    }
    return ok && buf_add_char(w->out, '}');
}

struct merging { /* where each name's value comes from */
    struct json_index index;
    struct source {
        yyjson_val *theirs; /* NULL: ours */
        size_t member;
    } * sources;
    size_t cap;
};

static void merge_put(struct merging *m, struct slice name, struct source source)
{
    bool is_new;
    size_t at = json_index_add(&m->index, name, &is_new);

    if (at >= m->cap) {
        m->cap = MAX(2 * m->cap, (size_t)64);
        m->sources = mem_realloc(m->sources, m->cap * sizeof(*m->sources));
    }
    m->sources[at] = source;
}

static bool write_merged(struct writing *w, struct merging *m)
{
    bool ok = buf_add_char(w->out, '{');

    for (size_t i = 0; ok && i < m->index.count; i++) {
        if (!m->sources[i].theirs) {
            ok = write_ours(w, m->sources[i].member);
            continue;
        }
        ok = json_name_write(m->index.keys[i], w->is_empty, false, w->out) &&
             json_value_write(m->sources[i].theirs, w->out);
        w->is_empty = false;
    }
    return ok && buf_add_char(w->out, '}');
}

/* As JavaScript does it: defaults, then theirs, then what was found, each name at its first place.
 */
static bool write_together(struct writing *w)
{
    struct merging m = {.sources = NULL};
    yyjson_obj_iter it = yyjson_obj_iter_with(w->theirs);
    yyjson_val *key;
    bool ok;

    json_index_init(&m.index);
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (is_default(w, i))
            merge_put(&m, plain_name(w, i), (struct source){.member = i});
    }
    while ((key = yyjson_obj_iter_next(&it)))
        merge_put(&m, json_text(key), (struct source){.theirs = yyjson_obj_iter_get_val(key)});
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (location_has(w->location, i))
            merge_put(&m, plain_name(w, i), (struct source){.member = i});
    }
    ok = write_merged(w, &m);
    json_index_fini(&m.index);
    mem_free(m.sources);
    return ok;
}

static bool has_prefix(yyjson_val *object, struct slice prefix)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        if (slice_starts(json_text(key), prefix))
            return true;
    }
    return false;
}

static bool write_object(const char *name, enum object object, yyjson_val *theirs,
                         const struct location *location, struct buf *out)
{
    struct writing w = {.object = object,
                        .theirs = yyjson_is_obj(theirs) ? theirs : NULL,
                        .location = location,
                        .out = out,
                        .is_empty = true};

    if (!buf_add_str(out, name))
        return false;
    if (w.theirs && has_prefix(w.theirs, object == SET_ONCE ? SLICE(INITIAL) : SLICE(CURRENT)))
        return write_together(&w);
    return write_apart(&w);
}

/* --- the event -------------------------------------------------------------------------------- */

struct event { /* members of the event and of its properties that matter here */
    yyjson_val *properties, *set, *set_once, *ip, *disable;
};

static void find_members(yyjson_val *root, struct event *e)
{
    json_members(root,
                 (const struct json_wanted[]){{SLICE("properties"), &e->properties},
                                              {SLICE("$set"), &e->set},
                                              {SLICE("$set_once"), &e->set_once}},
                 3);
    json_members(e->properties,
                 (const struct json_wanted[]){{SLICE("$ip"), &e->ip},
                                              {SLICE("$geoip_disable"), &e->disable}},
                 2);
}

/* The text form of `$ip`, whatever it is, else the address of the request. */
static bool find_record(const struct builtin_run *run, const struct event *e,
                        struct geo_record *record)
{
    struct buf text = BUF_INIT(ADDRESS_MAX);
    struct slice ip = run->envelope->ip;
    bool is_found = false;

    if (json_is_truthy(e->ip)) {
        ip = json_text(e->ip);
        if (!yyjson_is_str(e->ip))
            ip = json_string_form(e->ip, &text) ? buf_slice(&text) : SLICE_NONE;
    }
    if (slice_eq(ip, SLICE(LOOPBACK)))
        ip = SLICE(LOOPBACK_IS);
    is_found = ip.len > 0 && geo_find(run->geo, ip, record);
    buf_free(&text);
    return is_found;
}

/* The three members stand at the end of the event; nobody sees their place. */
static bool write_event(struct builtin_run *run, const struct event *e, const struct location *l)
{
    static const char *const rewritten[] = {"properties", "$set", "$set_once", NULL};
    size_t count = 0;

    buf_clear(run->text);
    return json_object_write(run->root, rewritten, true, &count, run->text) &&
           write_object(count > 0 ? ",\"properties\":" : "\"properties\":", PROPERTIES,
                        e->properties, l, run->text) &&
           write_object(",\"$set\":", SET, e->set, l, run->text) &&
           write_object(",\"$set_once\":", SET_ONCE, e->set_once, l, run->text) &&
           buf_add_char(run->text, '}');
}

enum builtin_result builtin_geoip_run(struct builtin_run *run)
{
    struct location location = {.texts = BUF_INIT(LOCATION_BYTES_MAX)};
    enum builtin_result result = BUILTIN_SAME;
    struct geo_record record;
    struct event e = {0};

    if (!run->geo)
        return BUILTIN_SAME;
    find_members(run->root, &e);
    if (json_is_truthy(e.disable) || !find_record(run, &e, &record))
        return BUILTIN_SAME;
    /* An earlier plugin may have made something else of the properties. */
    if (e.properties && !yyjson_is_obj(e.properties) && !yyjson_is_null(e.properties))
        return BUILTIN_SAME;
    result = BUILTIN_CHANGED;
    if (!location_make(&location, &record) || !write_event(run, &e, &location)) {
        (void)err_set(run->err, ERR_LIMIT, "the event with its place is longer than %zu bytes",
                      run->text->max);
        result = BUILTIN_FAILED;
    }
    buf_free(&location.texts);
    return result;
}
