/* Event JSON, strict, lenient and with raw numbers: what was written once reads back and is written
 * the same again. */
#include "base/utf8.h"
#include "model/json_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct slice text, const struct json_read_options *opt)
{
    struct buf first = BUF_INIT(16 << 20);
    struct buf second = BUF_INIT(16 << 20);
    struct json_doc doc, again;
    struct err err = ERR_INIT;

    if (!json_doc_read(text, opt, &doc, &err))
        return;
    CHECK(json_value_write_clean(doc.root, &first));
    CHECK(utf8_is_valid(buf_slice(&first)));
    CHECK(json_doc_read(buf_slice(&first),
                        &(struct json_read_options){.raw_numbers = opt->raw_numbers}, &again,
                        &err));
    CHECK(json_value_write_clean(again.root, &second));
    CHECK(slice_eq(buf_slice(&first), buf_slice(&second)));
    CHECK(json_equal(again.root, again.root));
    buf_clear(&second);
    CHECK(json_string_form(doc.root, &second));
    json_doc_free(&doc);
    json_doc_free(&again);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);

    round_trip(text, &(struct json_read_options){.lenient = false});
    round_trip(text, &(struct json_read_options){.lenient = true});
    round_trip(text, &(struct json_read_options){.lenient = true, .raw_numbers = true});
    return 0;
}
