/* One thread's plugins: messages, timers, what is due, start and end. */
#include "plugin/worker.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

#define TEXT_SPARE ((size_t)1 << 20) /* texts of the envelope behind the event */

struct plugin_worker *plugin_worker_new(struct plugins *p, int number, mpsc_wake_fn *wake,
                                        void *wake_ctx)
{
    struct plugin_worker *w = mem_new(struct plugin_worker);

    w->plugins = p;
    w->limits = &p->opt.limits;
    w->number = number;
    w->wake = wake;
    w->wake_ctx = wake_ctx;
    timers_init(&w->timers);
    mpsc_init(&w->inbox, "plugin inbox", wake, wake_ctx);
    w->teams_by_id = map_new();
    list_init(&w->teams);
    list_init(&w->hungry);
    list_init(&w->running);
    list_init(&w->settled);
    list_init(&w->settled_links);
    list_init(&w->hooks);
    list_init(&w->spare_runs);
    w->text = BUF_INIT(w->limits->output_bytes + TEXT_SPARE);
    w->small = BUF_INIT(w->limits->output_bytes + TEXT_SPARE);
    lock_take(&p->lock);
    list_push_back(&p->workers, &w->in_plugins);
    lock_drop(&p->lock);
    return w;
}

void plugin_worker_free(struct plugin_worker *w)
{
    if (!w)
        return;
    lock_take(&w->plugins->lock);
    list_remove(&w->in_plugins);
    lock_drop(&w->plugins->lock);
    CHECK(list_is_empty(&w->teams) && w->outside == 0);
    while (!list_is_empty(&w->spare_runs)) {
        struct plugin_run *run = list_entry(w->spare_runs.next, struct plugin_run, node);

        list_remove(&run->node);
        mem_free(run);
    }
    plugin_set_unref(w->set);
    geo_drop(w->geo);
    map_free(w->teams_by_id);
    buf_free(&w->text);
    buf_free(&w->small);
    timers_fini(&w->timers);
    mpsc_fini(&w->inbox);
    mem_free(w);
}

void plugin_worker_wake(struct plugin_worker *w)
{
    if (w->wake)
        w->wake(w->wake_ctx);
}

void plugin_worker_post(struct plugin_worker *w, struct plugin_message *m)
{
    mpsc_push(&w->inbox, &m->node);
}

struct timers *plugin_worker_timers(struct plugin_worker *w)
{
    return &w->timers;
}

void plugin_worker_enter(struct plugin_worker *w, int64_t config_id, int64_t deadline_us)
{
    atomic_store_explicit(&w->inside_config, config_id, memory_order_relaxed);
    atomic_store_explicit(&w->inside_until_us, deadline_us, memory_order_release);
}

void plugin_worker_leave(struct plugin_worker *w)
{
    atomic_store_explicit(&w->inside_until_us, 0, memory_order_release);
}

void plugin_worker_expect(struct plugin_worker *w, int count)
{
    CHECK(count > 0 || w->outside > 0);
    w->outside += (size_t)count;
}

void plugin_worker_take_set(struct plugin_worker *w)
{
    const struct plugin_set *before = w->set;

    if (plugins_cached(w->plugins, &w->set) != before)
        plugin_teams_refresh(w);
}

void plugin_error_copy(struct plugin_error *to, const struct plugin_error *from)
{
    *to = *from;
    to->name = mem_dup_str(from->name);
    to->message = mem_dup_str(from->message);
    to->stack = mem_dup_str(from->stack);
}

/* --- events ----------------------------------------------------------------------------------- */

static bool is_snapshot(const struct plugin_event *e)
{
    yyjson_val *name = json_member(e->doc->root, SLICE("event"));

    return yyjson_is_str(name) && slice_eq(json_text(name), SLICE("$snapshot"));
}

enum plugin_verdict plugin_worker_run(struct plugin_worker *w, struct plugin_event *e)
{
    struct plugin_team *team;
    struct plugin_run *run;
    enum plugin_verdict verdict;

