/* The event as a plugin sees it: two lazy objects over the document, the event itself and its
 * properties. Everything below them becomes ordinary when it is first read.
 *
 * Reading back asks the lazy objects what was touched: an event that a plugin only looked at costs
 * a few comparisons. Whatever is written, is written whole: the text is the event's data again, and
 * the members that travel in the envelope are read apart. */
#include "base/iso8601.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "plugin/value_priv.h"

#define DISTINCT_ID_POINTS 200
#define IP_BYTES           64
#define SITE_URL_BYTES     2048

static const char *const head_names[HEAD_COUNT] = {
    [HEAD_UUID] = "uuid",         [HEAD_DISTINCT_ID] = "distinct_id", [HEAD_IP] = "ip",
    [HEAD_SITE_URL] = "site_url", [HEAD_TEAM_ID] = "team_id",         [HEAD_NOW] = "now",
    [HEAD_SENT_AT] = "sent_at",
};

/* --- head members ----------------------------------------------------------------------------- */

const char *event_object_head_name(int head)
{
    return head_names[head];
}

int event_object_head_of_name(struct slice name)
{
    for (int head = 0; head < HEAD_COUNT; head++) {
        if (name.len > 0 && name.ptr[0] == head_names[head][0] &&
            slice_eq(name, slice_cstr(head_names[head])))
            return head;
    }
    return HEAD_NONE;
}

int event_object_head_of_atom(const struct value_context *vc, JSAtom atom)
{
    for (int head = 0; head < HEAD_COUNT; head++) {
        if (vc->head[head] == atom)
            return head;
    }
    return HEAD_NONE;
}

bool event_object_has_head(const struct event_object *o, int head)
{
    return head != HEAD_SENT_AT || o->envelope.has_sent_at;
}

bool event_object_is_apart(const struct event_object *o, struct slice name)
{
    return event_object_head_of_name(name) != HEAD_NONE &&
           !yyjson_obj_getn(o->root, name.ptr, name.len);
}

static JSValue text_value(JSContext *ctx, struct slice text)
{
    return JS_NewStringLen(ctx, text.len ? text.ptr : "", text.len);
}

static JSValue time_value(JSContext *ctx, int64_t us)
{
    char text[ISO8601_LEN_MAX];

    return JS_NewString(ctx, iso8601_ms(us, text));
}

JSValue event_object_make_head(const struct event_object *o, int head)
{
    const struct event_envelope *e = &o->envelope;
    JSContext *ctx = o->vc->ctx;
    char uuid[UUID_TEXT_LEN + 1];

    switch (head) {
    case HEAD_UUID:
        uuid_format(&e->uuid, uuid);
        return text_value(ctx, slice_make(uuid, UUID_TEXT_LEN));
    case HEAD_DISTINCT_ID:
        return text_value(ctx, e->distinct_id);
    case HEAD_IP:
        return e->ip.len ? text_value(ctx, e->ip) : JS_NULL;
    case HEAD_SITE_URL:
        return e->site_url.len ? text_value(ctx, e->site_url) : JS_NULL;
    case HEAD_TEAM_ID:
        return JS_NewInt64(ctx, e->team_id);
    case HEAD_NOW:
        return time_value(ctx, e->now_us);
    default:
        return time_value(ctx, e->sent_at_us);
    }
}

/* --- making ----------------------------------------------------------------------------------- */

static void keep_exact(void *self, JSValueConst container, yyjson_val *tree)
{
    struct event_object *o = self;

    if (o->exact_count == VALUE_EXACT_MAX)
        return;
    if (!o->exact)
        o->exact = mem_new_array(struct exact, VALUE_EXACT_MAX);
    o->exact[o->exact_count++] = (struct exact){JS_DupValue(o->vc->ctx, container), tree};
}

yyjson_val *event_object_tree_of(const struct event_object *o, JSValueConst container)
{
    for (size_t i = 0; i < o->exact_count; i++) {
        if (JS_VALUE_GET_PTR(o->exact[i].container) == JS_VALUE_GET_PTR(container))
            return o->exact[i].tree;
    }
    return NULL;
}

