/* One event on its way through a chain.
 *
 * The event's state between two plugins is the document and the envelope; a plugin gets an object
 * of its own that stands on both and leaves a new text when it changed something. So a plugin never
 * sees another one's objects, and an event that nobody changes is never written.
 *
 * A call that does not end at once leaves the run in `running`, with its place; it comes back
 * through `settled`. See worker_priv.h for why nothing is done inside the engine's callbacks.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/iso8601.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

/* Values are 16 bytes each and the text is copied: 32 times the text is never reached. */
#define DOC_MEMORY_MIN ((size_t)16 << 20)

enum link_result { LINK_NEXT, LINK_DROP, LINK_LATER };

/* --- failures --------------------------------------------------------------------------------- */

/* The event as a plugin would have seen it, to be kept beside the error. */
static struct slice event_text(struct plugin_run *run)
{
    static const char *const head[] = {"uuid",    "distinct_id", "ip",      "site_url",
                                       "team_id", "now",         "sent_at", NULL};
    const struct event_envelope *e = run->event->envelope;
    struct buf *out = &run->team->worker->small;
    char uuid[UUID_TEXT_LEN + 1];
    char now[ISO8601_LEN_MAX];
    size_t count = 0;
    bool ok;

    buf_clear(out);
    uuid_format(&e->uuid, uuid);
    ok =
        json_object_write(run->event->doc->root, head, true, &count, out) &&
        buf_addf(out, "%s\"uuid\":\"%s\",\"distinct_id\":", count ? "," : "", uuid) &&
        buf_add_json_str(out, e->distinct_id) && buf_add_str(out, ",\"ip\":") &&
        (e->ip.len ? buf_add_json_str(out, e->ip) : buf_add_str(out, "null")) &&
        buf_add_str(out, ",\"site_url\":") && buf_add_json_str(out, e->site_url) &&
        buf_addf(out, ",\"team_id\":%lld,\"now\":\"%s\"", (long long)e->team_id,
                 iso8601_ms(e->now_us, now)) &&
        (!e->has_sent_at || buf_addf(out, ",\"sent_at\":\"%s\"", iso8601_ms(e->sent_at_us, now))) &&
        buf_add_char(out, '}');
    return ok ? buf_slice(out) : SLICE_NONE;
}

/* Counts and stores the failure; the event is already what it will go on as. */
static void fail(struct plugin_run *run, const struct plugin_error *error)
{
    struct plugin_link *l = plugin_run_link(run);
    struct plugin_state *s = l->config->state;
    struct slice event = event_text(run);
    char *json;

    run->marks[run->at] |= MARK_FAILED;
    atomic_fetch_add_explicit(&s->errors, 1, memory_order_relaxed);
    if (error->is_timeout)
        atomic_fetch_add_explicit(&s->timeouts, 1, memory_order_relaxed);
    if (l->vm) {
        vm_report(l->vm, error, event);
        return;
    }
    json = plugin_error_json(error, clock_wall_us(), event);
    plugins_report(run->team->worker->plugins, l->config, error->message ? error->message : "",
                   json);
    mem_free(json);
}

static void succeed(struct plugin_run *run)
{
    run->marks[run->at] |= MARK_SUCCEEDED;
}

/* --- a new text ------------------------------------------------------------------------------- */

/* worker->text becomes the document. */
static bool take_text(struct plugin_run *run, struct plugin_error *error)
{
    struct slice text = buf_slice(&run->team->worker->text);
    struct json_read_options opt = {.lenient = true,
                                    .memory_max = MAX(DOC_MEMORY_MIN, 32 * text.len)};
    struct json_doc doc = {0};
    struct err err = ERR_INIT;

    if (!json_doc_read(text, &opt, &doc, &err)) {
        plugin_error_set(error, "Error", "the event that the plugin returned cannot be kept: %s",
                         err.text);
        return false;
    }
    json_doc_free(run->event->doc);
    *run->event->doc = doc;
    return true;
}

/* Most of the time a plugin leaves the envelope alone: then nothing is copied. */
static void take_slice(struct plugin_event *e, struct slice *old, struct slice fresh)
{
    if (slice_eq(*old, fresh))
        return;
    if (!e->texts)
        e->texts = arena_new(256);
    *old = arena_dup(e->texts, fresh);
}

static void take_head(struct plugin_event *e, const struct event_head *head)
{
    struct event_envelope *to = e->envelope;

    take_slice(e, &to->distinct_id, head->distinct_id);
    take_slice(e, &to->ip, head->ip);
    take_slice(e, &to->site_url, head->site_url);
    if (!uuid_eq(&to->uuid, &head->uuid)) {
        to->uuid = head->uuid;
        to->flags &= ~EVENT_UUID_CHECKED; /* duplicates of what the client sent cannot be known */
    }
    to->now_us = head->now_us;
    to->sent_at_us = head->sent_at_us;
    to->has_sent_at = head->has_sent_at;
}

