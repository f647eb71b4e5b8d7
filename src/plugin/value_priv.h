/* value_priv.h - what the files of value.h share: names, views of tree objects, the writer, lazy
 * objects. Thread and ownership as in value.h. */
#pragma once

#include "plugin/value.h"

/* Ids of our classes: behind those of the engine (JS_CLASS_INIT_COUNT) and low, because tables of
 * every context are as long as the highest one. */
#define VALUE_CLASS_CONTEXT 72
#define VALUE_CLASS_LAZY    73

#define VALUE_NAMES          256 /* of one context that are kept as atoms */
#define VALUE_NAME_BYTES     52  /* longer ones are not kept */
#define VALUE_MEMBERS_SMALL  64  /* objects up to here are searched one by one */
#define VALUE_LAZY_LOOKUPS   64  /* after so many a lazy object fills itself */
#define VALUE_LAZY_MEMBERS   64  /* touched members that a lazy object remembers */
#define VALUE_EXACT_MAX      256 /* containers whose numbers are remembered wherever they move */
#define VALUE_EVENTS_KEPT    8   /* event_object structs kept for the next event */
#define VALUE_STEPS_FREE     65536
#define VALUE_JS_INTEGER_MAX 9007199254740992.0 /* 2^53 */
#define VALUE_DEFINE         (JS_PROP_C_W_E | JS_PROP_THROW)
#define VALUE_DEFINE_OWN     (JS_PROP_C_W_E | JS_PROP_NO_EXOTIC)

/* What the envelope adds to the event, in the order of the object. */
enum head_member {
    HEAD_UUID,
    HEAD_DISTINCT_ID,
    HEAD_IP,
    HEAD_SITE_URL,
    HEAD_TEAM_ID,
    HEAD_NOW,
    HEAD_SENT_AT,
    HEAD_COUNT,
};
#define HEAD_NONE (-1)

struct value_name {
    JSAtom atom; /* JS_ATOM_NULL: free */
    uint32_t len;
    char bytes[VALUE_NAME_BYTES];
};

struct value_context {
    JSContext *ctx;
    JSValue object_prototype;
    JSClassID object_class, array_class;
    JSAtom head[HEAD_COUNT];
    JSAtom properties, length;
    struct value_name *names;      /* by hash of the bytes; NULL until the first use */
    uint16_t by_atom[VALUE_NAMES]; /* place in names + 1 by the atom's low bits */
    struct event_object *kept;     /* free ones */
    size_t kept_count;
};

/* --- value.c ---------------------------------------------------------------------------------- */

/* NULL when value_context_init was not called. */
struct value_context *value_context_of(JSContext *ctx);

/* The text of an atom. `is_symbol`: none. Valid until value_key_fini and the next use of a name. */
struct value_key {
    struct slice name;
    bool is_symbol;
    const char *held;
};
/* False with an exception. */
MUST_CHECK bool value_key_init(struct value_context *vc, JSAtom atom, struct value_key *key);
void value_key_fini(struct value_context *vc, struct value_key *key);
/* JS_ATOM_NULL with an exception; the caller frees it. */
JSAtom value_atom(struct value_context *vc, struct slice name);
uint64_t value_fingerprint(struct slice name);
/* Containers that hold integers which a double cannot hold are told to `keep`. */
struct value_maker {
    struct value_context *vc;
    void (*keep)(void *self, JSValueConst container, yyjson_val *tree); /* may be NULL */
    void *self;
};
JSValue value_make(const struct value_maker *m, yyjson_val *tree);

/* --- value_tree.c ----------------------------------------------------------------------------- */

/* The value of a tree's number as JavaScript has it, and whether that loses digits. */
double value_tree_number(yyjson_val *number, bool *is_lossy);
/* The last value of that name; *first is the key at its first place. NULL: none. */
yyjson_val *value_tree_find(yyjson_val *object, struct slice name, yyjson_val **first);
/* No repeated key, none that is an array index: JavaScript has the members in this order. */
bool value_tree_is_simple(yyjson_val *object);
bool value_name_is_index(struct slice name);

/* For finding many members of one object: in the object's own order each costs one comparison. */
struct value_view {
    yyjson_val *object; /* NULL: finds nothing */
    yyjson_val *next;   /* the key that is expected */
    size_t left;        /* members from there on */
    bool is_simple;
    struct tree_index *index; /* of a large object, when the order is another one */
};
void value_view_init(struct value_view *v, yyjson_val *object); /* anything but an object: empty */
void value_view_fini(struct value_view *v);
yyjson_val *value_view_find(struct value_view *v, struct slice name, yyjson_val **first);
size_t value_view_distinct(struct value_view *v); /* names; not of an empty view */
/* Own enumerable members in the same order with the same values, all the way down; runs no code of
 * the plugin and leaves no exception. */
bool value_is_tree(struct value_context *vc, JSValueConst value, yyjson_val *tree);

/* --- value_write.c ---------------------------------------------------------------------------- */

