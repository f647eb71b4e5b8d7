/* The plugins of a team on one thread: which chain it has, and how many of its events may await.
 *
 * An event that awaits has a place; a team has limits.awaiting_per_team of them, the thread
 * limits.awaiting. Whether an event will await is only known when it does, so one that finds no
 * place free waits in front of the chain, without its document: the team's queue. Teams with a
 * queue take turns.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/worker_priv.h"

/* --- chains ----------------------------------------------------------------------------------- */

void plugin_chain_unref(struct plugin_chain *chain)
{
    if (!chain || --chain->refs > 0)
        return;
    for (size_t i = 0; i < chain->markers_count; i++)
        markers_unref(chain->markers[i]);
    for (size_t i = 0; i < chain->count; i++) {
        if (--chain->links[i]->refs == 0)
            lifecycle_leave(chain->links[i]);
    }
    mem_free(chain);
}

/* What the team's chain has of this config, when it would not be made differently now. */
static struct plugin_link *find_link(const struct plugin_team *team, const struct plugin_config *c)
{
    for (size_t i = 0; team->chain && i < team->chain->count; i++) {
        struct plugin_link *l = team->chain->links[i];

        if (l->config->id == c->id && l->config->fingerprint == c->fingerprint &&
            l->state != LINK_DISABLED)
            return l;
    }
    return NULL;
}

static struct plugin_chain *chain_new(struct plugin_team *team,
                                      const struct plugin_config *const *configs, size_t count)
{
    struct plugin_chain *chain = mem_zalloc(sizeof(*chain) + count * sizeof(struct plugin_link *));

    chain->refs = 1;
    chain->count = count;
    for (size_t i = 0; i < count; i++) {
        struct plugin_link *l = find_link(team, configs[i]);

        if (l)
            lifecycle_adopt(l, configs[i]);
        else
            l = lifecycle_link_new(team, configs[i]);
        l->refs++;
        chain->links[i] = l;
    }
    return chain;
}

static void idle_due(struct timer *t);

static void watch_idle(struct plugin_team *team)
{
    int64_t us = team->worker->limits->idle_unload_us;

    team->idle.fn = idle_due;
    if (us > 0)
        timer_set(&team->worker->timers, &team->idle, clock_mono_us() + us);
}

/* The chain as the set of now has it. */
static void refresh(struct plugin_team *team)
{
    struct plugin_chain *old = team->chain;
    size_t count;
    const struct plugin_config *const *configs =
        plugin_set_team(team->worker->set, team->id, &count);

    team->chain = count > 0 ? chain_new(team, configs, count) : NULL;
    if (team->chain && !team->idle.place)
        watch_idle(team);
    plugin_chain_unref(old);
}

static void plugin_team_load(struct plugin_team *team)
{
    while (team->has_new) {
        team->has_new = false;
        for (size_t i = 0; i < team->chain->count; i++) {
            if (team->chain->links[i]->state == LINK_NEW)
                lifecycle_load(team->chain->links[i]);
            /* Who spoilt it has failed; the others load again. */
            if (lifecycle_is_spoilt(team))
                lifecycle_renew(team);
        }
    }
}

struct plugin_chain *plugin_team_chain(struct plugin_team *team)
{
    if (!team->chain)
        refresh(team);
    if (team->chain && team->has_new)
        plugin_team_load(team);
    team->was_used = true;
    return team->chain;
}

void plugin_team_drop_chain(struct plugin_team *team)
{
    struct plugin_chain *old = team->chain;

    team->chain = NULL;
    timer_cancel(&team->worker->timers, &team->idle);
    plugin_chain_unref(old);
}

static void idle_due(struct timer *t)
{
    struct plugin_team *team = CONTAINER_OF(t, struct plugin_team, idle);

    if (team->was_used || team->runs > 0) {
        team->was_used = false;
        watch_idle(team);
        return;
    }
    team->runs++; /* keeps the team */
    plugin_team_drop_chain(team);
    team->runs--;
    plugin_team_free_unused(team);
}

/* --- teams ------------------------------------------------------------------------------------ */

static struct slice key_of(const int64_t *team_id)
{
    return slice_make(team_id, sizeof(*team_id));
}

static struct plugin_team *team_new(struct plugin_worker *w, int64_t team_id)
{
    struct plugin_team *team = mem_new(struct plugin_team);

