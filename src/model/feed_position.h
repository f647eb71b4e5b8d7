/* feed_position.h - where a consumer of the feed stands. Kept by the store in the transaction that
 * finishes the events. */
#pragma once

#include "base/uuid.h"

struct feed_run {
    uint64_t from, to; /* finished offsets from <= o < to, above the cursor */
};

struct feed_position {
    struct uuid ring_id;
    uint64_t epoch;    /* grows when the feed behind the cursor was replaced */
    uint64_t offset;   /* everything below is finished */
    uint64_t seen_end; /* highest offset ever read + 1: offsets below are never given out again */
};
