/* JSON to JavaScript, and the names that both know.
 *
 * A context keeps the atoms of a few hundred names with their bytes, so that neither direction asks
 * the engine to hash or to encode the same thirty names for every event. */
#include "base/mem.h"
#include "plugin/value_priv.h"

#include <math.h>

#define HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* --- contexts --------------------------------------------------------------------------------- */

static const JSClassDef context_class = {.class_name = "Object"};

bool value_runtime_init(JSRuntime *rt, struct err *err)
{
    if (JS_NewClass(rt, VALUE_CLASS_CONTEXT, &context_class) == -1 || !lazy_class_init(rt))
        return err_set(err, ERR_LIMIT, "no memory for the classes of a JavaScript runtime");
    return true;
}

/* The struct hangs on an object that stands where the prototype of our class would: no script can
 * reach it, and the context's own opaque pointer stays free for vm.c. */
struct value_context *value_context_of(JSContext *ctx)
{
    JSValue holder = JS_GetClassProto(ctx, VALUE_CLASS_CONTEXT);
    struct value_context *vc = JS_GetOpaque(holder, VALUE_CLASS_CONTEXT);

    JS_FreeValue(ctx, holder);
    return vc;
}

static bool context_fill(struct value_context *vc)
{
    static const char *const head[] = {"uuid",    "distinct_id", "ip",     "site_url",
                                       "team_id", "now",         "sent_at"};
    JSContext *ctx = vc->ctx;
    JSValue object = JS_NewObject(ctx);
    JSValue array = JS_NewArray(ctx);
    bool ok = !JS_IsException(object) && !JS_IsException(array);

    _Static_assert(ARRAY_LEN(head) == HEAD_COUNT, "a name for each");
    vc->object_class = JS_GetClassID(object);
    vc->array_class = JS_GetClassID(array);
    vc->object_prototype = JS_GetPrototype(ctx, object);
    for (int i = 0; i < HEAD_COUNT; i++) {
        vc->head[i] = JS_NewAtom(ctx, head[i]);
        ok = ok && vc->head[i] != JS_ATOM_NULL;
    }
    vc->properties = JS_NewAtom(ctx, "properties");
    vc->length = JS_NewAtom(ctx, "length");
    JS_FreeValue(ctx, object);
    JS_FreeValue(ctx, array);
    return ok && vc->properties != JS_ATOM_NULL && vc->length != JS_ATOM_NULL &&
           !JS_IsException(vc->object_prototype);
}

bool value_context_init(JSContext *ctx, struct err *err)
{
    JSValue holder = JS_NewObjectProtoClass(ctx, JS_NULL, VALUE_CLASS_CONTEXT);
    struct value_context *vc;

    if (JS_IsException(holder))
        return err_set(err, ERR_LIMIT, "no memory for a JavaScript context");
    vc = mem_new(struct value_context);
    vc->ctx = ctx;
    vc->object_prototype = JS_UNDEFINED;
    JS_SetOpaque(holder, vc);
    JS_SetClassProto(ctx, VALUE_CLASS_CONTEXT, holder);
    if (context_fill(vc))
        return true;
    value_context_fini(ctx);
    return err_set(err, ERR_LIMIT, "no memory for a JavaScript context");
}

void value_context_fini(JSContext *ctx)
{
    struct value_context *vc = value_context_of(ctx);
    struct event_object *o;

    if (!vc)
        return;
    JS_SetClassProto(ctx, VALUE_CLASS_CONTEXT, JS_NULL);
    while ((o = vc->kept)) {
        vc->kept = o->next;
        mem_free(o);
    }
    for (size_t i = 0; vc->names && i < VALUE_NAMES; i++)
        JS_FreeAtom(ctx, vc->names[i].atom);
    for (int i = 0; i < HEAD_COUNT; i++)
        JS_FreeAtom(ctx, vc->head[i]);
    JS_FreeAtom(ctx, vc->properties);
    JS_FreeAtom(ctx, vc->length);
    JS_FreeValue(ctx, vc->object_prototype);
    js_free(ctx, vc->names);
    mem_free(vc);
}

/* --- names ------------------------------------------------------------------------------------ */

/* Both ends and the length: cheap, and different for nearly all names of one event. Equal names
 * have equal fingerprints; nothing else may be concluded. */
