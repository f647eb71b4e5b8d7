/* The modes that need no running server of their own: help, version, healthcheck, migrate, idle,
 * check, config. */
#include "admin/plugin_change.h"
#include "app/app_priv.h"
#include "app/remote.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "plugin/loader.h"
#include "store/store_sqlite.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define IDLE_LINE_S 30

static const char usage[] =
    "hedgerow v" HEDGEROW_VERSION ": product analytics intake in one binary\n"
    "\n"
    "hedgerow [MODE] [--set NAME=value]... [--config FILE]\n"
    "\n"
    "       (no mode)                 serve\n"
    "       -h, --help                this text\n"
    "       -v, --version             name and version\n"
    "       --healthcheck             exit 0 when the server on this machine is healthy, else 1\n"
    "       --migrate                 bring the databases in DATA_DIR to the newest schema\n"
    "       --idle                    connect to nothing until a signal comes\n"
    "       --test-mode               defaults for tests: only warnings are printed, no GeoIP\n"
    "       --accept-gap              serve although unread events are missing from the queue\n"
    "       check                     validate settings and provision file\n"
    "       config print | docs       the settings in force (secrets masked) | their reference "
    "page\n"
    "       apply FILE [--prune]      bring teams and the rest to what FILE says\n"
    "       export                    print them in that form\n"
    "       team add NAME [--id N] | list | rotate-token ID   [--json]\n"
    "       plugin add NAME --source dir:PATH | inline FILE | builtin:geoip [--team N] [--order "
    "N]\n"
    "              [--plugin-config JSON or @FILE] | list | enable ID|NAME | disable ID|NAME\n"
    "              | logs [ID|NAME] [--limit N] [--follow]   [--json]\n"
    "       plugin test DIR [--config FILE] [--event FILE] [--hook NAME] [--fixture FILE] [--clock "
    "ISO]\n"
    "                                 run a plugin on events, without a server: one JSON document\n"
    "       send FILE [--token T] [--url U]   post JSON lines from FILE (- is standard input)\n"
    "       tail [--team N] [--event E]       stored events as they come, one JSON line each\n"
    "\n"
    "Settings (environment, config file or --set):\n";

int mode_help(void)
{
    struct buf out = BUF_INIT(1 << 20);

    buf_add_str(&out, usage);
    conf_help(&out);
    app_print(buf_slice(&out));
    buf_free(&out);
    return 0;
}

int mode_version(void)
{
    app_print(SLICE("hedgerow v" HEDGEROW_VERSION "\n"));
    return 0;
}

int mode_healthcheck(const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct buf url = BUF_INIT(1024);
    struct http_reply reply = {.body = BUF_INIT(64 << 10)};

    remote_add_urls(conf, &url, NULL);
    buf_add_str(&url, "/_health");
    struct http_call call = {.method = "GET", .url = buf_cstr(&url), .timeout_us = 3000000};
    bool ok = http_client_call(&call, &reply, &err);
    if (!ok)
        log_error("health", "the server does not answer", KV_STR("url", buf_cstr(&url)),
                  KV_ERR(&err));
    else if (reply.status != 200)
        log_error("health", "the server is not healthy", KV_I64("status", reply.status),
                  KV_SLICE("answer", buf_slice(&reply.body)));
    else
        log_info("health", "the server is healthy");
    ok = ok && reply.status == 200;
    buf_free(&url);
    buf_free(&reply.body);
    return ok ? 0 : 1;
}

static bool has_graphile(const char *list)
{
    for (struct slice rest = slice_cstr(list), part; slice_split(&rest, ',', &part);)
        if (slice_eq(slice_trim(part), SLICE("graphile")))
            return true;
    return false;
}

static bool migrate_run(const struct conf *conf, struct err *err)
{
    char *lock_path = app_data_path(conf, APP_LOCK), *db_path = app_data_path(conf, APP_DATABASE);
    int from = 0, to = 0, lock = -1;
    bool ok = fs_mkdirs(conf_str(conf, CONF_DATA_DIR), 0700, err);

    if (ok) {
        lock = fs_lock(lock_path, err);
        ok = lock != -1 && store_sqlite_migrate(db_path, &from, &to, err);
    }
    if (ok && from == to)
        log_info("migrate", "the database has the newest schema already", KV_I64("schema", to));
    else if (ok)
        log_info("migrate", "the database was migrated", KV_I64("from", from), KV_I64("to", to));
    if (lock != -1)
        close(lock);
    mem_free(lock_path);
    mem_free(db_path);
    return ok;
}

int mode_migrate(const struct conf *conf)
{
    struct err err = ERR_INIT;

    if (!has_graphile(conf_str(conf, CONF_JOB_QUEUES))) {
        log_info("migrate", "nothing to migrate",
                 KV_STR("JOB_QUEUES", conf_str(conf, CONF_JOB_QUEUES)));
        return 0;
    }
    if (migrate_run(conf, &err))
        return 0;
    log_error("migrate", "the migration failed", KV_ERR(&err));
    return 1;
}

