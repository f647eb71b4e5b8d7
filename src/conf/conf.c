/* Loading: each source lays its texts over those of the one below; then every text in force is
 * parsed once, secrets are fetched from their files, and what follows from several settings is
 * derived. Nothing is printed: faults go to the caller, warnings wait for the logger.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdarg.h>
#include <stdio.h>

const struct conf_info conf_table[CONF_KEY_COUNT] = {
#define KEY(name, type, fallback, allowed, class, flags, help) \
    {#name, CONF_##type, fallback, allowed, CONF_##class, flags, help},
#include "conf/keys.def"
#undef KEY
};

void conf_warn(struct conf *c, const char *fmt, ...)
{
    char text[600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->warnings = mem_realloc(c->warnings, (c->warning_count + 1) * sizeof(*c->warnings));
    c->warnings[c->warning_count++] = mem_dup_str(text);
}

void conf_put(struct conf *c, enum conf_key key, struct slice text, enum conf_origin origin)
{
    struct conf_value value;

    CHECK(conf_value_parse(&conf_table[key], text, &value));
    conf_value_free(&c->settings[key].value);
    c->settings[key].value = value;
    c->settings[key].origin = origin;
}

/* What the plugin server switched when NODE_ENV said test. */
static const char *fallback_of(enum conf_key key, bool is_test_mode)
{
    switch (is_test_mode ? key : CONF_KEY_COUNT) {
    case CONF_LOG_LEVEL:
        return "warn";
    case CONF_DISABLE_MMDB:
        return "true";
    case CONF_KAFKA_FLUSH_FREQUENCY_MS:
        return "5";
    case CONF_KAFKA_PRODUCER_MAX_QUEUE_SIZE:
        return "0";
    default:
        return conf_table[key].fallback;
    }
}

/* The last NAME=value of that name in a list, "" when there is none. */
static const char *value_in(const char *name, char *const *environ, const struct conf_sources *s)
{
    size_t len = strlen(name);
    const char *found = "";

    for (size_t i = 0; environ ? environ[i] != NULL : i < s->set_count; i++) {
        const char *text = environ ? environ[i] : s->sets[i];
        if (strncmp(text, name, len) == 0 && text[len] == '=')
            found = text + len + 1;
    }
    return found;
}

static void load_file(struct conf *c, const struct conf_sources *s, struct buf *faults)
{
    const char *path = s->file;
    struct buf text = BUF_INIT(CONF_FILE_BYTES_MAX);
    struct err err = ERR_INIT;

    if (!path && s->set_count > 0)
        path = value_in("CONFIG_FILE", NULL, s);
    if (!path || path[0] == '\0')
        path = s->environ ? value_in("CONFIG_FILE", s->environ, s) : "";
    if (path[0] == '\0')
        return;
    if (fs_read_all(path, &text, &err))
        conf_take_file(c, buf_slice(&text), path, faults);
    else
        buf_addf(faults, "config file %s: %s\n", path, err.text);
    buf_free(&text);
}

/* Replaces the path by what stands in the file; the newline at its end does not count. */
static bool load_secret(struct conf_setting *s, const char *name, struct buf *faults)
{
    struct buf text = BUF_INIT(CONF_SECRET_BYTES_MAX), where = BUF_INIT(4000);
    struct err err = ERR_INIT;
    bool ok = fs_read_all(s->raw, &text, &err);

    if (ok && slice_find(buf_slice(&text), '\0') != -1)
        ok = err_set(&err, ERR_INPUT, "%s holds a NUL byte", s->raw);
    if (ok) {
        while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
            text.len--;
        buf_addf(&where, "file %s, %s", s->raw, s->where);
        mem_free(s->raw);
        mem_free(s->where);
        s->raw = slice_dup(buf_slice(&text));
        s->where = mem_dup_str(buf_cstr(&where));
    } else {
        buf_addf(faults, "%s_FILE (%s): %s\n", name, s->where, err.text);
    }
    buf_free(&text);
    buf_free(&where);
    return ok;
}

/* The item of a list that is not allowed. */
static struct slice bad_item(const struct conf_info *info, struct slice list)
{
    struct slice rest = list, item;
    struct conf_value one;

    while (slice_split(&rest, ',', &item)) {
        item = slice_trim(item);
        if (item.len > 0 && !conf_value_parse(info, item, &one))
            return item;
        if (item.len > 0)
            conf_value_free(&one);
    }
    return list;
}

static void fault_value(enum conf_key key, const struct conf_setting *s, struct buf *faults)
{
    const struct conf_info *info = &conf_table[key];
    struct slice raw = slice_cstr(s->raw);
    struct buf shown = BUF_INIT(1 << 20);

    if (key == CONF_PLUGIN_SERVER_MODE ||
        key == CONF_JOB_QUEUES) { /* texts that operators search for */
        bool is_mode = key == CONF_PLUGIN_SERVER_MODE;
        buf_add_str(faults, is_mode ? "Invalid PLUGIN_SERVER_MODE " : "Unknown job queue \"");
        conf_quote(is_mode ? raw : bad_item(info, raw), faults);
        buf_add_str(faults, is_mode ? "\n" : "\"\n");
        return;
    }
    conf_mask(info->flags, raw, &shown);
    buf_addf(faults, "%s=", info->name);
    conf_quote(buf_slice(&shown), faults);
    buf_addf(faults, " (%s): must be ", s->where);
    conf_value_expected(info, faults);
    buf_add_char(faults, '\n');
    buf_free(&shown);
}