uint64_t value_fingerprint(struct slice name)
{
    uint64_t head = 0;
    uint64_t tail = 0;

    if (name.len >= 8) {
        memcpy(&head, name.ptr, 8);
        memcpy(&tail, name.ptr + name.len - 8, 8);
    } else if (name.len >= 4) {
        memcpy(&head, name.ptr, 4);
        memcpy(&tail, name.ptr + name.len - 4, 4);
    } else if (name.len > 0) {
        head = (unsigned char)name.ptr[0] | (uint64_t)(unsigned char)name.ptr[name.len / 2] << 8;
        tail = (unsigned char)name.ptr[name.len - 1];
    }
    return (head ^ (tail << 29 | tail >> 35) ^ name.len * HASH_FACTOR) * HASH_FACTOR;
}

static struct value_name *name_place(struct value_context *vc, struct slice name)
{
    if (name.len > VALUE_NAME_BYTES)
        return NULL;
    if (!vc->names) {
        vc->names = js_mallocz(vc->ctx, VALUE_NAMES * sizeof(*vc->names));
        if (!vc->names) { /* works without as well */
            JS_FreeValue(vc->ctx, JS_GetException(vc->ctx));
            return NULL;
        }
    }
    return &vc->names[value_fingerprint(name) >> 56 & (VALUE_NAMES - 1)];
}

static void name_keep(struct value_context *vc, struct value_name *place, JSAtom atom,
                      struct slice name)
{
    JS_FreeAtom(vc->ctx, place->atom);
    place->atom = JS_DupAtom(vc->ctx, atom);
    place->len = (uint32_t)name.len;
    memcpy(place->bytes, name.len ? name.ptr : "", name.len);
    vc->by_atom[atom % VALUE_NAMES] = (uint16_t)(place - vc->names + 1);
}

static const struct value_name *name_of_atom(const struct value_context *vc, JSAtom atom)
{
    size_t place = vc->by_atom[atom % VALUE_NAMES];

    return place > 0 && vc->names[place - 1].atom == atom ? &vc->names[place - 1] : NULL;
}

static bool key_read(struct value_context *vc, JSAtom atom, struct value_key *key)
{
    JSValue text = JS_AtomToValue(vc->ctx, atom);
    struct value_name *place;

    if (JS_IsException(text))
        return false;
    if (JS_IsSymbol(text)) {
        key->is_symbol = true;
        JS_FreeValue(vc->ctx, text);
        return true;
    }
    key->held = JS_ToCStringLen(vc->ctx, &key->name.len, text);
    JS_FreeValue(vc->ctx, text);
    if (!key->held)
        return false;
    key->name.ptr = key->held;
    place = name_place(vc, key->name);
    if (place)
        name_keep(vc, place, atom, key->name);
    return true;
}

bool value_key_init(struct value_context *vc, JSAtom atom, struct value_key *key)
{
    const struct value_name *name = name_of_atom(vc, atom);

    *key = (struct value_key){0};
    if (!name)
        return key_read(vc, atom, key);
    key->name = slice_make(name->bytes, name->len);
    return true;
}

void value_key_fini(struct value_context *vc, struct value_key *key)
{
    if (key->held)
        JS_FreeCString(vc->ctx, key->held);
}

JSAtom value_atom(struct value_context *vc, struct slice name)
{
    struct value_name *place = name_place(vc, name);
    JSAtom atom;

    if (place && place->atom != JS_ATOM_NULL &&
        slice_eq(name, slice_make(place->bytes, place->len)))
        return JS_DupAtom(vc->ctx, place->atom);
    atom = JS_NewAtomLen(vc->ctx, name.len ? name.ptr : "", name.len);
    if (atom != JS_ATOM_NULL && place)
        name_keep(vc, place, atom, name);
    return atom;
}

/* --- making values ---------------------------------------------------------------------------- */

static JSValue make_value(const struct value_maker *m, yyjson_val *tree, bool *is_lossy);

static JSValue make_array(const struct value_maker *m, yyjson_val *tree, bool *is_lossy)
{
    JSContext *ctx = m->vc->ctx;
    JSValue array = JS_NewArray(ctx);
    yyjson_arr_iter it = yyjson_arr_iter_with(tree);
    yyjson_val *item;
    uint32_t at = 0;

    while (!JS_IsException(array) && (item = yyjson_arr_iter_next(&it))) {
        JSValue value = make_value(m, item, is_lossy);

        if (JS_IsException(value) ||
            JS_DefinePropertyValueUint32(ctx, array, at++, value, VALUE_DEFINE) == -1) {
            JS_FreeValue(ctx, array);
            array = JS_EXCEPTION;
        }
    }
    return array;
}

