/* JavaScript to JSON text.
 *
 * A value is written beside the tree that stood in its place, if there was one: a number that
 * equals the tree's keeps its text, so that an integer of 64 bits survives a plugin that only
 * passed it on.
 *
 * Getters and proxies run here. Whatever runs in the engine is ended by the interrupt handler; the
 * walk itself is bounded by the bytes it may write: every step counts, also those that write
 * nothing, and an array that cannot fit is refused before it is walked. */
#include "base/mem.h"
#include "base/utf8.h"
#include "plugin/value_priv.h"

#include <math.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* --- limits ----------------------------------------------------------------------------------- */

bool value_write_fail_thrown(struct value_writer *w)
{
    return err_set(w->err, ERR_INPUT, "reading the value threw an exception");
}

static bool fail_large(struct value_writer *w)
{
    return err_set(w->err, ERR_LIMIT, "the event is larger than %zu bytes", w->bytes_max);
}

static bool step(struct value_writer *w, uint64_t count)
{
    w->steps += count;
    return w->steps <= w->bytes_max + VALUE_STEPS_FREE || fail_large(w);
}

/* What was added fits; `ok` is what the buffer said. */
static bool added(struct value_writer *w, bool ok)
{
    return (ok && w->out->len <= w->bytes_max) || fail_large(w);
}

