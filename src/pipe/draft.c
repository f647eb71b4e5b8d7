#include "base/mem.h"
#include "pipe/pipe_priv.h"

void draft_init(struct draft *d)
{
    json_index_init(&d->names);
    d->cap = JSON_INDEX_SMALL;
    d->values = mem_new_array(yyjson_val *, d->cap);
    d->marks = mem_zalloc(d->cap);
}

void draft_fini(struct draft *d)
{
    json_index_fini(&d->names);
    mem_free(d->values);
    mem_free(d->marks);
    d->values = NULL;
    d->marks = NULL;
}

void draft_clear(struct draft *d)
{
    json_index_fini(&d->names);
    json_index_init(&d->names);
}

void draft_put(struct draft *d, struct slice name, yyjson_val *value)
{
    bool is_new;
    size_t number = json_index_add(&d->names, name, &is_new);

    if (number >= d->cap) {
        d->cap *= 2;
        d->values = mem_realloc(d->values, d->cap * sizeof(yyjson_val *));
        d->marks = mem_realloc(d->marks, d->cap);
    }
    d->values[number] = value;
}

void draft_put_all(struct draft *d, yyjson_val *object)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key;

    while ((key = yyjson_obj_iter_next(&it)))
        draft_put(d, json_text(key), yyjson_obj_iter_get_val(key));
}

void draft_copy(struct draft *d, const struct draft *from)
{
    for (size_t i = 0; i < from->names.count; i++)
        draft_put(d, from->names.keys[i], from->values[i]);
}

bool draft_write(const struct draft *d, struct buf *out)
{
    bool ok = buf_add_char(out, '{');

    for (size_t i = 0; ok && i < d->names.count; i++)
        ok = json_name_write(d->names.keys[i], i == 0, true, out) &&
             json_value_write_clean(d->values[i], out);
    return ok && buf_add_char(out, '}');
}
