/* descriptors.h - how many connections the process may hold open. MAIN, at the start. */
#pragma once

#include "conf/conf.h"

#include <stddef.h>

struct connections_max {
    size_t capture, admin;
};

/* Raises the soft limit of open files to the hard one; the limit in force. */
size_t descriptors_raise(void);
/* HTTP_MAX_CONNECTIONS for each listener, or less where both together would leave too few of
 * `limit` descriptors for the queue and the database; then it says so. */
struct connections_max descriptors_share(const struct conf *conf, size_t limit, int net_threads);
