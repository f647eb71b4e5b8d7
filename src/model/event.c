/* The envelope's bytes: a version, then tagged fields, `data` last.
 *
 * Numbers are fixed-width little endian, so that a field is one copy. Fields that are empty or zero
 * are left out; what a newer writer adds is skipped by its length. The decoder trusts nothing:
 * every length is checked against what is left, and an envelope without uuid, team, distinct id,
 * time or data is refused.
 */
#include "model/event.h"

#include "base/buf.h"
#include "base/iso8601.h"

#define EVENT_VERSION 1
#define HEAD_BYTES    5 /* tag and length of a field */

enum tag {
    TAG_UUID = 1,
    TAG_TEAM = 2,
    TAG_DISTINCT_ID = 3,
    TAG_IP = 4,
    TAG_SITE_URL = 5,
    TAG_TOKEN = 6,
    TAG_TRACEPARENT = 7,
    TAG_NOW = 8,
    TAG_SENT_AT = 9,
    TAG_FLAGS = 10,
    TAG_DATA = 255,
};

static void put_le(char *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)(uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const char *in, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)(uint8_t)in[i] << (8 * i);
    return value;
}

static size_t text_bytes(struct slice s)
{
    return s.len == 0 ? 0 : HEAD_BYTES + s.len;
}

size_t event_encoded_bytes(const struct event_envelope *e)
{
    size_t bytes =
        1 + (HEAD_BYTES + sizeof(e->uuid.b)) + 2 * (HEAD_BYTES + 8); /* uuid, team, now */

    bytes += text_bytes(e->distinct_id) + text_bytes(e->ip) + text_bytes(e->site_url);
    bytes += text_bytes(e->token) + text_bytes(e->traceparent);
    bytes += e->has_sent_at ? HEAD_BYTES + 8 : 0;
    bytes += e->flags ? HEAD_BYTES + 4 : 0;
    return bytes + HEAD_BYTES + e->data.len;
}

static char *put_field(char *out, enum tag tag, const void *bytes, size_t len)
{
    out[0] = (char)(uint8_t)tag;
    put_le(out + 1, len, 4);
    if (len > 0)
        memcpy(out + HEAD_BYTES, bytes, len);
    return out + HEAD_BYTES + len;
}

static char *put_number(char *out, enum tag tag, uint64_t value, size_t bytes)
{
    char raw[8];

    put_le(raw, value, bytes);
    return put_field(out, tag, raw, bytes);
}

static char *put_text(char *out, enum tag tag, struct slice s)
{
    return s.len == 0 ? out : put_field(out, tag, s.ptr, s.len);
}

void event_encode(const struct event_envelope *e, char *out)
{
    const char *start = out;

    *out++ = EVENT_VERSION;
    out = put_field(out, TAG_UUID, e->uuid.b, sizeof(e->uuid.b));
    out = put_number(out, TAG_TEAM, (uint64_t)e->team_id, 8);
    out = put_text(out, TAG_DISTINCT_ID, e->distinct_id);
    out = put_text(out, TAG_IP, e->ip);
    out = put_text(out, TAG_SITE_URL, e->site_url);
    out = put_text(out, TAG_TOKEN, e->token);
    out = put_text(out, TAG_TRACEPARENT, e->traceparent);
    out = put_number(out, TAG_NOW, (uint64_t)e->now_us, 8);
    if (e->has_sent_at)
        out = put_number(out, TAG_SENT_AT, (uint64_t)e->sent_at_us, 8);
    if (e->flags)
        out = put_number(out, TAG_FLAGS, e->flags, 4);
    out = put_field(out, TAG_DATA, e->data.ptr, e->data.len);
    DCHECK((size_t)(out - start) == event_encoded_bytes(e));
    UNUSED(start);
}