/* --- JavaScript ------------------------------------------------------------------------------- */

static void js_settled(struct vm_call *call, JSValueConst result, const struct plugin_error *error)
{
    struct plugin_run *run = call->ctx;

    run->has_failed = error != NULL;
    if (error)
        plugin_error_copy(&call->error, error);
    else
        call->result = JS_DupValue(vm_context(call->vm), result);
    list_remove(&run->node);
    list_push_back(&run->team->worker->settled, &run->node);
}

/* Reads what became of the event. False with `error` when there is nothing to go on with. */
static bool js_read(struct plugin_run *run, JSValueConst result, enum event_change *change,
                    struct event_head *head, struct plugin_error *error)
{
    struct plugin_worker *w = run->team->worker;
    struct plugin_link *l = plugin_run_link(run);
    struct err err = ERR_INIT;
    bool is_copy = false;

    vm_enter(l->vm);
    *change = event_object_read(run->object, result, w->limits->output_bytes, &w->text, head,
                                &is_copy, &err);
    if (*change == EVENT_FAILED) {
        if (JS_HasException(vm_context(l->vm)))
            vm_take_error(l->vm, error);
        else
            plugin_error_set(error, "Error", "%s", err.text);
    }
    vm_leave(l->vm);
    runtime_turn(l->runtime->rt); /* what getters left to run */
    run->is_copy |= *change != EVENT_FAILED && is_copy;
    return *change != EVENT_FAILED;
}

/* What the plugin did to the event before it failed stays. */
static void js_read_rest(struct plugin_run *run, enum event_change *change, struct event_head *head)
{
    struct plugin_error ignored = {0};

    if (!js_read(run, event_object_value(run->object), change, head, &ignored))
        *change = EVENT_SAME;
    plugin_error_fini(&ignored);
}

static void js_count(struct plugin_run *run, const struct plugin_error *error)
{
    struct plugin_link *l = plugin_run_link(run);
    struct plugin_state *s = l->config->state;

    atomic_fetch_add_explicit(&s->calls, 1, memory_order_relaxed);
    plugin_state_latency(s, clock_mono_us() - run->began_us);
    circuit_note(run->team->worker, l->config, error, run->is_probe);
    run->is_probe = false;
}

static void js_drop(struct plugin_run *run)
{
    atomic_fetch_add_explicit(&plugin_run_link(run)->config->state->dropped, 1,
                              memory_order_relaxed);
    event_object_end(run->object);
    run->object = NULL;
}

/* The new event in place of the old one. False when that makes a failure of the call; `error` is
 * set then, unless the call has failed before. */
static bool js_take(struct plugin_run *run, const struct event_head *head, bool has_failed,
                    struct plugin_error *error)
{
    struct plugin_error fault = {0};

    if (take_text(run, &fault)) {
        take_head(run->event, head);
        if (head->has_team_id_changed)
            plugin_error_set(&fault, "IllegalOperationError",
                             "Plugin tried to change event.team_id");
    }
    if (!fault.message)
        return true;
    if (has_failed)
        plugin_error_fini(&fault);
    else
        *error = fault;
    return false;
}

/* The call has ended: run->call has its result or error. */
static enum link_result js_finish(struct plugin_run *run)
{
    struct plugin_link *l = plugin_run_link(run);
    struct plugin_error error = run->call.error;
    bool has_failed = run->has_failed;
    enum event_change change = EVENT_SAME;
    struct event_head head = {0};

    run->call.error = (struct plugin_error){0};
    if (run->object) // what is freed below is the plugin's, too
        vm_enter(l->vm);
    if (!has_failed) {
        JSContext *ctx = vm_context(l->vm);
        bool is_truthy = JS_ToBool(ctx, run->call.result) > 0;

        if (is_truthy)
            has_failed = !js_read(run, run->call.result, &change, &head, &error);
        JS_FreeValue(ctx, run->call.result);
        run->call.result = JS_UNDEFINED;
        if (!is_truthy) {
            js_drop(run);
            vm_leave(l->vm);
            js_count(run, NULL);
            return LINK_DROP;
        }
    }
    if (has_failed && run->object && !error.is_memory)
        js_read_rest(run, &change, &head);
    if (run->object) {
        event_object_end(run->object);
        run->object = NULL;
        vm_leave(l->vm);
    }
    js_count(run, has_failed ? &error : NULL);
    if (change == EVENT_CHANGED)
        has_failed |= !js_take(run, &head, has_failed, &error);
    if (has_failed)
        fail(run, &error);
    else
        succeed(run);
    plugin_error_fini(&error);
    return LINK_NEXT;
}

static enum link_result js_start(struct plugin_run *run)
{
    struct plugin_link *l = plugin_run_link(run);
    struct plugin_event *e = run->event;
    enum vm_outcome outcome;

