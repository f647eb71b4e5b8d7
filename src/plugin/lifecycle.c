/* The life of a config on one thread: load, setupPlugin with its retries, teardownPlugin, and the
 * runtime of a team that ran out of memory. */
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

/* --- runtimes --------------------------------------------------------------------------------- */

void plugin_runtime_unref(struct plugin_runtime *r)
{
    if (!r || --r->refs > 0)
        return;
    runtime_free(r->rt);
    mem_free(r);
}

static struct plugin_runtime *runtime_of(struct plugin_team *team, struct err *err)
{
    struct plugin_worker *w = team->worker;
    struct runtime *rt;

    if (team->runtime)
        return team->runtime;
    rt = runtime_new(w, w->plugins, team->id, err);
    if (!rt)
        return NULL;
    team->runtime = mem_new(struct plugin_runtime);
    team->runtime->refs = 1;
    team->runtime->rt = rt;
    return team->runtime;
}

/* --- links ------------------------------------------------------------------------------------ */

static enum plugin_phase phase_of(enum link_state state)
{
    switch (state) {
    case LINK_SETTING_UP:
        return PLUGIN_SETTING_UP;
    case LINK_READY:
        return PLUGIN_READY;
    case LINK_RETRYING:
        return PLUGIN_RETRYING;
    case LINK_FAILED:
        return PLUGIN_FAILED;
    case LINK_DISABLED:
        return PLUGIN_DISABLED;
    default:
        return PLUGIN_IDLE;
    }
}

/* The one door for a link's state: what people see and what the team waits for follow. */
static void set_state(struct plugin_link *l, enum link_state state)
{
    enum plugin_phase from = phase_of(l->state);

    l->team->setting_up -= l->state == LINK_SETTING_UP;
    l->team->setting_up += state == LINK_SETTING_UP;
    l->team->has_new |= state == LINK_NEW;
    l->state = state;
    if (phase_of(state) != from)
        plugin_state_phase(l->config->state, from, phase_of(state));
    if (from == PLUGIN_SETTING_UP && state != LINK_SETTING_UP)
        plugin_runs_unpark(l);
}

struct plugin_link *lifecycle_link_new(struct plugin_team *team, const struct plugin_config *c)
{
    struct plugin_link *l = mem_new(struct plugin_link);

    l->team = team;
    list_init(&l->in_settled);
    list_push_back(&team->links, &l->in_team);
    plugin_set_ref(team->worker->set);
    l->set = team->worker->set;
    l->config = c;
    l->state = LINK_NEW;
    team->has_new = true;
    return l;
}

void lifecycle_adopt(struct plugin_link *l, const struct plugin_config *c)
{
    const struct plugin_set *old = l->set;

    plugin_set_ref(l->team->worker->set);
    l->set = l->team->worker->set;
    l->config = c;
    plugin_set_unref(old);
}

/* The vm and what hangs on it. */
static void drop_vm(struct plugin_link *l)
{
    if (l->is_settled) {
        list_remove(&l->in_settled);
        plugin_error_fini(&l->call.error);
        l->is_settled = false;
    }
    if (l->is_calling)
        vm_call_cancel(&l->call);
    l->is_calling = false;
    if (l->vm)
        vm_unref(l->vm);
    l->vm = NULL;
    plugin_runtime_unref(l->runtime);
    l->runtime = NULL;
    l->is_set_up = false;
}

static void link_free(struct plugin_link *l)
{
    struct plugin_team *team = l->team;

    timer_cancel(&team->worker->timers, &l->retry);
    set_state(l, LINK_TEARING_DOWN);
    drop_vm(l);
    list_remove(&l->in_team);
    plugin_set_unref(l->set);
    mem_free(l);
    if (list_is_empty(&team->links)) {
        plugin_runtime_unref(team->runtime);
        team->runtime = NULL;
    }
    plugin_team_free_unused(team);
}

static void report(struct plugin_link *l, const struct plugin_error *error)
{
    char *json;

    if (l->vm) {
        vm_report(l->vm, error, SLICE_NONE);
        return;
    }
    json = plugin_error_json(error, clock_wall_us(), SLICE_NONE);
    plugins_report(l->team->worker->plugins, l->config, error->message, json);
    mem_free(json);
}

/* --- load ------------------------------------------------------------------------------------- */

