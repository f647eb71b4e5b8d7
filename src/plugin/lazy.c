/* Lazy objects: an object of our own class that stands on a tree.
 *
 * The engine looks at an object's real properties first and asks the class only for what it does
 * not find. So a member that is read becomes a real property with the value that was handed out,
 * and from then on the engine does the rest: writes, deletes and further reads of it never come
 * here. What the class remembers is which members it has given away (`touched`; the tree is silent
 * about them, so a deleted one stays deleted) and which names were added, in their order. Every
 * creation of a property that is not there passes define_own_property, also that of a deleted one,
 * which then moves to the end as in any object.
 *
 * Anything that needs all members (keys, attributes other than those of an assignment, another
 * prototype, preventExtensions) makes the engine call `materialise` first: the members are put into
 * their places, and the object is a plain one. So does more than a handful of look-ups, because
 * each of them searches the tree.
 *
 * Numbers of members are few: searching short lists beats any index. */
#include "plugin/value_priv.h"

/* --- what was touched ------------------------------------------------------------------------- */

static struct lazy_touched *touched_find(struct lazy *l, JSAtom atom)
{
    for (unsigned i = 0; i < l->touched_count; i++) {
        if (l->touched[i].atom == atom)
            return &l->touched[i];
    }
    return NULL;
}

struct found {
    int head;
    yyjson_val *key, *value;
};

static bool member_find(struct lazy *l, JSAtom atom, struct slice name, struct found *f)
{
    f->head = l->has_head ? event_object_head_of_atom(l->vc, atom) : HEAD_NONE;
    if (f->head != HEAD_NONE && !event_object_has_head(l->event, f->head))
        f->head = HEAD_NONE;
    f->value = value_tree_find(l->tree, name, &f->key);
    return f->value || f->head != HEAD_NONE;
}

static void touch(struct lazy *l, JSAtom atom, const struct found *f, JSValue handed)
{
    l->touched[l->touched_count++] = (struct lazy_touched){
        .atom = JS_DupAtom(l->vc->ctx, atom),
        .head = (int8_t)f->head,
        .key = f->key,
        .value = f->value,
        .handed = handed,
    };
}

static void added_remove(struct lazy *l, JSAtom atom)
{
    for (unsigned i = 0; i < l->added_count; i++) {
        if (l->added[i] != atom)
            continue;
        JS_FreeAtom(l->vc->ctx, atom);
        l->added_count--;
        memmove(&l->added[i], &l->added[i + 1], (l->added_count - i) * sizeof(l->added[0]));
        return;
    }
}

static bool is_crowded(const struct lazy *l)
{
    return l->touched_count == VALUE_LAZY_MEMBERS || l->added_count == VALUE_LAZY_MEMBERS;
}

static void forget(struct lazy *l)
{
    JSContext *ctx = l->vc->ctx;

    for (unsigned i = 0; i < l->touched_count; i++) {
        JS_FreeAtom(ctx, l->touched[i].atom);
        JS_FreeValue(ctx, l->touched[i].handed);
    }
    for (unsigned i = 0; i < l->added_count; i++)
        JS_FreeAtom(ctx, l->added[i]);
    JS_FreeAtom(ctx, l->missed);
    l->missed = JS_ATOM_NULL;
    l->touched_count = 0;
    l->added_count = 0;
}

/* --- the engine's questions ------------------------------------------------------------------- */

struct lazy *lazy_of(JSValueConst object)
{
    return JS_GetOpaque(object, VALUE_CLASS_LAZY);
}

/* 1: *f is a member that nobody has touched; 0: there is none; -1: exception. */
static int untouched_find(struct lazy *l, JSAtom atom, struct found *f)
{
    struct value_key key;
    bool is_found;

    if (atom == l->missed || touched_find(l, atom))
        return 0;
    if (!value_key_init(l->vc, atom, &key))
        return -1;
    is_found = !key.is_symbol && member_find(l, atom, key.name, f);
    value_key_fini(l->vc, &key);
    if (is_found)
        return 1;
    JS_FreeAtom(l->vc->ctx, l->missed);
    l->missed = JS_DupAtom(l->vc->ctx, atom);
    return 0;
}

static JSValue make(struct lazy *l, JSAtom atom, const struct found *f)
{
    if (f->head != HEAD_NONE)
        return event_object_make_head(l->event, f->head);
    return event_object_make(l->event, l->has_head, atom, f->value);
}

