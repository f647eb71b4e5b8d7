/* meta.geoip.locate: a record in the shape of the standard reader, names in camelCase. */
#include "geo/geo.h"
#include "plugin/vm_host.h"

/* An object under way: the first failure (an exception is pending then) frees it. */
struct made {
    JSContext *ctx;
    JSValue object;
    bool has_any;
};

static struct made made_new(JSContext *ctx)
{
    return (struct made){.ctx = ctx, .object = JS_NewObject(ctx)};
}

static void put(struct made *m, const char *name, JSValue value)
{
    if (JS_IsException(m->object)) {
        JS_FreeValue(m->ctx, value);
        return;
    }
    m->has_any = true;
    if (!JS_IsException(value) &&
        JS_DefinePropertyValueStr(m->ctx, m->object, name, value, JS_PROP_C_W_E) >= 0)
        return;
    JS_FreeValue(m->ctx, m->object);
    m->object = JS_EXCEPTION;
}

static void put_text(struct made *m, const char *name, struct slice text)
{
    if (text.len > 0)
        put(m, name, JS_NewStringLen(m->ctx, text.ptr, text.len));
}

/* A section that the database lacks is absent. */
static void put_section(struct made *m, const char *name, struct made *section)
{
    if (section->has_any)
        put(m, name, section->object);
    else
        JS_FreeValue(section->ctx, section->object);
}

static void put_names(struct made *m, struct slice name)
{
    struct made names = made_new(m->ctx);

    put_text(&names, "en", name);
    put_section(m, "names", &names);
}

static struct made place_new(JSContext *ctx, const struct geo_place *p, const char *code_name)
{
    struct made m = made_new(ctx);

    if (p->geoname_id)
        put(&m, "geonameId", JS_NewUint32(ctx, p->geoname_id));
    if (p->confidence >= 0)
        put(&m, "confidence", JS_NewInt32(ctx, p->confidence));
    put_text(&m, code_name, p->code);
    put_names(&m, p->name);
    return m;
}

static bool has_place(const struct geo_place *p)
{
    return p->code.len > 0 || p->name.len > 0 || p->geoname_id != 0;
}

static void put_place(struct made *m, const char *name, const struct geo_place *p,
                      const char *code_name)
{
    struct made place;

    if (!has_place(p))
        return;
    place = place_new(m->ctx, p, code_name);
    put_section(m, name, &place);
}

static void put_country(struct made *m, const struct geo_record *r)
{
    struct made country;

    if (!has_place(&r->country))
        return;
    country = place_new(m->ctx, &r->country, "isoCode");
    if (r->has_is_in_eu)
        put(&country, "isInEuropeanUnion", JS_NewBool(m->ctx, r->is_in_eu));
    put_section(m, "country", &country);
}

static void put_location(struct made *m, const struct geo_record *r)
{
    struct made location = made_new(m->ctx);

    if (r->has_location) {
        put(&location, "latitude", JS_NewFloat64(m->ctx, r->latitude));
        put(&location, "longitude", JS_NewFloat64(m->ctx, r->longitude));
    }
    put_text(&location, "timeZone", r->time_zone);
    if (r->has_accuracy)
        put(&location, "accuracyRadius", JS_NewInt32(m->ctx, r->accuracy_radius));
    if (r->has_metro)
        put(&location, "metroCode", JS_NewInt32(m->ctx, r->metro_code));
    put_section(m, "location", &location);
}

static void put_postal(struct made *m, const struct geo_record *r)
{
    struct made postal = made_new(m->ctx);

    put_text(&postal, "code", r->postal_code);
    if (postal.has_any && r->postal_confidence >= 0)
        put(&postal, "confidence", JS_NewInt32(m->ctx, r->postal_confidence));
    put_section(m, "postal", &postal);
}

static void put_subdivisions(struct made *m, const struct geo_record *r)
{
    JSValue all;

    if (r->subdivision_count == 0)
        return;
    all = JS_NewArray(m->ctx);
    for (size_t i = 0; i < r->subdivision_count && !JS_IsException(all); i++) {
        struct made place = place_new(m->ctx, &r->subdivisions[i], "isoCode");

        if (JS_IsException(place.object) ||
            JS_DefinePropertyValueUint32(m->ctx, all, (uint32_t)i, place.object, JS_PROP_C_W_E) <
                0) {
            JS_FreeValue(m->ctx, all);
            all = JS_EXCEPTION;
        }
    }
    put(m, "subdivisions", all);
}

static JSValue record_new(JSContext *ctx, const struct geo_record *r, struct slice address)
{
    struct made m = made_new(ctx), traits = made_new(ctx);

    put_place(&m, "city", &r->city, "code");
    put_place(&m, "continent", &r->continent, "code");
    put_country(&m, r);
    put_location(&m, r);
    put_postal(&m, r);
    put_place(&m, "registeredCountry", &r->registered_country, "isoCode");
    put_place(&m, "representedCountry", &r->represented_country, "isoCode");
    put_subdivisions(&m, r);
    put_text(&traits, "ipAddress", address);
    put_section(&m, "traits", &traits);
    return m.object;
}

static JSValue find(JSContext *ctx, struct vm *vm, JSValueConst address)
{
    const struct geo_db *db = vm_geo(vm);
    struct geo_record record;
    const char *text;
    size_t len;
    JSValue found = JS_NULL;

    if (!db)
        return vm_throw(ctx, NULL,
                        "IP location capabilities are not available in this PostHog instance!");
    if (!JS_IsString(address))
        return JS_NULL;
    text = JS_ToCStringLen(ctx, &len, address);
    if (!text)
        return JS_EXCEPTION;
    if (geo_find(db, slice_make(text, len), &record))
        found = record_new(ctx, &record, slice_make(text, len));
    JS_FreeCString(ctx, text);
    return found;
}

static JSValue locate(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                      int magic)
{
    struct vm *vm = vm_of_call(ctx);

    UNUSED(this_value);
    UNUSED(magic);
    if (!vm)
        return JS_EXCEPTION;
    return vm_promise_of(ctx, find(ctx, vm, argc > 0 ? argv[0] : JS_UNDEFINED));
}

JSValue host_geoip_new(JSContext *ctx)
{
    JSValue geoip = JS_NewObject(ctx);

    if (!JS_IsException(geoip) && vm_define_function(ctx, geoip, "locate", locate, 1, 0))
        return geoip;
    JS_FreeValue(ctx, geoip);
    return JS_EXCEPTION;
}
