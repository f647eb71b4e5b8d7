/* The keeper's life and its loop. A load goes three ways: objects are read on STORE (or directly,
 * before it runs), files are read and the set is built here, and the set is published; whoever
 * asked before the reading began is told then. One load at a time: what is asked for meanwhile
 * begins another one.
 */
#include "app/keeper.h"

#include "admin/plugin_change.h"
#include "app/app_priv.h"
#include "app/keeper_priv.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"

#define GEO_CHECK_US     30000000
#define AWAITING_MAX     4096
#define LOG_UNITS_MAX    50000
#define CIRCUIT_FILE     "plugin-circuit.json"
#define GEO_COPIES       "tmp"
#define SECONDS(c, name) (int64_t)(conf_num((c), name) * 1e6)

static const struct plugin_services services = {
    .log = keeper_log_add,
    .storage = keeper_storage_call,
    .error = keeper_log_error,
    .disable = keeper_disable,
};

int64_t keeper_now_us(void)
{
    return clock_mono_real_us();
}

void keeper_wake(struct keeper *k)
{
    k->has_news = true;
    cond_signal(&k->wake);
}

/* --- life ------------------------------------------------------------------------------------- */

struct plugin_limits keeper_limits(const struct conf *c)
{
    return (struct plugin_limits){
        .memory_bytes = (size_t)conf_int(c, CONF_PLUGIN_MEMORY_BYTES),
        .stack_bytes = (size_t)conf_int(c, CONF_PLUGIN_STACK_BYTES),
        .run_us = MIN(SECONDS(c, CONF_PLUGIN_RUN_TIMEOUT), SECONDS(c, CONF_TASK_TIMEOUT)),
        .wait_us = SECONDS(c, CONF_TASK_TIMEOUT),
        .output_bytes = (size_t)conf_int(c, CONF_QUEUE_MAX_RECORD_BYTES),
        .awaiting = AWAITING_MAX,
        .awaiting_per_team = (size_t)conf_int(c, CONF_AWAITING_EVENTS_PER_TEAM),
        .pending_promises = (size_t)conf_int(c, CONF_MAX_PENDING_PROMISES_PER_WORKER),
        .idle_unload_us = SECONDS(c, CONF_PLUGIN_IDLE_UNLOAD_SECONDS),
        .cache_bytes = (size_t)conf_int(c, CONF_PLUGIN_CACHE_BYTES),
        .log_message_units = LOG_UNITS_MAX,
        .circuit_failures = (int)conf_int(c, CONF_PLUGIN_CIRCUIT_FAILURES),
        .circuit_us = SECONDS(c, CONF_PLUGIN_CIRCUIT_SECONDS),
    };
}

static void make_plugins(struct keeper *k)
{
    struct plugins_options opt = {
        .limits = keeper_limits(k->conf),
        .services = &services,
        .services_self = k,
        .geo = k->geo,
        .instance_id = k->instance_id,
        .task_timeout_s = (int)conf_num(k->conf, CONF_TASK_TIMEOUT),
    };

    k->plugins = plugins_new(&opt);
}

/* A database that cannot be read is told and leaves GeoIP off; it is tried again when it changes.
 */
static void open_geo(struct keeper *k, const char *path)
{
    struct geo_status status;
    struct err err = ERR_INIT;

    if (!geo_open(k->geo, path, &err)) {
        log_warn("geo",
                 "the GeoIP database cannot be used, events go on without it; it is read when "
                 "the file changes (MMDB_FILE_LOCATION, or an attachment of GeoIP)",
                 KV_ERR(&err));
        return;
    }
    geo_status(k->geo, &status);
    log_info("geo", "the GeoIP database is open", KV_STR("file", status.path),
             KV_STR("type", status.type));
    if (status.is_stale)
        log_warn("geo", "the GeoIP database is old, addresses may have moved",
                 KV_STR("file", status.path), KV_I64("older_than_days", GEO_STALE_DAYS));
}

static bool may_have_geo(const struct keeper *k)
{
    return !conf_bool(k->conf, CONF_DISABLE_MMDB);
}

