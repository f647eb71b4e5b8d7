/* The shapes of the provision file as tables, and the checker that walks them. It goes on after a
 * fault, so that one run shows all of them. A part whose further keys are not settled yet is open:
 * what it must have is checked, the rest is kept as it is.
 */
#include "model/provision_priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define POINTER_BYTES_MAX 4096
#define NAME_BYTES_MAX    400
#define TOKEN_BYTES_MAX   64

/* --- where we are --------------------------------------------------------------------------------
 */

/* RFC 6901; control characters would break the line. */
size_t provision_enter_key(struct provision_place *p, const char *key)
{
    size_t mark = p->pointer.len;

    p->pointer.max = POINTER_BYTES_MAX;
    buf_add_char(&p->pointer, '/');
    for (; *key; key++) {
        if (*key == '~')
            buf_add_str(&p->pointer, "~0");
        else if (*key == '/')
            buf_add_str(&p->pointer, "~1");
        else
            buf_add_char(&p->pointer, (unsigned char)*key < 0x20 || *key == 0x7f ? '?' : *key);
    }
    return mark;
}

size_t provision_enter_index(struct provision_place *p, size_t index)
{
    char text[24];

    snprintf(text, sizeof(text), "%zu", index);
    return provision_enter_key(p, text);
}

void provision_leave(struct provision_place *p, size_t mark)
{
    p->pointer.len = mark;
}

void provision_fault(struct provision_place *p, const char *fmt, ...)
{
    char text[300];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    json_fault(p->faults, buf_cstr(&p->pointer), "%s", text);
}

/* --- checker -------------------------------------------------------------------------------------
 */

static bool has_type(const cJSON *json, unsigned types)
{
    int64_t whole;

    return types == 0 || ((types & SHAPE_STR) && cJSON_IsString(json)) ||
           ((types & SHAPE_INT) && json_int(json, &whole)) ||
           ((types & SHAPE_NUM) && cJSON_IsNumber(json) && isfinite(json->valuedouble)) ||
           ((types & SHAPE_BOOL) && cJSON_IsBool(json)) ||
           ((types & SHAPE_LIST) && cJSON_IsArray(json)) ||
           ((types & SHAPE_OBJECT) && cJSON_IsObject(json)) ||
           ((types & SHAPE_NULL) && cJSON_IsNull(json));
}

static void fault_type(struct provision_place *p, unsigned types)
{
    static const char *const names[] = {"a string", "a whole number", "a number", "true or false",
                                        "a list",   "an object",      "null"};
    struct buf text = BUF_INIT(200);

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (types & (1u << i))
            buf_addf(&text, "%s%s", text.len > 0 ? " or " : "", names[i]);
    provision_fault(p, "must be %s", buf_cstr(&text));
    buf_free(&text);
}

static const struct provision_field *field_find(const struct provision_field *fields,
                                                const char *name)
{
    for (; fields->name; fields++)
        if (slice_eq(slice_cstr(fields->name), slice_cstr(name)))
            return fields;
    return NULL;
}

void provision_check_object(struct provision_place *p, const cJSON *json,
                            const struct provision_field *fields, bool is_open)
{
    if (!cJSON_IsObject(json)) {
        fault_type(p, SHAPE_OBJECT);
        return;
    }
    for (const cJSON *child = json->child; child; child = child->next) {
        const struct provision_field *field = field_find(fields, child->string);
        size_t mark = provision_enter_key(p, child->string);
        if (!field) {
            if (!is_open)
                provision_fault(p, "unknown key");
        } else if (!has_type(child, field->types)) {
            fault_type(p, field->types);
        } else if (field->check && !cJSON_IsNull(child)) {
            field->check(p, child);
        }
        provision_leave(p, mark);
    }
    for (; fields->name; fields++) {
        if (!fields->is_required || json_get(json, fields->name))
            continue;
        size_t mark = provision_enter_key(p, fields->name);
        provision_fault(p, "is missing");
        provision_leave(p, mark);
    }
}

void provision_check_list(struct provision_place *p, const cJSON *json, provision_check_fn *each)
{
    size_t index = 0;

    if (!cJSON_IsArray(json)) {
        fault_type(p, SHAPE_LIST);
        return;
    }
    for (const cJSON *child = json->child; child; child = child->next) {
        size_t mark = provision_enter_index(p, index++);
        each(p, child);
        provision_leave(p, mark);
    }
}

/* --- checks of single values ---------------------------------------------------------------------
 */

