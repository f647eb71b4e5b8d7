/* plugin_aid.h - what the benches of plugins share: an event of a browser, a host that keeps
 * nothing, a set with one plugin. */
#pragma once

#include "base/mem.h"
#include "plugin/plugin.h"
#include "plugin/worker.h"

#include <stdio.h>
#include <sys/resource.h>

/* About 700 bytes, 20 properties. */
static const char event_json[] =
    "{\"event\":\"$pageview\",\"timestamp\":\"2023-09-15T09:15:02.325Z\",\"properties\":{\"$os\":"
    "\"Mac OS X\",\"$os_version\":\"10.15.7\",\"$browser\":\"Chrome\",\"$device_type\":\"Desktop\","
    "\"$browser_version\":116,\"$current_url\":\"https://shop.example.com/products/"
    "shoes?page=2&sort=price\",\"$host\":\"shop.example.com\",\"$pathname\":\"/products/shoes\","
    "\"$screen_height\":1117,\"$screen_width\":1728,\"$viewport_height\":968,\"$viewport_width\":"
    "1728,\"$lib\":\"web\",\"$lib_version\":\"1.78.5\",\"$insert_id\":\"8lb3ub0vpndbkf2k\","
    "\"$device_id\":\"018a981f-4b2d-78ae-947d-b48bb0f02b88\",\"$referrer\":\"$direct\","
    "\"$session_id\":\"018a981f-4c9a-72c6-988a-3ac97bdf7d92\",\"price\":299.99,\"title\":\"Shoes "
    "\\\"Run\\\" & more\"}}";

static void ignore_log(void *self, const struct plugin_log_entry *e)
{
    UNUSED(self);
    UNUSED(e);
}

static void no_storage(void *self, struct plugin_storage_call *call)
{
    UNUSED(self);
    call->done(call, true, NULL);
}

static void tell_error(void *self, int64_t config_id, const char *error_json)
{
    UNUSED(self);
    (void)fprintf(stderr, "config %lld: %s\n", (long long)config_id,
                  error_json ? error_json : "no error");
}

static void ignore_disable(void *self, int64_t config_id)
{
    UNUSED(self);
    UNUSED(config_id);
}

static const struct plugin_services services = {
    .log = ignore_log, .storage = no_storage, .error = tell_error, .disable = ignore_disable};

static double cpu_us(void)
{
    struct rusage u;

    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* One team with one config of `source`; NULL: without plugins. */
static struct plugins *plugins_with(const char *source)
{
    struct plugins_options opt = {
        .limits = {.memory_bytes = (size_t)64 << 20,
                   .stack_bytes = (size_t)1 << 20,
                   .run_us = 5000000,
                   .wait_us = 30000000,
                   .output_bytes = (size_t)16 << 20,
                   .awaiting = 4096,
                   .awaiting_per_team = 200,
                   .pending_promises = 100,
                   .cache_bytes = (size_t)1 << 20,
                   .log_message_units = 50000,
                   .circuit_failures = 3,
                   .circuit_us = 60000000},
        .services = &services,
        .task_timeout_s = 30,
    };
    struct plugins *p = plugins_new(&opt);
    struct plugin_set *set = plugin_set_new();
    struct plugin_state *state = plugins_state(p, 1);

    if (source)
        plugin_set_add(set, &(struct plugin_config){.id = 1,
                                                    .team_id = 1,
                                                    .plugin_name = "bench",
                                                    .is_enabled = true,
                                                    .source = slice_cstr(source),
                                                    .state = state});
    plugin_state_unref(state);
    plugin_set_seal(set);
    plugins_publish(p, set);
    return p;
}
