/* What an event on its way through a chain holds: a place, a chain, a call; and how it lets go. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

struct plugin_run *plugin_run_new(struct plugin_team *team, struct plugin_event *e)
{
    struct plugin_worker *w = team->worker;
    struct plugin_run *run;

    if (w->spare_runs.next != &w->spare_runs) {
        run = list_entry(w->spare_runs.next, struct plugin_run, node);
        list_remove(&run->node);
        w->spare_count--;
    } else {
        run = mem_new(struct plugin_run);
    }
    list_init(&run->node);
    run->event = e;
    run->team = team;
    e->run = run;
    team->runs++;
    return run;
}

void plugin_run_free(struct plugin_run *run)
{
    struct plugin_team *team = run->team;
    struct plugin_worker *w = team->worker;

    list_remove(&run->node);
    timer_cancel(&w->timers, &run->warning);
    if (run->has_place) {
        team->places--;
        w->places--;
    }
    run->event->run = NULL;
    plugin_chain_unref(run->chain);
    if (run->marks != run->marks_small)
        mem_free(run->marks);
    team->runs--;
    if (w->spare_count < SPARE_RUNS) {
        *run = (struct plugin_run){0};
        list_push_back(&w->spare_runs, &run->node);
        w->spare_count++;
    } else {
        mem_free(run);
    }
}

static void warn(struct timer *t)
{
    struct plugin_run *run = CONTAINER_OF(t, struct plugin_run, warning);
    char text[100];

    (void)snprintf(text, sizeof(text),
                   "Still running plugins on event. Timeout warning after %d sec!",
                   run->team->worker->plugins->opt.task_timeout_s);
    log_warn("plugin", text, KV_I64("team", run->team->id),
             KV_I64("plugin_config", plugin_run_link(run)->config->id));
}

void plugin_run_take_place(struct plugin_run *run)
{
    struct plugin_worker *w = run->team->worker;

    if (run->has_place)
        return;
    run->warning.fn = warn;
    timer_set(&w->timers, &run->warning, clock_mono_us() + w->limits->wait_us);
    run->has_place = true;
    run->team->places++;
    w->places++;
}

/* What the call has of its vm goes. */
static void end_call(struct plugin_run *run)
{
    if (run->object) {
        JSContext *ctx = vm_context(run->call.vm);

        vm_call_cancel(&run->call);
        JS_FreeValue(ctx, run->call.result);
        run->call.result = JS_UNDEFINED;
        event_object_end(run->object);
        run->object = NULL;
    }
    plugin_error_fini(&run->call.error);
}

void plugin_run_fail(struct plugin_run *run)
{
    end_call(run);
    run->has_failed = true;
    plugin_error_set(&run->call.error, "Error",
                     "the plugins of this team ran out of memory (PLUGIN_MEMORY_BYTES) and were "
                     "loaded anew while this call was waiting");
    list_remove(&run->node);
    list_push_back(&run->team->worker->settled, &run->node);
}

void plugin_run_cancel(struct plugin_run *run)
{
    end_call(run);
    run->team->worker->parked -= run->is_parked;
    plugin_run_free(run);
}

void plugin_runs_unpark(struct plugin_link *l)
{
    struct plugin_worker *w = l->team->worker;

    if (w->parked == 0)
        return;
    list_each_safe (at, next, &w->running) {
        struct plugin_run *run = list_entry(at, struct plugin_run, node);

        if (!run->is_parked || plugin_run_link(run) != l)
            continue;
        list_remove(at);
        list_push_back(&w->settled, at);
    }
}
