/* wire.h - builds every part in layer order and takes them down in reverse. A thread without a
 * role. */
#pragma once

#include "admin/admin.h"
#include "app/cli.h"
#include "app/descriptors.h"
#include "app/keeper.h"
#include "in/capture/capture.h"
#include "ring/ring.h"
#include "store/store_sqlite.h"

#include <stdatomic.h>

struct app {
    const struct conf *conf;
    struct metrics *metrics;
    char *lock_path, *db_path, *ring_dir, *token_path, *ports_path;
    int lock_fd;
    char *admin_token;
    bool has_store;
    struct store store;
    struct team_directory *teams;
    struct ring *ring;
    bool ring_runs;
    struct keeper *keeper;
    struct pipe *pipe;
    struct net *net;
    struct capture *capture;
    struct admin *admin;
    struct connections_max connections;
    struct http_listener *capture_listener, *admin_listener;
    struct feed_run *runs;
    size_t run_count;
    int workers;
    atomic_int reload; /* of PROVISION_FILE: idle, runs, runs and is wanted again */
};

MUST_CHECK bool app_build(struct app *app, const struct cli *cli, const struct conf *conf,
                          struct err *err);
/* Graceful: no new requests, running ones answered, what was read stored. */
void app_stop(struct app *app);
void app_free(struct app *app);
/* What the provision file says, or a first team; at the start. */
MUST_CHECK bool app_fill_store(struct app *app, struct err *err);
/* Applies PROVISION_FILE again and loads the plugins anew (SIGHUP). Reads the file here and leaves
 * the rest to the keeper and to STORE, which may be waiting for the disk: returns at once. Asked
 * for again meanwhile, it sends SIGHUP when it is done. */
void app_reload(struct app *app);
/* A GeoIP database is configured, so that new teams start with the plugin. */
bool app_has_geoip(const struct conf *conf);
