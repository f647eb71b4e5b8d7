/* conf.h - every setting, from one table (conf/keys.def).
 *
 * Lowest to highest: built-in default < config file (--config FILE or CONFIG_FILE) < environment <
 * --set NAME=value. NAME_FILE gives a secret's value by the path of a file. Type follows the table;
 * a value that does not parse is a fault that names the setting, where it came from and what is
 * allowed. All faults are collected. Only the value in force is judged, not one that a higher
 * source replaces. Unknown names: ignored in the environment, a fault elsewhere. Names of other
 * releases of the plugin server are accepted with one warning each.
 *
 * Threads: built by MAIN, read by all, never changed after start. Ownership: conf_free.
 * Strings are valid as long as the conf.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum conf_type { CONF_INT, CONF_NUM, CONF_BOOL, CONF_STR };

/* What a setting does here (spec of the plugin server): N native, M maps to something in-process,
 * W accepted with one warning, K only in Kafka mode, F only with an external store. */
enum conf_class { CONF_N, CONF_M, CONF_W, CONF_K, CONF_F };

enum conf_origin { CONF_FROM_DEFAULT, CONF_FROM_FILE, CONF_FROM_ENV, CONF_FROM_SET };

enum conf_key {
#define KEY(name, type, fallback, allowed, class, flags, help) CONF_##name,
#include "conf/keys.def"
#undef KEY
    CONF_KEY_COUNT
};

/* Flags of a key. */
#define CONF_SECRET  1u /* masked in every listing; NAME_FILE exists too */
#define CONF_URL     2u /* credentials inside are masked */
#define CONF_NOT_YET 4u /* its part is not built yet: says so once at start when set */
#define CONF_BYTES   8u /* a size: KiB, MiB, GiB, TiB (1024) and KB, MB, GB, TB (1000) may follow */
#define CONF_LIST    16u /* comma list; the allowed texts are those of its items */
#define CONF_NOCASE  32u /* allowed texts in any case; conf_str gives the table's spelling */

struct conf;

struct conf_sources {
    const char *file;        /* NULL: CONFIG_FILE, else none */
    char *const *environ;    /* NAME=value, NULL-terminated; NULL: none */
    const char *const *sets; /* "NAME=value" of each --set */
    size_t set_count;
    bool is_test_mode; /* --test-mode: the defaults that the plugin server had in its tests */
    bool keeps_faulty; /* a conf comes in spite of faults, with defaults in their places */
};

/* NULL with every fault, one per line, in *faults. Prints nothing. */
MUST_CHECK struct conf *conf_load(const struct conf_sources *sources, struct buf *faults);
void conf_free(struct conf *c);

/* The getter must fit the type. */
int64_t conf_int(const struct conf *c, enum conf_key key);
double conf_num(const struct conf *c, enum conf_key key);
bool conf_bool(const struct conf *c, enum conf_key key);
const char *conf_str(const struct conf *c, enum conf_key key); /* "" when empty or unset */
bool conf_is_set(const struct conf *c, enum conf_key key);     /* given explicitly and not empty */
enum conf_origin conf_origin(const struct conf *c, enum conf_key key);

const char *conf_key_name(enum conf_key key);
/* The value in force as text, secrets as ***; appended. */
bool conf_print_value(const struct conf *c, enum conf_key key, struct buf *out);
/* NAME=value # origin, all of them; a config file when read back (but for the masked ones). */
bool conf_print(const struct conf *c, struct buf *out);
/* {"settings":[{"name","group","value","default","origin","effect","is_secret","is_built","help"},
 * …]}, all of them, secrets as ***. */
bool conf_print_json(const struct conf *c, struct buf *out);
bool conf_docs_markdown(struct buf *out); /* the reference page */
/* "       - NAME - description (default …; class)" lines. */
bool conf_help(struct buf *out);
/* The warnings of conf_load, one per line; appended. */
bool conf_warnings(const struct conf *c, struct buf *out);
/* Logs every warning of conf_load (foreign, retired, without effect, not built yet, odd values),
 * one line each, then the settings that are not at their default, masked. */
void conf_log_start(const struct conf *c);