bool value_write_char(struct value_writer *w, char c)
{
    return added(w, buf_add_char(w->out, c));
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool replace_surrogates(struct slice text, struct buf *out)
{
    for (;;) {
        size_t good = utf8_valid_prefix(text);

        if (!buf_add(out, text.ptr, good))
            return false;
        if (good == text.len)
            return true;
        /* The engine writes a lone surrogate as three bytes and nothing else that is not valid. */
        if (!buf_add_str(out, REPLACEMENT))
            return false;
        good += MIN((size_t)3, text.len - good);
        text = slice_make(text.ptr + good, text.len - good);
    }
}

bool value_text(JSContext *ctx, JSValueConst string, struct slice *text, const char **held,
                struct buf *spare)
{
    *held = JS_ToCStringLen(ctx, &text->len, string);
    if (!*held)
        return false;
    text->ptr = *held;
    if (utf8_is_valid(*text))
        return true;
    if (replace_surrogates(*text, spare)) {
        *text = buf_slice(spare);
        return true;
    }
    JS_FreeCString(ctx, *held);
    *held = NULL;
    JS_ThrowOutOfMemory(ctx);
    return false;
}

static bool write_text(struct value_writer *w, JSValueConst string)
{
    struct buf spare = BUF_INIT(SIZE_MAX);
    const char *held;
    struct slice text;
    bool ok;

    if (!value_text(w->vc->ctx, string, &text, &held, &spare))
        return value_write_fail_thrown(w);
    ok = added(w, json_string_write(text, false, w->out));
    JS_FreeCString(w->vc->ctx, held);
    buf_free(&spare);
    return ok;
}

bool value_write_name(struct value_writer *w, struct slice name, bool is_first)
{
    struct buf spare = BUF_INIT(SIZE_MAX);
    bool ok;

    if (!utf8_is_valid(name)) {
        if (!replace_surrogates(name, &spare))
            return fail_large(w);
        name = buf_slice(&spare);
    }
    ok = added(w, json_name_write(name, is_first, false, w->out));
    buf_free(&spare);
    return ok;
}

bool value_write_member(struct value_writer *w, yyjson_val *key, bool is_first)
{
    return added(w, json_name_write(json_text(key), is_first, false, w->out)) &&
           value_write_tree(w, yyjson_obj_iter_get_val(key));
}

bool value_write_tree(struct value_writer *w, yyjson_val *tree)
{
    return added(w, json_value_write(tree, w->out));
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool write_number(struct value_writer *w, JSValueConst value, yyjson_val *tree)
{
    bool is_int = JS_VALUE_GET_TAG(value) == JS_TAG_INT;
    double number = is_int ? JS_VALUE_GET_INT(value) : JS_VALUE_GET_FLOAT64(value);
    bool is_lossy = false;

    if ((yyjson_is_num(tree) || yyjson_is_raw(tree)) &&
        value_tree_number(tree, &is_lossy) == number && is_lossy)
        return value_write_tree(w, tree);
    if (is_int)
        return added(w, buf_add_i64(w->out, JS_VALUE_GET_INT(value)));
    return added(w, json_number_js(number, w->out));
}

/* --- containers ------------------------------------------------------------------------------- */

/* The length of an array, and that it can be written at all. */
static bool array_length(struct value_writer *w, JSValueConst array, uint64_t *length)
{
    JSValue value = JS_GetProperty(w->vc->ctx, array, w->vc->length);
    int64_t number = 0;
    int done = JS_IsException(value) ? -1 : JS_ToInt64(w->vc->ctx, &number, value);

    JS_FreeValue(w->vc->ctx, value);
    if (done == -1)
        return value_write_fail_thrown(w);
    *length = number > 0 ? (uint64_t)number : 0;
    /* Each element takes a comma and one byte at least. */
    return *length <= MIN(w->bytes_max / 2 + 1, (size_t)UINT32_MAX) || fail_large(w);
}

static bool write_element(struct value_writer *w, JSValueConst array, uint32_t at, yyjson_val *tree)
{
    JSValue item;
    bool ok;

    if (!step(w, 1) || !value_write_char(w, at == 0 ? '[' : ','))
        return false;
    item = JS_GetPropertyUint32(w->vc->ctx, array, at);
    if (JS_IsException(item))
        return value_write_fail_thrown(w);
    if (value_is_omitted(w->vc->ctx, item))
        ok = added(w, buf_add_str(w->out, "null"));
    else
        ok = value_write(w, item, tree);
    JS_FreeValue(w->vc->ctx, item);
    return ok;
}

static bool write_array(struct value_writer *w, JSValueConst array, yyjson_val *tree)
{
    yyjson_arr_iter it = {0};
    uint64_t length = 0;

    if (!array_length(w, array, &length))
        return false;
    if (length == 0)
        return added(w, buf_add_str(w->out, "[]"));
    if (yyjson_is_arr(tree))
        yyjson_arr_iter_init(tree, &it);
    for (uint32_t at = 0; at < length; at++) {
        if (!write_element(w, array, at, it.max > 0 ? yyjson_arr_iter_next(&it) : NULL))
            return false;
    }
    return value_write_char(w, ']');
}

static bool write_member(struct value_writer *w, JSAtom atom, JSValueConst value,
                         struct value_view *view, bool *is_first)
{
    struct value_key key;
    yyjson_val *tree, *first;
    bool ok;

    if (!value_key_init(w->vc, atom, &key))
        return value_write_fail_thrown(w);
    if (w->event && w->depth == 1 && event_object_is_apart(w->event, key.name)) {
        value_key_fini(w->vc, &key);
        return true;
    }
    tree = value_view_find(view, key.name, &first);
    ok = value_write_name(w, key.name, *is_first);
    *is_first = false;
    value_key_fini(w->vc, &key);
    if (!ok || !tree || !w->event || w->depth > 1 || !event_object_is_head(w->event, atom, value))
        return ok && value_write(w, value, tree);
    return value_write_tree(w, tree);
}

static bool write_members(struct value_writer *w, JSValueConst object, const JSPropertyEnum *names,
                          uint32_t count, struct value_view *view)
{
    JSContext *ctx = w->vc->ctx;
    bool is_first = true;
    bool ok = true;

    for (uint32_t i = 0; ok && i < count; i++) {
        JSValue value;

        if (!names[i].is_enumerable)
            continue;
        value = JS_GetProperty(ctx, object, names[i].atom);
        if (JS_IsException(value))
            return value_write_fail_thrown(w);
        if (!value_is_omitted(ctx, value))
            ok = write_member(w, names[i].atom, value, view, &is_first);
        JS_FreeValue(ctx, value);
    }
    return ok;
}

bool value_names(struct value_writer *w, JSValueConst object, JSPropertyEnum **names,
                 uint32_t *count)
{
    /* All of them, so that those that are not written count as steps too. */
    if (JS_GetOwnPropertyNames(w->vc->ctx, names, count, object,
                               JS_GPN_STRING_MASK | JS_GPN_SET_ENUM) == -1)
        return value_write_fail_thrown(w);
    if (step(w, *count))
        return true;
    value_names_free(w->vc->ctx, *names, *count);
    return false;
}

void value_names_free(JSContext *ctx, JSPropertyEnum *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        JS_FreeAtom(ctx, names[i].atom);
    js_free(ctx, names);
}

bool value_write_object(struct value_writer *w, JSValueConst object, yyjson_val *tree)
{
    struct value_view view;
    JSPropertyEnum *names;
    uint32_t count;
    bool ok;

    if (!value_names(w, object, &names, &count))
        return false;
    value_view_init(&view, tree);
    ok = value_write_char(w, '{') && write_members(w, object, names, count, &view) &&
         value_write_char(w, '}');
    value_view_fini(&view);
    value_names_free(w->vc->ctx, names, count);
    return ok;
}

static bool write_inside(struct value_writer *w, JSValueConst value, yyjson_val *tree)
{
    struct lazy *lazy = lazy_of(value);
    yyjson_val *known = w->event ? event_object_tree_of(w->event, value) : NULL;
    int is_array;

    if (lazy)
        return lazy_write(lazy, w);
    is_array = JS_IsArray(w->vc->ctx, value);
    if (is_array == -1)
        return value_write_fail_thrown(w);
    return is_array ? write_array(w, value, known ? known : tree)
                    : value_write_object(w, value, known ? known : tree);
}

static bool write_container(struct value_writer *w, JSValueConst value, yyjson_val *tree)
{
    bool ok;

    if (w->depth == JSON_DEPTH_MAX)
        return err_set(w->err, ERR_LIMIT, "the event is cyclic or deeper than %d levels",
                       JSON_DEPTH_MAX);
    w->depth++;
    ok = write_inside(w, value, tree);
    w->depth--;
    return ok;
}

bool value_is_omitted(JSContext *ctx, JSValueConst value)
{
    return JS_IsUndefined(value) || JS_IsSymbol(value) || JS_IsFunction(ctx, value);
}

bool value_write(struct value_writer *w, JSValueConst value, yyjson_val *tree)
{
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_INT:
    case JS_TAG_FLOAT64:
        return write_number(w, value, tree);
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        return write_text(w, value);
    case JS_TAG_BOOL:
        return added(w, buf_add_str(w->out, JS_VALUE_GET_BOOL(value) ? "true" : "false"));
    case JS_TAG_BIG_INT:
    case JS_TAG_SHORT_BIG_INT:
        return err_set(w->err, ERR_INPUT, "a BigInt cannot be part of an event");
    case JS_TAG_OBJECT:
        return write_container(w, value, tree);
    default:
        return added(w, buf_add_str(w->out, "null"));
    }
}

bool value_to_json(JSContext *ctx, JSValueConst value, size_t bytes_max, struct buf *out,
                   struct err *err)
{
    struct value_writer w = {
        .vc = value_context_of(ctx), .out = out, .bytes_max = bytes_max + out->len, .err = err};

    return value_is_omitted(ctx, value) ? added(&w, buf_add_str(out, "null"))
                                        : value_write(&w, value, NULL);
}
