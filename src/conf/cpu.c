/* How many threads are worth starting: the CPUs of the affinity mask, but no more than the cgroup's
 * quota, rounded up (1.5 CPUs are 2 threads). Both versions of cgroups are read; in version 2 every
 * ancestor may limit. What cannot be read limits nothing.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <sched.h>
#include <unistd.h>

#define CGROUP_BYTES_MAX 65536

/* "150000 100000" or "max 100000" of cpu.max: CPUs rounded up, 0 for no limit. */
static unsigned quota_cpus(struct slice quota, struct slice period)
{
    uint64_t q, p;

    if (!slice_u64(slice_trim(quota), &q) || !slice_u64(slice_trim(period), &p) || p == 0)
        return 0;
    uint64_t cpus = q / p + (q % p != 0);
    return (unsigned)MIN(MAX(cpus, 1), 65536);
}

static bool read_small(const char *root, const char *dir, const char *path, const char *name,
                       struct buf *out)
{
    struct buf full = BUF_INIT(8192);
    struct err err = ERR_INIT;

    buf_clear(out);
    buf_addf(&full, "%s%s%s/%s", root, dir, path, name);
    bool ok = !full.is_over && fs_read_all(buf_cstr(&full), out, &err);
    buf_free(&full);
    return ok;
}

static unsigned lower_limit(unsigned a, unsigned b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Version 2: from the process's own group up to the root. */
static unsigned limit_v2(const char *root, const char *group, struct buf *text)
{
    char *path = mem_dup_str(group);
    unsigned limit = 0;

    for (;;) {
        struct slice rest, quota, period;
        if (read_small(root, "/sys/fs/cgroup", path, "cpu.max", text)) {
            rest = buf_slice(text);
            if (slice_split(&rest, ' ', &quota) && slice_split(&rest, ' ', &period))
                limit = lower_limit(limit, quota_cpus(quota, period));
        }
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    mem_free(path);
    return limit;
}

static unsigned limit_v1(const char *root, const char *group, struct buf *text)
{
    static const char *const dirs[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    const char *const groups[] = {group, ""}; /* in a container its own group is mounted as root */
    struct buf period = BUF_INIT(CGROUP_BYTES_MAX);
    unsigned limit = 0;

    for (size_t i = 0; i < ARRAY_LEN(dirs) * ARRAY_LEN(groups); i++) {
        const char *dir = dirs[i / 2], *path = groups[i % 2];
        if (read_small(root, dir, path, "cpu.cfs_quota_us", text) &&
            read_small(root, dir, path, "cpu.cfs_period_us", &period))
            limit = lower_limit(limit, quota_cpus(buf_slice(text), buf_slice(&period)));
    }
    buf_free(&period);
    return limit;
}

/* True when `cpu` is in a list like "cpu,cpuacct". */
static bool has_cpu(struct slice controllers)
{
    struct slice one;

    while (slice_split(&controllers, ',', &one))
        if (slice_eq(one, SLICE("cpu")))
            return true;
    return false;
}

/* CPUs that the cgroup grants, 0 for no limit. `root` is put before every path. */
static unsigned cgroup_limit(const char *root)
{
    struct buf groups = BUF_INIT(CGROUP_BYTES_MAX), text = BUF_INIT(CGROUP_BYTES_MAX);
    unsigned limit = 0;

    if (read_small(root, "/proc", "/self", "cgroup", &groups)) {
        struct slice rest = buf_slice(&groups), line;
        while (slice_split(&rest, '\n', &line)) { /* id:controllers:path */
            struct slice id, controllers, path;
            if (!slice_split(&line, ':', &id) || !slice_split(&line, ':', &controllers))
                continue;
            path = slice_trim(line);
            char *group = slice_dup(slice_eq(path, SLICE("/")) ? slice_make("", 0) : path);
            if (controllers.len == 0)
                limit = lower_limit(limit, limit_v2(root, group, &text));
            else if (has_cpu(controllers))
                limit = lower_limit(limit, limit_v1(root, group, &text));
            mem_free(group);
        }
    }
    buf_free(&groups);
    buf_free(&text);
    return limit;
}

unsigned conf_cpu_count(void)
{
    cpu_set_t *set = NULL;
    unsigned cpus = 0;
    int room = 1024;

    /* The kernel refuses a mask that is too small for the machine. */
    for (; cpus == 0 && room <= 1 << 20; room *= 2) {
        set = mem_realloc(set, CPU_ALLOC_SIZE(room));
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(room), set) == 0)
            cpus = (unsigned)CPU_COUNT_S(CPU_ALLOC_SIZE(room), set);
    }
    mem_free(set);
    if (cpus == 0)
        cpus = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    unsigned limit = cgroup_limit("");
    return limit != 0 && limit < cpus ? limit : cpus;
}

unsigned conf_threads(const struct conf *c, enum conf_key key)
{
    int64_t wanted = conf_int(c, key);

    return wanted > 0 ? (unsigned)wanted : conf_cpu_count();
}
