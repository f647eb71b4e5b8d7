/* Date for worlds whose time is not the system's (`plugin test --clock`): the engine's own class,
 * with the present taken from base/clock.h. */
#include "base/clock.h"
#include "plugin/vm_host.h"

static const char wrapper[] =
    "((Real, present) => {\n"
    "  'use strict';\n"
    "  function Date(...parts) {\n"
    "    if (!new.target) return new Real(present()).toString();\n"
    "    return Reflect.construct(Real, parts.length ? parts : [present()], new.target);\n"
    "  }\n"
    "  const own = (object, name, value) => Object.defineProperty(object, name,\n"
    "    { value, writable: true, enumerable: false, configurable: true });\n"
    "  Object.defineProperty(Date, 'length', { value: 7, configurable: true });\n"
    "  Object.defineProperty(Date, 'prototype', { value: Real.prototype, writable: false });\n"
    "  own(Real.prototype, 'constructor', Date);\n"
    "  own(Date, 'parse', Real.parse);\n"
    "  own(Date, 'UTC', Real.UTC);\n"
    "  own(Date, 'now', present);\n"
    "  return Date;\n"
    "})";

static JSValue present(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv,
                       int magic)
{
    UNUSED(this_value);
    UNUSED(argc);
    UNUSED(argv);
    UNUSED(magic);
    return JS_NewInt64(ctx, clock_wall_us() / 1000);
}

bool host_date_define(JSContext *ctx, JSValueConst global)
{
    JSValue make = JS_Eval(ctx, wrapper, sizeof(wrapper) - 1, "hedgerow", JS_EVAL_TYPE_GLOBAL);
    JSValue argv[2] = {JS_GetPropertyStr(ctx, global, "Date"),
                       JS_NewCFunctionMagic(ctx, present, "now", 0, JS_CFUNC_generic_magic, 0)};
    JSValue made = JS_EXCEPTION;

    if (!JS_IsException(make) && !JS_IsException(argv[0]) && !JS_IsException(argv[1]))
        made = JS_Call(ctx, make, JS_UNDEFINED, 2, argv);
    JS_FreeValue(ctx, make);
    JS_FreeValue(ctx, argv[0]);
    JS_FreeValue(ctx, argv[1]);
    return !JS_IsException(made) &&
           JS_DefinePropertyValueStr(ctx, global, "Date", made,
                                     JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE) >= 0;
}
