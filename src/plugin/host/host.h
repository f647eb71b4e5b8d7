/* host.h - the objects that plugins find beside the language: console, timers, cache, storage,
 * jobs, geoip. Private to plugin/.
 *
 * Each host_x_new gives an object whose members do not look at `this`, because plugins take them
 * apart (`const { get } = meta.cache`); JS_EXCEPTION with an exception when memory is out.
 * Promises of the host that take longer than TASK_TIMEOUT are rejected with TimeoutError.
 * Threads: those of the runtime.
 */
#pragma once

#include "base/list.h"
#include "base/str.h"

#include <quickjs.h>

struct vm;

struct host_bucket { /* entries that may be written now, a bucket that fills with time */
    int64_t filled_us;
    int64_t room_us; /* of time not used */
    uint64_t left_out;
};

/* What a vm keeps for them. */
struct host {
    struct list timers;
    size_t timer_count;
    uint32_t timer_last;
    struct list storage_calls;
    struct host_bucket console;
};

void host_init(struct host *h);

JSValue host_console_new(JSContext *ctx);
bool host_timers_define(JSContext *ctx, JSValueConst global); /* setTimeout, clearTimeout, … */
void host_timers_stop(struct vm *vm);
JSValue host_cache_new(JSContext *ctx);
JSValue host_storage_new(JSContext *ctx);
JSValue host_cursor_new(JSContext *ctx);                    /* utils.cursor */
void host_storage_stop(struct vm *vm);                      /* answers still to come find nobody */
bool host_date_define(JSContext *ctx, JSValueConst global); /* Date that follows clock.h */
JSValue host_jobs_new(JSContext *ctx);
JSValue host_geoip_new(JSContext *ctx);

/* True when an entry may go out now; `*left_out`: how many before it were not let through. */
bool host_bucket_take(struct host_bucket *b, int per_second, int64_t now_us, uint64_t *left_out);
