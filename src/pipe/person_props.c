/* Property objects as texts: what a change makes of them, and whether it changes anything at all.
 *
 * The stored object is parsed, indexed by name, changed as a list of members, compared, and written
 * only when it is different. Values are never merged: a nested object is replaced whole.
 */
#include "base/mem.h"
#include "pipe/pipe_priv.h"

#include <math.h>
#include <stdlib.h>

#define MEMBERS_KEPT 64

struct member {
    yyjson_val *value; /* NULL: removed */
    yyjson_val *stored;
};

struct props { /* an object under change */
    struct json_index names;
    struct member *members;
    size_t cap;
    struct member few[MEMBERS_KEPT];
};

static bool read_object(struct slice text, const char *what, struct json_doc *doc, struct err *err)
{
    struct json_read_options opt = {.memory_max = MAX((size_t)16 << 20, 32 * text.len)};

    if (!json_doc_read(text, &opt, doc, err)) {
        err->code = ERR_INPUT;
        return err_wrap(err, "%s", what);
    }
    if (yyjson_is_obj(doc->root))
        return true;
    json_doc_free(doc);
    return err_set(err, ERR_INPUT, "%s: not an object", what);
}

static void props_init(struct props *p)
{
    json_index_init(&p->names);
    p->members = p->few;
    p->cap = MEMBERS_KEPT;
}

static void props_fini(struct props *p)
{
    json_index_fini(&p->names);
    if (p->members != p->few)
        mem_free(p->members);
}

/* The member of that name, made (empty) when absent. */
static struct member *props_at(struct props *p, struct slice name)
{
    bool is_new;
    size_t number = json_index_add(&p->names, name, &is_new);

    if (number == p->cap) {
        struct member *more = mem_alloc(2 * p->cap * sizeof(*more));

        memcpy(more, p->members, p->cap * sizeof(*more));
        if (p->members != p->few)
            mem_free(p->members);
        p->members = more;
        p->cap *= 2;
    }
    if (is_new)
        p->members[number] = (struct member){NULL, NULL};
    return &p->members[number];
}

static void props_load(struct props *p, yyjson_val *object)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        struct member *m = props_at(p, json_text(key));

        m->value = m->stored = yyjson_obj_iter_get_val(key);
    }
}

static bool props_write(const struct props *p, struct buf *out)
{
    bool is_first = true;

    buf_clear(out);
    buf_add_char(out, '{');
    for (size_t i = 0; i < p->names.count; i++) {
        if (!p->members[i].value)
            continue;
        if (!json_name_write(p->names.keys[i], is_first, false, out) ||
            !json_value_write(p->members[i].value, out))
            return false;
        is_first = false;
    }
    return buf_add_char(out, '}');
}

static bool props_differ(const struct props *p)
{
    for (size_t i = 0; i < p->names.count; i++) {
        const struct member *m = &p->members[i];

        if (m->value != m->stored && (!m->value || !m->stored || !json_equal(m->value, m->stored)))
            return true;
    }
    return false;
}

static bool write_or_err(const struct props *p, struct buf *out, struct err *err)
{
    return props_write(p, out) ||
           err_set(err, ERR_INPUT, "the properties would be longer than %zu bytes", out->max);
}

/* --- persons ---------------------------------------------------------------------------------- */

static void apply_set_once(struct props *p, yyjson_val *object)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        struct member *m = props_at(p, json_text(key));

        if (!m->stored) /* a repeated name: the last value counts */
            m->value = yyjson_obj_iter_get_val(key);
    }
}

static void apply_set(struct props *p, yyjson_val *object)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it)))
        props_at(p, json_text(key))->value = yyjson_obj_iter_get_val(key);
}

static void remove_name(struct props *p, struct slice name)
{
    ptrdiff_t number = json_index_find(&p->names, name);

    if (number != -1)
        p->members[number].value = NULL;
}

/* A list of names, or an object whose keys they are. */
static void apply_unset(struct props *p, yyjson_val *names)
{
    if (yyjson_is_arr(names)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(names);
        yyjson_val *name;

        while ((name = yyjson_arr_iter_next(&it))) {
            if (yyjson_is_str(name))
                remove_name(p, json_text(name));
        }
    } else {
        yyjson_obj_iter it = yyjson_obj_iter_with(names);
        yyjson_val *name;

        while ((name = yyjson_obj_iter_next(&it)))
            remove_name(p, json_text(name));
    }
}