/* The member becomes a real property. */
static int hand_out(struct lazy *l, JSPropertyDescriptor *desc, JSAtom atom, const struct found *f)
{
    JSContext *ctx = l->vc->ctx;
    JSValue value = make(l, atom, f);

    if (JS_IsException(value))
        return -1;
    touch(l, atom, f, JS_DupValue(ctx, value));
    if (JS_DefinePropertyValue(ctx, l->object, atom, JS_DupValue(ctx, value), VALUE_DEFINE_OWN) ==
        -1) {
        JS_FreeValue(ctx, value);
        return -1;
    }
    *desc = (JSPropertyDescriptor){JS_PROP_C_W_E, value, JS_UNDEFINED, JS_UNDEFINED};
    return 1;
}

static int lazy_get_own_property(JSContext *ctx, JSPropertyDescriptor *desc, JSValueConst object,
                                 JSAtom atom)
{
    struct lazy *l = lazy_of(object);
    struct found f;
    int found;

    if (l->is_asking)
        return 0;
    if (l->lookups++ == VALUE_LAZY_LOOKUPS || is_crowded(l))
        return lazy_fill(l) ? JS_GetOwnProperty(ctx, desc, object, atom) : -1;
    found = untouched_find(l, atom, &f);
    return found == 1 && desc ? hand_out(l, desc, atom, &f) : found;
}

/* A property that the object has not: added, added again, or a member that is overwritten by a
 * definition before anybody has read it. */
static int lazy_define_own_property(JSContext *ctx, JSValueConst object, JSAtom atom,
                                    JSValueConst value, JSValueConst getter, JSValueConst setter,
                                    int flags)
{
    struct lazy *l = lazy_of(object);
    struct lazy_touched *t = touched_find(l, atom);
    struct found f;
    int found = t ? 0 : untouched_find(l, atom, &f);

    if (found == -1)
        return -1;
    if ((flags & (JS_PROP_C_W_E | JS_PROP_HAS_GET | JS_PROP_HAS_SET)) != JS_PROP_C_W_E ||
        is_crowded(l)) {
        if (!lazy_fill(l))
            return -1;
        return JS_DefineProperty(ctx, object, atom, value, getter, setter, flags);
    }
    if (found == 1) {
        touch(l, atom, &f, JS_UNINITIALIZED);
    } else {
        if (t)
            t->is_moved = true;
        added_remove(l, atom);
        l->added[l->added_count++] = JS_DupAtom(ctx, atom);
    }
    return JS_DefineProperty(ctx, object, atom, value, getter, setter, flags | JS_PROP_NO_EXOTIC);
}

static int lazy_delete_property(JSContext *ctx, JSValueConst object, JSAtom atom)
{
    struct lazy *l = lazy_of(object);
    struct found f;
    int found = untouched_find(l, atom, &f);

    if (found != 1)
        return found == -1 ? -1 : 1;
    if (is_crowded(l))
        return lazy_fill(l) ? JS_DeleteProperty(ctx, object, atom, 0) : -1;
    touch(l, atom, &f, JS_UNINITIALIZED);
    return 1;
}

static int lazy_materialise(JSContext *ctx, JSValueConst object)
{
    UNUSED(ctx);
    return lazy_fill(lazy_of(object)) ? 0 : -1;
}

static const JSClassExoticMethods lazy_methods = {
    .get_own_property = lazy_get_own_property,
    .define_own_property = lazy_define_own_property,
    .delete_property = lazy_delete_property,
    .materialise = lazy_materialise,
};

bool lazy_class_init(JSRuntime *rt)
{
    /* The engine only reads the table; its field is not const. */
    JSClassDef def = {.class_name = "Object",
                      .exotic = (JSClassExoticMethods *)(uintptr_t)&lazy_methods};

    return JS_NewClass(rt, VALUE_CLASS_LAZY, &def) == 0;
}

/* --- filling ---------------------------------------------------------------------------------- */

JSValue lazy_own_value(struct lazy *l, JSAtom atom)
{
    JSPropertyDescriptor own;
    int found;

    l->is_asking = true;
    found = JS_GetOwnProperty(l->vc->ctx, &own, l->object, atom);
    l->is_asking = false;
    if (found == -1)
        JS_FreeValue(l->vc->ctx, JS_GetException(l->vc->ctx));
    return found == 1 ? own.value : JS_UNINITIALIZED;
}

static JSValue take_out(struct lazy *l, JSAtom atom)
{
    JSValue value = lazy_own_value(l, atom);

    if (!JS_IsUninitialized(value))
        JS_DeleteProperty(l->vc->ctx, l->object, atom, 0);
    return value;
}

