/* Distinct ids that stand for nobody in particular ("anonymous", "null", …). Merging by one of them
 * would join strangers into one person, so they only block merging; as an event's own id they are
 * stored like any other. */
#include "base/utf8.h"
#include "pipe/pipe_priv.h"

static bool is_in_any_case(struct slice id)
{
    static const char *const names[] = {
        "anonymous",         "guest", "distinctid", "distinct_id", "id",
        "not_authenticated", "email", "undefined",  "true",        "false",
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_nocase(id, slice_cstr(names[i])))
            return true;
    }
    return false;
}

static bool is_exactly(struct slice id)
{
    static const char *const names[] = {"[object Object]", "NaN", "None", "none", "null", "0"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(id, slice_cstr(names[i])))
            return true;
    }
    return false;
}

/* White space and line ends of ECMA-262, which String.trim removes. */
static bool is_space(uint32_t point)
{
    return (point >= 0x09 && point <= 0x0d) || point == 0x20 || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
           point == 0x202f || point == 0x205f || point == 0x3000 || point == 0xfeff;
}

static bool is_blank(struct slice id)
{
    while (id.len > 0) {
        uint32_t point;
        size_t step = utf8_get(id, &point);

        if (step == 0 || !is_space(point))
            return false;
        id = slice_make(id.ptr + step, id.len - step);
    }
    return true;
}

static bool is_illegal_bare(struct slice id)
{
    return is_in_any_case(id) || is_exactly(id) || is_blank(id);
}

bool distinct_ids_illegal(struct slice id)
{
    if (is_illegal_bare(id))
        return true;
    if (id.len < 2 || (id.ptr[0] != '\'' && id.ptr[0] != '"') || id.ptr[id.len - 1] != id.ptr[0])
        return false;
    return is_illegal_bare(slice_make(id.ptr + 1, id.len - 2));
}

bool distinct_ids_too_long(struct slice id)
{
    return id.len > ID_POINTS_MAX && utf8_count_points(id) > ID_POINTS_MAX;
}