JSValue event_object_make(struct event_object *o, bool is_top, JSAtom atom, yyjson_val *tree)
{
    struct value_maker maker = {.vc = o->vc, .keep = keep_exact, .self = o};
    yyjson_val *first;

    if (!is_top || atom != o->vc->properties)
        return value_make(&maker, tree);
    /* A repeated name comes by with each of its values: there is one object, that of the last. */
    tree = value_tree_find(o->root, SLICE("properties"), &first);
    if (!yyjson_is_obj(tree))
        return value_make(&maker, tree);
    if (!o->has_properties) {
        if (!lazy_init(&o->properties, o, tree, false))
            return JS_EXCEPTION;
        o->has_properties = true;
    }
    return JS_DupValue(o->vc->ctx, o->properties.object);
}

static struct event_object *object_alloc(struct value_context *vc)
{
    struct event_object *o = vc->kept;

    if (!o)
        return mem_alloc(sizeof(*o));
    vc->kept = o->next;
    vc->kept_count--;
    return o;
}

static void object_release(struct event_object *o)
{
    struct value_context *vc = o->vc;

    if (vc->kept_count == VALUE_EVENTS_KEPT) {
        mem_free(o);
        return;
    }
    o->next = vc->kept;
    vc->kept = o;
    vc->kept_count++;
}

struct event_object *event_object_new(JSContext *ctx, const struct event_envelope *envelope,
                                      yyjson_val *root)
{
    struct value_context *vc = value_context_of(ctx);
    struct event_object *o = object_alloc(vc);

    /* Not zeroed as a whole: most of it are lists that start empty. */
    o->vc = vc;
    o->envelope = *envelope;
    o->root = root;
    o->has_properties = false;
    o->exact = NULL;
    o->exact_count = 0;
    if (lazy_init(&o->event, o, root, true))
        return o;
    object_release(o);
    return NULL;
}

JSValueConst event_object_value(const struct event_object *o)
{
    return o->event.object;
}

void event_object_end(struct event_object *o)
{
    lazy_end(&o->event);
    if (o->has_properties)
        lazy_end(&o->properties);
    for (size_t i = 0; i < o->exact_count; i++)
        JS_FreeValue(o->vc->ctx, o->exact[i].container);
    mem_free(o->exact);
    object_release(o);
}

/* --- has it changed? -------------------------------------------------------------------------- */

static bool is_same_properties(struct event_object *o, JSValueConst value, yyjson_val *tree)
{
    if (!o->has_properties || !JS_IsObject(value) ||
        JS_VALUE_GET_PTR(value) != JS_VALUE_GET_PTR(o->properties.object))
        return value_is_tree(o->vc, value, tree);
    return o->properties.is_lazy ? lazy_is_same(&o->properties)
                                 : value_is_tree(o->vc, value, o->properties.tree);
}

static bool is_same_head(const struct event_object *o, JSValueConst value, int head)
{
    JSValue was = event_object_make_head(o, head);
    bool is_same = JS_StrictEq(o->vc->ctx, value, was);

    JS_FreeValue(o->vc->ctx, was);
    return is_same;
}

bool event_object_is_head(const struct event_object *o, JSAtom atom, JSValueConst value)
{
    int head = event_object_head_of_atom(o->vc, atom);

    return head != HEAD_NONE && event_object_has_head(o, head) && is_same_head(o, value, head);
}

/* Where we are in the expected order: the tree's members, then the head's. */
struct order {
    struct value_view view;
    yyjson_val *last;
    int last_head;
    size_t count;
};

static bool is_same_member(struct event_object *o, JSAtom atom, JSValueConst value,
                           struct order *at)
{
    int head = event_object_head_of_atom(o->vc, atom);
    struct value_key key;
    yyjson_val *tree, *first;
    bool is_index;

    if (!value_key_init(o->vc, atom, &key))
        return false;
    is_index = value_name_is_index(key.name);
    tree = value_view_find(&at->view, key.name, &first);
    value_key_fini(o->vc, &key);
    if (head != HEAD_NONE && !event_object_has_head(o, head))
        head = HEAD_NONE;
    if (tree && !is_index) {
        if (first < at->last || at->last_head != HEAD_NONE)
            return false;
        at->last = first;
    } else if (!tree) {
        if (head <= at->last_head)
            return false;
        at->last_head = head;
    }
    at->count++;
    if (head != HEAD_NONE)
        return is_same_head(o, value, head);
    return atom == o->vc->properties ? is_same_properties(o, value, tree)
                                     : value_is_tree(o->vc, value, tree);
}