static void take_all_out(struct lazy *l, struct lazy_now *out)
{
    for (unsigned i = 0; i < l->touched_count; i++)
        out->touched[i] =
            l->touched[i].is_moved ? JS_UNINITIALIZED : take_out(l, l->touched[i].atom);
    for (unsigned i = 0; i < l->added_count; i++)
        out->added[i] = take_out(l, l->added[i]);
}

/* Takes `value`. */
static bool put(struct lazy *l, JSAtom atom, JSValue value)
{
    if (JS_IsException(value))
        return false;
    if (JS_IsUninitialized(value))
        return true;
    return JS_DefinePropertyValue(l->vc->ctx, l->object, atom, value, VALUE_DEFINE) != -1;
}

/* One place of the tree. A repeated key comes by several times: the first one gives it its place,
 * the last one its value. */
static bool put_member(struct lazy *l, struct lazy_now *out, JSAtom atom, const struct found *f)
{
    struct lazy_touched *t = touched_find(l, atom);
    JSValue value;

    if (!t)
        return put(l, atom, make(l, atom, f));
    value = out->touched[t - l->touched];
    out->touched[t - l->touched] = JS_UNINITIALIZED;
    return put(l, atom, value);
}

static bool put_tree(struct lazy *l, struct lazy_now *out)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(l->tree);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        struct found f = {HEAD_NONE, key, yyjson_obj_iter_get_val(key)};
        JSAtom atom;
        bool ok;

        if (l->has_head)
            f.head = event_object_head_of_name(json_text(key));
        if (f.head != HEAD_NONE && !event_object_has_head(l->event, f.head))
            f.head = HEAD_NONE;
        atom = value_atom(l->vc, json_text(key));
        ok = atom != JS_ATOM_NULL && put_member(l, out, atom, &f);
        JS_FreeAtom(l->vc->ctx, atom);
        if (!ok)
            return false;
    }
    return true;
}

static bool put_head(struct lazy *l, struct lazy_now *out)
{
    for (int head = 0; l->has_head && head < HEAD_COUNT; head++) {
        struct found f = {head, NULL, NULL};
        JSAtom atom = l->vc->head[head];

        if (event_object_has_head(l->event, head) &&
            !yyjson_obj_get(l->tree, event_object_head_name(head)) && !put_member(l, out, atom, &f))
            return false;
    }
    return true;
}

static bool put_added(struct lazy *l, struct lazy_now *out)
{
    for (unsigned i = 0; i < l->added_count; i++) {
        JSValue value = out->added[i];

        out->added[i] = JS_UNINITIALIZED;
        if (!put(l, l->added[i], value))
            return false;
    }
    return true;
}

bool lazy_fill(struct lazy *l)
{
    struct lazy_now out;
    bool ok;

    if (!l->is_lazy)
        return true;
    take_all_out(l, &out);
    JS_MakePlainObject(l->vc->ctx, l->object);
    l->is_lazy = false;
    ok = put_tree(l, &out) && put_head(l, &out) && put_added(l, &out);
    for (unsigned i = 0; i < l->touched_count; i++)
        JS_FreeValue(l->vc->ctx, out.touched[i]);
    for (unsigned i = 0; i < l->added_count; i++)
        JS_FreeValue(l->vc->ctx, out.added[i]);
    forget(l);
    return ok;
}

/* --- life ------------------------------------------------------------------------------------- */

bool lazy_init(struct lazy *l, struct event_object *event, yyjson_val *tree, bool has_head)
{
    struct value_context *vc = event->vc;

    l->vc = vc;
    l->event = event;
    l->tree = tree;
    l->has_head = has_head;
    l->is_lazy = true;
    l->lookups = l->touched_count = l->added_count = 0;
    l->missed = JS_ATOM_NULL;
    l->is_asking = false;
    l->object = JS_NewObjectProtoClass(vc->ctx, vc->object_prototype, VALUE_CLASS_LAZY);
    if (JS_IsException(l->object))
        return false;
    JS_SetOpaque(l->object, l);
    return true;
}

static bool is_held_elsewhere(JSValueConst object)
{
    return ((const JSRefCountHeader *)JS_VALUE_GET_PTR(object))->ref_count > 1;
}

void lazy_end(struct lazy *l)
{
    JSContext *ctx = l->vc->ctx;

    if (l->is_lazy && is_held_elsewhere(l->object) && !lazy_fill(l))
        JS_FreeValue(ctx, JS_GetException(ctx)); /* memory is out; nothing dangles */
    if (l->is_lazy) {
        JS_SetOpaque(l->object, NULL);
        forget(l);
    }
    JS_FreeValue(ctx, l->object);
}
