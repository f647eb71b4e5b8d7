/* log.h - the logger. Any thread.
 *
 * Constant messages, data as fields, so that lines can be counted:
 *     log_warn("ring", "segment truncated", KV_STR("file", f), KV_U64("at", off));
 * error = somebody must act, warn = degraded, info = life cycle, debug = per request.
 *
 * Classic format: `[MAIN] HH:MM:SS ICON text module=ring key=value`. In brackets: log_set_prefix
 * for the main thread, `___1` for PIPE thread 1, else four letters of the role. Icons: · debug, ℹ
 * info, ✓ log, ⚠ warn, ✗ error. Values with spaces or quotes are quoted; control characters are
 * escaped, so that a line stays a line. JSON format: one object per line with time, level, icon,
 * msg, thread, mode, module and the fields. Times are UTC unless is_local_time. debug/info/log go
 * to stdout, warn/error to stderr, each line by one write(). The same (module, message) more than
 * 10 times a second is collapsed; the next line tells how many were left out
 * (`suppressed`). A line ends at 8 KiB: fields that do not fit are left out.
 * Never tokens, bodies or property values.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_LOG, LOG_WARN, LOG_ERROR, LOG_NONE };
enum log_format { LOG_CLASSIC, LOG_JSON };

struct log_kv {
    const char *key; /* NULL ends the list */
    enum { LOG_KV_STR, LOG_KV_SLICE, LOG_KV_U64, LOG_KV_I64, LOG_KV_F64, LOG_KV_BOOL } kind;
    union {
        const char *str;
        struct slice slice;
        uint64_t u64;
        int64_t i64;
        double f64;
        bool b;
    } v;
};

#define KV_STR(k, x)   ((struct log_kv){.key = (k), .kind = LOG_KV_STR, .v.str = (x)})
#define KV_SLICE(k, x) ((struct log_kv){.key = (k), .kind = LOG_KV_SLICE, .v.slice = (x)})
#define KV_U64(k, x)   ((struct log_kv){.key = (k), .kind = LOG_KV_U64, .v.u64 = (x)})
#define KV_I64(k, x)   ((struct log_kv){.key = (k), .kind = LOG_KV_I64, .v.i64 = (x)})
#define KV_F64(k, x)   ((struct log_kv){.key = (k), .kind = LOG_KV_F64, .v.f64 = (x)})
#define KV_BOOL(k, x)  ((struct log_kv){.key = (k), .kind = LOG_KV_BOOL, .v.b = (x)})
#define KV_ERR(e)      KV_STR("err", (e)->text)

void log_setup(enum log_level lowest, enum log_format format, bool is_local_time);
void log_set_prefix(const char *prefix4); /* MAIN, or the four letters of the mode; static text */
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *module, const char *message,
               const struct log_kv *kvs);

#define LOG_AT(level, module, message, ...)                                              \
    do {                                                                                 \
        if (log_is_on(level))                                                            \
            log_write((level), (module), (message),                                      \
                      (const struct log_kv[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}}); \
    } while (0)
#define log_debug(module, ...) LOG_AT(LOG_DEBUG, module, __VA_ARGS__)
#define log_info(module, ...)  LOG_AT(LOG_INFO, module, __VA_ARGS__)
#define log_log(module, ...)   LOG_AT(LOG_LOG, module, __VA_ARGS__)
#define log_warn(module, ...)  LOG_AT(LOG_WARN, module, __VA_ARGS__)
#define log_error(module, ...) LOG_AT(LOG_ERROR, module, __VA_ARGS__)
/* Tells the counts of collapsed lines that no later line has told. At the end of the process, and
 * now and then while it runs: a storm that is over brings no later line. */
void log_flush(void);
/* A line exactly as given, for the well-known lines that operators search for (level info), cut at
 * 1200 bytes. Never collapsed. */
void log_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
