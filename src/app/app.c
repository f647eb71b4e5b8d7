/* From argv to a mode. Settings are read once, here; every fault in them ends the process before
 * anything is touched. */
#include "app/app.h"

#include "app/app_priv.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

void app_print(struct slice text)
{
    if (text.len)
        fwrite(text.ptr, 1, text.len, stdout);
    fflush(stdout);
}

void app_complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

char *app_data_path(const struct conf *conf, const char *name)
{
    return fs_join(conf_str(conf, CONF_DATA_DIR), name);
}

void app_add_url(struct buf *out, const char *host, int64_t port)
{
    struct slice name = slice_cstr(host);

    if (!name.len || slice_eq(name, SLICE("*")) || slice_eq(name, SLICE("0.0.0.0")))
        host = "127.0.0.1";
    if (slice_eq(name, SLICE("::")))
        host = "::1";
    buf_addf(out, strchr(host, ':') ? "http://[%s]:%lld" : "http://%s:%lld", host, (long long)port);
}

static enum log_level level_of(const char *text)
{
    static const char *const names[] = {"debug", "info", "log", "warn", "error", "none"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq_nocase(slice_cstr(text), slice_cstr(names[i])))
            return (enum log_level)i;
    return LOG_INFO; /* conf has checked the value */
}

/* The result of `plugin test` is what stands on standard output, and nothing else. */
static void log_begin(const struct conf *conf, const struct cli *cli)
{
    enum log_level lowest = level_of(conf_str(conf, CONF_LOG_LEVEL));
    bool is_json = slice_eq(slice_cstr(conf_str(conf, CONF_LOG_FORMAT)), SLICE("json"));
    bool is_local = slice_eq(slice_cstr(conf_str(conf, CONF_LOG_TIME)), SLICE("local"));

    log_setup(cli_is_plugin_test(cli) ? MAX(lowest, LOG_WARN) : lowest,
              is_json ? LOG_JSON : LOG_CLASSIC, is_local);
    log_set_prefix(cli_prefix(cli->mode));
}

static int mode_run(const struct cli *cli, const struct conf *conf)
{
    switch (cli->mode) {
    case CLI_HEALTHCHECK:
        return mode_healthcheck(conf);
    case CLI_MIGRATE:
        return mode_migrate(conf);
    case CLI_IDLE:
        return mode_idle(conf);
    case CLI_CONFIG:
        return mode_config(cli, conf);
    case CLI_APPLY:
        return mode_apply(cli, conf);
    case CLI_EXPORT:
        return mode_export(conf);
    case CLI_TEAM:
        return mode_team(cli, conf);
    case CLI_SEND:
        return mode_send(cli, conf);
    case CLI_TAIL:
        return mode_tail(cli, conf);
    case CLI_PLUGIN:
        return mode_plugin(cli, conf);
    default:
        return conf_bool(conf, CONF_PLUGIN_SERVER_IDLE) ? mode_idle(conf) : mode_serve(cli, conf);
    }
}

/* `check`, or `config check`, which has no words of its own. */
static bool is_check(struct cli *cli)
{
    if (cli->mode == CLI_CONFIG && cli->word_count &&
        slice_eq(slice_cstr(cli->words[0]), SLICE("check"))) {
        cli->mode = CLI_CHECK;
        cli->word_count = 0;
    }
    return cli->mode == CLI_CHECK;
}

int app_main(int argc, char **argv)
{
    struct buf fault = BUF_INIT(1 << 20);
    struct cli cli;
    int code = cli_parse(argc, argv, &cli, &fault);

    fault_from_env();
    /* Whatever is made from here on, the files that SQLite makes by itself included, is the owner's
     * alone. */
    umask(077);
    if (code) {
        app_complain("%s", buf_cstr(&fault));
        buf_free(&fault);
        return code;
    }
    if (cli.mode == CLI_HELP)
        return mode_help();
    if (cli.mode == CLI_VERSION)
        return mode_version();

    struct conf_sources sources = {.file = cli.config_file,
                                   .environ = environ,
                                   .sets = cli.sets,
                                   .set_count = cli.set_count,
                                   .is_test_mode = cli.test_mode,
                                   .keeps_faulty = is_check(&cli)};
    struct conf *conf = conf_load(&sources, &fault);
    if (!conf) {
        app_complain("%.*s", SLICE_ARG(slice_trim(buf_slice(&fault))));
        buf_free(&fault);
        return 1;
    }
    log_begin(conf, &cli);
    code = cli.mode == CLI_CHECK ? mode_check(&cli, conf, buf_slice(&fault)) : mode_run(&cli, conf);
    log_flush();
    buf_free(&fault);
    conf_free(conf);
    return code;
}