    team->worker = w;
    team->id = team_id;
    list_init(&team->links);
    list_init(&team->queue);
    list_init(&team->in_hungry);
    list_push_back(&w->teams, &team->in_worker);
    map_put(w->teams_by_id, key_of(&team_id), team);
    return team;
}

void plugin_team_free_unused(struct plugin_team *team)
{
    struct plugin_worker *w = team->worker;

    if (team->chain || team->runs > 0 || !list_is_empty(&team->links))
        return;
    timer_cancel(&w->timers, &team->idle);
    plugin_runtime_unref(team->runtime);
    list_remove(&team->in_worker);
    map_remove(w->teams_by_id, key_of(&team->id));
    if (w->last_team == team)
        w->last_team = NULL;
    mem_free(team);
}

void plugin_teams_refresh(struct plugin_worker *w)
{
    list_each_safe (at, next, &w->teams) {
        struct plugin_team *team = list_entry(at, struct plugin_team, in_worker);

        team->runs++; /* keeps the team */
        if (team->chain)
            refresh(team);
        team->runs--;
        plugin_team_free_unused(team);
    }
}

struct plugin_team *plugin_team_of(struct plugin_worker *w, int64_t team_id)
{
    size_t count;
    struct plugin_team *team = w->last_team;

    if (team && team->id == team_id && team->chain)
        return team;
    plugin_set_team(w->set, team_id, &count);
    if (count == 0)
        return NULL;
    team = map_get(w->teams_by_id, key_of(&team_id));
    if (!team)
        team = team_new(w, team_id);
    w->last_team = team;
    return team;
}

/* --- places ----------------------------------------------------------------------------------- */

bool plugin_team_has_room(const struct plugin_team *team)
{
    const struct plugin_worker *w = team->worker;

    if (team->setting_up > 0 || team->places >= w->limits->awaiting_per_team ||
        w->places >= w->limits->awaiting)
        return false;
    /* An event that awaits waits for about one call of the host; the others are un-awaited. */
    return !team->runtime ||
           runtime_host_calls(team->runtime->rt) < team->places + w->limits->pending_promises;
}

static void leave_hungry(struct plugin_team *team)
{
    if (list_is_empty(&team->in_hungry))
        return;
    list_remove(&team->in_hungry);
    team->worker->hungry_count--;
}

static void join_hungry(struct plugin_team *team)
{
    if (!list_is_empty(&team->in_hungry) || list_is_empty(&team->queue))
        return;
    list_push_back(&team->worker->hungry, &team->in_hungry);
    team->worker->hungry_count++;
}

void plugin_team_enqueue(struct plugin_team *team, struct plugin_run *run)
{
    json_doc_free(run->event->doc);
    list_push_back(&team->queue, &run->node);
    team->worker->queued++;
    join_hungry(team);
}

void plugin_team_clear_queue(struct plugin_team *team)
{
    leave_hungry(team);
    while (!list_is_empty(&team->queue)) {
        plugin_run_cancel(list_entry(team->queue.next, struct plugin_run, node));
        team->worker->queued--;
    }
}

/* The first of the queue goes; its document comes back. */
static void start_first(struct plugin_team *team)
{
    struct plugin_worker *w = team->worker;
    struct plugin_run *run = list_entry(team->queue.next, struct plugin_run, node);
    enum plugin_verdict verdict = PLUGIN_NEXT;

    /* Loading may put a setup in front of it. */
    plugin_team_chain(team);
    if (!plugin_team_has_room(team))
        return;
    list_remove(&run->node);
    w->queued--;
    if (list_is_empty(&team->queue))
        leave_hungry(team);
    if (run->event->reload(run->event))
        verdict = plugin_run_start(run);
    if (verdict != PLUGIN_LATER)
        plugin_run_end(run, verdict);
}

/* `done` may bring new events and so new queues: nothing is held across it. */
bool plugin_teams_pump(struct plugin_worker *w)
{
    bool has_started = false;

    for (size_t passed = 0; passed < w->hungry_count && w->places < w->limits->awaiting; passed++) {
        struct plugin_team *team = list_entry(w->hungry.next, struct plugin_team, in_hungry);

        list_remove(&team->in_hungry);
        list_push_back(&w->hungry, &team->in_hungry);
        if (!plugin_team_has_room(team))
            continue;
        start_first(team);
        has_started = true;
        passed = 0;
    }
    return has_started;
}
