/* vm_host.h - what a vm gives to the objects that it offers to plugins (meta.c, host/).
 *
 * Host functions are called by plugin code, inside an entry; they find their vm by the context.
 * What comes later (timers, answers of services) is done between vm_begin and vm_end.
 * Threads: those of the runtime.
 */
#pragma once

#include "plugin/host/host.h"
#include "plugin/vm.h"

/* NULL when the plugin has been unloaded: a job or function that is left over. */
struct vm *vm_of(JSContext *ctx);
/* The same with an exception in that case, and NULL with one that nobody can catch when the run
 * limit is over: host functions begin with it. */
struct vm *vm_of_call(JSContext *ctx);
struct host *vm_host(struct vm *vm);
const struct plugins_options *vm_options(const struct vm *vm);
struct plugin_cache *vm_cache(const struct vm *vm);
struct timers *vm_timers(const struct vm *vm);
struct plugin_worker *vm_worker(const struct vm *vm);
void vm_worker_expect(struct plugin_worker *w, int count); /* plugin_worker_expect */
/* The runtime's view of the GeoIP database; NULL: none. Valid until the next call. */
const struct geo_db *vm_geo(struct vm *vm);
JSValueConst vm_buffer_class(const struct vm *vm);

/* A turn of its own: a fresh time limit and a reference on the vm. */
void vm_begin(struct vm *vm);
/* Runs the jobs that have become ready and tells the calls that have settled. The vm may be gone
 * afterwards. */
void vm_end(struct vm *vm);
/* Reports the pending exception of a callback. */
void vm_report_pending(struct vm *vm);

/* A promise that is settled with `value` (taken), or rejected with the pending exception when that
 * is JS_EXCEPTION. A limit that was hit stays an exception. */
JSValue vm_promise_of(JSContext *ctx, JSValue value);
/* Counts a call of the host: false with an exception when too many are under way. */
bool vm_host_call_begin(struct vm *vm, size_t bytes);
void vm_host_call_end(struct runtime *rt, size_t bytes);

/* Texts of JavaScript strings as valid UTF-8: lone surrogates become U+FFFD. At most `units` UTF-16
 * units. */
bool vm_text_clean(struct slice text, size_t units, struct buf *out);
/* A method on an object, writable and configurable like built-in ones. False with an exception. */
bool vm_define_function(JSContext *ctx, JSValueConst object, const char *name, JSCFunctionMagic *fn,
                        int length, int magic);
/* Throws the TimeoutError of a promise that has waited too long. Returns JS_EXCEPTION. */
JSValue vm_throw_wait_limit(struct vm *vm, const char *what);
/* Throws an Error with name (NULL: "Error") and text. Returns JS_EXCEPTION. */
JSValue vm_throw(JSContext *ctx, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
