/* Reading lazy objects back: has anything changed, and the text of what is there now, without
 * making the object plain.
 *
 * Only what was touched is looked at; the rest is written from the tree as it is. */
#include "plugin/value_priv.h"

static bool is_identical(JSValueConst a, JSValueConst b)
{
    if (JS_VALUE_GET_NORM_TAG(a) != JS_VALUE_GET_NORM_TAG(b))
        return false;
    if (JS_VALUE_HAS_REF_COUNT(a))
        return JS_VALUE_GET_PTR(a) == JS_VALUE_GET_PTR(b);
    if (JS_VALUE_GET_NORM_TAG(a) == JS_TAG_FLOAT64)
        return JS_VALUE_GET_FLOAT64(a) == JS_VALUE_GET_FLOAT64(b);
    if (JS_VALUE_GET_TAG(a) == JS_TAG_INT || JS_VALUE_GET_TAG(a) == JS_TAG_BOOL)
        return JS_VALUE_GET_INT(a) == JS_VALUE_GET_INT(b);
    return true;
}

static bool is_same_touched(struct lazy *l, const struct lazy_touched *t)
{
    JSValue value = lazy_own_value(l, t->atom);
    bool is_same = !t->is_moved && is_identical(value, t->handed) && !JS_IsUninitialized(value);

    if (is_same && JS_IsObject(value)) {
        struct lazy *inner = lazy_of(value);

        is_same = inner ? lazy_is_same(inner) : value_is_tree(l->vc, value, t->value);
    }
    JS_FreeValue(l->vc->ctx, value);
    return is_same;
}

bool lazy_is_same(struct lazy *l)
{
    for (unsigned i = 0; i < l->touched_count; i++) {
        if (!is_same_touched(l, &l->touched[i]))
            return false;
    }
    for (unsigned i = 0; i < l->added_count; i++) {
        JSValue value = lazy_own_value(l, l->added[i]);

        JS_FreeValue(l->vc->ctx, value);
        if (!JS_IsUninitialized(value))
            return false;
    }
    return true;
}

JSValue lazy_current(struct lazy *l, JSAtom atom, bool *is_touched)
{
    JSValue value;

    *is_touched = false;
    for (unsigned i = 0; i < l->touched_count; i++)
        *is_touched = *is_touched || l->touched[i].atom == atom;
    value = lazy_own_value(l, atom);
    return JS_IsUninitialized(value) ? JS_UNDEFINED : value;
}

/* The present values, so that a getter further down cannot pull anything away while we write. */
static void snapshot_take(struct lazy *l, struct lazy_now *out)
{
    for (unsigned i = 0; i < l->touched_count; i++)
        out->touched[i] =
            l->touched[i].is_moved ? JS_UNINITIALIZED : lazy_own_value(l, l->touched[i].atom);
    for (unsigned i = 0; i < l->added_count; i++)
        out->added[i] = lazy_own_value(l, l->added[i]);
}

static bool write_one(struct value_writer *w, struct slice name, JSValueConst value,
                      yyjson_val *tree, bool *is_first)
{
    if (JS_IsUninitialized(value) || value_is_omitted(w->vc->ctx, value))
        return true;
    if (!value_write_name(w, name, *is_first))
        return false;
    *is_first = false;
    return value_write(w, value, tree);
}

static const struct lazy_touched *touched_at(const struct lazy_touched *list, size_t count,
                                             yyjson_val *key)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].key == key)
            return &list[i];
    }
    return NULL;
}

/* The members of the tree with what became of them. */
static bool write_tree_members(struct value_writer *w, yyjson_val *tree,
                               const struct lazy_touched *list, size_t count,
                               const struct lazy_now *now, bool *is_first)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(tree);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        const struct lazy_touched *t = touched_at(list, count, key);

        if (t && !(t->head != HEAD_NONE &&
                   event_object_is_head(w->event, t->atom, now->touched[t - list]))) {
            if (!write_one(w, json_text(key), now->touched[t - list], t->value, is_first))
                return false;
        } else { /* nobody touched it, or it is the envelope's and the data keeps its own */
            if (!value_write_member(w, key, *is_first))
                return false;
            *is_first = false;
        }
    }
    return true;
}

static bool write_added(struct value_writer *w, yyjson_val *tree, JSAtom atom, JSValueConst value,
                        bool is_top, bool *is_first)
{
    struct value_key key;
    yyjson_val *was, *first;
    bool ok = true;

    if (!value_key_init(w->vc, atom, &key))
        return value_write_fail_thrown(w);
    was = key.is_symbol ? NULL : value_tree_find(tree, key.name, &first);
    if (is_top && was && event_object_is_head(w->event, atom, value)) {
        ok = value_write_name(w, key.name, *is_first) && value_write_tree(w, was);
        *is_first = false;
    } else if (!key.is_symbol && (!is_top || !event_object_is_apart(w->event, key.name))) {
        ok = write_one(w, key.name, value, was, is_first);
    }
    value_key_fini(w->vc, &key);
    return ok;
}

static bool has_index_names(struct lazy *l)
{
    for (unsigned i = 0; i < l->added_count; i++) {
        struct value_key key;
        bool is_index;

        if (!value_key_init(l->vc, l->added[i], &key)) {
            JS_FreeValue(l->vc->ctx, JS_GetException(l->vc->ctx));
            return true;
        }
        is_index = !key.is_symbol && value_name_is_index(key.name);
        value_key_fini(l->vc, &key);
        if (is_index)
            return true;
    }
    return !value_tree_is_simple(l->tree);
}

/* The lists as they are, too: what a getter does to the object must not reach the loop. */
static bool write_snapshot(struct lazy *l, struct value_writer *w, const struct lazy_now *now)
{
    struct lazy_touched touched[VALUE_LAZY_MEMBERS];
    JSAtom added[VALUE_LAZY_MEMBERS];
    size_t touched_count = l->touched_count;
    size_t added_count = l->added_count;
    bool is_first = true;
    bool ok;

    memcpy(touched, l->touched, touched_count * sizeof(touched[0]));
    for (size_t i = 0; i < added_count; i++)
        added[i] = JS_DupAtom(l->vc->ctx, l->added[i]);
    ok = write_tree_members(w, l->tree, touched, touched_count, now, &is_first);
    for (size_t i = 0; i < added_count; i++) {
        ok = ok && write_added(w, l->tree, added[i], now->added[i], l->has_head, &is_first);
        JS_FreeAtom(l->vc->ctx, added[i]);
    }
    return ok;
}

bool lazy_write(struct lazy *l, struct value_writer *w)
{
    struct lazy_now now;
    unsigned touched_count, added_count;
    bool ok;

    /* JavaScript has another order: let it make it. The event inside another object is a plain
     * value with all its members. */
    if (has_index_names(l) || (l->has_head && (w->depth > 1 || w->event != l->event)))
        return lazy_fill(l) ? value_write_object(w, l->object, l->tree)
                            : value_write_fail_thrown(w);
    snapshot_take(l, &now);
    touched_count = l->touched_count;
    added_count = l->added_count;
    ok = value_write_char(w, '{') && write_snapshot(l, w, &now) && value_write_char(w, '}');
    for (unsigned i = 0; i < touched_count; i++)
        JS_FreeValue(w->vc->ctx, now.touched[i]);
    for (unsigned i = 0; i < added_count; i++)
        JS_FreeValue(w->vc->ctx, now.added[i]);
    return ok;
}
