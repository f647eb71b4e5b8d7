/* A record of a database as a geo_record, in one walk. Both layouts are told apart by what their
 * members are: `country` is a map in one, the other has `country_code` as a string, and so on. */
#include "base/utf8.h"
#include "geo/geo_priv.h"

#include <math.h>
#include <stdlib.h>

#define TEXT_BYTES_MAX 1024 /* of a name; a damaged file can claim any length */

static struct slice text_of(const struct geo_value *v)
{
    bool is_fit = v->type == GEO_STRING && v->text.len <= TEXT_BYTES_MAX && utf8_is_valid(v->text);

    return is_fit ? v->text : SLICE_NONE;
}

static bool is_whole(const struct geo_value *v)
{
    return v->type == GEO_UINT16 || v->type == GEO_UINT32 || v->type == GEO_UINT64 ||
           v->type == GEO_INT32;
}

static bool small_of(const struct geo_value *v, int *out)
{
    if (!is_whole(v) || v->number < 0 || v->number > 1000000)
        return false;
    *out = (int)v->whole;
    return true;
}

/* Degrees as doubles, as floats (which have no more than five decimals), or as text. */
static bool degrees_of(const struct geo_value *v, double limit, double *out)
{
    char text[32], *end;
    double value;

    if (v->type == GEO_STRING) {
        if (v->text.len == 0 || v->text.len >= sizeof(text))
            return false;
        memcpy(text, v->text.ptr, v->text.len);
        text[v->text.len] = '\0';
        value = strtod(text, &end);
        if (end != text + v->text.len)
            return false;
    } else if (v->type == GEO_FLOAT) {
        value = round(v->number * 1e5) / 1e5;
    } else if (v->type == GEO_DOUBLE || is_whole(v)) {
        value = v->number;
    } else {
        return false;
    }
    if (!isfinite(value) || fabs(value) > limit)
        return false;
    *out = value;
    return true;
}

/* --- MaxMind's layout ------------------------------------------------------------------------- */

static bool read_names(struct geo_reader *r, struct geo_value *names, struct slice *english)
{
    struct geo_walk w = geo_walk_start(r, names);
    struct geo_value value;
    struct slice key;

    while (geo_walk_member(&w, &key, &value)) {
        if (slice_eq(key, SLICE("en"))) {
            *english = text_of(&value);
            break; /* seven more languages */
        }
    }
    return geo_walk_finish(&w);
}

static bool read_place(struct geo_reader *r, struct geo_value *of, struct geo_place *place,
                       struct geo_record *country_of)
{
    struct geo_walk w = geo_walk_start(r, of);
    struct geo_value value;
    struct slice key;
    int id;

    while (geo_walk_member(&w, &key, &value)) {
        if (slice_eq(key, SLICE("names")) && value.type == GEO_MAP) {
            if (!read_names(r, &value, &place->name))
                return false;
        } else if (slice_eq(key, SLICE("iso_code")) || slice_eq(key, SLICE("code"))) {
            place->code = text_of(&value);
        } else if (slice_eq(key, SLICE("geoname_id"))) {
            if (is_whole(&value) && value.whole <= UINT32_MAX)
                place->geoname_id = (uint32_t)value.whole;
        } else if (slice_eq(key, SLICE("confidence"))) {
            if (small_of(&value, &id))
                place->confidence = id;
        } else if (country_of && slice_eq(key, SLICE("is_in_european_union"))) {
            country_of->has_is_in_eu = value.type == GEO_BOOLEAN;
            country_of->is_in_eu = value.type == GEO_BOOLEAN && value.whole != 0;
        }
    }
    return !w.is_bad;
}

static bool read_location(struct geo_reader *r, struct geo_value *of, struct geo_record *out)
{
    struct geo_walk w = geo_walk_start(r, of);
    bool has_latitude = false, has_longitude = false;
    struct geo_value value;
    struct slice key;

    while (geo_walk_member(&w, &key, &value)) {
        if (slice_eq(key, SLICE("latitude")))
            has_latitude = degrees_of(&value, 90, &out->latitude);
        else if (slice_eq(key, SLICE("longitude")))
            has_longitude = degrees_of(&value, 180, &out->longitude);
        else if (slice_eq(key, SLICE("accuracy_radius")))
            out->has_accuracy = small_of(&value, &out->accuracy_radius);
        else if (slice_eq(key, SLICE("metro_code")))
            out->has_metro = small_of(&value, &out->metro_code);
        else if (slice_eq(key, SLICE("time_zone")))
            out->time_zone = text_of(&value);
    }
    out->has_location = has_latitude && has_longitude;
    return !w.is_bad;
}

static bool read_postal(struct geo_reader *r, struct geo_value *of, struct geo_record *out)
{
    struct geo_place postal = {.confidence = -1};

    if (!read_place(r, of, &postal, NULL))
        return false;
    out->postal_code = postal.code;
    out->postal_confidence = postal.confidence;
    return true;
}

