/* builtin.h - plugins that are part of the binary and run as C in the chain, beside the JavaScript
 * ones: same order, same markers, same counters. Private to plugin/.
 *
 * Threads: that of the worker. A run gets the event's envelope and tree and writes a new text when
 * it changes something.
 */
#pragma once

#include "base/buf.h"
#include "geo/geo.h"
#include "model/event.h"
#include "model/json_value.h"

enum builtin_result { BUILTIN_SAME, BUILTIN_CHANGED, BUILTIN_DROP, BUILTIN_FAILED };

struct builtin_run {
    const struct event_envelope *envelope;
    yyjson_val *root;
    const struct geo_db *geo; /* NULL: no database */
    struct buf *text;         /* the new event's JSON: cleared, filled with BUILTIN_CHANGED */
    struct err *err;          /* with BUILTIN_FAILED */
};

struct builtin {
    const char *name;
    const char *about; /* for lists and the page */
    enum builtin_result (*run)(struct builtin_run *run);
};

const struct builtin *builtin_find(const char *name); /* NULL: unknown */
const struct builtin *builtin_at(size_t index);       /* NULL behind the last */

/* --- the plugins ------------------------------------------------------------------------------ */

enum builtin_result builtin_geoip_run(struct builtin_run *run);