    plugin_worker_take_set(w);
    team = plugin_team_of(w, e->envelope->team_id);
    if (!team || is_snapshot(e))
        return PLUGIN_NEXT;
    run = plugin_run_new(team, e);
    if (lifecycle_is_spoilt(team))
        lifecycle_renew(team);
    plugin_team_chain(team);
    if (!list_is_empty(&team->queue) || !plugin_team_has_room(team)) {
        plugin_team_enqueue(team, run);
        return PLUGIN_LATER;
    }
    verdict = plugin_run_start(run);
    if (verdict != PLUGIN_LATER) {
        plugin_run_free(run);
        plugin_team_free_unused(team);
    }
    return verdict;
}

void plugin_event_release(struct plugin_event *e)
{
    CHECK(!e->run);
    markers_unref(e->markers_of);
    arena_free(e->texts);
    e->markers_of = NULL;
    e->markers = NULL;
    e->texts = NULL;
}

size_t plugin_worker_waiting(const struct plugin_worker *w)
{
    return w->places + w->queued;
}

/* --- turns ------------------------------------------------------------------------------------ */

static void take_messages(struct plugin_worker *w)
{
    struct mpsc_node *next;

    for (struct mpsc_node *node = mpsc_take_all(&w->inbox); node; node = next) {
        struct plugin_message *m = CONTAINER_OF(node, struct plugin_message, node);

        next = node->next; /* fn may free the message */
        m->fn(m->ctx);
    }
    if (w->timers.count > 0)
        timers_run(&w->timers, clock_mono_us());
}

static void settle_links(struct plugin_worker *w)
{
    while (!list_is_empty(&w->settled_links))
        lifecycle_settled(list_entry(w->settled_links.next, struct plugin_link, in_settled));
}

static bool has_settled(const struct plugin_worker *w)
{
    return !list_is_empty(&w->settled) || !list_is_empty(&w->settled_links);
}

/* A team whose queue could go on. */
static bool has_startable(const struct plugin_worker *w)
{
    if (w->hungry_count == 0 || w->places >= w->limits->awaiting)
        return false;
    list_each (at, &w->hungry) {
        if (plugin_team_has_room(list_entry(at, struct plugin_team, in_hungry)))
            return true;
    }
    return false;
}

int64_t plugin_worker_due_us(struct plugin_worker *w)
{
    if (!mpsc_is_empty(&w->inbox) || has_settled(w) || has_startable(w) ||
        atomic_load_explicit(&w->plugins->current, memory_order_acquire) != w->set)
        return 0;
    return timers_due_us(&w->timers);
}

void plugin_worker_turn(struct plugin_worker *w)
{
    do {
        plugin_worker_take_set(w);
        take_messages(w);
        while (!list_is_empty(&w->settled))
            plugin_run_continue(list_entry(w->settled.next, struct plugin_run, node));
        settle_links(w);
        hooks_settle(w);
    } while (plugin_teams_pump(w) || has_settled(w));
}

/* --- the end ---------------------------------------------------------------------------------- */

static void cancel_runs(struct list *runs)
{
    while (!list_is_empty(runs))
        plugin_run_cancel(list_entry(runs->next, struct plugin_run, node));
}

static void drop_teams(struct plugin_worker *w)
{
    hooks_cancel(w);
    cancel_runs(&w->running);
    cancel_runs(&w->settled);
    list_each_safe (at, next, &w->teams) {
        struct plugin_team *team = list_entry(at, struct plugin_team, in_worker);

        plugin_team_clear_queue(team);
        team->runs++; /* keeps the team */
        plugin_team_drop_chain(team);
        team->runs--;
        plugin_team_free_unused(team);
    }
}

static void abandon_links(struct plugin_worker *w)
{
    while (!list_is_empty(&w->teams)) {
        struct plugin_team *team = list_entry(w->teams.next, struct plugin_team, in_worker);

        lifecycle_abandon(list_entry(team->links.next, struct plugin_link, in_team));
    }
}

void plugin_worker_stop(struct plugin_worker *w, int64_t until_us)
{
    drop_teams(w);
    for (;;) {
        int64_t now;

        take_messages(w);
        settle_links(w);
        now = clock_mono_us();
        if (list_is_empty(&w->teams) || now >= until_us)
            break;
        mpsc_wait(&w->inbox, MAX(MIN(until_us, timers_due_us(&w->timers)) - now, 0));
    }
    abandon_links(w);
    while (w->outside > 0) {
        mpsc_wait(&w->inbox, -1);
        take_messages(w);
    }
}