static bool read_subdivisions(struct geo_reader *r, struct geo_value *of, struct geo_record *out)
{
    struct geo_walk w = geo_walk_start(r, of);
    struct geo_value value;

    while (geo_walk_element(&w, &value)) {
        struct geo_place *place = &out->subdivisions[out->subdivision_count];

        if (value.type != GEO_MAP || out->subdivision_count == GEO_SUBDIVISIONS_MAX)
            continue;
        *place = (struct geo_place){.confidence = -1};
        if (!read_place(r, &value, place, NULL))
            return false;
        out->subdivision_count++;
    }
    return !w.is_bad;
}

static struct geo_place *place_named(struct geo_record *out, struct slice key)
{
    if (slice_eq(key, SLICE("city")))
        return &out->city;
    if (slice_eq(key, SLICE("continent")))
        return &out->continent;
    if (slice_eq(key, SLICE("country")))
        return &out->country;
    if (slice_eq(key, SLICE("registered_country")))
        return &out->registered_country;
    if (slice_eq(key, SLICE("represented_country")))
        return &out->represented_country;
    return NULL;
}

static bool read_map(struct geo_reader *r, struct slice key, struct geo_value *value,
                     struct geo_record *out, enum geo_layout *layout)
{
    struct geo_place *place = place_named(out, key);
    bool is_location = slice_eq(key, SLICE("location"));

    if (!place && !is_location && !slice_eq(key, SLICE("postal")))
        return true;
    *layout = GEO_NESTED;
    if (place)
        return read_place(r, value, place, place == &out->country ? out : NULL);
    return is_location ? read_location(r, value, out) : read_postal(r, value, out);
}

/* --- the flat layout -------------------------------------------------------------------------- */

struct flat { /* what has to wait for the end of the record */
    struct slice state1, state2;
    bool has_latitude, has_longitude;
};

static void read_flat(struct slice key, const struct geo_value *value, struct flat *flat,
                      struct geo_record *out, enum geo_layout *layout)
{
    if (slice_eq(key, SLICE("country_code")))
        out->country.code = text_of(value);
    else if (slice_eq(key, SLICE("city")))
        out->city.name = text_of(value);
    else if (slice_eq(key, SLICE("latitude")))
        flat->has_latitude = degrees_of(value, 90, &out->latitude);
    else if (slice_eq(key, SLICE("longitude")))
        flat->has_longitude = degrees_of(value, 180, &out->longitude);
    else if (slice_eq(key, SLICE("postcode")))
        out->postal_code = text_of(value);
    else if (slice_eq(key, SLICE("state1")))
        flat->state1 = text_of(value);
    else if (slice_eq(key, SLICE("state2")))
        flat->state2 = text_of(value);
    else if (slice_eq(key, SLICE("timezone")))
        out->time_zone = text_of(value);
    else
        return;
    *layout = GEO_FLAT;
}

static void add_subdivision(struct geo_record *out, struct slice name)
{
    if (name.len == 0)
        return;
    out->subdivisions[out->subdivision_count++] =
        (struct geo_place){.name = name, .confidence = -1};
}

/* Empty texts stand for what is not known. */
static bool finish_flat(const struct flat *flat, struct geo_record *out)
{
    const struct geo_country *country = geo_country_find(out->country.code);

    out->has_location = flat->has_latitude && flat->has_longitude;
    add_subdivision(out, flat->state1);
    add_subdivision(out, flat->state2);
    if (!country)
        return out->country.code.len || out->city.name.len || out->subdivision_count ||
               out->has_location || out->postal_code.len || out->time_zone.len;
    out->country.name = slice_cstr(country->name);
    out->continent.code = slice_cstr(country->continent);
    out->continent.name = slice_cstr(geo_continent_name(out->continent.code));
    out->has_is_in_eu = true;
    out->is_in_eu = country->is_in_eu;
    return true;
}

/* --- both ------------------------------------------------------------------------------------- */

static void clear(struct geo_record *out, size_t at)
{
    *out = (struct geo_record){.id = (uint32_t)at, .postal_confidence = -1};
    out->city.confidence = out->country.confidence = out->continent.confidence = -1;
    out->registered_country.confidence = out->represented_country.confidence = -1;
}

bool geo_record_read(const uint8_t *data, size_t size, size_t at, struct geo_record *out,
                     enum geo_layout *layout)
{
    struct geo_reader r = {.data = data, .size = size, .budget = GEO_BUDGET_RECORD};
    struct flat flat = {0};
    struct geo_value top, value;
    struct geo_walk w;
    struct slice key;

    clear(out, at);
    *layout = GEO_NO_PLACES;
    if (!geo_value_read(&r, at, &top) || top.type != GEO_MAP)
        return false;
    w = geo_walk_start(&r, &top);
    while (geo_walk_member(&w, &key, &value)) {
        if (value.type == GEO_MAP) {
            if (!read_map(&r, key, &value, out, layout))
                return false;
        } else if (value.type == GEO_ARRAY) {
            if (slice_eq(key, SLICE("subdivisions")) && !read_subdivisions(&r, &value, out))
                return false;
        } else {
            read_flat(key, &value, &flat, out, layout);
        }
    }
    if (w.is_bad)
        return false;
    if (*layout == GEO_FLAT && !finish_flat(&flat, out))
        *layout = GEO_NO_PLACES;
    return true;
}
