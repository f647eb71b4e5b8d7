/* First step: the record's envelope and the event's JSON. What cannot be read ends as a dead letter
 * of parse_message. */
#include "base/utf8.h"
#include "pipe/pipe_priv.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Invalid UTF-8 becomes U+FFFD: one for a lead byte with the continuation bytes behind it. */
static bool repair_utf8(struct slice text, struct buf *out)
{
    buf_clear(out);
    for (;;) {
        size_t good = utf8_valid_prefix(text);
        size_t bad = 1;

        if (!buf_add(out, text.ptr, good))
            return false;
        if (good == text.len)
            return true;
        text = slice_make(text.ptr + good, text.len - good);
        while (bad < text.len && ((unsigned char)text.ptr[bad] & 0xc0) == 0x80)
            bad++;
        if (!buf_add_str(out, REPLACEMENT))
            return false;
        text = slice_make(text.ptr + bad, text.len - bad);
    }
}

static bool read_data(struct worker *w, struct slice data, struct json_doc *doc, struct err *err)
{
    /* 16 bytes a value and the text itself: 32 times the text is never reached. */
    struct json_read_options opt = {.lenient = true,
                                    .memory_max = MAX((size_t)16 << 20, 32 * data.len)};

    if (json_doc_read(data, &opt, doc, err))
        return true;
    if (err->code != ERR_INPUT || utf8_is_valid(data) || !repair_utf8(data, &w->text))
        return false;
    return json_doc_read(buf_slice(&w->text), &opt, doc, err);
}

bool decode_data(struct step_work *work, struct err *err)
{
    return read_data(work->worker, work->envelope.data, &work->doc, err);
}

enum step_result decode_step(struct step_work *work, struct err *err)
{
    work->dead_reason = DEAD_UNPARSABLE;
    if (work->record.type != RECORD_TYPE_EVENT) {
        work->dead_reason = DEAD_RECORD_TYPE;
        err_set(err, ERR_INPUT, "queue record of type %u, this version knows %u", work->record.type,
                RECORD_TYPE_EVENT);
        return STEP_DEAD;
    }
    if (!event_decode(work->record.payload, &work->envelope, err)) {
        work->envelope = (struct event_envelope){0};
        return STEP_DEAD;
    }
    if (!decode_data(work, err))
        return STEP_DEAD;
    if (!yyjson_is_obj(work->doc.root)) {
        err_set(err, ERR_INPUT, "the event's data is not a JSON object");
        return STEP_DEAD;
    }
    return STEP_NEXT;
}
