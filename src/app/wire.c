/* Order of the start: directory, lock, listeners, database, teams, plugins, ring, pipeline. The
 * listeners come first, so that a second server on the same ports ends before it has opened
 * anything, and so that whoever asks while a long recovery runs gets an answer: 503 from capture
 * and from every route of the admin listener. Capture opens when the ring is there, the admin when
 * the pipeline runs too.
 */
#include "app/wire.h"

#include "app/app_priv.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "metric/process.h"
#include "net/peer.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADMIN_TOKEN_BYTES   24
#define DRAIN_US            5000000
#define PIPE_STOP_US        5000000
#define FIRST_SEGMENT_BYTES (4u << 20)

/* --- directory, lock, token ---------------------------------------------------------------------
 */

static bool open_directory(struct app *app, struct err *err)
{
    const char *dir = conf_str(app->conf, CONF_DATA_DIR);

    app->lock_path = app_data_path(app->conf, APP_LOCK);
    app->db_path = app_data_path(app->conf, APP_DATABASE);
    app->token_path = app_data_path(app->conf, APP_ADMIN_TOKEN);
    app->ports_path = app_data_path(app->conf, APP_PORTS);
    char *rings = app_data_path(app->conf, "ring");
    app->ring_dir = fs_join(rings, conf_str(app->conf, CONF_KAFKA_CONSUMPTION_TOPIC));
    mem_free(rings);
    if (!fs_mkdirs(dir, 0700, err))
        return err_wrap(err, "DATA_DIR");
    app->lock_fd = fs_lock(app->lock_path, err);
    return app->lock_fd != -1 || err_wrap(err, "DATA_DIR %s", dir);
}

/* Decided by the addresses that a name stands for: "127.example.org" may be anywhere. */
static bool check_loopback(const char *host, bool *is_loopback, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;

    *is_loopback = false;
    if (!*host || slice_eq(slice_cstr(host), SLICE("*")))
        return true; /* every address */
    int e = getaddrinfo(host, NULL, &hints, &all);
    if (e != 0)
        return err_set(err, ERR_INPUT, "HTTP_SERVER_HOST %s: %s", host, gai_strerror(e));
    *is_loopback = true;
    for (const struct addrinfo *ai = all; ai; ai = ai->ai_next) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        struct peer peer;
        memcpy(&address, ai->ai_addr, MIN(ai->ai_addrlen, sizeof(address)));
        peer_set(&peer, &address);
        *is_loopback = *is_loopback && peer.is_loopback;
    }
    freeaddrinfo(all);
    return true;
}

static bool make_token(struct app *app, struct err *err)
{
    uint8_t bytes[ADMIN_TOKEN_BYTES];
    char text[2 * ADMIN_TOKEN_BYTES + 2];

    rand_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    app->admin_token = mem_dup_str(text);
    text[2 * ADMIN_TOKEN_BYTES] = '\n';
    return fs_write_atomic(app->token_path, slice_make(text, sizeof(text) - 1), 0600, err);
}

/* It came from elsewhere or was opened up: ours is made 0600. */
static void check_token_mode(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & 077))
        log_warn("app", "others may read or change the admin token: chmod 600 is better",
                 KV_STR("file", path));
}

static bool load_token(struct app *app, struct err *err)
{
    const char *given = conf_str(app->conf, CONF_ADMIN_TOKEN);
    const char *host = conf_str(app->conf, CONF_HTTP_SERVER_HOST);
    struct buf text = BUF_INIT(4096);
    bool is_loopback;

    if (*given) {
        app->admin_token = mem_dup_str(given);
        return true;
    }
    if (!check_loopback(host, &is_loopback, err))
        return false;
    if (!is_loopback)
        return err_set(
            err, ERR_INPUT,
            "HTTP_SERVER_HOST is %s, which others can reach: set ADMIN_TOKEN, or use 127.0.0.1",
            host);
    bool ok = fs_read_all(app->token_path, &text, err);
    struct slice token = slice_trim(buf_slice(&text));
    if (ok && token.len) {
        app->admin_token = slice_dup(token);
        check_token_mode(app->token_path);
    } else if (ok || err->code == ERR_GONE) {
        ok = make_token(app, err);
    }
    buf_free(&text);
    return ok;
}

/* A setting in seconds, hours or days, as microseconds. */
static int64_t us_of(double value, int64_t unit_s)
{
    return (int64_t)(value * (double)unit_s * 1e6);
}

/* --- store -----------------------------------------------------------------------------
 */

