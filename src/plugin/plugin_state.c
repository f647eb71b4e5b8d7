/* What a config has cost and done, and how it is. Counters are atomics, so that PIPE threads count
 * without a lock; texts and phases change rarely. */
#include "base/clock.h"
#include "base/iso8601.h"
#include "base/mem.h"
#include "plugin/plugin_priv.h"

struct plugin_state *plugin_state_new(int64_t config_id)
{
    struct plugin_state *s = mem_new(struct plugin_state);

    atomic_init(&s->refs, 1);
    s->config_id = config_id;
    lock_init(&s->lock, "plugin state", RANK_PLUGIN_STATE);
    return s;
}

void plugin_state_ref(struct plugin_state *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void plugin_state_unref(struct plugin_state *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    mem_free(s->error_json);
    mem_free(s->circuit_why);
    lock_fini(&s->lock);
    mem_free(s);
}

/* What a thread leaves behind when it lets go of a config that failed stays to be seen, until some
 * thread has it again. */
void plugin_state_phase(struct plugin_state *s, enum plugin_phase from, enum plugin_phase to)
{
    int worst = PLUGIN_IDLE;

    lock_take(&s->lock);
    s->threads[from] -= from != PLUGIN_IDLE;
    s->threads[to] += to != PLUGIN_IDLE;
    for (int i = PLUGIN_IDLE; i < PLUGIN_PHASE_COUNT; i++) {
        if (s->threads[i] > 0)
            worst = i;
    }
    if (worst != PLUGIN_IDLE || from < PLUGIN_FAILED)
        atomic_store(&s->phase, worst);
    lock_drop(&s->lock);
}

void plugin_state_set_error(struct plugin_state *s, const char *error_json)
{
    char *fresh = mem_dup_str(error_json);
    char *old;

    lock_take(&s->lock);
    old = s->error_json;
    s->error_json = fresh;
    lock_drop(&s->lock);
    mem_free(old);
}

void plugin_circuit_open(struct plugin_state *s, int64_t until_us, const char *why)
{
    char *fresh = mem_dup_str(why);
    char *old;

    lock_take(&s->lock);
    old = s->circuit_why;
    s->circuit_why = fresh;
    atomic_store(&s->circuit_until_us, until_us);
    atomic_store(&s->circuit, CIRCUIT_OPEN);
    lock_drop(&s->lock);
    mem_free(old);
}

void plugin_circuit_close(struct plugin_state *s)
{
    char *old;

    lock_take(&s->lock);
    old = s->circuit_why;
    s->circuit_why = NULL;
    atomic_store(&s->circuit, CIRCUIT_CLOSED);
    atomic_store(&s->run_limits, 0);
    lock_drop(&s->lock);
    mem_free(old);
}

/* --- latency ---------------------------------------------------------------------------------- */

/* Bucket 0 has what took less than 2 us, bucket n what took 2^n us and more. */
void plugin_state_latency(struct plugin_state *s, int64_t us)
{
    int bucket = us < 2 ? 0 : 63 - __builtin_clzll((unsigned long long)us);

    atomic_fetch_add_explicit(&s->latency[MIN(bucket, PLUGIN_LATENCY_BUCKETS - 1)], 1,
                              memory_order_relaxed);
}

/* Evenly spread within its bucket. */
static uint64_t percentile(const uint64_t counts[PLUGIN_LATENCY_BUCKETS], uint64_t total,
                           double share)
{
    double wanted = (double)total * share;
    double below = 0;

    for (int i = 0; i < PLUGIN_LATENCY_BUCKETS; i++) {
        double low = i == 0 ? 0 : (double)(UINT64_C(1) << i);
        double high = (double)(UINT64_C(2) << i);

        if (counts[i] > 0 && below + (double)counts[i] >= wanted)
            return (uint64_t)(low + (high - low) * (wanted - below) / (double)counts[i]);
        below += (double)counts[i];
    }
    return 0;
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static const char *const phase_names[] = {
    [PLUGIN_IDLE] = "idle",         [PLUGIN_READY] = "ready",   [PLUGIN_SETTING_UP] = "setting_up",
    [PLUGIN_RETRYING] = "retrying", [PLUGIN_FAILED] = "failed", [PLUGIN_DISABLED] = "disabled",
};
_Static_assert(ARRAY_LEN(phase_names) == PLUGIN_PHASE_COUNT, "every phase has a name");

static void add_circuit(struct plugin_state *s, struct buf *out)
{
    char time[ISO8601_LEN_MAX];

    if (atomic_load(&s->circuit) == CIRCUIT_CLOSED) {
        buf_add_str(out, ",\"circuit\":\"closed\",\"circuit_until\":null,\"circuit_why\":null");
        return;
    }
    buf_addf(out, ",\"circuit\":\"open\",\"circuit_until\":\"%s\",\"circuit_why\":",
             iso8601_ms(atomic_load(&s->circuit_until_us), time));
    buf_add_json_str(out, slice_cstr(s->circuit_why ? s->circuit_why : ""));
}

static void add_counts(struct plugin_state *s, struct buf *out)
{
    uint64_t counts[PLUGIN_LATENCY_BUCKETS];
    uint64_t total = 0;

    for (int i = 0; i < PLUGIN_LATENCY_BUCKETS; i++) {
        counts[i] = atomic_load(&s->latency[i]);
        total += counts[i];
    }
    buf_addf(out, ",\"calls\":%llu,\"errors\":%llu,\"timeouts\":%llu,\"dropped\":%llu",
             (unsigned long long)atomic_load(&s->calls),
             (unsigned long long)atomic_load(&s->errors),
             (unsigned long long)atomic_load(&s->timeouts),
             (unsigned long long)atomic_load(&s->dropped));
    buf_addf(out, ",\"cpu_ms\":%.3f,\"p50_us\":%llu,\"p99_us\":%llu,\"memory_bytes\":%lld",
             (double)atomic_load(&s->cpu_ns) / 1e6,
             (unsigned long long)percentile(counts, total, 0.5),
             (unsigned long long)percentile(counts, total, 0.99),
             (long long)MAX(atomic_load(&s->memory_bytes), 0));
}

void plugin_state_json(struct plugin_state *s, struct buf *out)
{
    buf_addf(out, "{\"phase\":\"%s\"", phase_names[atomic_load(&s->phase)]);
    add_counts(s, out);
    lock_take(&s->lock);
    add_circuit(s, out);
    buf_add_str(out, ",\"error\":");
    buf_add_str(out, s->error_json ? s->error_json : "null");
    lock_drop(&s->lock);
    buf_add_char(out, '}');
}
