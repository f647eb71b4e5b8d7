/* body.c - from the bytes of a request to a JSON tree.
 *
 * Clients label their bodies wrongly more often than not: gzip without a hint, JSON announced as
 * gzip, gzip announced as a form, base64 whose plus signs became spaces. So the bytes decide, and
 * what the client says (query, form field, header) is only a hint. Layers are taken off one by one,
 * at most ROUNDS_MAX of them, each bounded by the buffer it goes to; a payload that begins with {
 * or [ is never touched again.
 */
#include "base/b64.h"
#include "base/gzip.h"
#include "in/capture/capture_priv.h"

#define ROUNDS_MAX 4

#define CANNOT_UNPACK "Malformed request data: Failed to decompress data."
/* Old browsers sent the word when their compressor had failed; retrying never helps. */
#define IS_UNDEFINED                                                                            \
    "Malformed request data: data being loaded from the request body for decompression is the " \
    "literal string 'undefined'"

static struct slice skip_space(struct slice s)
{
    if (slice_starts(s, SLICE("\xef\xbb\xbf")))
        s = slice_make(s.ptr + 3, s.len - 3);
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t' || *s.ptr == '\n' || *s.ptr == '\r'))
        s = slice_make(s.ptr + 1, s.len - 1);
    return s;
}

static bool looks_like_json(struct slice s)
{
    s = skip_space(s);
    return s.len > 0 && (*s.ptr == '{' || *s.ptr == '[');
}

/* --- choice --- */

static struct slice media_type(struct slice content_type)
{
    struct slice type = SLICE_NONE;
    struct slice rest = content_type;

    if (!slice_split(&rest, ';', &type))
        return SLICE_NONE;
    return slice_trim(type);
}

typedef struct slice fields_fn(struct capture_source *src, struct arena *arena);

static struct slice data_of_form(struct capture_source *src, struct arena *arena)
{
    if (gzip_is(src->body) || looks_like_json(src->body))
        return src->body;
    capture_form_read(src->body, arena, &src->form);
    return src->form.data;
}

/* Media types whose payload is one of several fields. All others are the payload themselves. */
static const struct {
    struct slice type;
    fields_fn *data;
} field_types[] = {
    {{.ptr = "application/x-www-form-urlencoded", .len = 33}, data_of_form},
};

static struct slice data_of_post(struct capture_source *src, struct arena *arena)
{
    struct slice type = media_type(src->content_type);

    for (size_t i = 0; i < ARRAY_LEN(field_types); i++)
        if (slice_eq_nocase(type, field_types[i].type))
            return field_types[i].data(src, arena);
    return src->body;
}

struct slice capture_body_choose(struct capture_source *src, struct arena *arena)
{
    struct slice raw = SLICE_NONE;

    if (!src->is_get)
        raw = data_of_post(src, arena);
    return raw.len > 0 ? raw : src->query.data;
}

static const struct {
    const char *word;
    enum capture_hint hint;
} hint_words[] = {
    {"gzip", CAPTURE_HINT_GZIP},      {"gzip-js", CAPTURE_HINT_GZIP},  {"lz64", CAPTURE_HINT_LZ64},
    {"lz-string", CAPTURE_HINT_LZ64}, {"base64", CAPTURE_HINT_BASE64}, {"b64", CAPTURE_HINT_BASE64},
};

enum capture_hint capture_body_hint(const struct capture_source *src)
{
    const struct slice said[] = {src->query.compression, src->form.compression,
                                 src->content_encoding};

    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        if (said[i].len == 0)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(hint_words); k++)
            if (slice_eq_nocase(slice_trim(said[i]), slice_cstr(hint_words[k].word)))
                return hint_words[k].hint;
        return CAPTURE_HINT_NONE; /* the first place that says anything counts */
    }
    return CAPTURE_HINT_NONE;
}

/* --- layers --- */

void capture_unpacked_free(struct capture_unpacked *u)
{
    buf_free(&u->work[0]);
    buf_free(&u->work[1]);
}

static enum capture_reply refuse(struct err *err, const char *detail)
{
    err_set(err, ERR_INPUT, "%s", detail);
    return CAPTURE_INVALID_PAYLOAD;
}

/* One layer: CAPTURE_OK with *taken false when the bytes are not of this kind. */
typedef enum capture_reply layer_fn(struct slice from, struct buf *to, bool *taken,
                                    struct err *err);

