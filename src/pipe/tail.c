#include "base/iso8601.h"
#include "pipe/pipe_priv.h"

/* A stored event as one line of JSON for the live tail. */
void tail_line(const struct prepared *e, struct buf *out)
{
    char uuid[UUID_TEXT_LEN + 1];
    char time[ISO8601_LEN_MAX];

    buf_clear(out);
    uuid_format(&e->uuid, uuid);
    buf_addf(out, "{\"uuid\":\"%s\",\"event\":", uuid);
    buf_add_json_str(out, e->event);
    buf_add_str(out, ",\"distinct_id\":");
    buf_add_json_str(out, e->distinct_id);
    buf_addf(out, ",\"team_id\":%lld,\"timestamp\":\"%s\",\"person_uuid\":", (long long)e->team_id,
             iso8601_ms(e->timestamp_us, time));
    if (e->has_person) {
        uuid_format(&e->person_uuid, uuid);
        buf_addf(out, "\"%s\"", uuid);
    } else {
        buf_add_str(out, "null");
    }
    buf_add_str(out, ",\"properties\":");
    buf_add_slice(out, e->row_properties);
    buf_add_char(out, '}');
}
