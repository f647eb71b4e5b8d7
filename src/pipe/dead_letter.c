/* Events that cannot be processed, kept as they came, with the reason. */
#include "base/b64.h"
#include "pipe/pipe_priv.h"

#define ENVELOPE_MAX ((size_t)256 << 20)

const char *dead_letter_reason_name(enum dead_reason reason)
{
    static const char *const names[DEAD_REASON_COUNT] = {
        [DEAD_UNPARSABLE] = "unparsable",
        [DEAD_RECORD_TYPE] = "record_type",
        [DEAD_EVENT_NAME] = "event_name",
        [DEAD_DISTINCT_ID] = "distinct_id",
        [DEAD_TEAM] = "team",
        [DEAD_STEP] = "step",
        [DEAD_STORE] = "store",
    };

    return names[reason];
}

/* The record as JSON: the capture record when it can be read, else its bytes. */
static bool write_envelope(const struct prepared *e, struct buf *out)
{
    struct event_envelope envelope;
    struct err err = ERR_INIT;

    if (e->type == RECORD_TYPE_EVENT && event_decode(e->payload, &envelope, &err))
        return event_envelope_json(&envelope, out);
    return buf_addf(out, "{\"type\":%u,\"base64\":\"", e->type) && b64_encode(e->payload, out) &&
           buf_add_str(out, "\"}");
}

bool dead_letter_store(const struct store *store, const struct prepared *e, int64_t clock_us,
                       struct err *err)
{
    struct buf envelope = BUF_INIT(ENVELOPE_MAX);
    struct buf reason = BUF_INIT(8192);
    struct buf stage = BUF_INIT(8192);
    struct dead_letter d = {.team_id = e->team_id, .at_us = clock_us};
    bool ok = false;

    if (!write_envelope(e, &envelope)) {
        err_set(err, ERR_INPUT, "the dead letter would be longer than %zu bytes", ENVELOPE_MAX);
        goto out;
    }
    buf_addf(&reason, "Event ingestion failed. Error: %.*s", SLICE_ARG(e->dead_text));
    if (e->dead_step)
        buf_addf(&stage, "plugin_server_ingest_event:%s", e->dead_step);
    else
        buf_add_str(&stage, "parse_message");
    d.reason = buf_slice(&reason);
    d.stage = buf_slice(&stage);
    d.envelope = buf_slice(&envelope);
    ok = store->ops->dead_letter_insert(store->self, &d, err);
out:
    buf_free(&reason);
    buf_free(&stage);
    buf_free(&envelope);
    return ok;
}
