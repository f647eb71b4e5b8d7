/* vm_aid.h - a runtime with vms over fake services. One thread. */
#ifndef TESTS_UNIT_PLUGIN_VM_AID_H
#define TESTS_UNIT_PLUGIN_VM_AID_H

#include "base/clock.h"
#include "plugin/vm_priv.h"
#include "plugin/worker.h"
#include "plugin_aid.h"

#define VM_AID_CALLS_MAX 64

struct vm_aid {
    struct services_aid services; /* first: the table's self */
    struct plugins *plugins;
    struct plugin_worker *worker;
    struct runtime *runtime;
    struct vm *vm;
    struct plugin_config config; /* of the next vm; id 7, plugin 3, team 2 */
    char text[4096];             /* the last result as JSON, or the message of the error */
    struct plugin_error error;   /* of the last call that failed */
    bool is_done;                /* a late call has been told */
    enum vm_outcome outcome;
    struct vm_call call;
};

static inline void vm_aid_init_with(struct vm_aid *a, const struct plugins_options *options)
{
    struct err err = ERR_INIT;

    *a = (struct vm_aid){.config = {.id = 7,
                                    .team_id = 2,
                                    .plugin_id = 3,
                                    .plugin_name = "test plugin",
                                    .source_path = "/index.js"}};
    services_aid_init(&a->services);
    if (options) {
        struct plugins_options opt = *options;

        opt.services_self = &a->services;
        a->plugins = plugins_new(&opt);
    } else {
        a->plugins = plugins_aid_new(&a->services);
    }
    a->worker = plugin_worker_new(a->plugins, 0, NULL, NULL);
    a->runtime = runtime_new(a->worker, a->plugins, 2, &err);
    assert_non_null(a->runtime);
}

static inline void vm_aid_init(struct vm_aid *a)
{
    vm_aid_init_with(a, NULL);
}

static inline void vm_aid_unload(struct vm_aid *a)
{
    vm_unref(a->vm);
    a->vm = NULL;
}

static inline void vm_aid_fini(struct vm_aid *a)
{
    vm_aid_unload(a);
    runtime_free(a->runtime);
    plugin_worker_turn(a->worker); /* answers that come too late */
    plugin_error_fini(&a->error);
    plugin_worker_free(a->worker);
    plugins_free(a->plugins);
    services_aid_fini(&a->services);
}

static inline struct vm *vm_aid_load(struct vm_aid *a, const char *source)
{
    vm_aid_unload(a);
    a->config.source = slice_cstr(source);
    a->config.state = plugins_aid_state(a->plugins, a->config.id);
    a->vm = vm_new(a->runtime, &a->config);
    return a->vm;
}

/* Loads what must load: without the run limit, which a busy machine may hit while we are not to
 * blame. */
static inline struct vm *vm_aid_run(struct vm_aid *a, const char *source)
{
    int64_t run_us = a->plugins->opt.limits.run_us;

    a->plugins->opt.limits.run_us = 60000000;
    vm_aid_load(a, source);
    a->plugins->opt.limits.run_us = run_us;
    if (vm_error(a->vm))
        fail_msg("load: %s", vm_error(a->vm)->message);
    return a->vm;
}

static inline void vm_aid_note_result(struct vm_aid *a, JSValueConst result)
{
    JSContext *ctx = vm_context(a->vm);
    JSValue json;
    const char *text;

    vm_enter(a->vm);
    json = JS_JSONStringify(ctx, result, JS_UNDEFINED, JS_UNDEFINED);
    text = JS_ToCString(ctx, json);
    snprintf(a->text, sizeof(a->text), "%s", text ? text : "?");
    JS_FreeCString(ctx, text);
    JS_FreeValue(ctx, json);
    vm_leave(a->vm);
}

static inline void vm_aid_note_error(struct vm_aid *a, const struct plugin_error *e)
{
    plugin_error_fini(&a->error);
    a->error = *e;
    a->error.name = mem_dup_str(e->name);
    a->error.message = mem_dup_str(e->message);
    a->error.stack = mem_dup_str(e->stack);
    snprintf(a->text, sizeof(a->text), "%s", e->message);
}

static inline void vm_aid_done(struct vm_call *call, JSValueConst result,
                               const struct plugin_error *error)
{
    struct vm_aid *a = call->ctx;

    a->is_done = true;
    a->outcome = error ? VM_FAILED : VM_DONE;
    if (error)
        vm_aid_note_error(a, error);
    else
        vm_aid_note_result(a, result);
}

static inline enum vm_outcome vm_aid_note(struct vm_aid *a, enum vm_outcome outcome)
{
    a->outcome = outcome;
    if (outcome == VM_DONE) {
        vm_aid_note_result(a, a->call.result);
        JS_FreeValue(vm_context(a->vm), a->call.result);
    } else if (outcome == VM_FAILED) {
        vm_aid_note_error(a, &a->call.error);
        plugin_error_fini(&a->call.error);
    }
    return outcome;
}

/* `argument`: JSON, NULL: none. */
static inline enum vm_outcome vm_aid_call_named(struct vm_aid *a, const char *name,
                                                const char *argument)
{
    JSValue value = JS_UNDEFINED;
    enum vm_outcome outcome;

    if (argument)
        value = JS_ParseJSON(vm_context(a->vm), argument, strlen(argument), "argument");
    a->is_done = false;
    a->call = (struct vm_call){.vm = a->vm, .done = vm_aid_done, .ctx = a};
    outcome = vm_call_named(&a->call, name, value);
    JS_FreeValue(vm_context(a->vm), value);
    return vm_aid_note(a, outcome);
}

static inline enum vm_outcome vm_aid_event(struct vm_aid *a, const char *argument)
{
    return vm_aid_call_named(a, "processEvent", argument);
}

/* Turns the worker until the call under way has been told. */
static inline enum vm_outcome vm_aid_await(struct vm_aid *a)
{
    int64_t until = clock_mono_real_us() + 20000000;

    while (!a->is_done) {
        assert_true(clock_mono_real_us() < until);
        plugin_worker_turn(a->worker);
    }
    return a->outcome;
}

/* What `script`, the body of an async function with meta, gives as JSON; its error's text with "!"
 * before it. */
static inline const char *vm_aid_eval(struct vm_aid *a, const char *script)
{
    struct buf source = BUF_INIT(1 << 20);

    buf_addf(&source, "exports.processEvent = async (event, meta) => { %s }", script);
    vm_aid_run(a, buf_cstr(&source));
    buf_free(&source);
    if (vm_aid_event(a, "{}") == VM_LATER)
        vm_aid_await(a);
    if (a->outcome == VM_FAILED) {
        memmove(a->text + 1, a->text, sizeof(a->text) - 2);
        a->text[0] = '!';
    }
    return a->text;
}

#endif
