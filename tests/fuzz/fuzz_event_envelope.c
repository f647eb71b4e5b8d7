/* An event envelope from the queue: refused, or it stays the same through encoding and becomes a
 * JSON object. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/event.h"
#include "model/json_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(const struct event_envelope *e)
{
    struct buf text = BUF_INIT(16 << 20);
    struct json_doc doc;
    struct err err = ERR_INIT;

    CHECK(event_envelope_json(e, &text));
    CHECK(
        json_doc_read(buf_slice(&text), &(struct json_read_options){.lenient = false}, &doc, &err));
    if (utf8_is_valid(e->data))
        CHECK(slice_eq(json_text(json_member(doc.root, SLICE("data"))), e->data));
    json_doc_free(&doc);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_envelope e, again;
    struct err err = ERR_INIT;
    size_t len;
    char *bytes;

    if (!event_decode(slice_make(data, size), &e, &err))
        return 0;
    len = event_encoded_bytes(&e);
    bytes = mem_alloc(len);
    event_encode(&e, bytes);
    if (e.distinct_id.len > 0) {
        CHECK(event_decode(slice_make(bytes, len), &again, &err));
        CHECK(uuid_eq(&e.uuid, &again.uuid) && e.team_id == again.team_id &&
              e.now_us == again.now_us);
        CHECK(slice_eq(e.data, again.data) && slice_eq(e.distinct_id, again.distinct_id));
    }
    if (e.now_us > -62167219200000000 && e.now_us < 253402300800000000 && !e.has_sent_at)
        check_json(&e);
    mem_free(bytes);
    return 0;
}
