/* A process without a free descriptor cannot open the next segment of the ring, and clients need
 * nothing but idle connections to bring it there. So the listeners together leave some free: for
 * the files, and for what each NET thread holds (its loop, its doors, its readers of the database).
 */
#include "app/descriptors.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#define FOR_FILES      64
#define FOR_NET_THREAD 8
#define ADMIN_PART     8 /* one in so many connections */

size_t descriptors_raise(void)
{
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return limit.rlim_cur;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (before != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        log_warn("app", "the limit of open files could not be raised",
                 KV_STR("err", strerror(errno)));
        limit.rlim_cur = before;
    }
    return limit.rlim_cur < SIZE_MAX ? (size_t)limit.rlim_cur : SIZE_MAX;
}

struct connections_max descriptors_share(const struct conf *conf, size_t limit, int net_threads)
{
    size_t wanted = (size_t)conf_int(conf, CONF_HTTP_MAX_CONNECTIONS);
    size_t kept = FOR_FILES + FOR_NET_THREAD * (size_t)net_threads;
    size_t room = limit > kept ? limit - kept : 0;
    struct connections_max max = {.admin = MAX(MIN(wanted, room / ADMIN_PART), 1)};

    max.capture = MAX(MIN(wanted, room - MIN(room, max.admin)), 1);
    if (max.capture < wanted)
        LOG_AT(conf_is_set(conf, CONF_HTTP_MAX_CONNECTIONS) ? LOG_WARN : LOG_INFO, "app",
               "the limit of open files (ulimit -Hn) allows fewer connections than "
               "HTTP_MAX_CONNECTIONS",
               KV_U64("limit", limit), KV_U64("capture", max.capture), KV_U64("admin", max.admin));
    return max;
}