static void become_ready(struct plugin_link *l)
{
    struct plugin_worker *w = l->team->worker;

    plugins_clear_error(w->plugins, l->config);
    l->is_set_up = true;
    if (l->vm) {
        l->has_process = vm_has(l->vm, HOOK_PROCESS_EVENT);
        l->is_deferred = vm_has(l->vm, HOOK_ON_EVENT) || vm_has(l->vm, HOOK_ON_SNAPSHOT);
    } else {
        l->has_process = true;
    }
    set_state(l, LINK_READY);
}

static void become_failed(struct plugin_link *l, const struct plugin_error *error)
{
    report(l, error);
    set_state(l, LINK_FAILED);
}

static void log_instance(struct plugin_link *l, const char *type, const char *text)
{
    struct plugins *p = l->team->worker->plugins;

    plugins_logf(p, l->config, type, "%s (instance ID %s).", text, p->opt.instance_id);
}

static bool load_builtin(struct plugin_link *l, struct plugin_error *error)
{
    l->builtin = builtin_find(l->config->builtin);
    if (!l->builtin)
        plugin_error_set(error, "Error", "there is no built-in plugin %s", l->config->builtin);
    return l->builtin != NULL;
}

static bool load_vm(struct plugin_link *l, struct plugin_error *error)
{
    struct err err = ERR_INIT;
    struct plugin_runtime *r = runtime_of(l->team, &err);

    if (!r) {
        plugin_error_set(error, "Error", "%s", err.text);
        return false;
    }
    l->vm = vm_new(r->rt, l->config);
    r->refs++;
    l->runtime = r;
    if (!vm_error(l->vm))
        return true;
    plugin_error_copy(error, vm_error(l->vm));
    return false;
}

static bool load(struct plugin_link *l, struct plugin_error *error)
{
    if (l->config->load_error) {
        plugin_error_set(error, "Error", "%s", l->config->load_error);
        return false;
    }
    return l->config->builtin ? load_builtin(l, error) : load_vm(l, error);
}

static void setup(struct plugin_link *l);

void lifecycle_load(struct plugin_link *l)
{
    struct plugin_error error = {0};

    if (!load(l, &error)) {
        become_failed(l, &error);
        drop_vm(l);
    } else {
        log_instance(l, "DEBUG", "Plugin loaded");
        if (l->vm && vm_has(l->vm, HOOK_SETUP_PLUGIN)) {
            set_state(l, LINK_SETTING_UP);
            setup(l);
        } else {
            become_ready(l);
        }
    }
    plugin_error_fini(&error);
}

/* --- setupPlugin ------------------------------------------------------------------------------ */

/* Of setupPlugin and teardownPlugin: from inside the engine. */
static void call_settled(struct vm_call *call, JSValueConst result,
                         const struct plugin_error *error)
{
    struct plugin_link *l = call->ctx;

    UNUSED(result);
    l->is_calling = false;
    l->is_settled = true;
    l->has_call_failed = error != NULL;
    if (error)
        plugin_error_copy(&call->error, error);
    list_push_back(&l->team->worker->settled_links, &l->in_settled);
}

/* True when the call has ended; l->has_call_failed tells how. */
static bool call_link(struct plugin_link *l, enum plugin_hook hook)
{
    enum vm_outcome outcome;

    l->call = (struct vm_call){.vm = l->vm, .done = call_settled, .ctx = l};
    outcome = vm_call(&l->call, hook, JS_UNDEFINED);
    l->is_calling = outcome == VM_LATER;
    l->has_call_failed = outcome == VM_FAILED;
    if (outcome == VM_DONE)
        JS_FreeValue(vm_context(l->vm), l->call.result);
    return outcome != VM_LATER;
}

static void retry_due(struct timer *t)
{
    setup(CONTAINER_OF(t, struct plugin_link, retry));
}

static void give_up(struct plugin_link *l)
{
    struct plugins *p = l->team->worker->plugins;

    plugins_logf(p, l->config, "ERROR",
                 "Plugin failed to load (instance ID %s). Disabling it due to too many retries "
                 "\xe2\x80\x93 tried to load it %d times before giving up.",
                 p->opt.instance_id, l->tries);
    report(l, &l->call.error);
    set_state(l, LINK_DISABLED);
    p->opt.services->disable(p->opt.services_self, l->config->id);
}

static void try_later(struct plugin_link *l)
{
    struct plugins *p = l->team->worker->plugins;
    int64_t wait_us = SETUP_RETRY_FIRST_US << (l->tries - 1);

    plugins_logf(p, l->config, "ERROR", "setupPlugin failed (instance ID %s). Retrying in %lld s.",
                 p->opt.instance_id, (long long)(wait_us / 1000000));
    report(l, &l->call.error);
    set_state(l, LINK_RETRYING);
    l->retry.fn = retry_due;
    timer_set(&l->team->worker->timers, &l->retry, clock_mono_us() + wait_us);
}

