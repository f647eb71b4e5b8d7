/* One hook of one config, called by somebody other than the chain. It waits for setupPlugin as
 * events do, and keeps the chain that it was asked in until it has ended. */
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

struct plugin_hook_run {
    struct list node; /* worker->hooks */
    struct plugin_worker *worker;
    struct plugin_chain *chain;
    struct plugin_link *link;
    char *name;
    char *argument; /* JSON text; NULL: none */
    plugin_hook_done_fn *done;
    void *ctx;
    struct vm_call call;
    bool is_calling, is_settled, has_failed;
};

static void hook_free(struct plugin_hook_run *h)
{
    list_remove(&h->node);
    plugin_error_fini(&h->call.error);
    plugin_chain_unref(h->chain);
    mem_free(h->name);
    mem_free(h->argument);
    mem_free(h);
}

static void end_failed(struct plugin_hook_run *h, const struct plugin_error *error)
{
    char *json = plugin_error_json(error, clock_wall_us(), SLICE_NONE);

    h->done(h->ctx, SLICE_NONE, json);
    mem_free(json);
    hook_free(h);
}

/* The result as JSON text; nothing for undefined. */
static bool read_result(struct plugin_hook_run *h, struct buf *out, struct plugin_error *error)
{
    struct vm *vm = h->link->vm;
    JSContext *ctx = vm_context(vm);
    struct err err = ERR_INIT;
    bool ok = true;

    vm_enter(vm);
    if (!JS_IsUndefined(h->call.result))
        ok = value_to_json(ctx, h->call.result, h->worker->limits->output_bytes, out, &err);
    if (!ok && JS_HasException(ctx))
        vm_take_error(vm, error);
    else if (!ok)
        plugin_error_set(error, "Error", "%s", err.text);
    JS_FreeValue(ctx, h->call.result);
    h->call.result = JS_UNDEFINED;
    vm_leave(vm);
    return ok;
}

static void hook_ended(struct plugin_hook_run *h)
{
    struct buf *out = &h->worker->text;
    struct plugin_error error = h->call.error;

    h->call.error = (struct plugin_error){0};
    buf_clear(out);
    if (!h->has_failed && read_result(h, out, &error)) {
        h->done(h->ctx, buf_slice(out), NULL);
        hook_free(h);
    } else {
        if (h->link->vm)
            vm_report(h->link->vm, &error, SLICE_NONE);
        end_failed(h, &error);
    }
    plugin_error_fini(&error);
}

static void hook_settled(struct vm_call *call, JSValueConst result,
                         const struct plugin_error *error)
{
    struct plugin_hook_run *h = call->ctx;

    h->is_calling = false;
    h->is_settled = true;
    h->has_failed = error != NULL;
    if (error)
        plugin_error_copy(&call->error, error);
    else
        call->result = JS_DupValue(vm_context(call->vm), result);
}

static void hook_start(struct plugin_hook_run *h)
{
    JSContext *ctx = vm_context(h->link->vm);
    JSValue argument = JS_UNDEFINED;
    enum vm_outcome outcome = VM_FAILED;

    h->call = (struct vm_call){.vm = h->link->vm, .done = hook_settled, .ctx = h};
    if (h->argument)
        argument = value_from_text(ctx, slice_cstr(h->argument));
    if (JS_IsException(argument))
        vm_take_error(h->link->vm, &h->call.error);
    else
        outcome = vm_call_named(&h->call, h->name, argument);
    JS_FreeValue(ctx, argument);
    h->is_calling = outcome == VM_LATER;
    h->has_failed = outcome == VM_FAILED;
    if (!h->is_calling)
        hook_ended(h);
}

/* Not ready: says why, as it is stored. */
static void hook_refuse(struct plugin_hook_run *h)
{
    struct plugin_state *s = h->link->config->state;
    struct plugin_error error = {0};
    char *json;

    lock_take(&s->lock);
    json = mem_dup_str(s->error_json);
    lock_drop(&s->lock);
    if (json) {
        h->done(h->ctx, SLICE_NONE, json);
        hook_free(h);
    } else {
        plugin_error_set(&error, "Error", "the plugin is not ready");
        end_failed(h, &error);
    }
    plugin_error_fini(&error);
    mem_free(json);
}

