/* Looking into objects of a document by name, and comparing a JavaScript value with the tree that
 * it was made of. */
#include "base/mem.h"
#include "model/json_index.h"
#include "plugin/value_priv.h"

#include <math.h>
#include <stdlib.h>

#define INDEX_MAX 4294967294u /* the highest array index of JavaScript */

double value_tree_number(yyjson_val *number, bool *is_lossy)
{
    double value;

    if (yyjson_is_raw(number)) { /* its text may be anything: 1.0, 1e400 */
        *is_lossy = true;
        return strtod(yyjson_get_raw(number), NULL);
    }
    if (yyjson_is_real(number))
        return yyjson_get_real(number);
    if (yyjson_is_uint(number)) {
        value = (double)yyjson_get_uint(number);
        *is_lossy = yyjson_get_uint(number) > (uint64_t)VALUE_JS_INTEGER_MAX;
        return value;
    }
    value = (double)yyjson_get_sint(number);
    *is_lossy = yyjson_get_sint(number) < -(int64_t)VALUE_JS_INTEGER_MAX;
    return value == 0 ? -0.0 : value; /* the parser keeps the sign of -0 as a type */
}

/* --- finding ---------------------------------------------------------------------------------- */

yyjson_val *value_tree_find(yyjson_val *object, struct slice name, yyjson_val **first)
{
    size_t count = unsafe_yyjson_get_len(object);
    yyjson_val *key = unsafe_yyjson_get_first(object);
    yyjson_val *found = NULL;

    *first = NULL;
    for (; count > 0; count--) {
        if (unsafe_yyjson_equals_strn(key, name.len ? name.ptr : "", name.len)) {
            found = key + 1;
            if (!*first)
                *first = key;
        }
        key = unsafe_yyjson_get_next(key + 1);
    }
    return found;
}

bool value_name_is_index(struct slice name)
{
    uint64_t index;

    if (name.len == 0 || name.ptr[0] < '0' || name.ptr[0] > '9')
        return false;
    return (name.ptr[0] != '0' || name.len == 1) && slice_u64(name, &index) && index <= INDEX_MAX;
}

static bool is_simple_large(yyjson_val *object)
{
    struct json_index *keys = mem_new(struct json_index);
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;
    bool is_new = true;
    bool has_index = false;

    json_index_init(keys);
    while (is_new && !has_index && (key = yyjson_obj_iter_next(&it))) {
        json_index_add(keys, json_text(key), &is_new);
        has_index = value_name_is_index(json_text(key));
    }
    json_index_fini(keys);
    mem_free(keys);
    return is_new && !has_index;
}

bool value_tree_is_simple(yyjson_val *object)
{
    uint64_t seen[VALUE_MEMBERS_SMALL];
    size_t count = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    if (yyjson_obj_size(object) > VALUE_MEMBERS_SMALL)
        return is_simple_large(object);
    while ((key = yyjson_obj_iter_next(&it))) {
        uint64_t print = value_fingerprint(json_text(key));
        bool is_repeated = false;

        for (size_t i = 0; i < count; i++)
            is_repeated |= seen[i] == print;
        if (is_repeated || value_name_is_index(json_text(key)))
            return false;
        seen[count++] = print;
    }
    return true;
}

struct tree_index {
    struct json_index keys;
    yyjson_val **first, **last; /* by number of the key: key at its first place, last value */
};

static struct tree_index *index_new(yyjson_val *object)
{
    struct tree_index *x = mem_new(struct tree_index);
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;
    bool is_new;

    json_index_init(&x->keys);
    x->first = mem_new_array(yyjson_val *, yyjson_obj_size(object) + 1);
    x->last = mem_new_array(yyjson_val *, yyjson_obj_size(object) + 1);
    while ((key = yyjson_obj_iter_next(&it))) {
        size_t at = json_index_add(&x->keys, json_text(key), &is_new);

        if (is_new)
            x->first[at] = key;
        x->last[at] = yyjson_obj_iter_get_val(key);
    }
    return x;
}

static void index_free(struct tree_index *x)
{
    if (!x)
        return;
    json_index_fini(&x->keys);
    mem_free(x->first);
    mem_free(x->last);
    mem_free(x);
}

void value_view_init(struct value_view *v, yyjson_val *object)
{
    *v = (struct value_view){0};
    if (!yyjson_is_obj(object))
        return;
    v->object = object;
    v->left = yyjson_obj_size(object);
    v->next = v->left > 0 ? unsafe_yyjson_get_first(object) : NULL;
    v->is_simple = value_tree_is_simple(object);
}

void value_view_fini(struct value_view *v)
{
    index_free(v->index);
}

yyjson_val *value_view_find(struct value_view *v, struct slice name, yyjson_val **first)
{
    yyjson_val *key = v->next;
    ptrdiff_t at;

    *first = NULL;
    if (!v->object)
        return NULL;
    if (v->is_simple && v->left > 0 && slice_eq(json_text(key), name)) {
        v->next = unsafe_yyjson_get_next(key + 1);
        v->left--;
        *first = key;
        return key + 1;
    }
    if (yyjson_obj_size(v->object) <= VALUE_MEMBERS_SMALL)
        return value_tree_find(v->object, name, first);
    if (!v->index)
        v->index = index_new(v->object);
    at = json_index_find(&v->index->keys, name);
    if (at == -1)
        return NULL;
    *first = v->index->first[at];
    return v->index->last[at];
}