/* One field into *out. False when its length does not fit its tag. */
static bool take_field(struct event_envelope *out, unsigned tag, struct slice value)
{
    switch (tag) {
    case TAG_UUID:
        if (value.len != sizeof(out->uuid.b))
            return false;
        memcpy(out->uuid.b, value.ptr, sizeof(out->uuid.b));
        return true;
    case TAG_TEAM:
        out->team_id = value.len == 8 ? (int64_t)get_le(value.ptr, 8) : 0;
        return value.len == 8;
    case TAG_NOW:
        out->now_us = value.len == 8 ? (int64_t)get_le(value.ptr, 8) : 0;
        return value.len == 8;
    case TAG_SENT_AT:
        out->sent_at_us = value.len == 8 ? (int64_t)get_le(value.ptr, 8) : 0;
        out->has_sent_at = true;
        return value.len == 8;
    case TAG_FLAGS:
        out->flags = value.len == 4 ? (uint32_t)get_le(value.ptr, 4) : 0;
        return value.len == 4;
    case TAG_DISTINCT_ID:
        out->distinct_id = value;
        return true;
    case TAG_IP:
        out->ip = value;
        return true;
    case TAG_SITE_URL:
        out->site_url = value;
        return true;
    case TAG_TOKEN:
        out->token = value;
        return true;
    case TAG_TRACEPARENT:
        out->traceparent = value;
        return true;
    case TAG_DATA:
        out->data = value;
        return true;
    default: /* a field of a newer version */
        return true;
    }
}

bool event_decode(struct slice bytes, struct event_envelope *out, struct err *err)
{
    const uint32_t needed = 1u << TAG_UUID | 1u << TAG_TEAM | 1u << TAG_DISTINCT_ID | 1u << TAG_NOW;
    uint32_t seen = 0;
    size_t at = 1;

    if (bytes.len == 0 || (uint8_t)bytes.ptr[0] != EVENT_VERSION)
        return err_set(err, ERR_CORRUPT,
                       "event envelope of version %d, this binary reads version %d",
                       bytes.len == 0 ? 0 : (uint8_t)bytes.ptr[0], EVENT_VERSION);
    *out = (struct event_envelope){0};
    while (at < bytes.len) {
        unsigned tag = (uint8_t)bytes.ptr[at];
        size_t len;

        if (bytes.len - at < HEAD_BYTES)
            return err_set(err, ERR_CORRUPT, "event envelope cut short at byte %zu", at);
        len = (size_t)get_le(bytes.ptr + at + 1, 4);
        at += HEAD_BYTES;
        if (len > bytes.len - at || !take_field(out, tag, slice_make(bytes.ptr + at, len)))
            return err_set(err, ERR_CORRUPT,
                           "event envelope: field %u has a wrong length (%zu bytes)", tag, len);
        at += len;
        if (tag < 32)
            seen |= 1u << tag;
        if (tag == TAG_DATA)
            break;
    }
    if (!out->data.ptr || at != bytes.len)
        return err_set(err, ERR_CORRUPT, "event envelope: data is not its last field");
    if ((seen & needed) != needed)
        return err_set(err, ERR_CORRUPT, "event envelope without uuid, team, distinct id or time");
    return true;
}

static bool add_text_or_null(struct buf *out, struct slice s)
{
    return s.len == 0 ? buf_add_str(out, "null") : buf_add_json_str(out, s);
}

bool event_envelope_json(const struct event_envelope *e, struct buf *out)
{
    char uuid[UUID_TEXT_LEN + 1];
    char time[ISO8601_LEN_MAX];

    uuid_format(&e->uuid, uuid);
    buf_addf(out, "{\"uuid\":\"%s\",\"distinct_id\":", uuid);
    buf_add_json_str(out, e->distinct_id);
    buf_add_str(out, ",\"ip\":");
    add_text_or_null(out, e->ip);
    buf_add_str(out, ",\"site_url\":");
    add_text_or_null(out, e->site_url);
    buf_add_str(out, ",\"data\":");
    buf_add_json_str(out, e->data);
    buf_addf(out, ",\"team_id\":%lld,\"now\":\"%s\",\"sent_at\":\"", (long long)e->team_id,
             iso8601_python(e->now_us, time));
    if (e->has_sent_at)
        buf_add_str(out, iso8601_python(e->sent_at_us, time));
    buf_add_str(out, "\",\"token\":");
    buf_add_json_str(out, e->token);
    buf_add_char(out, '}');
    return !out->is_over;
}