/* Without AUTO_MIGRATE the schema of what is there is changed by --migrate alone. */
static bool check_schema(const struct app *app, struct err *err)
{
    int number = 0;

    if (conf_bool(app->conf, CONF_AUTO_MIGRATE))
        return true;
    if (!store_sqlite_file_schema(app->db_path, &number, err))
        return false;
    if (number == 0 || number >= store_sqlite_schema())
        return true; /* nothing is there; a newer one is refused when it is opened */
    return err_set(err, ERR_INPUT,
                   "%s has schema %d, this binary needs %d: run `hedgerow --migrate`, or set "
                   "AUTO_MIGRATE=true",
                   app->db_path, number, store_sqlite_schema());
}

static bool open_store(struct app *app, struct err *err)
{
    const struct conf *c = app->conf;
    struct store_sqlite_options opt = {
        .path = app->db_path,
        .dedupe_window_us = us_of(conf_num(c, CONF_DEDUPE_HOURS), 3600),
        .dedupe_bytes_max = (size_t)conf_int(c, CONF_DEDUPE_MEMORY),
        .distinct_id_cache_entries = (size_t)conf_int(c, CONF_DISTINCT_ID_LRU_SIZE),
        .cache_bytes_max = (size_t)conf_int(c, CONF_STORE_CACHE_BYTES),
        .wal_checkpoint_bytes = (uint64_t)conf_int(c, CONF_WAL_CHECKPOINT_BYTES),
        .wal_restart_bytes = (uint64_t)conf_int(c, CONF_WAL_RESTART_BYTES),
        .wal_alarm_bytes = (uint64_t)conf_int(c, CONF_WAL_ALARM_BYTES),
        .events_retention_us = us_of(conf_num(c, CONF_EVENTS_RETENTION_DAYS), 86400),
        .dead_letter_retention_us = (int64_t)28 * 86400 * 1000000,
        .plugin_logs_retention_us = us_of(conf_num(c, CONF_PLUGIN_LOGS_KEEP_DAYS), 86400),
        .busy_us = 5000000,
        .metrics = app->metrics,
    };
    app->has_store = store_sqlite_open(&opt, &app->store, err);
    return app->has_store && store_sqlite_start(&app->store, err);
}

/* --- ring and pipeline
 * ---------------------------------------------------------------------------- */

static int sync_mode(const struct conf *c)
{
    struct slice text = slice_cstr(conf_str(c, CONF_QUEUE_SYNC));

    if (slice_eq_nocase(text, SLICE("interval")))
        return RING_SYNC_INTERVAL;
    return slice_eq_nocase(text, SLICE("never")) ? RING_SYNC_NEVER : RING_SYNC_ALWAYS;
}

/* The runs that the pipeline goes on with: none of another ring, none below the position. */
static void keep_runs(struct app *app, uint64_t offset)
{
    size_t kept = 0;

    for (size_t i = 0; i < app->run_count && ring_runs_hold(app->ring); i++) {
        if (app->runs[i].to > offset)
            app->runs[kept++] =
                (struct feed_run){.from = MAX(app->runs[i].from, offset), .to = app->runs[i].to};
    }
    app->run_count = kept;
}

/* A new epoch or an accepted gap goes to the store before anything is acknowledged: after a crash
 * the next start would take the ring for another one and its events for somebody else's. */
static bool keep_position(struct app *app, const struct ring_options *opt, struct err *err)
{
    const struct store_ops *ops = app->store.ops;
    const struct feed_position *was = &opt->position;
    struct feed_position now = ring_position(app->ring);

    keep_runs(app, now.offset);
    if (!opt->has_position || uuid_is_nil(&was->ring_id) ||
        (now.epoch == was->epoch && now.offset == was->offset &&
         uuid_eq(&now.ring_id, &was->ring_id)))
        return true;
    if (!ops->begin(app->store.self, err))
        return false;
    if (ops->commit(app->store.self, &now, app->runs, app->run_count, err))
        return true;
    ops->rollback(app->store.self);
    return false;
}

/* Another topic is another directory: its ring would begin empty, and the old one be forgotten. */
static bool check_topic(const struct app *app, const struct ring_options *opt, struct err *err)
{
    char *other = opt->accept_gap ? NULL : ring_elsewhere(opt);

    if (!other)
        return true;
    err_set(
        err, ERR_INPUT,
        "KAFKA_CONSUMPTION_TOPIC is %s, but ring/%s in DATA_DIR has events that are not stored: "
        "start with KAFKA_CONSUMPTION_TOPIC=%s until they are, or with --accept-gap to go on "
        "without them",
        conf_str(app->conf, CONF_KAFKA_CONSUMPTION_TOPIC), other, other);
    mem_free(other);
    return false;
}

