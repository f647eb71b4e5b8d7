/* conf_priv.h - shared by the files of conf/: the table, one value, texts on the way in. */
#pragma once

#include "base/list.h"
#include "conf/conf.h"

struct conf_info {
    const char *name;
    enum conf_type type;
    const char *fallback;
    const char *allowed; /* "", "1..10", "a|b|c" */
    enum conf_class class_;
    unsigned flags;
    const char *help;
};

extern const struct conf_info conf_table[CONF_KEY_COUNT];

/* A value of its type; `text` is the canonical form (numbers in decimal, true/false, list without
 * spaces) and the text of a string. */
struct conf_value {
    char *text; /* heap */
    int64_t i;
    double n;
    bool b;
    bool is_odd; /* boolean text that is neither true- nor false-like, taken as false */
};

struct conf_setting {
    enum conf_origin origin;
    char *raw;    /* text as given; NULL: the default holds */
    char *where;  /* "environment", "config file x, line 3", "--set" */
    bool is_path; /* raw is the path of a file with the value */
    struct conf_value value;
};

struct conf {
    struct conf_setting settings[CONF_KEY_COUNT];
    char **warnings; /* heap, each line heap */
    size_t warning_count;
};

#define CONF_FILE_BYTES_MAX   (1u << 20)
#define CONF_SECRET_BYTES_MAX (64u << 10)
#define CONF_NAME_BYTES_MAX   200u

/* --- value.c --- */
/* False when `text` is not allowed for this setting; *out is untouched then. */
MUST_CHECK bool conf_value_parse(const struct conf_info *info, struct slice text,
                                 struct conf_value *out);
void conf_value_free(struct conf_value *v);
/* "a whole number, 1..10" / "one of a, b": what would have been accepted. */
void conf_value_expected(const struct conf_info *info, struct buf *out);

/* --- file.c --- */
/* Called for each NAME=value with its line, in order. */
typedef void conf_file_fn(struct slice name, struct slice value, unsigned line, void *ctx);
/* Reads the text of a config file; `label` names it in faults. Goes on after a fault. */
void conf_file_parse(struct slice text, const char *label, conf_file_fn *fn, void *ctx,
                     struct buf *faults);
/* A value as it must stand in a config file (quoted where needed). */
bool conf_file_write_value(struct slice value, struct buf *out);

/* --- env.c --- */
/* The key of that name, or of its NAME_FILE form (*is_path). False when there is none. */
bool conf_name_find(struct slice name, enum conf_key *key, bool *is_path);
/* Why a name that is no setting is accepted nevertheless, or NULL. */
const char *conf_name_foreign(struct slice name);
/* The setting whose name is nearest, NULL when none is near. */
const char *conf_name_nearest(struct slice name);
/* Takes over the environment. */
void conf_take_environ(struct conf *c, char *const *environ, struct buf *faults);
void conf_take_sets(struct conf *c, const char *const *sets, size_t count, struct buf *faults);
void conf_take_file(struct conf *c, struct slice text, const char *path, struct buf *faults);

/* --- derive.c --- */
/* Settings that follow from others, and what no single setting shows. Values are parsed. */
void conf_derive(struct conf *c, struct buf *faults);

/* --- conf.c --- */
void conf_warn(struct conf *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Replaces the value in force; `text` must be valid for the setting. */
void conf_put(struct conf *c, enum conf_key key, struct slice text, enum conf_origin origin);

/* --- mask.c --- */
/* The text with secrets as ***, by the flags of its setting; appended. */
bool conf_mask(unsigned flags, struct slice text, struct buf *out);
/* Text of others for a one-line message: control characters as ?, at most 100 bytes. */
bool conf_quote(struct slice text, struct buf *out);
