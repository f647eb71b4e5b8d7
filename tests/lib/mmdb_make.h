/* mmdb_make.h - writes small GeoIP databases for tests. One thread; fails by CHECK. */
#pragma once

#include "base/buf.h"

struct mmdb_make;

/* ip_version: 4 or 6 (IPv4 networks go under ::/96); record_bits: 24, 28 or 32. */
struct mmdb_make *mmdb_make_new(int ip_version, int record_bits, const char *type);
void mmdb_make_free(struct mmdb_make *m);
void mmdb_make_built_at(struct mmdb_make *m, uint64_t epoch_s);
void mmdb_make_floats(struct mmdb_make *m); /* fractions are single precision from now on */
/* "1.2.3.0/24" or "2001:db8::/32" -> the JSON value: objects, arrays, strings, fractions (double),
 * whole numbers (uint32, int32 below 0), true and false. */
void mmdb_make_add(struct mmdb_make *m, const char *network, const char *json);
void mmdb_make_write(struct mmdb_make *m, struct buf *out);