static bool open_ring(struct app *app, const struct cli *cli, struct err *err)
{
    const struct conf *c = app->conf;
    struct ring_options opt = {
        .dir = app->ring_dir,
        .segment_bytes = (uint64_t)conf_int(c, CONF_QUEUE_SEGMENT_BYTES),
        .first_segment_bytes =
            MIN((uint64_t)FIRST_SEGMENT_BYTES, (uint64_t)conf_int(c, CONF_QUEUE_SEGMENT_BYTES)),
        .bytes_max = (uint64_t)conf_int(c, CONF_QUEUE_MAX_BYTES),
        .min_free_bytes = (uint64_t)conf_int(c, CONF_QUEUE_MIN_FREE_BYTES),
        .record_bytes_max = (size_t)conf_int(c, CONF_QUEUE_MAX_RECORD_BYTES),
        .pending_bytes_max = (size_t)conf_int(c, CONF_QUEUE_PENDING_BYTES),
        .tail_bytes_max = (size_t)conf_int(c, CONF_QUEUE_TAIL_BYTES),
        .sync = sync_mode(c),
        .group_commit_us = conf_int(c, CONF_QUEUE_GROUP_COMMIT_MS) * 1000,
        .accept_gap = cli->accept_gap,
        .metrics = app->metrics,
    };
    if (!app->store.ops->position(app->store.self, &opt.position, &app->runs, &app->run_count,
                                  &opt.has_position, err))
        return false;
    opt.runs = app->runs;
    opt.run_count = app->run_count;
    if (opt.sync != RING_SYNC_ALWAYS)
        log_warn("app",
                 "a power failure may lose acknowledged events; QUEUE_SYNC=always keeps them",
                 KV_STR("QUEUE_SYNC", conf_str(c, CONF_QUEUE_SYNC)));
    if (!check_topic(app, &opt, err))
        return false;
    app->ring = ring_open(&opt, err);
    return app->ring && keep_position(app, &opt, err) && ring_start(app->ring, err);
}

static void on_fatal(const struct err *err, void *ctx)
{
    UNUSED(ctx);
    log_error("store",
              "the database cannot be trusted, ending at once; the queue keeps every event",
              KV_ERR(err));
    log_flush();
    _exit(1);
}

static void on_blocked(bool is_blocked, const char *why, void *ctx)
{
    struct app *app = ctx;

    if (is_blocked)
        log_error("store", "the database has no room, capture answers 503 until there is",
                  KV_STR("why", why));
    else
        log_info("store", "the database has room again");
    capture_set_blocked(app->capture, is_blocked ? "the database has no room" : NULL);
}

static bool start_pipe(struct app *app, struct err *err)
{
    const struct conf *c = app->conf;
    int64_t workers = conf_int(c, CONF_WORKER_CONCURRENCY);

    app->workers = (int)(workers > 0 ? workers : MIN(thread_cpu_count(), 256));
    struct pipe_options opt = {
        .feed = ring_reader(app->ring),
        .store = app->store,
        .teams = app->teams,
        .plugins = keeper_plugins(app->keeper),
        .metrics = app->metrics,
        .workers = app->workers,
        .read_ahead_events = (size_t)conf_int(c, CONF_READ_AHEAD_EVENTS),
        .read_ahead_bytes = (size_t)conf_int(c, CONF_READ_AHEAD_BYTES),
        .batch_events = (size_t)conf_int(c, CONF_STORE_BATCH_EVENTS),
        .batch_bytes = (size_t)conf_int(c, CONF_STORE_BATCH_BYTES),
        .batch_us = conf_int(c, CONF_STORE_BATCH_MS) * 1000,
        .properties_bytes_max = (size_t)conf_int(c, CONF_PERSON_PROPERTIES_BYTES),
        .merge_policy_2023 = slice_eq(slice_cstr(conf_str(c, CONF_MERGE_POLICY)), SLICE("2023")),
        .position = ring_position(app->ring),
        .runs = app->runs,
        .run_count = app->run_count,
        .fatal = on_fatal,
        .blocked = on_blocked,
        .ctx = app,
    };
    app->pipe = pipe_start(&opt, err);
    return app->pipe != NULL;
}

/* --- listeners
 * ------------------------------------------------------------------------------------ */

