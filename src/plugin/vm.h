/* vm.h - JavaScript of one plugin config: a runtime per team and thread, in it a context per
 * config. Private to plugin/.
 *
 * Every entry into the engine has a deadline (limits.run_us of wall time without a pause); the
 * interrupt handler ends what runs on, uncatchably. A runtime that ran out of memory is
 * `is_spoilt`: its owner throws it away and makes a new one. A result that is a promise may settle
 * at once (its jobs run before vm_call returns) or later; vm_call_done_fn tells then, inside
 * runtime_turn, a timer, or a message to the worker.
 *
 * Threads: one runtime belongs to one thread for life. Ownership: a vm belongs to its runtime's
 * owner; calls under way hold a reference.
 */
#pragma once

#include "plugin/plugin.h"
#include "plugin/value.h"
#include "plugin/worker.h"

enum plugin_hook {
    HOOK_SETUP_PLUGIN,
    HOOK_TEARDOWN_PLUGIN,
    HOOK_PROCESS_EVENT, /* processEventBatch alone stands behind it too */
    HOOK_ON_EVENT,
    HOOK_ON_SNAPSHOT,
    HOOK_ON_ACTION,
    HOOK_EXPORT_EVENTS,
    HOOK_COUNT,
};

struct runtime; /* JSRuntime of one team on one thread */
struct vm;      /* one context */

/* A failure as it is stored. Heap texts, freed by plugin_error_fini. */
struct plugin_error {
    char *name, *message, *stack; /* name and stack NULL when a bare string was thrown */
    bool is_timeout;              /* run or wait limit */
    bool is_run_limit;            /* ended by the interrupt handler */
    bool is_memory;               /* the runtime is spoilt */
};
void plugin_error_fini(struct plugin_error *e);
void plugin_error_set(struct plugin_error *e, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* {"message","time","name"?,"stack"?,"event"?}; event: JSON text or empty. Heap. */
char *plugin_error_json(const struct plugin_error *e, int64_t at_us, struct slice event);

/* NULL when the engine cannot be made. A PLUGIN_MEMORY_BYTES that is too small for it shows when a
 * vm is made: its error is is_memory. */
struct runtime *runtime_new(struct plugin_worker *w, struct plugins *p, int64_t team_id,
                            struct err *err);
/* After its vms, and not inside a vm_call_done_fn. */
void runtime_free(struct runtime *rt); /* NULL is legal */
bool runtime_is_spoilt(const struct runtime *rt);
size_t runtime_memory(struct runtime *rt);
/* Runs jobs that are ready and tells calls that have settled. The vm's own timers and messages do
 * that by themselves: it is only needed after plugin code was run between vm_enter and vm_leave. */
void runtime_turn(struct runtime *rt);
/* Calls of the host (storage) that plugins of this runtime have under way. */
size_t runtime_host_calls(const struct runtime *rt);

/* Makes the context and runs the source's top level. NULL never: a failure is in vm_error and the
 * vm then has no hooks. */
struct vm *vm_new(struct runtime *rt, const struct plugin_config *config);
void vm_ref(struct vm *vm);
/* The last one frees the context: timers are cancelled, promises of the host never settle. */
void vm_unref(struct vm *vm);
const struct plugin_error *vm_error(const struct vm *vm); /* NULL: loaded */
bool vm_has(const struct vm *vm, enum plugin_hook hook);
bool vm_has_named(const struct vm *vm,
                  const char *name); /* any exported function, jobs as "job:NAME" */
/* The vm's own copy: source, config_json and attachments are empty in it, `order` is that of the
 * load. */
const struct plugin_config *vm_config(const struct vm *vm);
JSContext *vm_context(const struct vm *vm);
struct runtime *vm_runtime(const struct vm *vm);
/* {"scheduled_tasks":[…],"jobs":[…],"methods":[…]} */
void vm_capabilities(const struct vm *vm, struct buf *out);

enum vm_outcome { VM_DONE, VM_FAILED, VM_LATER };

struct vm_call;
/* result: valid inside the call only; error NULL unless failed. */
typedef void vm_call_done_fn(struct vm_call *call, JSValueConst result,
                             const struct plugin_error *error);

/* One call under way: the caller's memory until it is done or cancelled. */
struct vm_call {
    struct vm *vm;
    vm_call_done_fn *done; /* only after VM_LATER */
    void *ctx;
    JSValue result;            /* after VM_DONE, the caller's to free */
    struct plugin_error error; /* after VM_FAILED, the caller's to fini */
    int64_t started_us;
    void *pending; /* vm.c's */
};

/* Calls a hook with `argument` (JS_UNDEFINED: none) and the meta object as the last one. After
 * limits.wait_us a promise that has not settled fails the call with TimeoutError. */
enum vm_outcome vm_call(struct vm_call *call, enum plugin_hook hook, JSValueConst argument);
enum vm_outcome vm_call_named(struct vm_call *call, const char *name, JSValueConst argument);
/* The late result is dropped; `done` is not called. */
void vm_call_cancel(struct vm_call *call);
/* Around everything else that may run plugin code (getters and proxies of a returned object):
 * deadline, watchdog, charging. Pairs nest. What it left to run is run by runtime_turn. */
void vm_enter(struct vm *vm);
void vm_leave(struct vm *vm);
/* Takes the pending exception of the context; best before vm_leave. Without one: the limit that
 * was hit, or an error that says that there is none. */
void vm_take_error(struct vm *vm, struct plugin_error *e);
/* Stores the error on the config's state, in the log, and with the services. */
void vm_report(struct vm *vm, const struct plugin_error *e, struct slice event);
void vm_log(struct vm *vm, const char *source, const char *type, struct slice message);
