/* Events between C and JavaScript: a document (the input's, or one made up) and small scripts made
 * of the input's bytes, run on a lazy event and on a plain one. Whatever a script can see, and the
 * text that goes on, must be the same.
 *
 * Engine: one for many inputs; what it keeps between them (atoms, shapes) is no part of a
 * difference.
 * Input: u16 length, JSON text, then bytes that every choice takes one or two of. */
#include "unit/plugin/value_differ.h"

#include <stdio.h>

#define SEQUENCES  6
#define PER_ENGINE 50  /* inputs; making one costs as much as running many sequences */
#define TICKS      300 /* of 10,000 steps of the engine each */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    struct slice left;
    uint64_t state;
};

/* Behind the end of the input the choices go on without it. */
static uint64_t next_choice(void *self)
{
    struct source *s = self;
    uint64_t value = 0;

    if (s->left.len >= 2) {
        value = (unsigned char)s->left.ptr[0] | (uint64_t)(unsigned char)s->left.ptr[1] << 8;
        s->left = slice_make(s->left.ptr + 2, s->left.len - 2);
        return value;
    }
    s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return s->state >> 40;
}

static bool is_lossless(yyjson_val *v)
{
    size_t at, count;
    yyjson_val *key, *value;
    bool is_lossy = false;

    if (yyjson_is_num(v))
        (void)value_tree_number(v, &is_lossy);
    yyjson_arr_foreach(v, at, count, value)
    {
        is_lossy = is_lossy || !is_lossless(value);
    }
    yyjson_obj_foreach(v, at, count, key, value)
    {
        is_lossy = is_lossy || !is_lossless(value);
    }
    return !is_lossy;
}

static bool is_usable(struct slice text)
{
    struct json_doc doc;
    struct err err = ERR_INIT;
    bool is_object;

    if (text.len == 0 || !json_doc_read(text, &(struct json_read_options){0}, &doc, &err))
        return false;
    is_object = yyjson_is_obj(doc.root) && is_lossless(doc.root) &&
                !slice_starts(text, SLICE("\xef\xbb\xbf"));
    json_doc_free(&doc);
    return is_object;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source s = {slice_make(data, size), 1};
    size_t length = size >= 2 ? MIN((size_t)(data[0] | data[1] << 8), size - 2) : 0;
    struct slice given = length > 0 ? slice_make(data + 2, length) : SLICE_NONE;
    static struct differ d;
    static int inputs;

    s.left = slice_make(data + length, size - length);
    if (!is_usable(given))
        given = SLICE_NONE;
    if (inputs == 0)
        differ_init(&d, next_choice, NULL);
    d.self = &s;
    d.ticks_max = TICKS;
    for (int i = 0; i == 0 || (i < SEQUENCES && s.left.len >= 2); i++) {
        char *what = differ_run(&d, i % 2 ? SLICE_NONE : given);

        if (what) {
            (void)fprintf(stderr, "%s\n", what);
            check_failed("lazy and plain are the same", __FILE__, __LINE__);
        }
    }
    inputs = (inputs + 1) % PER_ENGINE;
    if (inputs == 0)
        differ_fini(&d);
    return 0;
}