static void check_name(struct provision_place *p, const cJSON *value)
{
    size_t len = strlen(value->valuestring);

    if (len == 0)
        provision_fault(p, "must not be empty");
    else if (len > NAME_BYTES_MAX)
        provision_fault(p, "must not be longer than %d bytes", NAME_BYTES_MAX);
}

/* A name given as text or as a number. */
static void check_name_or_id(struct provision_place *p, const cJSON *value)
{
    if (cJSON_IsString(value))
        check_name(p, value);
    else if (value->valuedouble < 1)
        provision_fault(p, "must be 1 or more");
}

static void check_token(struct provision_place *p, const cJSON *value)
{
    struct slice token = slice_cstr(value->valuestring);
    bool is_printable = true;

    for (size_t i = 0; i < token.len; i++)
        is_printable = is_printable && token.ptr[i] > 0x20 && token.ptr[i] < 0x7f;
    if (token.len == 0 || token.len > TOKEN_BYTES_MAX || !is_printable)
        provision_fault(p, "must be 1 to %d printable ASCII characters without spaces",
                        TOKEN_BYTES_MAX);
    else if (slice_starts(token, SLICE("phx_")))
        provision_fault(p, "must not begin with phx_, which marks personal keys");
}

static void check_personal_key(struct provision_place *p, const cJSON *value)
{
    struct slice key = slice_cstr(value->valuestring);
    bool is_printable = key.len > 0 && key.len <= NAME_BYTES_MAX;

    for (size_t i = 0; is_printable && i < key.len; i++)
        is_printable = key.ptr[i] > 0x20 && key.ptr[i] < 0x7f;
    if (!is_printable)
        provision_fault(p, "must be 1 to %d printable ASCII characters without spaces",
                        NAME_BYTES_MAX);
}

static void check_positive(struct provision_place *p, const cJSON *value)
{
    if (value->valuedouble < 1)
        provision_fault(p, "must be 1 or more");
}

static void check_not_negative(struct provision_place *p, const cJSON *value)
{
    if (!(value->valuedouble >= 0))
        provision_fault(p, "must not be negative");
}

static void check_percent(struct provision_place *p, const cJSON *value)
{
    if (!(value->valuedouble >= 0 && value->valuedouble <= 100))
        provision_fault(p, "must be from 0 to 100");
}

static void check_group_type(struct provision_place *p, const cJSON *value)
{
    if (value->valuedouble < 0 || value->valuedouble > 4)
        provision_fault(p, "must be from 0 to 4");
}

static void check_url(struct provision_place *p, const cJSON *value)
{
    struct slice url = slice_cstr(value->valuestring);

    if (!slice_starts(url, SLICE("http://")) && !slice_starts(url, SLICE("https://")))
        provision_fault(p, "must be a URL that begins with http:// or https://");
}

/* Empty means none, as in the database of the original. */
static void check_url_or_empty(struct provision_place *p, const cJSON *value)
{
    if (value->valuestring[0] != '\0')
        check_url(p, value);
}

/* One of the texts of a NULL-terminated list. */
static void check_choice(struct provision_place *p, const cJSON *value, const char *const *choices)
{
    struct buf text = BUF_INIT(400);

    for (size_t i = 0; choices[i]; i++) {
        if (cJSON_IsString(value) &&
            slice_eq(slice_cstr(value->valuestring), slice_cstr(choices[i])))
            goto out;
        buf_addf(&text, "%s\"%s\"", i > 0 ? ", " : "", choices[i]);
    }
    provision_fault(p, "must be one of %s", buf_cstr(&text));
out:
    buf_free(&text);
}

static void check_text_item(struct provision_place *p, const cJSON *value)
{
    if (!cJSON_IsString(value))
        fault_type(p, SHAPE_STR);
    else if (value->valuestring[0] == '\0')
        provision_fault(p, "must not be empty");
}

static void check_text_list(struct provision_place *p, const cJSON *value)
{
    provision_check_list(p, value, check_text_item);
}

static void check_quota_item(struct provision_place *p, const cJSON *value)
{
    static const char *const resources[] = {"events", "recordings", NULL};

    check_choice(p, value, resources);
}

static void check_over_quota(struct provision_place *p, const cJSON *value)
{
    provision_check_list(p, value, check_quota_item);
}

static void check_quota(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"per_second", SHAPE_NUM, false, check_not_negative},
        {"burst", SHAPE_NUM, false, check_not_negative},
        {"per_day", SHAPE_NUM, false, check_not_negative},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

