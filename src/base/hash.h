/* hash.h - hashes. hash64 and its results on disk (event_index, ring key hashes) never change:
 * it is XXH64 of the public xxHash specification. Any thread. */
#pragma once

#include "base/str.h"

uint64_t hash64(const void *bytes, size_t len, uint64_t seed);
/* The key that orders events: (team, distinct id). */
uint64_t hash_event_key(int64_t team_id, struct slice distinct_id);
/* SipHash-1-3: for hash tables whose keys come from clients. The key is secret and random. */
uint64_t hash_keyed(const uint64_t key[2], struct slice bytes);
void hash_sha1(struct slice bytes, uint8_t out[20]);
void hash_sha1_two(struct slice first, struct slice second, uint8_t out[20]); /* of both in a row */
void hash_sha256(struct slice bytes, uint8_t out[32]);
