/* Names, and what the three sources say about them.
 *
 * The environment belongs to everybody: a name that is no setting is passed over there. In the
 * config file and on the command line it was meant for us, so it is a fault that names the nearest
 * setting. In all three, settings of other releases of the plugin server are accepted with a
 * warning, so that an old set of settings starts as it is.
 */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define NEAR_BYTES_MAX 64

/* Patterns of settings that other releases know; a * at the end stands for any rest. */
static const struct {
    const char *pattern;
    const char *reason;
} foreign[] = {
    {"KAFKA_URL", "give KAFKA_HOSTS instead"},
    {"KAFKA_INCOMING_TOPIC", "give KAFKA_CONSUMPTION_TOPIC instead"},
    {"PLUGIN_SERVER_INGESTION", "give PLUGIN_SERVER_MODE instead"},
    {"PLUGIN_LOAD_SEQUENTIALLY", "plugins are loaded when they are needed"},
    {"WORKER_POOL_*", "give WORKER_CONCURRENCY instead"},
    {"ENCRYPTION_SALT_KEYS", "secrets are sealed with DATA_DIR/secrets.key"},
    {"DROP_EVENTS_BY_TOKEN*", "give a team's drop list in the provision file instead"},
    {"APP_METRICS_*", NULL},
    {"SESSION_RECORDING_*", NULL},
    {"SESSION_REPLAY_*", NULL},
    {"POSTHOG_SESSION_RECORDING_*", NULL},
    {"CDP_*", NULL},
    {"HOG_*", NULL},
    {"COOKIELESS_*", NULL},
    {"CONSUMER_*", NULL},
    {"DATAWAREHOUSE_*", NULL},
    {"DATA_WAREHOUSE_*", NULL},
    {"ERROR_TRACKING_*", NULL},
    {"EXCEPTIONS_SYMBOLIFICATION_*", NULL},
    {"EXTERNAL_REQUEST_*", NULL},
    {"CLICKHOUSE_HEATMAPS_*", NULL},
    {"CLOUD_DEPLOYMENT", NULL},
    {"DISABLE_OPENTELEMETRY_TRACING", NULL},
    {"GROUP_BATCH_*", NULL},
    {"GROUPS_PREFETCH*", NULL},
    {"HEATMAPS_*", NULL},
    {"INGESTION_*", NULL},
    {"KAFKA_BATCH_*", NULL},
    {"KAFKA_CDP_*", NULL},
    {"KAFKA_CLIENT_ID", NULL},
    {"KAFKA_CLIENT_RACK", NULL},
    {"KAFKA_CONSUMER_*", NULL},
    {"KAFKA_CONSUMPTION_*", NULL},
    {"KAFKA_METRICS_*", NULL},
    {"KAFKA_MAX_QUEUE_SIZE", NULL},
    {"KAFKA_PRODUCER_*", NULL},
    {"KAFKA_TOPIC_CREATION_TIMEOUT_MS", NULL},
    {"KAFKA_WARPSTREAM_*", NULL},
    {"LAZY_*", NULL},
    {"LOGS_INGESTION_*", NULL},
    {"MAX_TEAM_ID_TO_BUFFER_ANONYMOUS_EVENTS_FOR", NULL},
    {"OBJECT_STORAGE_*", NULL},
    {"PERSON_BATCH_*", NULL},
    {"PERSONS_*", NULL},
    {"PERSON_MERGE_*", NULL},
    {"PERSON_PROPERTY_*", NULL},
    {"PERSON_PROPERTIES_*", NULL},
    {"PIPELINE_STEP_*", NULL},
    {"PLUGINS_DEFAULT_LOG_LEVEL", NULL},
    {"POE_*", NULL},
    {"POSTGRES_CONNECTION_POOL_SIZE", NULL},
    {"PROPERTY_DEFS_*", NULL},
    {"PUBSUB_*", NULL},
    {"RELOAD_PLUGIN_JITTER_MAX_MS", NULL},
    {"RUSTY_HOOK_*", NULL},
    {"RUN_ASYNC_HANDLERS*", NULL},
    {"SCHEDULE_TASK*", NULL},
    {"SKIP_PERSONS_PROCESSING_*", NULL},
    {"SKIP_UPDATE_EVENT_*", NULL},
    {"STARTUP_PROFILE_*", NULL},
    {"USE_KAFKA_FOR_SCHEDULED_TASKS", NULL},
    {"WAREHOUSE_*", NULL},
};

static bool find_exact(struct slice name, enum conf_key *key)
{
    for (int i = 0; i < CONF_KEY_COUNT; i++)
        if (slice_eq(name, slice_cstr(conf_table[i].name))) {
            *key = (enum conf_key)i;
            return true;
        }
    return false;
}

bool conf_name_find(struct slice name, enum conf_key *key, bool *is_path)
{
    struct slice suffix = SLICE("_FILE");

    *is_path = false;
    if (find_exact(name, key))
        return true;
    if (!slice_ends(name, suffix) || !find_exact(slice_make(name.ptr, name.len - suffix.len), key))
        return false;
    *is_path = true;
    return (conf_table[*key].flags & (CONF_SECRET | CONF_URL)) != 0;
}

const char *conf_name_foreign(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        struct slice p = slice_cstr(foreign[i].pattern);
        bool is_prefix = p.ptr[p.len - 1] == '*';
        bool fits =
            is_prefix ? slice_starts(name, slice_make(p.ptr, p.len - 1)) : slice_eq(name, p);
        if (fits)
            return foreign[i].reason ? foreign[i].reason
                                     : "a setting of another release of the plugin server";
    }
    return NULL;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours that turn one into the other. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NEAR_BYTES_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        char x = upper(a.ptr[i - 1]);
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char y = b.ptr[j - 1];
            size_t best = last[j - 1] + (x != y);
            best = MIN(best, last[j] + 1);
            best = MIN(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && x == b.ptr[j - 2] && upper(a.ptr[i - 2]) == y)
                best = MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b.len];
}