static void setup_ended(struct plugin_link *l)
{
    if (!l->has_call_failed) {
        log_instance(l, "DEBUG", "setupPlugin completed successfully");
        become_ready(l);
    } else if (l->tries > SETUP_RETRIES) {
        give_up(l);
    } else {
        try_later(l);
    }
    plugin_error_fini(&l->call.error);
}

/* A try; after the first one events do not wait for it. */
static void setup(struct plugin_link *l)
{
    if (!l->vm) { /* its runtime was thrown away meanwhile */
        struct plugin_error error = {0};
        bool ok = load_vm(l, &error);

        if (!ok) {
            become_failed(l, &error);
            drop_vm(l);
        }
        plugin_error_fini(&error);
        if (!ok)
            return;
    }
    l->tries++;
    if (call_link(l, HOOK_SETUP_PLUGIN))
        setup_ended(l);
}

/* --- teardownPlugin --------------------------------------------------------------------------- */

static void teardown_ended(struct plugin_link *l)
{
    if (l->has_call_failed) {
        report(l, &l->call.error);
        log_instance(l, "ERROR", "Plugin failed to unload");
    } else {
        log_instance(l, "DEBUG", "Plugin unloaded");
    }
    plugin_error_fini(&l->call.error);
    link_free(l);
}

void lifecycle_leave(struct plugin_link *l)
{
    bool was_set_up = l->is_set_up;

    timer_cancel(&l->team->worker->timers, &l->retry);
    if (!was_set_up || l->is_calling || l->is_settled) {
        link_free(l);
        return;
    }
    set_state(l, LINK_TEARING_DOWN);
    l->has_call_failed = false;
    if (!l->vm || runtime_is_spoilt(l->runtime->rt) || !vm_has(l->vm, HOOK_TEARDOWN_PLUGIN) ||
        call_link(l, HOOK_TEARDOWN_PLUGIN))
        teardown_ended(l);
}

void lifecycle_settled(struct plugin_link *l)
{
    list_remove(&l->in_settled);
    l->is_settled = false;
    if (l->state == LINK_TEARING_DOWN)
        teardown_ended(l);
    else
        setup_ended(l);
}

void lifecycle_abandon(struct plugin_link *l)
{
    if (l->state == LINK_TEARING_DOWN)
        log_instance(l, "ERROR", "Plugin failed to unload");
    link_free(l);
}

/* --- out of memory ---------------------------------------------------------------------------- */

bool lifecycle_is_spoilt(const struct plugin_team *team)
{
    return team->runtime && runtime_is_spoilt(team->runtime->rt);
}

/* Failed ones go to the end of `settled`: they are then not looked at again. */
static void fail_runs(struct list *runs, const struct plugin_runtime *r)
{
    list_each_safe (at, next, runs) {
        struct plugin_run *run = list_entry(at, struct plugin_run, node);

        if (run->object && run->chain->links[run->at]->runtime == r)
            plugin_run_fail(run);
    }
}

static void renew_link(struct plugin_link *l)
{
    enum link_state state = l->state;

    if (state == LINK_TEARING_DOWN) {
        lifecycle_abandon(l);
        return;
    }
    drop_vm(l);
    if (state == LINK_READY || state == LINK_SETTING_UP)
        set_state(l, LINK_NEW);
    else if (state == LINK_RETRYING && !l->retry.place)
        timer_set(&l->team->worker->timers, &l->retry, clock_mono_us() + SETUP_RETRY_FIRST_US);
}

/* Calls under way in the old runtime fail; the links load again when the next event needs them. */
void lifecycle_renew(struct plugin_team *team)
{
    struct plugin_worker *w = team->worker;
    struct plugin_runtime *spoilt = team->runtime;

    team->runtime = NULL;
    team->runs++; /* keeps the team */
    fail_runs(&w->running, spoilt);
    fail_runs(&w->settled, spoilt);
    hooks_fail(w, spoilt);
    list_each_safe (at, next, &team->links) {
        struct plugin_link *l = list_entry(at, struct plugin_link, in_team);

        if (l->runtime == spoilt)
            renew_link(l);
    }
    plugin_runtime_unref(spoilt);
    team->runs--;
    plugin_team_free_unused(team);
}
