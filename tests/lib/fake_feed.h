/* fake_feed.h - a feed in memory for tests of the pipeline: what a test adds, the reader gets, in
 * order.
 *
 * Threads: adding and looking from the test, reading by FEED. Blocks are real ones of the ring, so
 * a reference that is not given back shows as a leak.
 */
#ifndef TESTS_LIB_FAKE_FEED_H
#define TESTS_LIB_FAKE_FEED_H

#include "model/event.h"
#include "ring/feed.h"

struct fake_feed;

struct fake_feed *fake_feed_new(uint64_t first_offset);
void fake_feed_free(struct fake_feed *f);
struct feed_reader fake_feed_reader(struct fake_feed *f);
uint64_t fake_feed_add(struct fake_feed *f, const struct event_envelope *e); /* the offset it got */
uint64_t fake_feed_add_raw(struct fake_feed *f, uint16_t type, uint64_t key_hash,
                           struct slice payload);
void fake_feed_skip(struct fake_feed *f, uint64_t count); /* offsets that never come */
/* The reader begins again at `offset`, as after a restart. */
void fake_feed_rewind(struct fake_feed *f, uint64_t offset);
void fake_feed_fail(struct fake_feed *f, int times); /* the next reads fail with ERR_IO */
uint64_t fake_feed_released(struct fake_feed *f);
uint64_t fake_feed_given(struct fake_feed *f); /* offset behind the last record read */

#endif