/* Every value of an object is a text. */
static void check_texts_by_name(struct provision_place *p, const cJSON *value, bool may_be_empty)
{
    for (const cJSON *child = value->child; child; child = child->next) {
        size_t mark = provision_enter_key(p, child->string);
        if (!cJSON_IsString(child))
            fault_type(p, SHAPE_STR);
        else if (!may_be_empty && child->valuestring[0] == '\0')
            provision_fault(p, "must not be empty");
        provision_leave(p, mark);
    }
}

static void check_texts(struct provision_place *p, const cJSON *value)
{
    check_texts_by_name(p, value, true);
}

static void check_paths(struct provision_place *p, const cJSON *value)
{
    check_texts_by_name(p, value, false);
}

/* A property filter: operators and types as for actions; unknown types match nothing, so they are
 * legal. */
static void check_filter(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"key", SHAPE_STR | SHAPE_INT, true, NULL},
        {"type", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"operator", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"value", 0, false, NULL},
        {.name = NULL},
    };
    static const char *const operators[] = {"exact",  "is_not",     "icontains", "not_icontains",
                                            "regex",  "not_regex",  "gt",        "lt",
                                            "is_set", "is_not_set", NULL};
    const cJSON *op = json_get(value, "operator");

    provision_check_object(p, value, fields, true);
    if (cJSON_IsString(op)) {
        size_t mark = provision_enter_key(p, "operator");
        check_choice(p, op, operators);
        provision_leave(p, mark);
    }
}

static void check_filters(struct provision_place *p, const cJSON *value)
{
    provision_check_list(p, value, check_filter);
}

static void check_url_matching(struct provision_place *p, const cJSON *value)
{
    static const char *const kinds[] = {"contains", "regex", "exact", "", NULL};

    check_choice(p, value, kinds);
}

static void check_step(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"id", SHAPE_INT, false, NULL},
        {"name", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"event", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"url", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"url_matching", SHAPE_STR | SHAPE_NULL, false, check_url_matching},
        {"selector", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"tag_name", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"text", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"href", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"properties", SHAPE_LIST | SHAPE_NULL, false, check_filters},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_steps(struct provision_place *p, const cJSON *value)
{
    provision_check_list(p, value, check_step);
}

static void check_variant(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"key", SHAPE_STR, true, check_name},
        {"name", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"rollout_percentage", SHAPE_NUM, true, check_percent},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_variants(struct provision_place *p, const cJSON *value)
{
    provision_check_list(p, value, check_variant);
}

/* --- parts ---------------------------------------------------------------------------------------
 */

static void check_organization(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"id", SHAPE_STR | SHAPE_INT, true, check_name_or_id},
        {"name", SHAPE_STR, false, check_name},
        {"for_internal_metrics", SHAPE_BOOL, false, NULL},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_source(struct provision_place *p, const cJSON *value)
{
    static const struct slice prefixes[] = {{"builtin:", 8}, {"dir:", 4}, {"file:", 5}};
    struct slice source = slice_cstr(value->valuestring);

    if (slice_eq(source, SLICE("inline")))
        return;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (slice_starts(source, prefixes[i]) && source.len > prefixes[i].len)
            return;
    provision_fault(p, "must be builtin:NAME, dir:PATH, file:PATH or inline");
}

static void check_plugin(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"name", SHAPE_STR, true, check_name},
        {"source", SHAPE_STR, true, check_source},
        {"files", SHAPE_OBJECT, false, check_texts},
        {.name = NULL},
    };
    const char *source = json_str(value, "source");
    bool is_inline = source && slice_eq(slice_cstr(source), SLICE("inline"));
    bool has_files = json_get(value, "files") != NULL;

    provision_check_object(p, value, fields, false);
    if (source && is_inline != has_files) {
        size_t mark = provision_enter_key(p, "files");
        provision_fault(p, is_inline ? "is missing: needed with source inline"
                                     : "goes only with source inline");
        provision_leave(p, mark);
    }
}