static enum capture_reply take_gzip(struct slice from, struct buf *to, bool *taken, struct err *err)
{
    if (!gzip_is(from))
        return CAPTURE_OK;
    *taken = true;
    if (gzip_decode(from, to, err))
        return CAPTURE_OK;
    if (err->code == ERR_LIMIT)
        return CAPTURE_TOO_LARGE;
    if (err->code == ERR_RETRY) /* out of memory: the data may be good */
        return CAPTURE_UNAVAILABLE;
    return refuse(err, CANNOT_UNPACK);
}

static enum capture_reply take_base64(struct slice from, struct buf *to, bool *taken,
                                      struct err *err)
{
    UNUSED(err);
    if (!b64_looks_like(from) || !b64_decode_lenient(from, to))
        return CAPTURE_OK;
    /* Text of that alphabet may be anything, a bare word for instance. */
    *taken = gzip_is(buf_slice(to)) || looks_like_json(buf_slice(to));
    return CAPTURE_OK;
}

static layer_fn *const layers[] = {take_gzip, take_base64};

/* Encodings that show no mark in their bytes and so are taken off only when the client names them.
 * None of them can be read so far, which is said in the words of a payload that is broken. */
static enum capture_reply take_named(struct slice from, enum capture_hint hint, struct err *err)
{
    if (hint == CAPTURE_HINT_LZ64 && !looks_like_json(from))
        return refuse(err, CANNOT_UNPACK);
    return CAPTURE_OK;
}

enum capture_reply capture_body_unpack(struct slice raw, enum capture_hint hint,
                                       struct capture_unpacked *u, struct slice *json,
                                       struct err *err)
{
    enum capture_reply reply = CAPTURE_OK;
    bool was_packed = false;

    if (hint == CAPTURE_HINT_GZIP && slice_eq(slice_trim(raw), SLICE("undefined")))
        return refuse(err, IS_UNDEFINED);
    reply = take_named(raw, hint, err);
    for (int round = 0; reply == CAPTURE_OK && round < ROUNDS_MAX; round++) {
        struct buf *to = &u->work[round % 2];
        bool taken = false;

        if (looks_like_json(raw))
            break;
        for (size_t i = 0; i < ARRAY_LEN(layers) && reply == CAPTURE_OK && !taken; i++) {
            buf_clear(to);
            reply = layers[i](raw, to, &taken, err);
        }
        if (!taken)
            break;
        raw = buf_slice(to);
        was_packed = true;
    }
    if (reply != CAPTURE_OK)
        return reply;
    if (hint == CAPTURE_HINT_GZIP && !was_packed && !looks_like_json(raw))
        return refuse(err, CANNOT_UNPACK);
    *json = raw;
    return raw.len > 0 ? CAPTURE_OK : CAPTURE_NO_DATA;
}

/* --- JSON --- */

/* Numbers are kept as text by the reader. */
static bool is_zero(struct slice number)
{
    for (size_t i = 0; i < number.len && number.ptr[i] != 'e' && number.ptr[i] != 'E'; i++)
        if (number.ptr[i] >= '1' && number.ptr[i] <= '9')
            return false;
    return true;
}

bool capture_body_is_filled(yyjson_val *v)
{
    if (yyjson_is_raw(v))
        return !is_zero(slice_make(yyjson_get_raw(v), yyjson_get_len(v)));
    if (yyjson_is_ctn(v))
        return yyjson_get_len(v) > 0;
    return json_is_truthy(v);
}

enum capture_reply capture_body_parse(struct slice json, size_t memory_max, struct json_doc *doc,
                                      struct err *err)
{
    const struct json_read_options opt = {
        .lenient = true, .raw_numbers = true, .memory_max = memory_max};

    if (!json_doc_read(json, &opt, doc, err)) {
        if (err->code == ERR_LIMIT)
            return CAPTURE_TOO_LARGE;
        err_wrap(err, "Malformed request data: Invalid JSON");
        return CAPTURE_INVALID_PAYLOAD;
    }
    if (yyjson_is_ctn(doc->root) && yyjson_get_len(doc->root) > 0)
        return CAPTURE_OK;
    if (!capture_body_is_filled(doc->root))
        return CAPTURE_NO_DATA;
    return refuse(err, "Invalid payload: The body must be a JSON object or array.");
}
