/* worker_priv.h - what the files of plugin/ share of one thread's plugins. Everything but what is
 * marked belongs to the worker's thread. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/mpsc.h"
#include "plugin/plugin_priv.h"
#include "plugin/timer.h"
#include "plugin/worker.h"

struct plugin_worker {
    struct plugins *plugins;
    int number;
    struct timers timers; /* of everybody on this thread; run by plugin_worker_turn */
    struct mpsc inbox;    /* struct plugin_message */
    mpsc_wake_fn *wake;
    void *wake_ctx;
    struct list in_plugins; /* plugins->workers, under its lock */

    /* The engine is at work for this config, and has to be done by then; 0: it is not. Read by the
     * watchdog. */
    _Atomic int64_t inside_config;
    _Atomic int64_t inside_until_us; /* of clock_mono_real_us */

    size_t outside; /* plugin_worker_expect: messages that will come, for which the end waits */
};
