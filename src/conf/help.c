/* Texts for people, all from the one table. */
#include "base/mem.h"
#include "conf/conf_priv.h"

static const char *const class_names[] = {[CONF_N] = "native",
                                          [CONF_M] = "in-process",
                                          [CONF_W] = "no effect",
                                          [CONF_K] = "Kafka mode",
                                          [CONF_F] = "external store"};

static const char *const class_details[] = {
    [CONF_N] = "works as described",
    [CONF_M] = "the name is kept, the thing itself is in this process",
    [CONF_W] = "accepted with one warning",
    [CONF_K] = "counts only with `KAFKA_ENABLED=true`",
    [CONF_F] = "counts only when that external store is configured"};

static const char *const type_names[] = {[CONF_INT] = "whole number",
                                         [CONF_NUM] = "number",
                                         [CONF_BOOL] = "boolean",
                                         [CONF_STR] = "text"};

static const char *const origin_names[] = {[CONF_FROM_DEFAULT] = "default",
                                           [CONF_FROM_FILE] = "config file",
                                           [CONF_FROM_ENV] = "environment",
                                           [CONF_FROM_SET] = "--set"};

bool conf_print(const struct conf *c, struct buf *out)
{
    struct buf value = BUF_INIT(1 << 20);

    for (int i = 0; i < CONF_KEY_COUNT; i++) {
        enum conf_key key = (enum conf_key)i;
        buf_clear(&value);
        conf_print_value(c, key, &value);
        buf_addf(out, "%s=", conf_table[key].name);
        conf_file_write_value(buf_slice(&value), out);
        buf_addf(out, " # %s\n", origin_names[conf_origin(c, key)]);
    }
    buf_free(&value);
    return !out->is_over;
}

bool conf_help(struct buf *out)
{
    for (int i = 0; i < CONF_KEY_COUNT; i++) {
        const struct conf_info *info = &conf_table[i];
        buf_addf(out, "       - %s - %s (default %s; %s%s)\n", info->name, info->help,
                 info->fallback[0] != '\0' ? info->fallback : "empty", class_names[info->class_],
                 info->flags & CONF_NOT_YET ? "; not built yet" : "");
    }
    return !out->is_over;
}

/* A | would end the table's cell. An empty text is an empty cell. */
static void add_code_cell(const char *text, struct buf *out)
{
    const char *quote = text[0] != '\0' ? "`" : "";

    buf_addf(out, " %s", quote);
    for (const char *at = text; *at; at++) {
        if (*at == '|')
            buf_add_char(out, '\\');
        buf_add_char(out, *at);
    }
    buf_addf(out, "%s |", quote);
}

static void add_row(const struct conf_info *info, struct buf *out)
{
    buf_add_char(out, '|');
    add_code_cell(info->name, out);
    buf_addf(out, " %s |",
             info->flags & CONF_BYTES  ? "bytes"
             : info->flags & CONF_LIST ? "comma list"
                                       : type_names[info->type]);
    add_code_cell(info->fallback, out);
    add_code_cell(info->allowed, out);
    buf_addf(out, " %s |", class_names[info->class_]);
    buf_addf(out, " %s%s%s |\n", info->help, info->flags & CONF_SECRET ? "; secret" : "",
             info->flags & CONF_NOT_YET ? "; not built yet" : "");
}

static void add_intro(struct buf *out)
{
    buf_add_str(out, "# Settings\n\n"
                     "From lowest to highest: the default, the config file (`--config FILE` or "
                     "`CONFIG_FILE`), the environment, "
                     "`--set NAME=value`. A value that is not allowed stops the start; all faults "
                     "are listed at once. Unknown names "
                     "are ignored in the environment and refused elsewhere. `hedgerow config "
                     "print` shows what is in force.\n\n"
                     "- Config file: one `NAME=value` a line; `#` begins a comment; `\"...\"` or "
                     "`'...'` around a value keeps spaces "
                     "and `#`.\n"
                     "- Numbers: `900000`, `900_000`, `.5`. Bytes: `1048576`, `1MiB`, `1MB`. "
                     "Booleans: `y yes t true on 1` are true, "
                     "everything else is false.\n"
                     "- A secret, or a URL that may hold one, can also be given as `NAME_FILE`, "
                     "the path of a file with the value.\n");
    for (size_t i = 0; i < ARRAY_LEN(class_names); i++)
        buf_addf(out, "- Class *%s*: %s.\n", class_names[i], class_details[i]);
}

/* Groups and keys in the order of the table. */
static const struct conf_row {
    const char *title; /* of a group, or NULL for the next key */
    enum conf_key key;
} rows[] = {
#define GROUP(title)                                           {title, (enum conf_key)0},
#define KEY(name, type, fallback, allowed, class, flags, help) {NULL, CONF_##name},
#include "conf/keys.def"
#undef KEY
};

/* `before` is the comma or the brace in front of it. */
static void add_member(struct buf *out, char before, const char *name, const char *text)
{
    buf_addf(out, "%c\"%s\":", before, name);
    buf_add_json_str(out, slice_cstr(text));
}

static void add_object(const struct conf *c, enum conf_key key, const char *group, struct buf *out)
{
    const struct conf_info *info = &conf_table[key];
    struct buf value = BUF_INIT(1 << 20);

    conf_print_value(c, key, &value);
    add_member(out, '{', "name", info->name);
    add_member(out, ',', "group", group);
    add_member(out, ',', "value", buf_cstr(&value));
    add_member(out, ',', "default", info->fallback);
    add_member(out, ',', "origin", origin_names[conf_origin(c, key)]);
    add_member(out, ',', "effect", class_names[info->class_]);
    buf_addf(out, ",\"is_secret\":%s,\"is_built\":%s", info->flags & CONF_SECRET ? "true" : "false",
             info->flags & CONF_NOT_YET ? "false" : "true");
    add_member(out, ',', "help", info->help);
    buf_add_char(out, '}');
    buf_free(&value);
}

bool conf_print_json(const struct conf *c, struct buf *out)
{
    const char *group = "", *between = "";

    buf_add_str(out, "{\"settings\":[");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].title) {
            group = rows[i].title;
            continue;
        }
        buf_add_str(out, between);
        between = ",";
        add_object(c, rows[i].key, group, out);
    }
    buf_add_str(out, "]}");
    return !out->is_over;
}

bool conf_docs_markdown(struct buf *out)
{
    add_intro(out);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].title)
            buf_addf(out,
                     "\n## %s\n\n| setting | type | default | allowed | class | meaning |\n"
                     "|---|---|---|---|---|---|\n",
                     rows[i].title);
        else
            add_row(&conf_table[rows[i].key], out);
    }
    return !out->is_over;
}