int mode_idle(const struct conf *conf)
{
    sigset_t set;
    struct timespec wait = {.tv_sec = IDLE_LINE_S};

    UNUSED(conf);
    log_set_prefix(cli_prefix(CLI_IDLE));
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP); /* both reload, and here is nothing to reload */
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    log_line("Disengaged: connected to nothing, waiting for a signal");
    for (;;) {
        int sig = sigtimedwait(&set, NULL, &wait);
        if (sig == SIGINT || sig == SIGTERM)
            break;
        if (sig == -1 && errno == EAGAIN)
            log_line("Still disengaged");
    }
    log_line("Over and out!");
    return 0;
}

/* The directory of a file, for the relative paths inside it. */
char *app_base_dir(const char *path)
{
    char full[PATH_MAX];
    struct slice s = slice_cstr(realpath(path, full) ? full : path);

    while (s.len > 1 && s.ptr[s.len - 1] != '/')
        s.len--;
    return slice_dup(s.len > 0 && s.ptr[s.len - 1] == '/' ? s : SLICE("."));
}

/* Each line on standard error, with `what` in front; how many. */
static size_t complain_lines(const char *what, struct slice text)
{
    size_t count = 0;

    for (struct slice line; slice_split(&text, '\n', &line);) {
        if (!line.len)
            continue;
        app_complain("%s%.*s", what, SLICE_ARG(line));
        count++;
    }
    return count;
}

/* Whether it is there may be different where the server runs: a warning. */
static void warn_missing(const char *file, const char *what, const char *name, const char *path)
{
    app_complain("warning: %s: %s \"%s\": there is no %s", file, what, name, path);
}

/* What the server would say of it: one that cannot be loaded is a fault. */
static size_t check_plugin(const char *file, const char *name, const cJSON *object)
{
    const char *source = json_str(object, "source");
    struct plugin_files files;

    if (source && slice_starts(slice_cstr(source), SLICE("dir:")) && !fs_exists(source + 4)) {
        warn_missing(file, "plugin", name, source + 4);
        return 0;
    }
    loader_read(object, 0, &files);
    size_t count = files.load_error != NULL;
    if (count)
        app_complain("%s: plugin \"%s\": %s", file, name, files.load_error);
    plugin_files_fini(&files);
    return count;
}

static void check_attachments(const char *file, const char *name, const cJSON *object)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_get(object, "attachments")) if (cJSON_IsString(item) &&
                                                                  !fs_exists(item->valuestring))
        warn_missing(file, "attachment of the plugin config", name, item->valuestring);
}

static size_t check_plugins(const char *file, const struct provision *p)
{
    size_t count = 0;

    for (size_t i = 0; i < p->object_count; i++) {
        const struct provision_object *o = &p->objects[i];
        struct err err = ERR_INIT;
        cJSON *object = json_parse(slice_cstr(o->json), &err);
        if (object && slice_eq(slice_cstr(o->kind), SLICE(PLUGIN_KIND)))
            count += check_plugin(file, o->key, object);
        else if (object && slice_eq(slice_cstr(o->kind), SLICE(PLUGIN_CONFIG_KIND)))
            check_attachments(file, o->key, object);
        json_free(object);
    }
    return count;
}

static size_t check_provision(const char *path)
{
    struct buf text = BUF_INIT(64 << 20), what = BUF_INIT(PATH_MAX + 2);
    struct json_faults faults = JSON_FAULTS_INIT;
    struct err err = ERR_INIT;
    size_t count = 0;

    if (!fs_read_all(path, &text, &err)) {
        app_complain("PROVISION_FILE: %s", err.text);
        buf_free(&text);
        return 1;
    }
    char *dir = app_base_dir(path);
    struct provision *p = provision_parse(buf_slice(&text), dir, &faults);
    buf_addf(&what, "%s: ", path);
    complain_lines(buf_cstr(&what), buf_slice(&faults.text));
    count = faults.count + (p ? check_plugins(path, p) : 0);
    provision_free(p);
    mem_free(dir);
    json_faults_free(&faults);
    buf_free(&what);
    buf_free(&text);
    return count;
}

int mode_check(const struct cli *cli, const struct conf *conf, struct slice faults)
{
    const char *path = cli->word_count ? cli->words[0] : conf_str(conf, CONF_PROVISION_FILE);
    struct buf warnings = BUF_INIT(1 << 20);

    conf_warnings(conf, &warnings);
    complain_lines("warning: ", buf_slice(&warnings));
    buf_free(&warnings);
    size_t of_settings = complain_lines("", faults), of_file = *path ? check_provision(path) : 0;
    size_t count = of_settings + of_file;
    if (of_file)
        app_complain("%zu fault%s", count, count == 1 ? "" : "s");
    if (count)
        return 1;
    app_print(*path ? SLICE("settings and provision file are fine\n")
                    : SLICE("settings are fine\n"));
    return 0;
}

int mode_config(const struct cli *cli, const struct conf *conf)
{
    struct buf out = BUF_INIT(4 << 20);
    const char *what = cli->word_count ? cli->words[0] : "";
    int code = 0;

    if (slice_eq(slice_cstr(what), SLICE("print"))) {
        conf_print(conf, &out);
    } else if (slice_eq(slice_cstr(what), SLICE("docs"))) {
        conf_docs_markdown(&out);
    } else {
        app_complain("hedgerow config: say `config print`, `config docs` or `config check`");
        code = 1;
    }
    app_print(buf_slice(&out));
    buf_free(&out);
    return code;
}
