/* value.h - events and other JSON between C and JavaScript. Private to plugin/ but for its name:
 * the only file besides vm.c and host/ that handles the insides of JavaScript objects.
 *
 * The event object is a plain object; its `properties` is lazy: it stands on the document's tree,
 * and members are made when asked for. A plugin cannot tell it from a plain object (the differ in
 * tests/unit/plugin compares both). Whatever needs all members (keys, spread, stringify,
 * defineProperty, freeze, setPrototypeOf, …) fills it in, and from then on it is a plain object.
 *
 * Threads: those of the runtime. Ownership: an event_object stands on the document it was made of
 * until event_object_end; what plugins still hold then gets a copy of its own, counted against the
 * runtime's memory limit. Errors: a failed read leaves a JavaScript exception or sets err.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/event.h"
#include "model/json_value.h"

#include <quickjs.h>

/* Once per runtime, once per context. */
MUST_CHECK bool value_runtime_init(JSRuntime *rt, struct err *err);
MUST_CHECK bool value_context_init(JSContext *ctx, struct err *err);
void value_context_fini(JSContext *ctx); /* before JS_FreeContext */

struct event_object;

/* The event as a plugin sees it: the members of `root` in their order (a repeated one has its first
 * place and its last value, integer-like names come first), then what the envelope has: uuid,
 * distinct_id, ip, site_url, team_id, now, sent_at, which replace members of the same name. NULL
 * with an exception when memory is out. */
struct event_object *event_object_new(JSContext *ctx, const struct event_envelope *envelope,
                                      yyjson_val *root);
JSValueConst event_object_value(const struct event_object *o);

enum event_change {
    EVENT_SAME,    /* `result` is the object itself and nothing in it has changed */
    EVENT_CHANGED, /* *text and *head have the new event */
    EVENT_FAILED,  /* not an object, a getter threw, too deep or cyclic, too large: err says which;
                    * a pending exception, if there is one, is left for the caller to take */
};

/* The members that travel in the envelope, as `result` has them. Texts lie behind the JSON in the
 * same buffer of event_object_read. A member that is not there, or is not fit to be used
 * (distinct_id empty or over 200 code points, uuid no uuid, times that cannot be read), keeps the
 * old value. */
struct event_head {
    bool has_team_id_changed; /* to be refused; the id itself is never taken over */
    struct slice distinct_id, ip, site_url;
    struct uuid uuid;
    int64_t now_us, sent_at_us;
    bool has_sent_at;
};

/* Own enumerable members under string keys; undefined, functions and symbols vanish (null in
 * arrays), numbers that are not finite become null, BigInt fails, anything else that is an object
 * counts by its own enumerable members; toJSON is not called. Numbers that nobody touched keep
 * their text.
 * `*is_copy`: result is another object than the one that was handed over. */
enum event_change event_object_read(struct event_object *o, JSValueConst result, size_t bytes_max,
                                    struct buf *text, struct event_head *head, bool *is_copy,
                                    struct err *err);
void event_object_end(struct event_object *o);

/* Plain values. `value_to_json` follows the rules of event_object_read. */
JSValue value_from_json(JSContext *ctx, yyjson_val *value);
JSValue value_from_text(JSContext *ctx, struct slice json); /* an exception when it is not JSON */
MUST_CHECK bool value_to_json(JSContext *ctx, JSValueConst value, size_t bytes_max, struct buf *out,
                              struct err *err);
/* JSON.stringify as a plugin would call it (toJSON counts): cache, storage, job payloads. False
 * with an exception; *is_undefined when there is no text. */
MUST_CHECK bool value_stringify(JSContext *ctx, JSValueConst value, struct buf *out,
                                bool *is_undefined);