static void hook_try(struct plugin_hook_run *h)
{
    if (h->link->state == LINK_SETTING_UP || h->is_calling || h->is_settled)
        return;
    if (h->link->state == LINK_READY && h->link->vm)
        hook_start(h);
    else
        hook_refuse(h);
}

void hooks_settle(struct plugin_worker *w)
{
    list_each_safe (at, next, &w->hooks) {
        struct plugin_hook_run *h = list_entry(at, struct plugin_hook_run, node);

        if (h->is_settled)
            hook_ended(h);
        else
            hook_try(h);
    }
}

static struct plugin_link *find_link(const struct plugin_chain *chain, int64_t config_id)
{
    struct plugin_link *link = NULL;

    for (size_t i = 0; i < chain->count; i++) {
        if (chain->links[i]->config->id == config_id)
            link = chain->links[i];
    }
    return link;
}

bool plugin_worker_capabilities(struct plugin_worker *w, int64_t config_id, struct buf *out)
{
    const struct plugin_config *c;
    const struct plugin_link *link;

    plugin_worker_take_set(w);
    c = plugin_set_find(w->set, config_id);
    if (!c || !c->is_enabled)
        return false;
    link = find_link(plugin_team_chain(plugin_team_of(w, c->team_id)), config_id);
    if (!link->vm)
        return false;
    vm_capabilities(link->vm, out);
    return true;
}

bool plugin_worker_hook(struct plugin_worker *w, int64_t config_id, const char *hook,
                        struct slice argument, plugin_hook_done_fn *done, void *ctx,
                        struct err *err)
{
    const struct plugin_config *c;
    struct plugin_team *team;
    struct plugin_chain *chain;
    struct plugin_hook_run *h;

    plugin_worker_take_set(w);
    c = plugin_set_find(w->set, config_id);
    if (!c || !c->is_enabled)
        return err_set(err, ERR_GONE, "plugin config %lld does not exist or is disabled",
                       (long long)config_id);
    if (c->builtin)
        return err_set(err, ERR_INPUT, "plugin %s is built in: it has no hooks to call",
                       c->plugin_name);
    team = plugin_team_of(w, c->team_id);
    chain = plugin_team_chain(team);
    h = mem_new(struct plugin_hook_run);
    h->link = find_link(chain, config_id);
    chain->refs++;
    h->worker = w;
    h->chain = chain;
    h->name = mem_dup_str(hook);
    h->argument = argument.len ? slice_dup(argument) : NULL;
    h->done = done;
    h->ctx = ctx;
    list_push_back(&w->hooks, &h->node);
    hook_try(h);
    return true;
}

/* What the call has of its vm goes. */
static void drop_call(struct plugin_hook_run *h)
{
    if (h->is_calling)
        vm_call_cancel(&h->call);
    else if (h->is_settled && !h->has_failed)
        JS_FreeValue(vm_context(h->call.vm), h->call.result);
    plugin_error_fini(&h->call.error);
    h->call.result = JS_UNDEFINED;
    h->is_calling = false;
    h->is_settled = h->has_failed = true;
}

void hooks_fail(struct plugin_worker *w, const struct plugin_runtime *spoilt)
{
    list_each (at, &w->hooks) {
        struct plugin_hook_run *h = list_entry(at, struct plugin_hook_run, node);

        if (h->link->runtime != spoilt || (!h->is_calling && !h->is_settled))
            continue;
        drop_call(h);
        plugin_error_set(&h->call.error, "Error",
                         "the plugins of this team ran out of memory (PLUGIN_MEMORY_BYTES)");
    }
}

void hooks_cancel(struct plugin_worker *w)
{
    struct plugin_error error = {0};

    plugin_error_set(&error, "Error", "the plugins are being stopped");
    while (!list_is_empty(&w->hooks)) {
        struct plugin_hook_run *h = list_entry(w->hooks.next, struct plugin_hook_run, node);

        drop_call(h);
        end_failed(h, &error);
    }
    plugin_error_fini(&error);
}