static bool is_same_own(struct event_object *o, JSAtom atom, struct order *at)
{
    JSPropertyDescriptor own;
    bool is_same;

    if (JS_GetOwnProperty(o->vc->ctx, &own, o->event.object, atom) != 1)
        return false;
    if (own.flags & JS_PROP_GETSET) {
        JS_FreeValue(o->vc->ctx, own.getter);
        JS_FreeValue(o->vc->ctx, own.setter);
        return false;
    }
    is_same = is_same_member(o, atom, own.value, at);
    JS_FreeValue(o->vc->ctx, own.value);
    return is_same;
}

/* The object became plain (somebody listed its keys), but may be what it was. */
static bool is_same_plain(struct event_object *o)
{
    struct order at = {.last_head = HEAD_NONE};
    JSPropertyEnum *names;
    uint32_t count;
    size_t expected;
    bool is_same = true;

    if (JS_GetOwnPropertyNames(o->vc->ctx, &names, &count, o->event.object,
                               JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) == -1)
        return false;
    value_view_init(&at.view, o->root);
    expected = value_view_distinct(&at.view);
    for (int head = 0; head < HEAD_COUNT; head++)
        expected += event_object_has_head(o, head) && !yyjson_obj_get(o->root, head_names[head]);
    is_same = count == expected;
    for (uint32_t i = 0; is_same && i < count; i++)
        is_same = is_same_own(o, names[i].atom, &at);
    value_view_fini(&at.view);
    value_names_free(o->vc->ctx, names, count);
    return is_same;
}

static bool is_same_event(struct event_object *o)
{
    bool is_same = o->event.is_lazy ? lazy_is_same(&o->event) : is_same_plain(o);

    if (JS_HasException(o->vc->ctx))
        JS_FreeValue(o->vc->ctx, JS_GetException(o->vc->ctx));
    return is_same;
}

/* --- reading the head ------------------------------------------------------------------------- */

struct head_reader {
    struct event_object *o;
    JSValueConst result;
    struct value_writer *w;
    struct event_head *head;
    size_t text_at[HEAD_COUNT], text_len[HEAD_COUNT]; /* in the buffer, which may move */
};

/* The member of the result; *is_old: as it was handed out. False with an exception. */
static bool head_value(struct head_reader *r, int head, JSValue *value, bool *is_old)
{
    JSContext *ctx = r->o->vc->ctx;
    JSAtom atom = r->o->vc->head[head];
    struct lazy *lazy = lazy_of(r->result);
    bool is_touched;
    int found;

    *is_old = false;
    if (lazy == &r->o->event) {
        *value = lazy_current(lazy, atom, &is_touched);
        *is_old = !is_touched && JS_IsUndefined(*value) && event_object_has_head(r->o, head);
        return true;
    }
    *value = JS_UNDEFINED;
    found = JS_GetOwnProperty(ctx, NULL, r->result, atom);
    if (found == 1)
        *value = JS_GetProperty(ctx, r->result, atom);
    return found != -1 && !JS_IsException(*value);
}

static bool add_text(struct head_reader *r, int head, struct slice text)
{
    r->text_at[head] = r->w->out->len;
    r->text_len[head] = text.len;
    return buf_add_slice(r->w->out, text) ||
           err_set(r->w->err, ERR_LIMIT, "the event is larger than %zu bytes", r->w->bytes_max);
}

static bool is_fit(int head, struct slice text)
{
    if (memchr(text.ptr, '\0', text.len))
        return false;
    if (head == HEAD_DISTINCT_ID)
        return text.len > 0 && utf8_count_points(text) <= DISTINCT_ID_POINTS;
    return text.len <= (head == HEAD_IP ? IP_BYTES : SITE_URL_BYTES);
}

static struct slice old_text(const struct event_envelope *e, int head)
{
    return head == HEAD_DISTINCT_ID ? e->distinct_id : head == HEAD_IP ? e->ip : e->site_url;
}

static void take_text(struct head_reader *r, int head, struct slice *text)
{
    struct event_head *h = r->head;
    int64_t us;

    if (head == HEAD_UUID) {
        if (!uuid_parse(*text, &h->uuid))
            h->uuid = r->o->envelope.uuid;
    } else if (head == HEAD_NOW) {
        if (iso8601_parse(*text, &us))
            h->now_us = us;
    } else if (head == HEAD_SENT_AT && text->len == 0) {
        h->has_sent_at = false;
    } else if (head == HEAD_SENT_AT && iso8601_parse(*text, &us)) {
        h->has_sent_at = true;
        h->sent_at_us = us;
    }
}

