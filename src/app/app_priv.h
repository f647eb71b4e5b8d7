/* app_priv.h - the modes, one function each; all return the exit code. Run on MAIN. */
#pragma once

#include "app/cli.h"
#include "conf/conf.h"

int mode_serve(const struct cli *cli, const struct conf *conf);
int mode_help(void);
int mode_version(void);
int mode_healthcheck(const struct conf *conf);
int mode_migrate(const struct conf *conf);
int mode_idle(const struct conf *conf);
/* `faults` of the settings, one per line; conf has defaults in their places. */
int mode_check(const struct cli *cli, const struct conf *conf, struct slice faults);
int mode_config(const struct cli *cli, const struct conf *conf);
int mode_apply(const struct cli *cli, const struct conf *conf);
int mode_export(const struct conf *conf);
int mode_team(const struct cli *cli, const struct conf *conf);
int mode_tail(const struct cli *cli, const struct conf *conf);
int mode_plugin(const struct cli *cli, const struct conf *conf);
int mode_plugin_test(const struct cli *cli, const struct conf *conf);
int mode_send(const struct cli *cli, const struct conf *conf);

/* The directory of a file (heap), for the relative paths inside it. */
char *app_base_dir(const char *path);
/* http://HOST:PORT as a client on this machine writes it. */
void app_add_url(struct buf *out, const char *host, int64_t port);
/* DATA_DIR/<name>, heap. */
char *app_data_path(const struct conf *conf, const char *name);
#define APP_DATABASE    "hedgerow.db"
#define APP_LOCK        "LOCK"
#define APP_ADMIN_TOKEN "admin.token"
#define APP_PORTS       "ports.json"

/* Prints to stdout / one line to stderr. */
void app_print(struct slice text);
void app_complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