static void judge(struct conf *c, enum conf_key key, bool is_test_mode, struct buf *faults)
{
    struct conf_setting *s = &c->settings[key];
    const char *fallback = fallback_of(key, is_test_mode);

    if (s->raw && (!s->is_path || load_secret(s, conf_table[key].name, faults))) {
        if (conf_value_parse(&conf_table[key], slice_cstr(s->raw), &s->value)) {
            if (s->value.is_odd)
                conf_warn(c,
                          "%s=%.100s (%s) is neither true (y yes t true on 1) nor false (n no f "
                          "false off 0): "
                          "taken as false",
                          conf_table[key].name, s->raw, s->where);
            return;
        }
        fault_value(key, s, faults);
    }
    /* A faulty one has its default, so that what depends on it can still be looked at. */
    CHECK(conf_value_parse(&conf_table[key], slice_cstr(fallback), &s->value));
}

static bool is_at_default(const struct conf *c, enum conf_key key)
{
    struct conf_value fallback;

    CHECK(conf_value_parse(&conf_table[key], slice_cstr(conf_table[key].fallback), &fallback));
    bool is_same = slice_eq(slice_cstr(fallback.text), slice_cstr(c->settings[key].value.text));
    conf_value_free(&fallback);
    return is_same;
}

static void warn_idle(struct conf *c, enum conf_key key)
{
    const struct conf_setting *s = &c->settings[key];

    if (!s->raw || s->raw[0] == '\0')
        return;
    if (conf_table[key].class_ == CONF_W)
        conf_warn(c, "%s (%s) has no effect: %s", conf_table[key].name, s->where,
                  conf_table[key].help);
    else if ((conf_table[key].flags & CONF_NOT_YET) && !is_at_default(c, key))
        conf_warn(c, "%s (%s) has no effect: its part is not built yet", conf_table[key].name,
                  s->where);
}

struct conf *conf_load(const struct conf_sources *sources, struct buf *faults)
{
    struct conf *c = mem_new(struct conf);
    size_t before = faults->len;

    load_file(c, sources, faults);
    conf_take_environ(c, sources->environ, faults);
    conf_take_sets(c, sources->sets, sources->set_count, faults);
    for (int i = 0; i < CONF_KEY_COUNT; i++)
        judge(c, (enum conf_key)i, sources->is_test_mode, faults);
    if (sources->file)
        conf_put(c, CONF_CONFIG_FILE, slice_cstr(sources->file), CONF_FROM_SET);
    for (int i = 0; i < CONF_KEY_COUNT; i++)
        warn_idle(c, (enum conf_key)i);
    conf_derive(c, faults);
    if (sources->keeps_faulty || (faults->len == before && !faults->is_over))
        return c;
    conf_free(c);
    return NULL;
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        conf_value_free(&c->settings[i].value);
        mem_free(c->settings[i].raw);
        mem_free(c->settings[i].where);
    }
    for (size_t i = 0; i < c->warning_count; i++)
        mem_free(c->warnings[i]);
    mem_free(c->warnings);
    mem_free(c);
}

static const struct conf_value *value_of(const struct conf *c, enum conf_key key,
                                         enum conf_type type)
{
    CHECK((unsigned)key < CONF_KEY_COUNT);
    CHECK(conf_table[key].type == type);
    return &c->settings[key].value;
}

int64_t conf_int(const struct conf *c, enum conf_key key)
{
    return value_of(c, key, CONF_INT)->i;
}

double conf_num(const struct conf *c, enum conf_key key)
{
    return value_of(c, key, CONF_NUM)->n;
}

bool conf_bool(const struct conf *c, enum conf_key key)
{
    return value_of(c, key, CONF_BOOL)->b;
}

const char *conf_str(const struct conf *c, enum conf_key key)
{
    return value_of(c, key, CONF_STR)->text;
}

bool conf_is_set(const struct conf *c, enum conf_key key)
{
    const struct conf_setting *s = &c->settings[key];

    if (s->origin == CONF_FROM_DEFAULT || s->value.text[0] == '\0')
        return false;
    /* An empty boolean is false and counts as not given; a derived setting has no text of its own.
     */
    return !s->raw || s->raw[0] != '\0' || conf_table[key].type == CONF_STR;
}

enum conf_origin conf_origin(const struct conf *c, enum conf_key key)
{
    return c->settings[key].origin;
}

const char *conf_key_name(enum conf_key key)
{
    return conf_table[key].name;
}

bool conf_print_value(const struct conf *c, enum conf_key key, struct buf *out)
{
    return conf_mask(conf_table[key].flags, slice_cstr(c->settings[key].value.text), out);
}

bool conf_warnings(const struct conf *c, struct buf *out)
{
    bool ok = true;

    for (size_t i = 0; i < c->warning_count; i++)
        ok = buf_addf(out, "%s\n", c->warnings[i]) && ok;
    return ok;
}

void conf_log_start(const struct conf *c)
{
    static const char *const origins[] = {"default", "config file", "environment", "--set"};

    for (size_t i = 0; i < c->warning_count; i++)
        log_warn("conf", c->warnings[i]);
    for (int i = 0; i < CONF_KEY_COUNT; i++) {
        enum conf_key key = (enum conf_key)i;
        struct buf line = BUF_INIT(1 << 20);
        if (is_at_default(c, key))
            continue;
        buf_addf(&line, "setting %s=", conf_table[key].name);
        conf_print_value(c, key, &line);
        buf_addf(&line, " (%s)", origins[c->settings[key].origin]);
        log_line("%s", buf_cstr(&line));
        buf_free(&line);
    }
}