/* A string, or a number for the distinct id. */
static bool read_text(struct head_reader *r, int head, JSValueConst value)
{
    bool is_kept = head == HEAD_DISTINCT_ID || head == HEAD_IP || head == HEAD_SITE_URL;
    struct buf spare = BUF_INIT(SIZE_MAX);
    struct slice text;
    const char *held;
    bool ok = true;

    if (!value_text(r->o->vc->ctx, value, &text, &held, &spare))
        return value_write_fail_thrown(r->w);
    if (!is_kept)
        take_text(r, head, &text);
    else
        ok = add_text(r, head, is_fit(head, text) ? text : old_text(&r->o->envelope, head));
    JS_FreeCString(r->o->vc->ctx, held);
    buf_free(&spare);
    return ok;
}

static bool is_none(JSValueConst value)
{
    return JS_IsUndefined(value) || JS_IsNull(value);
}

static bool read_one(struct head_reader *r, int head, JSValueConst value, bool is_old)
{
    bool is_kept = head == HEAD_DISTINCT_ID || head == HEAD_IP || head == HEAD_SITE_URL;

    if (head == HEAD_TEAM_ID) {
        r->head->has_team_id_changed = !is_old && !is_same_head(r->o, value, head);
        return true;
    }
    if (!is_old && (JS_IsString(value) || (head == HEAD_DISTINCT_ID && JS_IsNumber(value))))
        return read_text(r, head, value);
    if (!is_old && head == HEAD_SENT_AT && is_none(value))
        r->head->has_sent_at = false;
    if (!is_old && (head == HEAD_IP || head == HEAD_SITE_URL) && is_none(value))
        return add_text(r, head, SLICE_NONE);
    return !is_kept || add_text(r, head, old_text(&r->o->envelope, head));
}

static struct slice read_slice(const struct head_reader *r, int head)
{
    return slice_make(r->w->out->ptr + r->text_at[head], r->text_len[head]);
}

static bool read_head(struct head_reader *r)
{
    const struct event_envelope *e = &r->o->envelope;
    struct event_head *h = r->head;
    size_t text_bytes = r->w->out->len;

    *h = (struct event_head){.uuid = e->uuid,
                             .now_us = e->now_us,
                             .sent_at_us = e->sent_at_us,
                             .has_sent_at = e->has_sent_at};
    for (int head = 0; head < HEAD_COUNT; head++) {
        JSValue value;
        bool is_old, ok;

        if (!head_value(r, head, &value, &is_old))
            return value_write_fail_thrown(r->w);
        ok = read_one(r, head, value, is_old);
        JS_FreeValue(r->o->vc->ctx, value);
        if (!ok)
            return false;
    }
    h->distinct_id = read_slice(r, HEAD_DISTINCT_ID);
    h->ip = read_slice(r, HEAD_IP);
    h->site_url = read_slice(r, HEAD_SITE_URL);
    r->w->out->len = text_bytes;
    return true;
}

/* --- reading the whole ------------------------------------------------------------------------ */

enum event_change event_object_read(struct event_object *o, JSValueConst result, size_t bytes_max,
                                    struct buf *text, struct event_head *head, bool *is_copy,
                                    struct err *err)
{
    struct value_writer w = {
        .vc = o->vc, .out = text, .bytes_max = bytes_max, .event = o, .err = err};
    struct head_reader r = {.o = o, .result = result, .w = &w, .head = head};

    *is_copy =
        !JS_IsObject(result) || JS_VALUE_GET_PTR(result) != JS_VALUE_GET_PTR(o->event.object);
    if (!*is_copy && is_same_event(o))
        return EVENT_SAME;
    buf_clear(text);
    if (!JS_IsObject(result) || JS_IsFunction(o->vc->ctx, result) ||
        JS_IsArray(o->vc->ctx, result) == 1) {
        err_set(err, ERR_INPUT, "the result is not an event: an object is needed");
        return EVENT_FAILED;
    }
    return value_write(&w, result, o->root) && read_head(&r) ? EVENT_CHANGED : EVENT_FAILED;
}
