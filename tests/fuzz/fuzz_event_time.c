/* Times of clients: timestamp (JSON or plain text), offset and sent_at from one input, parted by
 * line ends. */
#include "base/iso8601.h"
#include "model/event_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define YEAR_10000_US 253402300800000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size);
    struct slice part[3] = {SLICE_NONE, SLICE_NONE, SLICE_NONE};
    struct json_doc docs[2] = {{0}, {0}};
    struct event_time_input in = {.now_us = 1651320000123456, .clock_us = 1651320000123456};
    struct err err = ERR_INIT;
    char text[ISO8601_LEN_MAX];
    unsigned warnings = 0;
    int64_t us;

    for (size_t i = 0; i < 3 && slice_split(&rest, '\n', &part[i]); i++) {
        if (i < 2 &&
            !json_doc_read(part[i], &(struct json_read_options){.lenient = true}, &docs[i], &err))
            docs[i] = (struct json_doc){0};
    }
    in.timestamp = docs[0].root;
    in.offset = docs[1].root;
    in.has_sent_at = event_time_parse_sent_at(part[2], &in.sent_at_us);
    us = event_time_resolve(&in, &warnings);
    CHECK(us % 1000 == 0 && us < YEAR_10000_US);
    iso8601_ms(us, text);
    CHECK(iso8601_parse(slice_cstr(text), &in.now_us) && in.now_us == us);
    json_doc_free(&docs[0]);
    json_doc_free(&docs[1]);
    return 0;
}