struct value_writer {
    struct value_context *vc;
    struct buf *out;
    size_t bytes_max;
    const struct event_object *event; /* the value is this event; may be NULL */
    struct err *err;
    uint64_t steps;
    int depth;
};
MUST_CHECK bool value_write_object(struct value_writer *w, JSValueConst object, yyjson_val *tree);
MUST_CHECK bool value_write_char(struct value_writer *w, char c);
/* undefined, functions and symbols are not written. */
bool value_is_omitted(JSContext *ctx, JSValueConst value);
/* `tree`: what stood in this place (NULL: nothing): numbers equal to it keep its text. */
MUST_CHECK bool value_write(struct value_writer *w, JSValueConst value, yyjson_val *tree);
MUST_CHECK bool value_write_tree(struct value_writer *w, yyjson_val *tree);
/* A member of a tree as it is. */
MUST_CHECK bool value_write_member(struct value_writer *w, yyjson_val *key, bool is_first);
MUST_CHECK bool value_write_name(struct value_writer *w, struct slice name, bool is_first);
bool value_write_fail_thrown(struct value_writer *w); /* false: a JavaScript exception is pending */
/* The own string keys of an object, enumerable or not. */
MUST_CHECK bool value_names(struct value_writer *w, JSValueConst object, JSPropertyEnum **names,
                            uint32_t *count);
void value_names_free(JSContext *ctx, JSPropertyEnum *names, uint32_t count);
/* Valid UTF-8 of a string (lone surrogates: U+FFFD); freed with JS_FreeCString(ctx, *held) and
 * buf_free(spare). False with an exception. */
MUST_CHECK bool value_text(JSContext *ctx, JSValueConst string, struct slice *text,
                           const char **held, struct buf *spare);

/* --- lazy.c ----------------------------------------------------------------------------------- */

struct lazy_touched {
    JSAtom atom;
    bool is_moved;     /* deleted and added again: stands among the added ones */
    int8_t head;       /* HEAD_NONE: of the tree */
    yyjson_val *key;   /* in the tree; NULL: a head member that the tree has not */
    yyjson_val *value; /* likewise */
    JSValue handed;    /* what was given out; JS_UNINITIALIZED: nothing */
};

/* An object that stands on a tree. A member that was touched once lives in the JavaScript object
 * itself (or nowhere, when it was deleted) and the tree does not serve it any more. */
struct lazy {
    struct value_context *vc;
    struct event_object *event;
    JSValue object; /* one reference */
    yyjson_val *tree;
    bool has_head;  /* the event itself */
    bool is_asking; /* we look for a real property ourselves */
    bool is_lazy;   /* false: a plain object, `tree` is only what it was */
    unsigned lookups, touched_count, added_count;
    JSAtom missed; /* a name that the tree has not: asked for twice in one assignment */
    struct lazy_touched touched[VALUE_LAZY_MEMBERS];
    JSAtom added[VALUE_LAZY_MEMBERS];
};

MUST_CHECK bool lazy_class_init(JSRuntime *rt);
/* The lazy object behind a value; NULL: another object. */
struct lazy *lazy_of(JSValueConst object);
/* False with an exception. */
MUST_CHECK bool lazy_init(struct lazy *l, struct event_object *event, yyjson_val *tree,
                          bool has_head);
/* Makes it plain. False with an exception; it is plain then as well, but members are missing. */
MUST_CHECK bool lazy_fill(struct lazy *l);
/* Gives up the references: what a plugin still holds is filled first. */
void lazy_end(struct lazy *l);
/* The real property, whatever the tree has: JS_UNINITIALIZED when there is none. */
JSValue lazy_own_value(struct lazy *l, JSAtom atom);
/* What the touched and the added members are at one moment; the caller frees the values. */
struct lazy_now {
    JSValue touched[VALUE_LAZY_MEMBERS]; /* JS_UNINITIALIZED: gone, or among the added ones */
    JSValue added[VALUE_LAZY_MEMBERS];
};

/* --- lazy_read.c ------------------------------------------------------------------------------ */

/* Every member as it was handed out, none added, none gone. Only while is_lazy. */
bool lazy_is_same(struct lazy *l);
/* Its text without making it plain, if that can be done. Only while is_lazy. */
MUST_CHECK bool lazy_write(struct lazy *l, struct value_writer *w);
/* The value of a member that was touched or added: JS_UNDEFINED when it is gone. */
JSValue lazy_current(struct lazy *l, JSAtom atom, bool *is_touched);

/* --- event_object.c --------------------------------------------------------------------------- */

struct event_object {
    struct value_context *vc;
    struct event_object *next; /* while kept */
    struct event_envelope envelope;
    yyjson_val *root;
    bool has_properties; /* made */
    struct lazy event, properties;
    struct exact { /* containers with integers that a double cannot hold */
        JSValue container;
        yyjson_val *tree;
    } * exact;
    size_t exact_count;
};

/* A name that travels in the envelope and was not in the data: it is not written. */
bool event_object_is_apart(const struct event_object *o, struct slice name);
/* The member is in the envelope and has the value that it has there: the data keeps its own. */
bool event_object_is_head(const struct event_object *o, JSAtom atom, JSValueConst value);
const char *event_object_head_name(int head);
bool event_object_has_head(const struct event_object *o, int head);
int event_object_head_of_name(struct slice name); /* HEAD_NONE */
int event_object_head_of_atom(const struct value_context *vc, JSAtom atom);
/* A member's value for the first time. */
JSValue event_object_make_head(const struct event_object *o, int head);
JSValue event_object_make(struct event_object *o, bool is_top, JSAtom atom, yyjson_val *tree);
/* The tree that a container was made of, wherever it has moved. NULL: not known. */
yyjson_val *event_object_tree_of(const struct event_object *o, JSValueConst container);