static void open_first_geo(struct keeper *k)
{
    const char *paths = conf_str(k->conf, CONF_MMDB_FILE_LOCATION);

    if (!may_have_geo(k))
        return;
    if (*paths)
        open_geo(k, paths);
    else if (*conf_str(k->conf, CONF_MMDB_URL))
        log_warn("geo", "MMDB_URL is not fetched in this version: download the file and set "
                        "MMDB_FILE_LOCATION to its path; a newer one in its place is taken over "
                        "while the server runs");
}

struct keeper *keeper_new(const struct conf *conf)
{
    struct keeper *k = mem_new(struct keeper);
    struct uuid id = uuid_v7(clock_wall_us());
    char *copies = app_data_path(conf, GEO_COPIES);

    k->conf = conf;
    k->instance_id = mem_zalloc(UUID_TEXT_LEN + 1);
    uuid_format(&id, k->instance_id);
    k->circuit_path = app_data_path(conf, CIRCUIT_FILE);
    k->geo = geo_new(copies);
    mem_free(copies);
    lock_init(&k->lock, "keeper", RANK_APP);
    cond_init(&k->wake);
    k->last_task = &k->tasks;
    k->geo_due_us = k->watch_due_us = INT64_MAX;
    keeper_log_init(&k->log);
    keeper_storage_init(&k->storage);
    make_plugins(k);
    open_first_geo(k);
    return k;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    plugins_free(k->plugins);
    geo_free(k->geo);
    keeper_objects_free(&k->load.objects);
    keeper_catalog_free(k->catalog);
    keeper_log_fini(&k->log);
    cond_fini(&k->wake);
    lock_fini(&k->lock);
    mem_free(k->geo_path);
    mem_free(k->instance_id);
    mem_free(k->circuit_path);
    mem_free(k);
}

struct plugins *keeper_plugins(struct keeper *k)
{
    return k->plugins;
}

struct geo *keeper_geo(struct keeper *k)
{
    return k->geo;
}

/* --- loading ---------------------------------------------------------------------------------- */

/* Without MMDB_FILE_LOCATION the database may be an attachment of a GeoIP config. */
static void use_geo_path(struct keeper *k, char *path)
{
    bool is_set = *conf_str(k->conf, CONF_MMDB_FILE_LOCATION) != '\0';

    if (is_set || !may_have_geo(k) || slice_eq(slice_cstr(path), slice_cstr(k->geo_path))) {
        mem_free(path);
        return;
    }
    mem_free(k->geo_path);
    k->geo_path = path;
    if (path)
        open_geo(k, path);
    else
        geo_close(k->geo);
}

/* Takes the objects over. */
static void build_and_publish(struct keeper *k, struct keeper_objects *objects)
{
    struct keeper_catalog *old;
    struct keeper_build b;

    keeper_set_build(k->plugins, objects, &b);
    use_geo_path(k, b.geo_path);
    plugins_publish(k->plugins, b.set);
    lock_take(&k->lock);
    old = k->catalog;
    k->catalog = b.catalog;
    k->js_count = b.js_count;
    lock_drop(&k->lock);
    keeper_catalog_free(old);
    k->watch_due_us = b.js_count ? keeper_now_us() + KEEPER_WATCH_US : INT64_MAX;
}

static bool restore_state(const struct store_plugin_state *row, void *ctx)
{
    struct keeper *k = ctx;
    struct plugin_state *s = plugins_state(k->plugins, row->config_id);

    if (row->error_json)
        plugin_state_set_error(s, row->error_json);
    if (row->circuit_until_us > clock_wall_us())
        plugin_circuit_open(s, row->circuit_until_us, row->circuit_why ? row->circuit_why : "");
    plugin_state_unref(s);
    return true;
}

bool keeper_load(struct keeper *k, struct store *store, struct err *err)
{
    struct keeper_objects objects = {.items = NULL};

    if (!store->ops->plugin_states_each(store->self, restore_state, k, err) ||
        !keeper_objects_read(store, &objects, err)) {
        keeper_objects_free(&objects);
        return false;
    }
    keeper_watch_load(k);
    build_and_publish(k, &objects);
    return true;
}

static bool read_run(struct store *store, void *ctx, struct err *err)
{
    struct keeper *k = ctx;

    /* Nothing is changed: without an error, false asks for a rollback. */
    k->load.ok = keeper_objects_read(store, &k->load.objects, err);
    return false;
}