    run->began_us = clock_mono_us();
    vm_enter(l->vm);
    run->object = event_object_new(vm_context(l->vm), e->envelope, e->doc->root);
    vm_leave(l->vm);
    if (!run->object) {
        struct plugin_error error = {0};

        vm_take_error(l->vm, &error);
        js_count(run, &error);
        fail(run, &error);
        plugin_error_fini(&error);
        return LINK_NEXT;
    }
    run->call = (struct vm_call){.vm = l->vm, .done = js_settled, .ctx = run};
    outcome = vm_call(&run->call, HOOK_PROCESS_EVENT, event_object_value(run->object));
    if (outcome == VM_LATER) {
        plugin_run_take_place(run);
        list_push_back(&run->team->worker->running, &run->node);
        return LINK_LATER;
    }
    run->has_failed = outcome == VM_FAILED;
    return js_finish(run);
}

/* --- built-in --------------------------------------------------------------------------------- */

static enum link_result builtin_run(struct plugin_run *run)
{
    struct plugin_worker *w = run->team->worker;
    struct plugin_link *l = plugin_run_link(run);
    struct plugin_state *s = l->config->state;
    struct geo *geo = w->plugins->opt.geo;
    struct err err = ERR_INIT;
    struct plugin_error error = {0};
    int64_t began_us = clock_mono_us();
    struct builtin_run b = {
        .envelope = run->event->envelope,
        .root = run->event->doc->root,
        .geo = geo ? geo_cached(geo, &w->geo) : NULL,
        .text = &w->text,
        .err = &err,
    };
    enum builtin_result result = l->builtin->run(&b);

    if (result == BUILTIN_FAILED)
        plugin_error_set(&error, "Error", "%s", err.text);
    if (result == BUILTIN_CHANGED && !take_text(run, &error))
        result = BUILTIN_FAILED;
    atomic_fetch_add_explicit(&s->calls, 1, memory_order_relaxed);
    began_us = clock_mono_us() - began_us;
    atomic_fetch_add_explicit(&s->cpu_ns, (uint64_t)began_us * 1000, memory_order_relaxed);
    plugin_state_latency(s, began_us);
    if (result == BUILTIN_DROP) {
        atomic_fetch_add_explicit(&s->dropped, 1, memory_order_relaxed);
        return LINK_DROP;
    }
    if (result == BUILTIN_FAILED)
        fail(run, &error);
    else
        succeed(run);
    plugin_error_fini(&error);
    return LINK_NEXT;
}

/* --- the way ---------------------------------------------------------------------------------- */

/* A config that is not ready offers no hooks: the event passes it by untouched and unmarked. */
static enum link_result pass_link(struct plugin_run *run)
{
    struct plugin_link *l = plugin_run_link(run);

    if (l->state == LINK_NEW) /* its runtime was thrown away meanwhile */
        lifecycle_load(l);
    if (l->state == LINK_SETTING_UP) {
        run->is_parked = true;
        run->team->worker->parked++;
        plugin_run_take_place(run);
        list_push_back(&run->team->worker->running, &run->node);
        return LINK_LATER;
    }
    if (l->state != LINK_READY)
        return LINK_NEXT;
    if (l->is_deferred)
        run->marks[run->at] |= MARK_DEFERRED;
    if (!l->has_process || !circuit_admits(run->team->worker, l->config, &run->is_probe))
        return LINK_NEXT;
    return l->builtin ? builtin_run(run) : js_start(run);
}

/* From links[at], whose result is at hand, to the end, or to a link that takes its time. */
static enum plugin_verdict go_on(struct plugin_run *run, enum link_result result)
{
    for (;;) {
        if (lifecycle_is_spoilt(run->team))
            lifecycle_renew(run->team);
        if (result == LINK_LATER)
            return PLUGIN_LATER;
        if (result == LINK_DROP)
            return PLUGIN_DROP;
        if (++run->at == run->chain->count)
            break;
        result = pass_link(run);
    }
    markers_put(run);
    return PLUGIN_NEXT;
}

enum plugin_verdict plugin_run_start(struct plugin_run *run)
{
    struct plugin_chain *chain = plugin_team_chain(run->team);

    if (!chain)
        return PLUGIN_NEXT;
    chain->refs++;
    run->chain = chain;
    run->marks =
        chain->count <= MARKS_SMALL ? run->marks_small : mem_new_array(uint8_t, chain->count);
    return go_on(run, pass_link(run));
}

void plugin_run_continue(struct plugin_run *run)
{
    enum plugin_verdict verdict;

    list_remove(&run->node);
    if (run->is_parked) {
        run->is_parked = false;
        run->team->worker->parked--;
        verdict = go_on(run, pass_link(run));
    } else {
        verdict = go_on(run, js_finish(run));
    }
    if (verdict != PLUGIN_LATER)
        plugin_run_end(run, verdict);
}

void plugin_run_end(struct plugin_run *run, enum plugin_verdict verdict)
{
    struct plugin_event *e = run->event;
    struct plugin_team *team = run->team;

    plugin_run_free(run);
    plugin_team_free_unused(team);
    e->done(e, verdict);
}
