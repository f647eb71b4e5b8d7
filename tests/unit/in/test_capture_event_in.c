#include "base/hash.h"
#include "capture_aid.h"
#include "lib/unit.h"
#include "ring/ring_priv.h"

/* One posted body and what became of it. */
struct posted {
    struct json_doc doc;
    struct capture_events events;
    enum capture_reply reply;
    struct err err;
};

static struct capture_events_input input_of(const struct json_doc *doc, const char *text,
                                            const struct team *team)
{
    return (struct capture_events_input){
        .root = doc->root,
        .text_bytes = strlen(text),
        .event_bytes_max = 4096,
        .group_bytes_max = 64 << 20,
        .team = team,
        .ip = SLICE("1.2.3.4"),
        .site_url = SLICE("http://localhost:8000"),
        .now_us = AID_NOW_US,
    };
}

static struct posted post_as(const char *text, const struct team *team)
{
    struct posted p = {.doc = aid_json(text), .err = ERR_INIT};
    struct capture_events_input in = input_of(&p.doc, text, team);

    p.reply = capture_events_read(&in, &p.events, &p.err);
    return p;
}

static struct posted post(const char *text)
{
    return post_as(text, &aid_teams[0]);
}

static void posted_free(struct posted *p)
{
    feed_group_free(p->events.group);
    json_doc_free(&p->doc);
}

/* The envelope of a record of the group; its slices live as long as the group. */
static struct event_envelope record_at(const struct posted *p, size_t index,
                                       struct record_head *head)
{
    struct event_envelope e;
    struct err err = ERR_INIT;
    const char *at = p->events.group->block->bytes;