static void read_done(void *ctx, bool ok, const struct err *err)
{
    struct keeper *k = ctx;

    UNUSED(ok);
    lock_take(&k->lock);
    k->load.err = *err;
    k->load.ok = k->load.ok && err->code == ERR_NONE;
    k->load.step = LOAD_READ;
    keeper_wake(k);
    lock_drop(&k->lock);
}

/* Both lists hold the newest first; tasks are run in the order they came. */
static void run_tasks_reversed(struct plugin_task *t)
{
    struct plugin_task *first = NULL;

    while (t) {
        struct plugin_task *next = t->next;

        t->next = first;
        first = t;
        t = next;
    }
    while (first) {
        struct plugin_task *next = first->next;

        first->fn(first->ctx);
        first = next;
    }
}

static void begin_load(struct keeper *k)
{
    struct keeper_load *l = &k->load;
    bool begins;

    lock_take(&k->lock);
    begins = l->step == LOAD_IDLE && l->is_wanted && !k->is_stopping;
    if (begins) {
        l->step = LOAD_READING;
        l->is_wanted = false;
        l->running = l->waiting;
        l->waiting = NULL;
        l->ok = false;
    }
    lock_drop(&k->lock);
    if (!begins)
        return;
    l->call = (struct pipe_call){.fn = read_run, .done = read_done, .ctx = k};
    pipe_call(k->pipe, &l->call);
}

static void check_geo(struct keeper *k)
{
    struct err err = ERR_INIT;
    bool is_other;

    if (!geo_check(k->geo, &is_other, &err))
        log_warn("geo", "the new GeoIP database cannot be used", KV_ERR(&err));
    else if (is_other)
        log_info("geo", "a new GeoIP database is in use");
}

static void end_load(struct keeper *k)
{
    struct keeper_load *l = &k->load;
    struct plugin_task *tasks;

    lock_take(&k->lock);
    bool is_read = l->step == LOAD_READ;
    lock_drop(&k->lock);
    if (!is_read)
        return;
    if (l->ok) {
        build_and_publish(k, &l->objects);
        check_geo(k);
        log_info("plugin", "the plugins were loaded anew");
    } else {
        log_error("plugin", "the plugins cannot be read, everything stays as it was",
                  KV_ERR(&l->err));
        keeper_objects_free(&l->objects);
    }
    lock_take(&k->lock);
    tasks = l->running;
    l->running = NULL;
    l->step = LOAD_IDLE;
    lock_drop(&k->lock);
    run_tasks_reversed(tasks);
}

void keeper_reload(void *keeper, struct plugin_task *task)
{
    struct keeper *k = keeper;
    struct keeper_load *l = &k->load;

    lock_take(&k->lock);
    bool is_over = k->is_stopping;
    if (!is_over && task) {
        task->next = l->waiting;
        l->waiting = task;
    }
    l->is_wanted = !is_over;
    keeper_wake(k);
    lock_drop(&k->lock);
    if (is_over && task)
        task->fn(task->ctx);
}

/* --- tasks ------------------------------------------------------------------------------------ */

void keeper_run(void *keeper, struct plugin_task *task)
{
    struct keeper *k = keeper;

    lock_take(&k->lock);
    bool is_over = k->is_stopping;
    if (!is_over) {
        task->next = NULL;
        *k->last_task = task;
        k->last_task = &task->next;
        keeper_wake(k);
    }
    lock_drop(&k->lock);
    if (is_over)
        task->fn(task->ctx);
}

static void run_tasks(struct keeper *k)
{
    lock_take(&k->lock);
    struct plugin_task *t = k->tasks;
    k->tasks = NULL;
    k->last_task = &k->tasks;
    lock_drop(&k->lock);
    while (t) {
        struct plugin_task *next = t->next;

        t->fn(t->ctx);
        t = next;
    }
}

static const char *find_plugin(void *keeper, const char *name)
{
    const struct plugin_listed *p = keeper_catalog_find(((struct keeper *)keeper)->catalog, name);

    return p ? p->json : NULL;
}

static void each_plugin(void *keeper, void (*fn)(const struct plugin_listed *p, void *ctx),
                        void *ctx)
{
    struct keeper *k = keeper;

    lock_take(&k->lock);
    for (size_t i = 0; i < keeper_catalog_count(k->catalog); i++)
        fn(keeper_catalog_at(k->catalog, i), ctx);
    lock_drop(&k->lock);
}

