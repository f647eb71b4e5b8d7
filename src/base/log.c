/* A line is built in a buffer on the stack and leaves with one write(): lines of threads do not mix
 * and a full disk or a lack of memory cannot stop the logger. What does not fit is left out, never
 * half an escape or half a JSON member.
 *
 * Collapsing: a small table remembers how often each (module, message) was written in its current
 * second. From the eleventh on lines are only counted; the count goes out as the field `suppressed`
 * of the next line of that kind, or in a line of its own when the place in the table is needed, or
 * at log_flush. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/iso8601.h"
#include "base/thread.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES    8192
#define VALUE_MAX_BYTES   2000
#define MESSAGE_MAX_BYTES 1200
#define KINDS_MAX         64
#define KIND_PROBES       4
#define PER_SECOND_MAX    10
#define SECOND_US         1000000

struct log_kind {
    uint64_t hash; // of module and message; 0: free
    int64_t since_us;
    unsigned count; // lines of this second, written or not
    uint64_t suppressed;
    enum log_level level;
    char module[16], message[128];
};

struct log_state {
    _Atomic(enum log_level) lowest;
    _Atomic(enum log_format) format;
    atomic_bool is_local_time;
    _Atomic(const char *) prefix;
    struct lock lock; // guards kinds
    struct log_kind kinds[KINDS_MAX];
};

static struct log_state log_state = {
    .lowest = LOG_INFO,
    .format = LOG_CLASSIC,
    .prefix = "MAIN",
    .lock = {.mutex = PTHREAD_MUTEX_INITIALIZER, .name = "log", .rank = RANK_LOG},
};

static const struct {
    const char *name, *icon;
} levels[] = {
    [LOG_DEBUG] = {"debug", "·"}, [LOG_INFO] = {"info", "ℹ"},   [LOG_LOG] = {"log", "✓"},
    [LOG_WARN] = {"warn", "⚠"},   [LOG_ERROR] = {"error", "✗"},
};

void log_setup(enum log_level lowest, enum log_format format, bool is_local_time)
{
    atomic_store(&log_state.lowest, lowest);
    atomic_store(&log_state.format, format);
    atomic_store(&log_state.is_local_time, is_local_time);
}

void log_set_prefix(const char *prefix4)
{
    atomic_store(&log_state.prefix, prefix4);
}

bool log_is_on(enum log_level level)
{
    return level < LOG_NONE &&
           level >= atomic_load_explicit(&log_state.lowest, memory_order_relaxed);
}

// --- parts of a line -------------------------------------------------------------------------

// Who writes: the prefix for the main thread and for threads that are not ours, the number for PIPE
// threads (`___1`), else the role's name cut or filled up to four letters.
static void thread_text(char out[5])
{
    enum thread_role role = thread_role();
    char text[16];
    size_t len;

    if (role == THREAD_NONE || role == THREAD_MAIN)
        snprintf(text, sizeof(text), "%s", atomic_load(&log_state.prefix));
    else if (role == THREAD_PIPE)
        snprintf(text, sizeof(text), "%d", thread_number());
    else
        snprintf(text, sizeof(text), "%s", thread_role_name(role));
    len = MIN(strlen(text), 4);
    memset(out, '_', 4);
    memcpy(out + 4 - len, text, len);
    out[4] = '\0';
}

// HH:MM:SS, or the whole date as RFC 3339.
static void add_time(struct buf *line, bool is_short)
{
    int64_t us = clock_wall_us();
    char text[ISO8601_LEN_MAX];
    time_t seconds = (time_t)(us / SECOND_US);
    struct tm tm;

    if (!atomic_load(&log_state.is_local_time) || !localtime_r(&seconds, &tm)) {
        iso8601_ms(us, text);
        if (is_short)
            buf_add(line, text + 11, 8);
        else
            buf_add_str(line, text);
        return;
    }
    if (is_short) {
        buf_addf(line, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
    } else {
        long minutes = tm.tm_gmtoff / 60;
        long distance = minutes < 0 ? -minutes : minutes;

        buf_addf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03d%c%02ld:%02ld", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)(us / 1000 % 1000), minutes < 0 ? '-' : '+', distance / 60, distance % 60);
    }
}

// Characters that move a terminal's cursor or end a line: C0, DEL and C1.
static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

static void add_visible(struct buf *line, struct slice s)
{
    while (s.len > 0) {
        uint32_t point;
        size_t step = utf8_get(s, &point);

        if (step == 0)
            buf_add_str(line, "\xef\xbf\xbd");
        else if (point == '\n')
            buf_add_str(line, "\\n");
        else if (is_control(point))
            buf_addf(line, "\\u%04x", (unsigned)point);
        else
            buf_add(line, s.ptr, step);
        step = MAX(step, 1);
        s = slice_make(s.ptr + step, s.len - step);
    }
}

static bool needs_quotes(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return s.len == 0;
}

static void add_classic_text(struct buf *line, struct slice s)
{
    if (!needs_quotes(s)) {
        add_visible(line, s);
        return;
    }
    buf_add_char(line, '"');
    while (s.len > 0) {
        size_t len = 0;

        while (len < s.len && s.ptr[len] != '"' && s.ptr[len] != '\\')
            len++;
        add_visible(line, slice_make(s.ptr, len));
        if (len < s.len) {
            buf_add_char(line, '\\');
            buf_add_char(line, s.ptr[len++]);
        }
        s = slice_make(s.ptr + len, s.len - len);
    }
    buf_add_char(line, '"');
}

// Cuts on a character's boundary.
static struct slice cut(struct slice s, size_t max)
{
    if (s.len <= max)
        return s;
    s.len = max;
    while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
        s.len--;
    return s;
}

static void add_text(struct buf *line, struct slice s, bool is_json)
{
    s = cut(s, VALUE_MAX_BYTES);
    if (is_json)
        buf_add_json_str(line, s);
    else
        add_classic_text(line, s);
}

static void add_value(struct buf *line, const struct log_kv *kv, bool is_json)
{
    switch (kv->kind) {
    case LOG_KV_STR:
        if (kv->v.str)
            add_text(line, slice_cstr(kv->v.str), is_json);
        else
            buf_add_str(line, "null");
        break;
    case LOG_KV_SLICE:
        add_text(line, kv->v.slice, is_json);
        break;
    case LOG_KV_U64:
        buf_add_u64(line, kv->v.u64);
        break;
    case LOG_KV_I64:
        buf_add_i64(line, kv->v.i64);
        break;
    case LOG_KV_F64:
        if (isfinite(kv->v.f64))
            buf_addf(line, "%.15g", kv->v.f64);
        else
            buf_add_str(line, "null");
        break;
    case LOG_KV_BOOL:
        buf_add_str(line, kv->v.b ? "true" : "false");
        break;
    }
}

// A whole field or nothing of it.
static void add_field(struct buf *line, const struct log_kv *kv, bool is_json)
{
    size_t before = line->len;

    if (is_json) {
        buf_add_char(line, ',');
        buf_add_json_str(line, slice_cstr(kv->key));
        buf_add_char(line, ':');
    } else {
        buf_add_char(line, ' ');
        buf_add_str(line, kv->key);
        buf_add_char(line, '=');
    }
    add_value(line, kv, is_json);
    if (line->is_over) {
        buf_clear(line);
        line->len = before;
    }
}

// MESSAGE_MAX_BYTES escaped in the longest way (six for one) still leave room for the rest of it.
static void add_head(struct buf *line, enum log_level level, struct slice message, bool is_json)
{
    char who[5];

    message = cut(message, MESSAGE_MAX_BYTES);
    thread_text(who);
    if (!is_json) {
        buf_addf(line, "[%s] ", who);
        add_time(line, true);
        buf_addf(line, " %s ", levels[level].icon);
        add_visible(line, message);
        return;
    }
    buf_add_str(line, "{\"time\":\"");
    add_time(line, false);
    buf_addf(line, "\",\"level\":\"%s\",\"icon\":\"%s\",\"msg\":", levels[level].name,
             levels[level].icon);
    buf_add_json_str(line, message);
    buf_add_str(line, ",\"thread\":");
    buf_add_json_str(line, slice_cstr(who));
    buf_add_str(line, ",\"mode\":");
    buf_add_json_str(line, slice_cstr(atomic_load(&log_state.prefix)));
}

static void write_out(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);

        if (done > 0) {
            bytes += done;
            len -= (size_t)done;
        } else if (done == -1 && errno == EAGAIN) {
            // Somebody made the terminal or pipe non-blocking. Wait a little, then give up.
            struct pollfd ready = {.fd = fd, .events = POLLOUT};

            if (poll(&ready, 1, 1000) <= 0)
                return;
        } else if (done == -1 && errno != EINTR) {
            return;
        }
    }
}

static void put_line(enum log_level level, const char *module, struct slice message,
                     const struct log_kv *kvs, uint64_t suppressed)
{
    char space[LINE_MAX_BYTES];
    // Memory of ours that never grows: 8 bytes are kept back for the end of the line.
    struct buf line = {.ptr = space, .cap = sizeof(space), .max = sizeof(space) - 8};
    bool is_json = atomic_load(&log_state.format) == LOG_JSON;

    add_head(&line, level, message, is_json);
    if (module)
        add_field(&line, &KV_STR("module", module), is_json);
    for (; kvs && kvs->key; kvs++)
        add_field(&line, kvs, is_json);
    if (suppressed > 0)
        add_field(&line, &KV_U64("suppressed", suppressed), is_json);
    line.max = sizeof(space) - 1;
    buf_add_str(&line, is_json ? "}\n" : "\n");
    write_out(level >= LOG_WARN ? 2 : 1, line.ptr, line.len);
}

// --- collapsing ------------------------------------------------------------------------------

// The place of this kind of line, or the one among its neighbours that was quiet the longest.
static struct log_kind *kind_place(uint64_t hash)
{
    struct log_kind *oldest = NULL;

    for (size_t i = 0; i < KIND_PROBES; i++) {
        struct log_kind *k = &log_state.kinds[(hash + i) % KINDS_MAX];

        if (k->hash == hash)
            return k;
        if (!oldest || k->hash == 0 || (oldest->hash != 0 && k->since_us < oldest->since_us))
            oldest = k;
    }
    return oldest;
}

static void kind_begin(struct log_kind *k, uint64_t hash, enum log_level level, const char *module,
                       const char *message)
{
    *k = (struct log_kind){.hash = hash, .level = level, .since_us = clock_mono_us()};
    snprintf(k->module, sizeof(k->module), "%s", module ? module : "");
    snprintf(k->message, sizeof(k->message), "%s", message);
}

// Says what is still owed for a kind.
static void kind_settle(const struct log_kind *k)
{
    if (k->suppressed > 0)
        put_line(k->level, k->module[0] ? k->module : NULL, slice_cstr(k->message), NULL,
                 k->suppressed);
}

// Whether this line may go out, and how many of its kind were left out before it. `evicted` gets
// the kind whose place it took.
static bool admit(enum log_level level, const char *module, const char *message,
                  uint64_t *suppressed, struct log_kind *evicted)
{
    uint64_t hash =
        hash64(message, strlen(message), hash64(module, module ? strlen(module) : 0, 0));
    struct log_kind *k;
    bool is_allowed;

    hash += hash == 0;
    lock_take(&log_state.lock);
    k = kind_place(hash);
    if (k->hash != hash) {
        *evicted = *k;
        kind_begin(k, hash, level, module, message);
    } else if (clock_mono_us() - k->since_us >= SECOND_US) {
        k->since_us = clock_mono_us();
        k->count = 0;
    }
    is_allowed = k->count < PER_SECOND_MAX;
    if (is_allowed) {
        k->count++;
        *suppressed = k->suppressed;
        k->suppressed = 0;
    } else {
        k->suppressed++;
    }
    lock_drop(&log_state.lock);
    return is_allowed;
}

void log_write(enum log_level level, const char *module, const char *message,
               const struct log_kv *kvs)
{
    struct log_kind evicted = {.suppressed = 0};
    uint64_t suppressed = 0;

    if (!log_is_on(level))
        return;
    if (admit(level, module, message, &suppressed, &evicted))
        put_line(level, module, slice_cstr(message), kvs, suppressed);
    kind_settle(&evicted);
}

void log_line(const char *fmt, ...)
{
    char text[MESSAGE_MAX_BYTES + 1];
    va_list args;
    int len;

    if (!log_is_on(LOG_INFO))
        return;
    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len >= 0)
        put_line(LOG_INFO, NULL, slice_cstr(text), NULL, 0);
}

void log_flush(void)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        struct log_kind owed;

        lock_take(&log_state.lock);
        owed = log_state.kinds[i];
        log_state.kinds[i].suppressed = 0;
        lock_drop(&log_state.lock);
        kind_settle(&owed);
    }
}