static struct http_limits limits_of(const struct conf *c, size_t connections_max)
{
    int64_t rate = conf_int(c, CONF_HTTP_BODY_MIN_RATE); /* 0: off, which net writes as -1 */

    return (struct http_limits){
        .head_bytes_max = (size_t)conf_int(c, CONF_HTTP_MAX_HEADER_BYTES),
        .header_count_max = (size_t)conf_int(c, CONF_HTTP_MAX_HEADERS),
        .head_us = us_of(conf_num(c, CONF_HTTP_HEADER_TIMEOUT), 1),
        .body_stall_us = us_of(conf_num(c, CONF_HTTP_BODY_TIMEOUT), 1),
        .idle_us = us_of(conf_num(c, CONF_HTTP_IDLE_TIMEOUT), 1),
        .write_stall_us = us_of(conf_num(c, CONF_HTTP_WRITE_TIMEOUT), 1),
        .connections_max = connections_max,
        .body_bytes_total_max = (size_t)conf_int(c, CONF_HTTP_BODY_MEMORY_BYTES),
        .body_discard_factor = 2,
        .body_rate_min = rate ? rate : -1,
    };
}

/* Capture is there before the ring; while it is blocked it appends nothing. */
static bool append_to_ring(void *self, struct feed_group *group, feed_done_fn *done, void *ctx,
                           struct err *err)
{
    struct feed_writer writer = ring_writer(((struct app *)self)->ring);

    return writer.ops->append(writer.self, group, done, ctx, err);
}

static const struct feed_writer_ops to_ring = {.append = append_to_ring};

static bool make_capture(struct app *app, struct err *err)
{
    const struct conf *c = app->conf;
    struct capture_options opt = {
        .feed = {.ops = &to_ring, .self = app},
        .teams = app->teams,
        .metrics = app->metrics,
        .body_bytes_max = (size_t)conf_int(c, CONF_CAPTURE_MAX_BODY_BYTES),
        .decoded_bytes_max = (size_t)conf_int(c, CONF_CAPTURE_MAX_DECODED_BYTES),
        .parse_bytes_max = (size_t)conf_int(c, CONF_CAPTURE_MAX_PARSE_BYTES),
        .event_bytes_max = (size_t)conf_int(c, CONF_CAPTURE_MAX_EVENT_BYTES),
        .group_bytes_max = (size_t)conf_int(c, CONF_QUEUE_PENDING_BYTES),
        .any_token = conf_bool(c, CONF_CAPTURE_ANY_TOKEN),
        .trusted_proxies = conf_str(c, CONF_TRUSTED_PROXIES),
    };
    app->capture = capture_new(&opt, err);
    if (app->capture)
        capture_set_blocked(app->capture, "the server is starting");
    return app->capture != NULL;
}

static bool make_admin(struct app *app, struct err *err)
{
    struct admin_options opt = {
        .conf = app->conf,
        .metrics = app->metrics,
        .net = app->net,
        .teams = app->teams,
        .database_path = app->db_path,
        .token = app->admin_token,
        .version = HEDGEROW_VERSION,
        .has_geoip = app_has_geoip(app->conf),
        .stale_us = us_of(conf_num(app->conf, CONF_HEALTHCHECK_MAX_STALE_SECONDS), 1),
    };
    app->admin = admin_new(&opt, err);
    return app->admin != NULL;
}

static bool listen_capture(struct app *app, struct err *err)
{
    const struct conf *c = app->conf;
    struct http_listener_options opt = {.name = "capture",
                                        .host = conf_str(c, CONF_CAPTURE_HOST),
                                        .port = (int)conf_int(c, CONF_CAPTURE_PORT),
                                        .path_prefix = conf_str(c, CONF_CAPTURE_PATH_PREFIX),
                                        .refuse = capture_refuse,
                                        .answer = capture_answer,
                                        .ctx = app->capture,
                                        .limits = limits_of(c, app->connections.capture)};
    opt.routes = capture_routes(app->capture, &opt.route_count);
    app->capture_listener = net_listen(app->net, &opt, err);
    return app->capture_listener || err_wrap(err, "CAPTURE_HOST, CAPTURE_PORT");
}

static bool listen_admin(struct app *app, struct err *err)
{
    const struct conf *c = app->conf;
    struct http_listener_options opt = {.name = "admin",
                                        .host = conf_str(c, CONF_HTTP_SERVER_HOST),
                                        .port = (int)conf_int(c, CONF_HTTP_SERVER_PORT),
                                        .path_prefix = "",
                                        .refuse = admin_refuse,
                                        .answer = admin_answer,
                                        .ctx = app->admin,
                                        .limits = limits_of(c, app->connections.admin)};
    opt.routes = admin_routes(app->admin, &opt.route_count);
    app->admin_listener = net_listen(app->net, &opt, err);
    return app->admin_listener || err_wrap(err, "HTTP_SERVER_HOST, HTTP_SERVER_PORT");
}

