/* meta.jobs: any name is a job, `jobs.name(payload).runIn(3, 'minutes')`. What there really is
 * shows when it runs. */
#include "base/clock.h"
#include "plugin/vm_host.h"

#include <math.h>

#define PAYLOAD_BYTES_MAX (16 << 20)
#define HOUR_MS           3600000.0
#define DAY_MS            (24 * HOUR_MS)

enum when { RUN_NOW, RUN_IN, RUN_AT };

/* `then` is no job, so that awaiting the object does not wait for ever. */
static const char proxy[] =
    "((put) => new Proxy({}, { get: (target, name) =>\n"
    "  typeof name === 'symbol' || name === 'then' ? undefined : (payload) => ({\n"
    "    runNow: async () => put(name, payload, 0),\n"
    "    runIn: async (duration, unit) => put(name, payload, 1, duration, unit),\n"
    "    runAt: async (date) => put(name, payload, 2, date.valueOf()),\n"
    "  }) }))";

/* Plural forms; a month is 30 days. */
static const struct {
    const char *name;
    double ms;
} units[] = {
    {"milliseconds", 1},     {"seconds", 1000},         {"minutes", 60000},
    {"hours", HOUR_MS},      {"days", DAY_MS},          {"weeks", 7 * DAY_MS},
    {"months", 30 * DAY_MS}, {"quarters", 91 * DAY_MS}, {"years", 365 * DAY_MS},
};

static bool unit_ms(JSContext *ctx, JSValueConst value, double *ms)
{
    const char *text = JS_ToCString(ctx, value);
    struct slice unit = slice_cstr(text);
    bool is_found = false;

    if (!text)
        return false;
    if (slice_ends(unit, SLICE("s")))
        unit.len--;
    for (size_t i = 0; i < ARRAY_LEN(units) && !is_found; i++)
        if (slice_eq(unit, slice_make(units[i].name, strlen(units[i].name) - 1))) {
            *ms = units[i].ms;
            is_found = true;
        }
    if (!is_found)
        vm_throw(ctx, NULL, "Unknown time unit: %.*ss", (int)MIN(unit.len, 100), unit.ptr);
    JS_FreeCString(ctx, text);
    return is_found;
}

static bool run_at_us(JSContext *ctx, int argc, JSValueConst *argv, int64_t *at_us)
{
    int64_t now = clock_wall_us();
    int32_t when = 0;
    double number, ms = 1;

    *at_us = now;
    if (JS_ToInt32(ctx, &when, argv[2]) < 0)
        return false;
    if (when == RUN_NOW)
        return true;
    if (argc < 4 || JS_ToFloat64(ctx, &number, argv[3]) < 0)
        return false;
    if (when == RUN_IN && !unit_ms(ctx, argc > 4 ? argv[4] : JS_UNDEFINED, &ms))
        return false;
    if (!isfinite(number) || fabs(number * ms) > 1e14) {
        vm_throw(ctx, NULL, "The time of a job must be a date or a number");
        return false;
    }
    *at_us = (when == RUN_IN ? now : 0) + (int64_t)(number * ms * 1000);
    return true;
}

static bool payload_write(JSContext *ctx, JSValueConst payload, struct buf *out)
{
    JSValue json = JS_JSONStringify(ctx, payload, JS_UNDEFINED, JS_UNDEFINED);
    const char *text = NULL;
    size_t len = 0;
    bool ok = !JS_IsException(json);

    if (ok && !JS_IsUndefined(json)) {
        text = JS_ToCStringLen(ctx, &len, json);
        ok = text != NULL;
    }
    if (ok && text && !buf_add(out, text, len)) {
        vm_throw(ctx, NULL, "The payload of a job has more than %d bytes", PAYLOAD_BYTES_MAX);
        ok = false;
    }
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, json);
    return ok;
}

static bool job_put(struct vm *vm, const char *type, struct slice payload, int64_t at_us)
{
    const struct plugins_options *opt = vm_options(vm);
    struct plugin_job job = {.team_id = vm_config(vm)->team_id,
                             .config_id = vm_config(vm)->id,
                             .type = type,
                             .payload = payload,
                             .run_at_us = at_us};
    struct err err = ERR_INIT;

    if (opt->services->job && opt->services->job(opt->services_self, &job, &err))
        return true;
    vm_throw(vm_context(vm), NULL, "%s", opt->services->job ? err.text : "No JobQueue available");
    return false;
}

/* put(name, payload, when, …) */
static JSValue put(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv, int magic)
{
    struct vm *vm = vm_of_call(ctx);
    struct buf payload = BUF_INIT(PAYLOAD_BYTES_MAX);
    const char *type = NULL;
    int64_t at_us;
    bool ok;

    UNUSED(this_value);
    UNUSED(magic);
    ok = vm && run_at_us(ctx, argc, argv, &at_us) && payload_write(ctx, argv[1], &payload) &&
         (type = JS_ToCString(ctx, argv[0])) && job_put(vm, type, buf_slice(&payload), at_us);
    JS_FreeCString(ctx, type);
    buf_free(&payload);
    return ok ? JS_UNDEFINED : JS_EXCEPTION;
}

JSValue host_jobs_new(JSContext *ctx)
{
    JSValue make = JS_Eval(ctx, proxy, sizeof(proxy) - 1, "hedgerow", JS_EVAL_TYPE_GLOBAL);
    JSValue fn = JS_NewCFunctionMagic(ctx, put, "put", 3, JS_CFUNC_generic_magic, 0);
    JSValue jobs = JS_EXCEPTION;

    if (!JS_IsException(make) && !JS_IsException(fn))
        jobs = JS_Call(ctx, make, JS_UNDEFINED, 1, (JSValueConst *)&fn);
    JS_FreeValue(ctx, fn);
    JS_FreeValue(ctx, make);
    return jobs;
}