size_t value_view_distinct(struct value_view *view)
{
    if (view->is_simple)
        return yyjson_obj_size(view->object);
    if (!view->index)
        view->index = index_new(view->object);
    return view->index->keys.count;
}

/* --- comparing -------------------------------------------------------------------------------- */

static void forget_exception(JSContext *ctx)
{
    JS_FreeValue(ctx, JS_GetException(ctx));
}

static bool is_same_text(JSContext *ctx, JSValueConst value, yyjson_val *tree)
{
    const char *text;
    size_t len;
    bool is_same;

    if (!JS_IsString(value))
        return false;
    text = JS_ToCStringLen(ctx, &len, value);
    if (!text) {
        forget_exception(ctx);
        return false;
    }
    is_same = slice_eq(slice_make(text, len), json_text(tree));
    JS_FreeCString(ctx, text);
    return is_same;
}

static bool is_same_number(JSValueConst value, yyjson_val *tree)
{
    bool is_lossy;
    double number;

    if (!JS_IsNumber(value))
        return false;
    number = JS_VALUE_GET_TAG(value) == JS_TAG_INT ? JS_VALUE_GET_INT(value)
                                                   : JS_VALUE_GET_FLOAT64(value);
    return number == value_tree_number(tree, &is_lossy);
}

/* An own data property has the value of the tree. */
static bool is_same_own(struct value_context *vc, JSValueConst object, JSAtom atom,
                        yyjson_val *tree)
{
    JSPropertyDescriptor own;
    int found = JS_GetOwnProperty(vc->ctx, &own, object, atom);
    bool is_same = false;

    if (found <= 0) {
        if (found == -1)
            forget_exception(vc->ctx);
        return false;
    }
    if (own.flags & JS_PROP_GETSET) {
        JS_FreeValue(vc->ctx, own.getter);
        JS_FreeValue(vc->ctx, own.setter);
        return false;
    }
    is_same = value_is_tree(vc, own.value, tree);
    JS_FreeValue(vc->ctx, own.value);
    return is_same;
}

static bool is_same_array(struct value_context *vc, JSValueConst array, yyjson_val *tree)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(tree);
    yyjson_val *item;
    JSPropertyDescriptor length;
    uint32_t at = 0;
    bool is_same;

    if (JS_GetClassID(array) != vc->array_class ||
        JS_GetOwnProperty(vc->ctx, &length, array, vc->length) != 1)
        return false;
    is_same = JS_VALUE_GET_TAG(length.value) == JS_TAG_INT &&
              (size_t)JS_VALUE_GET_INT(length.value) == yyjson_arr_size(tree);
    while (is_same && (item = yyjson_arr_iter_next(&it))) {
        JSAtom atom = JS_NewAtomUInt32(vc->ctx, at++);

        is_same = is_same_own(vc, array, atom, item);
        JS_FreeAtom(vc->ctx, atom);
    }
    return is_same;
}

/* The keys as they were, in order: `last` moves forward through the tree. */
static bool is_same_member(struct value_context *vc, JSValueConst object, JSAtom atom,
                           struct value_view *view, yyjson_val **last)
{
    struct value_key key;
    yyjson_val *first, *tree;
    bool is_in_order;

    if (!value_key_init(vc, atom, &key)) {
        forget_exception(vc->ctx);
        return false;
    }
    tree = key.is_symbol ? NULL : value_view_find(view, key.name, &first);
    /* Indexes come first in any case; where they stood in the text makes no difference. */
    is_in_order = tree && (value_name_is_index(key.name) || first > *last);
    if (is_in_order && !value_name_is_index(key.name))
        *last = first;
    value_key_fini(vc, &key);
    return is_in_order && is_same_own(vc, object, atom, tree);
}

static bool is_same_object(struct value_context *vc, JSValueConst object, yyjson_val *tree)
{
    struct value_view view;
    JSPropertyEnum *names;
    yyjson_val *last = NULL;
    uint32_t count;
    bool is_same;

    if (JS_GetClassID(object) != vc->object_class)
        return false;
    if (JS_GetOwnPropertyNames(vc->ctx, &names, &count, object,
                               JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) == -1) {
        forget_exception(vc->ctx);
        return false;
    }
    value_view_init(&view, tree);
    is_same = count == value_view_distinct(&view);
    for (uint32_t i = 0; is_same && i < count; i++)
        is_same = is_same_member(vc, object, names[i].atom, &view, &last);
    value_view_fini(&view);
    value_names_free(vc->ctx, names, count);
    return is_same;
}

bool value_is_tree(struct value_context *vc, JSValueConst value, yyjson_val *tree)
{
    switch (yyjson_get_type(tree)) {
    case YYJSON_TYPE_STR:
        return is_same_text(vc->ctx, value, tree);
    case YYJSON_TYPE_NUM:
    case YYJSON_TYPE_RAW:
        return is_same_number(value, tree);
    case YYJSON_TYPE_BOOL:
        return JS_IsBool(value) && JS_VALUE_GET_BOOL(value) == yyjson_get_bool(tree);
    case YYJSON_TYPE_NULL:
        return JS_IsNull(value);
    case YYJSON_TYPE_ARR:
        return is_same_array(vc, value, tree);
    case YYJSON_TYPE_OBJ:
        return is_same_object(vc, value, tree);
    default:
        return false;
    }
}