static void check_plugin_config(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"plugin", SHAPE_STR, true, check_name},
        {"team", SHAPE_INT, true, check_positive},
        {"order", SHAPE_INT, false, NULL},
        {"enabled", SHAPE_BOOL, false, NULL},
        {"config", SHAPE_OBJECT, false, NULL},
        {"attachments", SHAPE_OBJECT, false, check_paths},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_action(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"id", SHAPE_INT, true, check_positive},
        {"team", SHAPE_INT, true, check_positive},
        {"name", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"post_to_slack", SHAPE_BOOL, false, NULL},
        {"slack_message_format", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"deleted", SHAPE_BOOL, false, NULL},
        {"steps", SHAPE_LIST, false, check_steps},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_hook(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"id", SHAPE_STR, true, check_name},
        {"team", SHAPE_INT, true, check_positive},
        {"event", SHAPE_STR, false, check_name},
        {"resource_id", SHAPE_INT | SHAPE_NULL, false, check_positive},
        {"target", SHAPE_STR, true, check_url},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_flag(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"id", SHAPE_INT, false, check_positive},
        {"team", SHAPE_INT, true, check_positive},
        {"key", SHAPE_STR, true, check_name},
        {"name", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"active", SHAPE_BOOL, false, NULL},
        {"rollout_percentage", SHAPE_NUM | SHAPE_NULL, false, check_percent},
        {"variants", SHAPE_LIST, false, check_variants},
        {"payloads", SHAPE_OBJECT, false, check_texts},
        {"filters", SHAPE_LIST, false, check_filters},
        {"group_type_index", SHAPE_INT | SHAPE_NULL, false, check_group_type},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, false);
}

static void check_bucket(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"name", SHAPE_STR, true, check_name},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, true);
}

static void check_stream(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"schema_title", SHAPE_STR, false, check_name},
        {.name = NULL},
    };

    provision_check_object(p, value, fields, true);
}

static void check_sink(struct provision_place *p, const cJSON *value)
{
    static const struct provision_field fields[] = {
        {"name", SHAPE_STR, true, check_name},
        {"type", SHAPE_STR, true, check_name},
        {"team", SHAPE_INT | SHAPE_NULL, false, check_positive},
        {"url", SHAPE_STR, false, NULL},
        {"format", SHAPE_STR, false, check_name},
        {"headers", SHAPE_OBJECT, false, check_texts},
        {"hmac_secret", SHAPE_STR | SHAPE_NULL, false, NULL},
        {"batch_events", SHAPE_INT, false, check_positive},
        {"batch_bytes", SHAPE_INT, false, check_positive},
        {"events", SHAPE_LIST | SHAPE_NULL, false, check_text_list},
        {"enabled", SHAPE_BOOL, false, NULL},
        {.name = NULL},
    };
    static const struct provision_field http[] = {
        {"url", SHAPE_STR, true, check_url},
        {.name = NULL},
    };
    const char *type = json_str(value, "type");
    bool is_http = type && slice_eq(slice_cstr(type), SLICE("http"));

    /* Other types have keys of their own. */
    provision_check_object(p, value, fields, type && !is_http);
    if (is_http)
        provision_check_object(p, value, http, true);
}

const struct provision_part provision_parts[] = {
    {"organizations", check_organization, {"id", NULL}, false},
    {"plugins", check_plugin, {"name", NULL}, false},
    {"plugin_configs", check_plugin_config, {"team", "plugin"}, false},
    {"actions", check_action, {"id", NULL}, false},
    {"hooks", check_hook, {"id", NULL}, false},
    {"feature_flags", check_flag, {"team", "key"}, false},
    {"buckets", check_bucket, {"name", NULL}, false},
    {"streams", check_stream, {NULL, NULL}, true},
    {"sinks", check_sink, {"name", NULL}, false},
};
const size_t provision_part_count = ARRAY_LEN(provision_parts);

const struct provision_field provision_team_fields[] = {
    {"id", SHAPE_INT, true, check_positive},
    {"name", SHAPE_STR, false, check_name},
    {"api_token", SHAPE_STR | SHAPE_NULL, false, check_token},
    {"anonymize_ips", SHAPE_BOOL, false, NULL},
    {"session_recording_opt_in", SHAPE_BOOL, false, NULL},
    {"slack_incoming_webhook", SHAPE_STR | SHAPE_NULL, false, check_url_or_empty},
    {"bucket", SHAPE_STR, false, check_name},
    {"class", SHAPE_STR, false, check_name},
    {"organization", SHAPE_STR | SHAPE_INT, false, check_name_or_id},
    {"over_quota", SHAPE_LIST, false, check_over_quota},
    {"drop", SHAPE_LIST, false, check_text_list},
    {"quota", SHAPE_OBJECT | SHAPE_NULL, false, check_quota},
    {.name = NULL},
};

const struct provision_field provision_personal_key_fields[] = {
    {"key", SHAPE_STR, true, check_personal_key},
    {"team", SHAPE_INT, true, check_positive},
    {.name = NULL},
};
