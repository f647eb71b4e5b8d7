/* Posted JSON to records: team, sent_at, events; what was written is an envelope with JSON in it.
 */
#include "in/capture/capture_priv.h"
#include "ring/ring_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct team_set *teams(void)
{
    static const char *const dropped[] = {"dropme"};
    const struct team team = {
        .id = 2, .name = "t", .api_token = "t", .drop = dropped, .drop_count = 1};
    struct team_set *set = team_set_new();
    struct err err = ERR_INIT;

    CHECK(team_set_add(set, &team, &err));
    team_set_add_personal_key(set, SLICE("k"), 2);
    team_set_seal(set);
    return set;
}

static void check_group(struct feed_group *group)
{
    const char *at = group->block->bytes;

    for (size_t i = 0; i < feed_group_count(group); i++) {
        struct json_doc doc;
        struct record_head head;
        struct event_envelope e;
        struct err err = ERR_INIT;

        memcpy(&head, at, sizeof head);
        CHECK(event_decode(slice_make(at + RECORD_HEAD_BYTES, head.length), &e, &err));
        CHECK(e.distinct_id.len > 0 && e.distinct_id.len <= 800 &&
              !memchr(e.distinct_id.ptr, 0, e.distinct_id.len));
        CHECK(json_doc_read(e.data, &(struct json_read_options){.lenient = false}, &doc, &err));
        CHECK(yyjson_is_obj(json_member(doc.root, SLICE("properties"))));
        CHECK(yyjson_is_str(json_member(doc.root, SLICE("event"))));
        json_doc_free(&doc);
        at += record_bytes(head.length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct team_set *set = teams();
    struct capture_source src = {.is_get = false};
    struct json_doc doc = {.doc = NULL};
    struct capture_events events = {.group = NULL};
    struct err err = ERR_INIT;
    struct slice json = slice_make(data, size);

    if (capture_body_parse(json, 4 << 20, &doc, &err) == CAPTURE_OK) {
        struct capture_token_input who = {.src = &src, .root = doc.root, .teams = set};
        struct capture_events_input in = {.root = doc.root,
                                          .text_bytes = size,
                                          .event_bytes_max = 512,
                                          .group_bytes_max = 4096,
                                          .now_us = 1651320000000000};
        bool is_bad;

        in.has_sent_at = capture_events_sent_at(&src, doc.root, &in.sent_at_us, &is_bad);
        if (capture_token_team(&who, &in.team) == CAPTURE_OK &&
            capture_events_read(&in, &events, &err) == CAPTURE_OK && events.group)
            check_group(events.group);
    }
    feed_group_free(events.group);
    json_doc_free(&doc);
    team_set_unref(set);
    return 0;
}
