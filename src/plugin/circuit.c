/* The circuit of a config: a plugin that runs into its limits again and again is taken off the
 * chain for a while, so that its team's events do not wait seconds each for nothing.
 *
 * Open, it lets nothing pass until its time; then one call is a probe, and whoever takes it moves
 * the time on, so that there is only one. The probe closes the circuit or leaves it open.
 */
#include "base/clock.h"
#include "base/iso8601.h"
#include "plugin/worker_priv.h"

bool circuit_admits(struct plugin_worker *w, const struct plugin_config *c, bool *is_probe)
{
    struct plugin_state *s = c->state;
    int64_t now, until;

    *is_probe = false;
    if (atomic_load_explicit(&s->circuit, memory_order_relaxed) == CIRCUIT_CLOSED)
        return true;
    now = clock_wall_us();
    until = atomic_load(&s->circuit_until_us);
    *is_probe = now >= until && atomic_compare_exchange_strong(&s->circuit_until_us, &until,
                                                               now + w->limits->circuit_us);
    return *is_probe;
}

static void open_circuit(struct plugin_worker *w, const struct plugin_config *c,
                         const struct plugin_error *error, int failures)
{
    int64_t until_us = clock_wall_us() + w->limits->circuit_us;
    char time[ISO8601_LEN_MAX];
    char why[400];

    snprintf(why, sizeof(why), "%d %s in a row ran into a limit, the last one: %.250s", failures,
             failures == 1 ? "call" : "calls", error->message ? error->message : "");
    plugin_circuit_open(c->state, until_us, why);
    plugins_logf(w->plugins, c, "ERROR",
                 "Plugin taken off the chain: %s. Events pass it by until %s, then it is tried "
                 "again (PLUGIN_CIRCUIT_FAILURES, PLUGIN_CIRCUIT_SECONDS).",
                 why, iso8601_ms(until_us, time));
}

void circuit_note(struct plugin_worker *w, const struct plugin_config *c,
                  const struct plugin_error *error, bool is_probe)
{
    struct plugin_state *s = c->state;
    int failures;

    if (error && (error->is_run_limit || error->is_memory)) {
        failures = atomic_fetch_add(&s->run_limits, 1) + 1;
        if (is_probe ||
            (w->limits->circuit_failures > 0 && failures >= w->limits->circuit_failures &&
             atomic_load(&s->circuit) == CIRCUIT_CLOSED))
            open_circuit(w, c, error, failures);
        return;
    }
    if (atomic_load_explicit(&s->run_limits, memory_order_relaxed) != 0)
        atomic_store(&s->run_limits, 0);
    if (!is_probe)
        return;
    plugin_circuit_close(s);
    plugins_logf(w->plugins, c, "INFO", "Plugin is back on the chain: it was tried and works.");
}
