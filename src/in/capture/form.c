/* form.c - the query parameters and form fields that capture understands. */
#include "in/capture/capture_priv.h"

struct field_name {
    struct slice name;
    size_t offset;
};

#define FIELD(text, member)                               \
    {                                                     \
        .name = {.ptr = (text), .len = sizeof(text) - 1}, \
        .offset = offsetof(struct capture_fields, member) \
    }

static const struct field_name names[] = {
    FIELD("data", data),
    FIELD("api_key", api_key),
    FIELD("token", token),
    FIELD("compression", compression),
    FIELD("sent_at", sent_at),
    FIELD("_", underscore),
    FIELD("project_id", project_id),
    FIELD("beacon", beacon),
};

static bool take_field(struct slice name, struct slice value, void *ctx)
{
    struct capture_fields *fields = ctx;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice *place = (struct slice *)(void *)((char *)fields + names[i].offset);

        if (slice_eq(name, names[i].name) && place->len == 0)
            *place = value;
    }
    return true;
}

void capture_form_read(struct slice text, struct arena *arena, struct capture_fields *fields)
{
    if (text.len > 0)
        http_form_each(text, arena, take_field, fields);
}