static void add_build_info(struct metrics *m)
{
    metric_set(metric_new_gauge(m, "hedgerow_build_info", "version=\"" HEDGEROW_VERSION "\"",
                                "Always 1; the version is a label."),
               1);
    metric_add_process(m);
}

static void begin_admin(struct app *app)
{
    struct buf url = BUF_INIT(1024);

    app_add_url(&url, conf_str(app->conf, CONF_CAPTURE_HOST),
                http_listener_port(app->capture_listener));
    buf_add_str(&url, conf_str(app->conf, CONF_CAPTURE_PATH_PREFIX));
    admin_begin(app->admin, &(struct admin_parts){.pipe = app->pipe,
                                                  .feed = ring_reader(app->ring),
                                                  .keeper = keeper_for_admin(app->keeper),
                                                  .store = app->store,
                                                  .geo = keeper_geo(app->keeper),
                                                  .capture_url = buf_cstr(&url)});
    buf_free(&url);
}

static double read_left_blocks(void *ctx)
{
    return (double)plugins_left_blocks((const struct plugins *)ctx);
}

static bool load_plugins(struct app *app, struct err *err)
{
    app->keeper = keeper_new(app->conf);
    metric_new_read(app->metrics, "hedgerow_plugin_left_blocks_total", NULL,
                    "Memory blocks of values that unloading a team's plugins left behind.", true,
                    read_left_blocks, keeper_plugins(app->keeper));
    return keeper_load(app->keeper, &app->store, err);
}

bool app_build(struct app *app, const struct cli *cli, const struct conf *conf, struct err *err)
{
    int64_t threads = conf_int(conf, CONF_HTTP_THREADS);

    threads = threads > 0 ? MIN(threads, 256) : thread_cpu_count();
    *app = (struct app){.conf = conf, .lock_fd = -1};
    app->metrics = metrics_new();
    add_build_info(app->metrics);
    app->teams = team_directory_new();
    if (!open_directory(app, err) || !load_token(app, err) || !check_schema(app, err))
        return false;
    app->connections = descriptors_share(conf, descriptors_raise(), (int)threads);
    app->net = net_new((int)threads, app->metrics, err);
    if (!app->net || !make_capture(app, err) || !make_admin(app, err) ||
        !listen_capture(app, err) || !listen_admin(app, err) || !net_start(app->net, err) ||
        !open_store(app, err) || !app_fill_store(app, err) || !load_plugins(app, err) ||
        !open_ring(app, cli, err))
        return false;
    capture_set_blocked(app->capture, NULL); /* from here on STORE may block it */
    if (!start_pipe(app, err) || !keeper_start(app->keeper, app->pipe, err))
        return false;
    begin_admin(app);
    return true;
}

void app_stop(struct app *app)
{
    if (app->admin)
        admin_stop(app->admin);
    if (app->net && !net_drain(app->net, DRAIN_US))
        log_warn("app", "some requests were not answered in time; their clients send again");
    if (app->ring)
        ring_stop(app->ring);
    if (app->pipe)
        pipe_stop(app->pipe, PIPE_STOP_US);
    keeper_stop(app->keeper, &app->store);
    if (app->net)
        net_stop(app->net);
}

/* Of our own only: without the lock the files are another process's. */
static void leave_directory(struct app *app)
{
    struct err err = ERR_INIT;

    if (app->lock_fd == -1)
        return;
    if (!fs_remove(app->ports_path, &err))
        log_warn("app", "a file stays behind", KV_ERR(&err));
    close(app->lock_fd);
}

void app_free(struct app *app)
{
    admin_free(app->admin);
    net_free(app->net);
    capture_free(app->capture);
    pipe_free(app->pipe);
    keeper_free(app->keeper);
    ring_free(app->ring);
    if (app->has_store)
        store_sqlite_close(&app->store);
    team_directory_free(app->teams);
    metrics_free(app->metrics);
    leave_directory(app);
    mem_free(app->lock_path);
    mem_free(app->db_path);
    mem_free(app->ring_dir);
    mem_free(app->token_path);
    mem_free(app->ports_path);
    mem_free(app->admin_token);
    mem_free(app->runs);
}
