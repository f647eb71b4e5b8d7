/* value.h - events and other JSON between C and JavaScript. Private to plugin/ but for its name:
 * the only file besides vm.c and host/ that handles the insides of JavaScript objects.
 *
 * The event and its `properties` are lazy: they stand on the document's tree, and members are made
 * when asked for. A plugin cannot tell them from plain objects (the differ in tests/unit/plugin
 * compares both). Whatever needs all members (keys, spread, stringify, defineProperty, freeze,
 * setPrototypeOf, …) fills the object in, and from then on it is a plain one. What lies below is
 * ordinary from the start.
 *
 * Threads: those of the runtime. Ownership: an event_object stands on the document and on the texts
 * of the envelope it was made of until event_object_end; what plugins still hold then gets a copy
 * of its own, counted against the runtime's memory limit. All event objects of a context end before
 * value_context_fini. Errors: a failed read sets err and may leave a JavaScript exception.
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

/* The event as a plugin sees it: the members of `root` (an object) in JavaScript's order (a
 * repeated one has its first place and its last value, integer-like names come first), then what
 * the envelope has: uuid, distinct_id, ip, site_url, team_id, now, sent_at, which replace members
 * of the same name; no ip and no site_url are null, no sent_at leaves what the data has. NULL with
 * an exception when memory is out. */
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
 * same buffer of event_object_read. A member that is not fit to be used (distinct_id missing, empty
 * or over 200 code points, uuid no uuid, times that cannot be read, other types) keeps the old
 * value; ip, site_url and sent_at that are missing, null or empty are none from then on. */
struct event_head {
    bool has_team_id_changed; /* to be refused; the id itself is never taken over */
    struct slice distinct_id, ip, site_url;
    struct uuid uuid;
    int64_t now_us, sent_at_us;
    bool has_sent_at;
};

/* Own enumerable members under string keys; undefined, functions and symbols vanish (null in
 * arrays), numbers that are not finite become null, BigInt fails, anything else that is an object
 * counts by its own enumerable members; toJSON is not called; a lone surrogate becomes U+FFFD.
 * Numbers that nobody touched keep their text, also those of a container that was read or moved.
 * Members of the envelope are part of the text only where `root` had them.
 * `text` is cleared; its maximum should leave 4 KiB behind `bytes_max` for the head.
 * Getters and proxies run here: the caller keeps its deadline in force.
 * `*is_copy`: result is another object than the one that was handed over, which is always
 * EVENT_CHANGED or EVENT_FAILED. */
enum event_change event_object_read(struct event_object *o, JSValueConst result, size_t bytes_max,
                                    struct buf *text, struct event_head *head, bool *is_copy,
                                    struct err *err);
void event_object_end(struct event_object *o);

/* Plain values. `value_to_json` follows the rules of event_object_read and adds to `out`; what
 * cannot be written at the top is null. value_from_json gives an exception when memory is out. */
JSValue value_from_json(JSContext *ctx, yyjson_val *value);
JSValue value_from_text(JSContext *ctx, struct slice json); /* an exception when it is not JSON */
MUST_CHECK bool value_to_json(JSContext *ctx, JSValueConst value, size_t bytes_max, struct buf *out,
                              struct err *err);
/* JSON.stringify as a plugin would call it (toJSON counts): cache, storage, job payloads. False
 * with an exception; *is_undefined when there is no text. */
MUST_CHECK bool value_stringify(JSContext *ctx, JSValueConst value, struct buf *out,
                                bool *is_undefined);