static bool make_member(const struct value_maker *m, JSValueConst object, yyjson_val *key,
                        bool *is_lossy)
{
    JSValue value = make_value(m, yyjson_obj_iter_get_val(key), is_lossy);
    JSAtom atom;
    int done;

    if (JS_IsException(value))
        return false;
    atom = value_atom(m->vc, json_text(key));
    if (atom == JS_ATOM_NULL) {
        JS_FreeValue(m->vc->ctx, value);
        return false;
    }
    done = JS_DefinePropertyValue(m->vc->ctx, object, atom, value, VALUE_DEFINE);
    JS_FreeAtom(m->vc->ctx, atom);
    return done != -1;
}

static JSValue make_object(const struct value_maker *m, yyjson_val *tree, bool *is_lossy)
{
    JSValue object = JS_NewObjectProto(m->vc->ctx, m->vc->object_prototype);
    yyjson_obj_iter it = yyjson_obj_iter_with(tree);
    yyjson_val *key;

    while (!JS_IsException(object) && (key = yyjson_obj_iter_next(&it))) {
        if (!make_member(m, object, key, is_lossy)) {
            JS_FreeValue(m->vc->ctx, object);
            object = JS_EXCEPTION;
        }
    }
    return object;
}

static JSValue make_container(const struct value_maker *m, yyjson_val *tree, bool *is_lossy)
{
    bool is_lossy_inside = false;
    JSValue container = yyjson_is_arr(tree) ? make_array(m, tree, &is_lossy_inside)
                                            : make_object(m, tree, &is_lossy_inside);

    if (is_lossy_inside && m->keep && !JS_IsException(container))
        m->keep(m->self, container, tree);
    *is_lossy = *is_lossy || is_lossy_inside;
    return container;
}

static JSValue make_value(const struct value_maker *m, yyjson_val *tree, bool *is_lossy)
{
    JSContext *ctx = m->vc->ctx;
    bool is_lossy_number = false;
    double number;

    switch (yyjson_get_type(tree)) {
    case YYJSON_TYPE_STR:
        return JS_NewStringLen(ctx, unsafe_yyjson_get_str(tree), unsafe_yyjson_get_len(tree));
    case YYJSON_TYPE_BOOL:
        return JS_NewBool(ctx, yyjson_get_bool(tree));
    case YYJSON_TYPE_NUM:
    case YYJSON_TYPE_RAW:
        number = value_tree_number(tree, &is_lossy_number);
        *is_lossy = *is_lossy || is_lossy_number;
        return JS_NewFloat64(ctx, number);
    case YYJSON_TYPE_ARR:
    case YYJSON_TYPE_OBJ:
        return make_container(m, tree, is_lossy);
    default:
        return JS_NULL;
    }
}

JSValue value_make(const struct value_maker *m, yyjson_val *tree)
{
    bool is_lossy = false;

    return make_value(m, tree, &is_lossy);
}

JSValue value_from_json(JSContext *ctx, yyjson_val *value)
{
    return value_make(&(struct value_maker){.vc = value_context_of(ctx)}, value);
}

JSValue value_from_text(JSContext *ctx, struct slice json)
{
    /* The engine's parser wants a NUL behind the text. */
    char *text = js_malloc(ctx, json.len + 1);
    JSValue value;

    if (!text)
        return JS_EXCEPTION;
    memcpy(text, json.len ? json.ptr : "", json.len);
    text[json.len] = '\0';
    value = JS_ParseJSON(ctx, text, json.len, "<json>");
    js_free(ctx, text);
    return value;
}

/* --- writing as a plugin would ---------------------------------------------------------------- */

bool value_stringify(JSContext *ctx, JSValueConst value, struct buf *out, bool *is_undefined)
{
    JSValue json = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
    struct buf spare = BUF_INIT(SIZE_MAX);
    const char *held = NULL;
    struct slice text;
    bool ok = false;

    *is_undefined = JS_IsUndefined(json);
    if (JS_IsException(json) || *is_undefined)
        return *is_undefined;
    if (value_text(ctx, json, &text, &held, &spare)) {
        ok = buf_add_slice(out, text);
        if (!ok)
            JS_ThrowRangeError(ctx,
                               "JSON text of %zu bytes is too long, at most %zu bytes are kept",
                               text.len, out->max);
        JS_FreeCString(ctx, held);
    }
    buf_free(&spare);
    JS_FreeValue(ctx, json);
    return ok;
}