    assert_true(index < feed_group_count(p->events.group));
    for (memcpy(head, at, sizeof *head); index > 0; index--, memcpy(head, at, sizeof *head))
        at += record_bytes(head->length);
    if (!event_decode(slice_make(at + RECORD_HEAD_BYTES, head->length), &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static struct event_envelope envelope_at(const struct posted *p, size_t index)
{
    struct record_head head;

    return record_at(p, index, &head);
}

static void assert_slice(struct slice got, const char *expected)
{
    if (!slice_eq(got, slice_cstr(expected)))
        fail_msg("'%.*s' is not '%s'", SLICE_ARG(got), expected);
}

/* --- splitting --- */

static void splits(void **state)
{
    static const struct {
        const char *text;
        size_t accepted;
    } table[] = {
        {"{\"event\":\"a\",\"distinct_id\":\"d\"}", 1},
        {"[{\"event\":\"a\",\"distinct_id\":\"d\"}]", 1},
        {"[{\"event\":\"a\",\"distinct_id\":\"d\"},{\"event\":\"b\",\"distinct_id\":\"d\"}]", 2},
        {"{\"batch\":[{\"event\":\"a\",\"distinct_id\":\"d\"},{\"event\":\"b\",\"distinct_id\":"
         "\"d\"}]}",
         2},
        {"{\"batch\":null,\"event\":\"a\",\"distinct_id\":\"d\"}", 1},
        {"{\"batch\":[],\"event\":\"a\",\"distinct_id\":\"d\"}", 1},
        {"{\"event\":\"a\",\"batch\":[{\"event\":\"b\",\"distinct_id\":\"d\"}]}", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct posted p = post(table[i].text);

        assert_int_equal(p.reply, CAPTURE_OK);
        assert_int_equal(p.events.accepted, table[i].accepted);
        assert_int_equal(p.events.received, table[i].accepted);
        assert_int_equal(feed_group_count(p.events.group), table[i].accepted);
        posted_free(&p);
    }
}

static void refuses_the_whole_request(void **state)
{
    static const char *const table[][2] = {
        {"[1]", "Invalid payload: some events are null"},
        {"[{}]", "Invalid payload: some events are null"},
        {"[{\"event\":\"a\",\"distinct_id\":\"d\"},null]", "Invalid payload: some events are null"},
        {"{\"batch\":[{\"event\":\"a\",\"distinct_id\":\"d\"},[]]}",
         "Invalid payload: some events are null"},
        {"{\"batch\":{\"event\":\"a\"}}", "Invalid payload: \"batch\" must be an array of events!"},
        {"{\"batch\":7}", "Invalid payload: \"batch\" must be an array of events!"},
        {"{\"batch\":[]}", "Invalid payload: All events must have the event name field \"event\"!"},
        {"{\"distinct_id\":\"d\"}",
         "Invalid payload: All events must have the event name field \"event\"!"},
        {"[{\"event\":\"a\",\"distinct_id\":\"d\"},{\"x\":1}]",
         "Invalid payload: All events must have the event name field \"event\"!"},
        {"{\"event\":\"a\",\"distinct_id\":\"d\",\"properties\":[1]}",
         "Invalid payload: Properties must be a JSON object!"},
        {"{\"event\":\"a\",\"distinct_id\":\"d\",\"properties\":\"x\"}",
         "Invalid payload: Properties must be a JSON object!"},
        {"{\"event\":\"a\",\"distinct_id\":\"d\",\"properties\":0}",
         "Invalid payload: Properties must be a JSON object!"},
        {"{\"event\":\"$snapshot\",\"distinct_id\":\"d\"}",
         "Invalid payload: $snapshot events must contain property \"$snapshot_data\"!"},
        {"{\"event\":\"$snapshot\",\"distinct_id\":\"d\",\"properties\":{\"$snapshot_data\":{}}}",
         "Invalid payload: $snapshot events must contain property \"$session_id\"!"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct posted p = post(table[i][0]);

        assert_int_equal(p.reply, CAPTURE_INVALID_PAYLOAD);
        assert_string_equal(p.err.text, table[i][1]);
        assert_null(p.events.group);
        assert_int_equal(p.events.accepted, 0);
        assert_int_equal(p.events.received, 0);
        posted_free(&p);
    }
}

static void leaves_out_single_events(void **state)
{
    static const struct {
        const char *member;
        enum capture_drop why;
    } table[] = {
        {"{\"event\":\"a\"}", CAPTURE_DROP_NO_ID},
        {"{\"event\":\"a\",\"distinct_id\":null}", CAPTURE_DROP_NO_ID},
        {"{\"event\":\"a\",\"distinct_id\":\"\",\"properties\":{\"distinct_id\":NaN}}",
         CAPTURE_DROP_NO_ID},
        {"{\"event\":\"\",\"distinct_id\":\"d\"}", CAPTURE_DROP_NO_NAME},
        {"{\"event\":null,\"distinct_id\":\"d\"}", CAPTURE_DROP_NO_NAME},
        {"{\"event\":1,\"distinct_id\":\"d\"}", CAPTURE_DROP_NO_NAME},
        {"{\"event\":{},\"distinct_id\":\"d\"}", CAPTURE_DROP_NO_NAME},
        {"{\"event\":\"a\",\"distinct_id\":\"dropme\"}", CAPTURE_DROP_LISTED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf text = BUF_INIT(4096);
        struct posted p;

        buf_addf(&text, "[%s,{\"event\":\"kept\",\"distinct_id\":\"d\"}]", table[i].member);
        p = post_as(buf_cstr(&text), &aid_teams[2]);
        assert_int_equal(p.reply, CAPTURE_OK);
        assert_int_equal(p.events.received, 2);
        assert_int_equal(p.events.accepted, 1);
        for (int why = 0; why < CAPTURE_DROP_COUNT; why++)
            assert_int_equal(p.events.dropped[why], why == (int)table[i].why);
        posted_free(&p);
        p = post_as(table[i].member, &aid_teams[2]);
        assert_int_equal(p.reply, CAPTURE_OK);
        assert_null(p.events.group); /* nothing left: the feed is not touched */
        posted_free(&p);
        buf_free(&text);
    }
}

static void honours_quotas(void **state)
{
    struct posted p = post_as(
        "[{\"event\":\"a\",\"distinct_id\":\"d\"},{\"event\":\"$snapshot\",\"distinct_id\":\"d\"}]",
        &aid_teams[3]);

    (void)state;
    assert_int_equal(p.reply, CAPTURE_OK);
    assert_null(p.events.group);
    assert_int_equal(p.events.dropped[CAPTURE_DROP_EVENT_QUOTA], 1);
    assert_int_equal(p.events.dropped[CAPTURE_DROP_RECORDING_QUOTA], 1);
    posted_free(&p);
}

/* --- distinct id --- */

static void finds_the_distinct_id(void **state)
{
    static const char *const table[][2] = {
        {"{\"event\":\"x\",\"$distinct_id\":\"A\",\"distinct_id\":\"C\",\"properties\":{\"distinct_"
         "id\":\"B\"}}",
         "A"},
        {"{\"event\":\"x\",\"distinct_id\":\"C\",\"properties\":{\"distinct_id\":\"B\"}}", "B"},
        {"{\"event\":\"x\",\"$distinct_id\":null,\"distinct_id\":\"C\",\"properties\":{\"distinct_"
         "id\":\"\"}}",
         "C"},
        {"{\"event\":\"x\",\"distinct_id\":2}", "2"},
        {"{\"event\":\"x\",\"distinct_id\":0}", "0"},
        {"{\"event\":\"x\",\"distinct_id\":23.4}", "23.4"},
        {"{\"event\":\"x\",\"distinct_id\":1.0}", "1.0"},
        {"{\"event\":\"x\",\"distinct_id\":12345678901234567890123}", "12345678901234567890123"},
        {"{\"event\":\"x\",\"distinct_id\":true}", "true"},
        {"{\"event\":\"x\",\"distinct_id\":false}", "false"},
        {"{\"event\":\"x\",\"distinct_id\":[1, \"a\"]}", "[1,\"a\"]"},
        {"{\"event\":\"x\",\"distinct_id\":{\"a\": 1}}", "{\"a\":1}"},
        {"{\"event\":\"x\",\"distinct_id\":\"a\\u0000b\"}", "a\xef\xbf\xbd"
                                                            "b"},
        {"{\"event\":\"x\",\"distinct_id\":[\"a\\u0000b\"]}", "[\"a\\u0000b\"]"},
        {"{\"event\":\"x\",\"distinct_id\":\"a\",\"distinct_id\":\"b\"}", "b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct posted p = post(table[i][0]);

        assert_int_equal(p.reply, CAPTURE_OK);
        assert_slice(envelope_at(&p, 0).distinct_id, table[i][1]);
        posted_free(&p);
    }
}

static void cuts_the_distinct_id(void **state)
{
    static const struct {
        const char *unit, *kept;
    } table[] = {
        {"a", "a"},
        {"\xc3\xa4", "\xc3\xa4"},
        {"\xf0\x9f\xa4\x93", "\xf0\x9f\xa4\x93"},
        {"\\u0000", "\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf text = BUF_INIT(8192), kept = BUF_INIT(8192);
        struct posted p;

        buf_add_str(&text, "{\"event\":\"x\",\"distinct_id\":\"");
        for (int k = 0; k < 250; k++) {
            buf_add_str(&text, table[i].unit);
            if (k < 200)
                buf_add_str(&kept, table[i].kept);
        }
        buf_add_str(&text, "\"}");
        p = post(buf_cstr(&text));
        assert_int_equal(p.reply, CAPTURE_OK);
        assert_slice(envelope_at(&p, 0).distinct_id, buf_cstr(&kept));
        posted_free(&p);
        buf_free(&text);
        buf_free(&kept);
    }
}

static void bounds_a_structured_distinct_id(void **state)
{
    struct buf text = BUF_INIT(1 << 16);
    struct posted p;

    (void)state;
    buf_add_str(&text, "[{\"event\":\"x\",\"distinct_id\":[0");
    for (int i = 0; i < 3000; i++)
        buf_add_str(&text, ",0");
    buf_add_str(&text, "]},{\"event\":\"x\",\"distinct_id\":\"d\"}]");
    p = post(buf_cstr(&text));
    assert_int_equal(p.reply, CAPTURE_OK);
    assert_int_equal(p.events.accepted, 1); /* the first one is over the limit of an event anyway */
    posted_free(&p);
    buf_free(&text);
}

/* --- uuid --- */

static struct uuid uuid_of(const char *text, bool *is_checked)
{
    struct posted p = post(text);
    struct event_envelope e;

    assert_int_equal(p.reply, CAPTURE_OK);
    e = envelope_at(&p, 0);
    *is_checked = e.flags & EVENT_UUID_CHECKED;
    posted_free(&p);
    return e.uuid;
}

static void takes_given_uuids(void **state)
{
    static const char *const table[] = {
        "018A981F-4B35-7C66-825E-8B0EEAE65714",
        "018a981f4b357c66825e8b0eeae65714",
        "{018a981f-4b35-7c66-825e-8b0eeae65714}",
        "urn:uuid:018a981f-4b35-7c66-825e-8b0eeae65714",
    };
    struct uuid expected;

    (void)state;
    assert_true(uuid_parse(SLICE("018a981f-4b35-7c66-825e-8b0eeae65714"), &expected));
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf text = BUF_INIT(1024);
        struct uuid got;
        bool is_checked;

        buf_addf(&text, "{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":\"%s\"}", table[i]);
        got = uuid_of(buf_cstr(&text), &is_checked);
        assert_true(uuid_eq(&got, &expected));
        assert_true(is_checked);
        buf_free(&text);
    }
}

static void makes_uuids(void **state)
{
    static const char *const table[] = {
        "{\"event\":\"x\",\"distinct_id\":\"d\"}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":\"not-a-uuid\"}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":7}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":\"00000000-0000-0000-0000-000000000000\"}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":\"\"}}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":null}}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":[1]}}",
    };
    struct uuid last = {{0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        bool is_checked;
        struct uuid got = uuid_of(table[i], &is_checked);

        assert_false(is_checked);
        assert_int_equal(got.b[6] >> 4, 7);
        assert_true(memcmp(got.b, last.b, 16) > 0); /* ordered */
        last = got;
    }
}

static void derives_uuids(void **state)
{
    static const char same[][120] = {
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":\"17\"}}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":17,\"more\":true}}",
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":\"bad\",\"properties\":{\"$insert_id\":"
        "\"17\"}}",
    };
    static const char different[][120] = {
        "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":\"18\"}}",
        "{\"event\":\"y\",\"distinct_id\":\"d\",\"properties\":{\"$insert_id\":\"17\"}}",
        "{\"event\":\"x\",\"distinct_id\":\"e\",\"properties\":{\"$insert_id\":\"17\"}}",
        "{\"event\":\"xd\",\"distinct_id\":\"1\",\"properties\":{\"$insert_id\":\"7\"}}",
    };
    bool is_checked;
    struct uuid first = uuid_of(same[0], &is_checked);
    char text[UUID_TEXT_LEN + 1];

    (void)state;
    uuid_format(&first, text);
    /* Written down: a change would store the retries of old SDKs twice. */
    assert_string_equal(text, "873767e7-816f-52f6-88fc-8b8868571984");
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct uuid got = uuid_of(same[i], &is_checked);

        assert_true(is_checked);
        assert_true(uuid_eq(&got, &first));
    }
    for (size_t i = 0; i < ARRAY_LEN(different); i++) {
        struct uuid got = uuid_of(different[i], &is_checked);

        assert_true(is_checked);
        assert_false(uuid_eq(&got, &first));
    }
}

/* --- the record --- */

static void keeps_the_event_as_sent(void **state)
{
    static const char *const table[][2] = {
        {"{\"event\":\"x\",\"distinct_id\":\"d\"}",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{}}"},
        {"{\"event\":\"x\",\"properties\":null,\"distinct_id\":\"d\"}",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{}}"},
        {"{\"event\":\"x\",\"properties\":[],\"distinct_id\":\"d\"}",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{}}"},
        {"{ \"event\" : \"x\", \"distinct_id\":\"d\", \"properties\": {}, \"$set\": {\"a\": [1, "
         "2]} }",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{},\"$set\":{\"a\":[1,2]}}"},
        {"{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"n\":[9007199254740993,1.0,1e3,-"
         "0,NaN,Infinity]}}",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"n\":[9007199254740993,1.0,1e3,-"
         "0,null,null]}}"},
        {"{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"s\":\"\\u00e4\\/"
         "\\ud83e\\udd13\\u0000\"}}",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"s\":\"\xc3\xa4/"
         "\xf0\x9f\xa4\x93\\u0000\"}}"},
        {"{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":\"BAD\",\"api_key\":\"k\",\"properties\":"
         "{\"a\":1,\"a\":2}}",
         "{\"event\":\"x\",\"distinct_id\":\"d\",\"uuid\":\"BAD\",\"api_key\":\"k\",\"properties\":"
         "{\"a\":2}}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct posted p = post(table[i][0]);

        assert_int_equal(p.reply, CAPTURE_OK);
        assert_slice(envelope_at(&p, 0).data, table[i][1]);
        posted_free(&p);
    }
}

static void fills_the_envelope(void **state)
{
    static const char text[] =
        "{\"historical_migration\":true,\"batch\":[{\"event\":\"x\",\"distinct_id\":\"d\"},"
        "{\"event\":\"y\",\"distinct_id\":\"e\"}]}";
    struct posted p = {.doc = aid_json(text), .err = ERR_INIT};
    struct capture_events_input in = input_of(&p.doc, text, &aid_teams[0]);
    struct record_head head;
    struct event_envelope e;

    (void)state;
    in.has_sent_at = true;
    in.sent_at_us = 77;
    in.traceparent = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_int_equal(capture_events_read(&in, &p.events, &p.err), CAPTURE_OK);
    e = record_at(&p, 1, &head);
    assert_int_equal(e.team_id, 2);
    assert_slice(e.distinct_id, "e");
    assert_slice(e.ip, "1.2.3.4");
    assert_slice(e.site_url, "http://localhost:8000");
    assert_slice(e.token, "phc_test_token_0001");
    assert_slice(e.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_int_equal(e.now_us, AID_NOW_US);
    assert_true(e.has_sent_at);
    assert_int_equal(e.sent_at_us, 77);
    assert_int_equal(e.flags, EVENT_HISTORICAL);
    assert_slice(e.data, "{\"event\":\"y\",\"distinct_id\":\"e\",\"properties\":{}}");
    assert_int_equal(head.type, RECORD_TYPE_EVENT);
    assert_true(head.key_hash == hash_event_key(2, SLICE("e")));
    assert_int_equal(head.time_us, AID_NOW_US);
    assert_slice(envelope_at(&p, 0).distinct_id, "d"); /* request order */
    posted_free(&p);
}

static void hides_the_ip(void **state)
{
    struct posted p = post_as("{\"event\":\"x\",\"distinct_id\":\"d\"}", &aid_teams[1]);

    (void)state;
    assert_int_equal(envelope_at(&p, 0).ip.len, 0);
    assert_int_equal(envelope_at(&p, 0).team_id, 3);
    posted_free(&p);
}

/* --- sizes --- */

/* An event whose stored text has exactly `bytes`. */
static void event_of(struct buf *out, size_t bytes)
{
    static const char head[] = "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"p\":\"";

    buf_add_str(out, head);
    for (size_t i = sizeof head - 1; i + 3 < bytes; i++)
        buf_add_char(out, 'p');
    buf_add_str(out, "\"}}");
}

static void bounds_one_event(void **state)
{
    struct buf text = BUF_INIT(1 << 16);
    struct posted p;

    (void)state;
    event_of(&text, 4096);
    p = post(buf_cstr(&text));
    assert_int_equal(p.reply, CAPTURE_OK);
    assert_int_equal(envelope_at(&p, 0).data.len, 4096);
    posted_free(&p);
    buf_clear(&text);
    event_of(&text, 4097);
    p = post(buf_cstr(&text));
    assert_int_equal(p.reply, CAPTURE_TOO_LARGE);
    assert_null(p.events.group);
    posted_free(&p);
    buf_clear(&text);
    buf_add_str(&text, "[{\"event\":\"a\",\"distinct_id\":\"d\"},");
    event_of(&text, 4097);
    buf_add_str(&text, ",{\"event\":\"b\",\"distinct_id\":\"d\"}]");
    p = post(buf_cstr(&text));
    assert_int_equal(p.reply, CAPTURE_OK);
    assert_int_equal(p.events.accepted, 2);
    assert_int_equal(p.events.dropped[CAPTURE_DROP_TOO_BIG], 1);
    assert_slice(envelope_at(&p, 1).data,
                 "{\"event\":\"b\",\"distinct_id\":\"d\",\"properties\":{}}");
    posted_free(&p);
    buf_free(&text);
}

static void text_may_grow(void **state)
{
    struct buf text = BUF_INIT(1 << 16);
    struct posted p;

    (void)state;
    /* NaN -> null: a byte more for each, far more than the slack */
    buf_add_str(&text, "{\"event\":\"x\",\"distinct_id\":\"d\",\"properties\":{\"p\":[NaN");
    for (int i = 0; i < 500; i++)
        buf_add_str(&text, ",NaN");
    buf_add_str(&text, "]}}");
    p = post(buf_cstr(&text));
    assert_int_equal(p.reply, CAPTURE_OK);
    assert_int_equal(envelope_at(&p, 0).data.len, text.len + 501);
    posted_free(&p);
    buf_free(&text);
}

static void takes_many_events(void **state)
{
    struct buf text = BUF_INIT(1 << 21);
    struct posted p;
    struct record_head head;

    (void)state;
    buf_add_char(&text, '[');
    for (int i = 0; i < 20000; i++)
        buf_addf(&text, "%s{\"event\":\"x\",\"distinct_id\":%d}", i ? "," : "", i);
    buf_add_char(&text, ']');
    p.doc = (struct json_doc){.doc = NULL};
    p.err = ERR_INIT;
    assert_int_equal(capture_body_parse(buf_slice(&text), 64 << 20, &p.doc, &p.err), CAPTURE_OK);
    {
        struct capture_events_input in = input_of(&p.doc, buf_cstr(&text), &aid_teams[0]);

        assert_int_equal(capture_events_read(&in, &p.events, &p.err), CAPTURE_OK);
    }
    assert_int_equal(feed_group_count(p.events.group), 20000);
    assert_slice(record_at(&p, 19999, &head).distinct_id, "19999");
    posted_free(&p);
    buf_free(&text);
}

/* --- sent_at --- */

/* Millions of least events out of one small request became a group of gigabytes, and were counted
 * only when the feed refused it. */
static void a_group_over_its_limit_ends_the_request(void **state)
{
    static const char text[] =
        "[{\"event\":\"a\",\"distinct_id\":\"b\"},{\"event\":\"a\",\"distinct_"
        "id\":\"b\"},{\"event\":\"a\",\"distinct_id\":\"b\"}]";
    struct posted p = post(text);
    struct capture_events_input in = input_of(&p.doc, text, &aid_teams[0]);
    size_t three = feed_group_bytes(p.events.group);
    struct capture_events events;

    (void)state;
    assert_int_equal(p.events.accepted, 3);
    for (size_t max = 0; max < three; max += 8) {
        struct err err = ERR_INIT;

        in.group_bytes_max = max;
        assert_int_equal(capture_events_read(&in, &events, &err), CAPTURE_TOO_LARGE);
        assert_null(events.group);
        assert_int_equal(events.accepted, 0);
        assert_int_equal(events.received, 0);
        assert_int_equal(err.code, ERR_LIMIT);
    }
    in.group_bytes_max = three;
    assert_int_equal(capture_events_read(&in, &events, &p.err), CAPTURE_OK);
    assert_int_equal(feed_group_bytes(events.group), three);
    feed_group_free(events.group);
    posted_free(&p);
}

/* It ends there: what stands behind is not looked at. */
static void a_full_group_reads_no_further(void **state)
{
    static const char text[] =
        "[{\"event\":\"a\",\"distinct_id\":\"b\"},{\"event\":\"a\",\"distinct_id\":\"b\"},null]";
    struct posted p = post(text);
    struct capture_events_input in = input_of(&p.doc, text, &aid_teams[0]);
    struct capture_events events;

    (void)state;
    assert_int_equal(p.reply, CAPTURE_INVALID_PAYLOAD);
    in.group_bytes_max = 200;
    assert_int_equal(capture_events_read(&in, &events, &p.err), CAPTURE_TOO_LARGE);
    posted_free(&p);
}

static void reads_sent_at(void **state)
{
    static const struct {
        const char *underscore, *query, *body, *form;
        bool is_known, is_bad;
        int64_t us;
    } table[] = {
        {"", "", "{\"a\":1}", "", false, false, 0},
        {"1651320000", "", "{\"a\":1}", "", true, false, AID_NOW_US},
        {"1651320000000", "", "{\"a\":1}", "", true, false, AID_NOW_US},
        {"1694769302325", "", "{\"a\":1}", "", true, false, 1694769302325000},
        {"", "1651320000000", "{\"a\":1}", "", true, false, AID_NOW_US},
        {"1651320000", "7", "{\"sent_at\":8}", "9", true, false, AID_NOW_US},
        {"", "", "{\"sent_at\":\"2022-04-30T12:00:00.250Z\"}", "", true, false,
         AID_NOW_US + 250000},
        {"", "", "{\"sent_at\":\"2022-04-30T14:00:00+02:00\"}", "", true, false, AID_NOW_US},
        {"", "", "{\"sent_at\":1651320000000}", "", true, false, AID_NOW_US},
        {"", "", "{\"sent_at\":null}", "2022-04-30T12:00:00+00:00", true, false, AID_NOW_US},
        {"", "", "[{\"sent_at\":1651320000000}]", "", false, false, 0}, /* only of an object */
        {"abc", "", "{\"sent_at\":1651320000000}", "", false, true,
         0}, /* the first that says anything counts */
        {"", "", "{\"sent_at\":true}", "", false, true, 0},
        {"", "", "{\"sent_at\":{\"a\":1}}", "", false, true, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct capture_source src = {.query.underscore = slice_cstr(table[i].underscore),
                                     .query.sent_at = slice_cstr(table[i].query),
                                     .form.sent_at = slice_cstr(table[i].form)};
        struct json_doc doc = aid_json(table[i].body);
        int64_t us = 0;
        bool is_bad = false;

        if (capture_events_sent_at(&src, doc.root, &us, &is_bad) != table[i].is_known ||
            is_bad != table[i].is_bad)
            fail_msg("row %zu", i);
        if (table[i].is_known && us != table[i].us)
            fail_msg("row %zu: %lld", i, (long long)us);
        json_doc_free(&doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),
        cmocka_unit_test(refuses_the_whole_request),
        cmocka_unit_test(leaves_out_single_events),
        cmocka_unit_test(honours_quotas),
        cmocka_unit_test(finds_the_distinct_id),
        cmocka_unit_test(cuts_the_distinct_id),
        cmocka_unit_test(bounds_a_structured_distinct_id),
        cmocka_unit_test(takes_given_uuids),
        cmocka_unit_test(makes_uuids),
        cmocka_unit_test(derives_uuids),
        cmocka_unit_test(keeps_the_event_as_sent),
        cmocka_unit_test(fills_the_envelope),
        cmocka_unit_test(hides_the_ip),
        cmocka_unit_test(bounds_one_event),
        cmocka_unit_test(text_may_grow),
        cmocka_unit_test(takes_many_events),
        cmocka_unit_test(a_group_over_its_limit_ends_the_request),
        cmocka_unit_test(a_full_group_reads_no_further),
        cmocka_unit_test(reads_sent_at),
    };
    return cmocka_run_group_tests_name("capture_event_in", tests, NULL, NULL);
}