bool person_props_change(struct slice stored, const struct props_change *change, struct buf *out,
                         bool *is_changed, struct err *err)
{
    struct json_read_options opt = {.memory_max = MAX((size_t)16 << 20, 32 * change->unset.len)};
    struct json_doc old = {0}, set = {0}, set_once = {0}, unset = {0};
    struct props p;
    bool ok = false;

    props_init(&p);
    if (!read_object(stored, "stored person properties", &old, err))
        goto out;
    props_load(&p, old.root);
    if (change->set_once.ptr) {
        if (!read_object(change->set_once, "$set_once", &set_once, err))
            goto out;
        apply_set_once(&p, set_once.root);
    }
    if (change->set.ptr) {
        if (!read_object(change->set, "$set", &set, err))
            goto out;
        apply_set(&p, set.root);
    }
    if (change->unset.ptr) {
        if (!json_doc_read(change->unset, &opt, &unset, err))
            goto out;
        apply_unset(&p, unset.root);
    }
    *is_changed = props_differ(&p);
    ok = !*is_changed || write_or_err(&p, out, err);
out:
    props_fini(&p);
    json_doc_free(&old);
    json_doc_free(&set);
    json_doc_free(&set_once);
    json_doc_free(&unset);
    return ok;
}

struct slice person_props_limit(size_t max, struct slice was, struct slice now, struct prepared *e)
{
    bool fits = now.len <= max || now.len < was.len;

    e->has_refused_properties |= !fits;
    return fits ? now : was;
}

bool person_props_join(struct slice low, struct slice high, struct buf *out, struct err *err)
{
    struct json_doc a = {0}, b = {0};
    struct props p;
    bool ok = false;

    props_init(&p);
    if (!read_object(low, "stored person properties", &a, err) ||
        !read_object(high, "stored person properties", &b, err))
        goto out;
    apply_set(&p, a.root);
    apply_set(&p, b.root);
    ok = write_or_err(&p, out, err);
out:
    props_fini(&p);
    json_doc_free(&a);
    json_doc_free(&b);
    return ok;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* JavaScript's Number(text): NaN when it is not a number. */
static double text_number(struct slice text)
{
    struct json_read_options opt = {0};
    struct json_doc doc;
    struct err err = ERR_INIT;
    double value = NAN;

    text = slice_trim(text);
    if (text.len == 0)
        return 0;
    if (!json_doc_read(text, &opt, &doc, &err))
        return NAN;
    if (yyjson_is_num(doc.root))
        value = yyjson_get_num(doc.root);
    json_doc_free(&doc);
    return value;
}

/* The comparison of the plugin server for group properties: the same scalar, or a number and a
 * string that denotes it. Two lists or objects always differ. */
static bool is_same_for_groups(yyjson_val *a, yyjson_val *b)
{
    if (yyjson_is_ctn(a) || yyjson_is_ctn(b))
        return false;
    if (yyjson_is_num(a) && yyjson_is_str(b))
        return yyjson_get_num(a) == text_number(json_text(b));
    if (yyjson_is_str(a) && yyjson_is_num(b))
        return yyjson_get_num(b) == text_number(json_text(a));
    return json_equal(a, b);
}

bool person_props_group(struct slice stored, struct slice set, struct buf *out, bool *is_changed,
                        struct err *err)
{
    struct json_doc old = {0}, more = {0};
    struct props p;
    bool ok = false;

    props_init(&p);
    *is_changed = false;
    if (!read_object(stored, "stored group properties", &old, err) ||
        !read_object(set, "$group_set", &more, err))
        goto out;
    props_load(&p, old.root);
    apply_set(&p, more.root);
    for (size_t i = 0; i < p.names.count; i++) {
        struct member *m = &p.members[i];

        if (m->stored && m->value != m->stored && is_same_for_groups(m->value, m->stored))
            m->value = m->stored;
        *is_changed |= m->value != m->stored;
    }
    ok = !*is_changed || write_or_err(&p, out, err);
out:
    props_fini(&p);
    json_doc_free(&old);
    json_doc_free(&more);
    return ok;
}