static const struct plugin_keeper_ops ops = {
    .run = keeper_run, .reload = keeper_reload, .find = find_plugin, .each = each_plugin};

struct plugin_keeper keeper_for_admin(struct keeper *k)
{
    return (struct plugin_keeper){.ops = &ops, .self = k, .plugins = k->plugins};
}

/* --- the loop --------------------------------------------------------------------------------- */

static int64_t next_due(const struct keeper *k) /* under the lock */
{
    int64_t due = MIN(k->geo_due_us, k->watch_due_us);

    due = MIN(due, keeper_log_due(k));
    return MIN(due, k->storage.retry_us);
}

static void wait_for_work(struct keeper *k)
{
    lock_take(&k->lock);
    while (!k->has_news && !k->is_stopping) {
        int64_t due = next_due(k), left = due - keeper_now_us();

        if (left <= 0)
            break;
        if (due == INT64_MAX)
            cond_wait(&k->wake, &k->lock);
        else
            cond_wait_us(&k->wake, &k->lock, left);
    }
    k->has_news = false;
    lock_drop(&k->lock);
}

static void do_what_is_due(struct keeper *k)
{
    int64_t now = keeper_now_us();

    if (k->watch_due_us <= now) {
        keeper_watch(k);
        k->watch_due_us = now + KEEPER_WATCH_US;
    }
    if (k->geo_due_us <= now) {
        check_geo(k);
        k->geo_due_us = now + GEO_CHECK_US;
    }
    keeper_log_flush(k);
    keeper_storage_retry(k);
}

static bool is_stopping(struct keeper *k)
{
    lock_take(&k->lock);
    bool is = k->is_stopping;
    lock_drop(&k->lock);
    return is;
}

static void keeper_thread(void *arg)
{
    struct keeper *k = arg;

    ASSERT_THREAD(KEEPER);
    while (!is_stopping(k)) {
        run_tasks(k);
        begin_load(k);
        end_load(k);
        do_what_is_due(k);
        wait_for_work(k);
    }
}

bool keeper_start(struct keeper *k, struct pipe *pipe, struct err *err)
{
    bool has_geo = may_have_geo(k);

    lock_take(&k->lock);
    k->pipe = pipe;
    lock_drop(&k->lock);
    k->geo_due_us = has_geo ? keeper_now_us() + GEO_CHECK_US : INT64_MAX;
    keeper_storage_begin(k);
    return thread_start(&k->thread, THREAD_KEEPER, 0, keeper_thread, k, err);
}

void keeper_stop(struct keeper *k, struct store *store)
{
    if (!k)
        return;
    lock_take(&k->lock);
    k->is_stopping = true;
    keeper_wake(k);
    lock_drop(&k->lock);
    thread_join(&k->thread);
    keeper_storage_finish(k);
    run_tasks(k);
    run_tasks_reversed(k->load.running);
    run_tasks_reversed(k->load.waiting);
    k->load.running = k->load.waiting = NULL;
    if (store->ops)
        keeper_log_finish(k, store);
}

/* --- plugins that give up --------------------------------------------------------------------- */

struct disable {
    struct plugin_task task;
    struct pipe_call call;
    struct keeper *keeper;
    int64_t config_id;
};

static bool disable_run(struct store *store, void *ctx, struct err *err)
{
    const struct disable *d = ctx;

    return plugin_change_enable(store, d->config_id, false, err);
}

static void disable_done(void *ctx, bool ok, const struct err *err)
{
    struct disable *d = ctx;

    if (!ok)
        log_error("plugin", "a plugin that is given up stays enabled in the database",
                  KV_I64("plugin_config", d->config_id), KV_ERR(err));
    keeper_reload(d->keeper, NULL);
    mem_free(d);
}

static void disable_begin(void *ctx)
{
    struct disable *d = ctx;

    d->call = (struct pipe_call){.fn = disable_run, .done = disable_done, .ctx = d};
    pipe_call(d->keeper->pipe, &d->call);
}

void keeper_disable(void *keeper, int64_t config_id)
{
    struct disable *d = mem_new(struct disable);

    *d = (struct disable){
        .task = {.fn = disable_begin, .ctx = d}, .keeper = keeper, .config_id = config_id};
    keeper_run(keeper, &d->task);
}