const char *conf_name_nearest(struct slice name)
{
    const char *nearest = NULL;
    size_t best = MAX(name.len / 4, 1) + 1;

    if (name.len > NEAR_BYTES_MAX)
        return NULL;
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        struct slice known = slice_cstr(conf_table[i].name);
        size_t d = known.len <= NEAR_BYTES_MAX ? distance(name, known) : best;
        if (d < best) {
            best = d;
            nearest = conf_table[i].name;
        }
    }
    return nearest;
}

/* Where a value came from, while it is taken over. */
struct source {
    struct conf *c;
    enum conf_origin origin;
    const char *path; /* of the config file */
    unsigned line;
    struct buf *faults;
};

static void source_describe(const struct source *s, struct buf *out)
{
    if (s->origin == CONF_FROM_FILE)
        buf_addf(out, "config file %s, line %u", s->path, s->line);
    else
        buf_add_str(out, s->origin == CONF_FROM_ENV ? "environment" : "--set");
}

static void source_fault(const struct source *s, struct slice name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void source_fault(const struct source *s, struct slice name, const char *fmt, ...)
{
    char text[300];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    conf_quote(name, s->faults);
    buf_add_str(s->faults, " (");
    source_describe(s, s->faults);
    buf_addf(s->faults, "): %s\n", text);
}

static void take_unknown(const struct source *s, struct slice name)
{
    const char *reason = conf_name_foreign(name);

    if (reason) {
        struct buf where = BUF_INIT(1000);
        source_describe(s, &where);
        conf_warn(s->c, "%.*s (%s) has no effect: %s", SLICE_ARG(name), buf_cstr(&where), reason);
        buf_free(&where);
        return;
    }
    if (s->origin == CONF_FROM_ENV)
        return;
    const char *nearest = conf_name_nearest(name);
    if (nearest)
        source_fault(s, name, "no such setting; did you mean %s?", nearest);
    else
        source_fault(s, name, "no such setting; `hedgerow --help` lists them");
}

/* NAME and NAME_FILE of one source exclude each other; an empty one counts as not given. In the
 * config file a name stands once; in the environment and on the command line the last one counts.
 */
static bool may_replace(const struct source *s, const struct conf_setting *old, struct slice name,
                        bool is_path)
{
    if (!old->raw || old->origin != s->origin)
        return true;
    if (old->is_path == is_path && s->origin != CONF_FROM_FILE)
        return true;
    if (old->is_path != is_path && old->raw[0] == '\0')
        return true;
    source_fault(s, name,
                 old->is_path == is_path ? "given twice, before in %s"
                                         : "value and _FILE exclude each other, also given in %s",
                 old->where);
    return false;
}

static void take(const struct source *s, struct slice name, struct slice value)
{
    struct buf where = BUF_INIT(2000);
    enum conf_key key;
    bool is_path;

    if (!conf_name_find(name, &key, &is_path)) {
        take_unknown(s, name);
        return;
    }
    struct conf_setting *setting = &s->c->settings[key];
    if (is_path && value.len == 0)
        return;
    if (key == CONF_CONFIG_FILE && s->origin == CONF_FROM_FILE && value.len > 0) {
        source_fault(s, name, "a config file cannot name another one");
        return;
    }
    /* An empty NAME does not stand against the NAME_FILE of the same source. */
    bool is_beaten = setting->raw && setting->origin == s->origin && setting->is_path && !is_path &&
                     value.len == 0;
    if (is_beaten || !may_replace(s, setting, name, is_path))
        return;
    source_describe(s, &where);
    mem_free(setting->raw);
    mem_free(setting->where);
    setting->raw = slice_dup(value);
    setting->where = mem_dup_str(buf_cstr(&where));
    setting->origin = s->origin;
    setting->is_path = is_path;
    buf_free(&where);
}

/* False when there is no = behind a name. */
static bool split(const char *text, struct slice *name, struct slice *value)
{
    struct slice all = slice_cstr(text);
    ptrdiff_t equals = slice_find(all, '=');

    if (equals < 1)
        return false;
    *name = slice_make(text, (size_t)equals);
    *value = slice_make(text + equals + 1, all.len - (size_t)equals - 1);
    return true;
}

void conf_take_environ(struct conf *c, char *const *environ, struct buf *faults)
{
    struct source s = {.c = c, .origin = CONF_FROM_ENV, .faults = faults};
    struct slice name, value;

    for (size_t i = 0; environ && environ[i]; i++)
        if (split(environ[i], &name, &value))
            take(&s, name, value);
}

void conf_take_sets(struct conf *c, const char *const *sets, size_t count, struct buf *faults)
{
    struct source s = {.c = c, .origin = CONF_FROM_SET, .faults = faults};
    struct slice name, value;

    for (size_t i = 0; i < count; i++) {
        if (split(sets[i], &name, &value))
            take(&s, name, value);
        else
            source_fault(&s, slice_cstr(sets[i]), "must be NAME=value");
    }
}

static void take_line(struct slice name, struct slice value, unsigned line, void *ctx)
{
    struct source *s = ctx;

    s->line = line;
    take(s, name, value);
}

void conf_take_file(struct conf *c, struct slice text, const char *path, struct buf *faults)
{
    struct source s = {.c = c, .origin = CONF_FROM_FILE, .path = path, .faults = faults};
    struct buf label = BUF_INIT(2000);

    buf_addf(&label, "config file %s", path);
    conf_file_parse(text, buf_cstr(&label), take_line, &s, faults);
    buf_free(&label);
}
