/* vm_priv.h - insides of runtimes and vms: runtime.c and vm*.c. */
#pragma once

#include "base/list.h"
#include "plugin/plugin_priv.h"
#include "plugin/vm_host.h"

/* How long reading a thrown value may take: its members may be getters. */
#define VM_ERROR_READ_US 100000
/* After a limit has ended what ran, what is to hear of it gets this much. */
#define VM_GRACE_US 100000
/* Rejected promises that nobody has handled yet, of one turn. */
#define VM_REJECTIONS_MAX 256
/* Names of schedules and jobs of one plugin. */
#define VM_EXPORTS_MAX 500
/* Calls of the host under way in one runtime. */
#define VM_HOST_CALLS_MAX 10000

struct rejection {
    struct vm *vm;
    JSValue promise, reason;
};

struct runtime {
    JSRuntime *js;
    const JSMallocState *memory; /* the engine's own counts */
    struct plugin_worker *worker;
    struct plugins *plugins;
    const struct plugins_options *options;
    int64_t team_id;
    struct list vms;

    /* The entry under way. */
    struct vm *inside;
    int depth;
    int64_t entered_us, deadline_us; /* clock_mono_real_us */
    size_t entered_bytes, collected_bytes, told_bytes;
    bool is_interrupted, is_out; /* the run limit or the memory limit was hit in this entry */
    bool is_spoilt;
    bool is_making; /* an empty world: memory without a limit */
    uint64_t turn;

    struct rejection rejections[VM_REJECTIONS_MAX];
    size_t rejection_count;
    struct list settled; /* pending calls whose done is to be called */
    struct timer settled_timer;
    bool is_telling;
    const struct geo_db *geo;
    size_t host_calls, host_bytes;
};

struct vm_named { /* a schedule or a job */
    char *name;
    JSValue fn;
};

struct vm {
    struct list node; /* runtime.vms */
    struct runtime *runtime;
    int refs;
    JSContext *ctx; /* NULL when it could not be made */
    struct plugin_config config;
    struct plugin_error error;
    bool has_error;
    JSValue meta, retry_error, batch_shim, buffer_class, promise_then;
    JSAtom then_atom;
    JSValue hooks[HOOK_COUNT];
    struct vm_named *schedules, *jobs;
    size_t schedule_count, job_count;

    uint64_t turn; /* the last one that it took part in */
    uint64_t interrupted_turn, out_turn, out_told_turn, overrun_turn;
    int64_t used_us;
    bool has_grace, is_calling;
    bool has_run_out;      /* its code hit the memory limit, caught or not */
    int64_t bytes_charged; /* taken less given back in its entries, since `bytes_told` */
    int64_t bytes_told;    /* what the state has of it */
    bool has_told;

    struct pending **pendings; /* by slot */
    size_t pending_cap;
    uint32_t pending_last;
    struct host host;
    struct host_bucket errors; /* log entries of errors */
    struct timer error_timer;  /* the stored error is written a few times a second */
    int64_t error_stored_us;
    bool has_error_to_store;
};

/* runtime.c */
/* The entry must end: its time or its memory is over. */
bool runtime_is_overdue(struct runtime *rt);
void runtime_drain_jobs(struct runtime *rt);
void runtime_run_jobs(struct runtime *rt);     /* and reports promises that nobody handled */
void runtime_tell_settled(struct runtime *rt); /* calls done */
/* The rejection of this promise is told by somebody else. */
void runtime_rejection_forget(struct runtime *rt, JSValueConst promise);
void runtime_rejections_drop(struct runtime *rt, const struct vm *vm);

/* vm_error.c */
void vm_error_from_value(struct vm *vm, JSValueConst value, struct plugin_error *e);
void vm_error_run_limit(const struct vm *vm, struct plugin_error *e);
void vm_error_wait_limit(const struct vm *vm, const char *what, struct plugin_error *e);
void vm_error_limit(const struct vm *vm, struct plugin_error *e); /* the one hit in this turn */
void vm_error_memory(const struct vm *vm, struct plugin_error *e);
void vm_error_store_now(struct vm *vm);

/* vm_call.c */
void vm_fail_pending(struct vm *vm, const struct plugin_error *e);
bool vm_pending_any(const struct vm *vm);

/* vm_export.c: finds hooks, schedules and jobs. `space`: the namespace of a module, or
 * JS_UNDEFINED. */
MUST_CHECK bool vm_exports_find(struct vm *vm, JSValueConst space);
void vm_exports_free(struct vm *vm);
const char *vm_hook_name(enum plugin_hook hook);

/* vm_source.c */
MUST_CHECK bool vm_source_run(struct vm *vm, const struct plugin_config *config);
JSModuleDef *vm_module_load(JSContext *ctx, const char *name, void *opaque);
char *vm_module_name(JSContext *ctx, const char *base, const char *name, void *opaque);

/* meta.c */
JSValue meta_new(struct vm *vm, const struct plugin_config *config);
