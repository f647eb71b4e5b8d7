/* A config file and all that is done with its names and values. */
#include "base/mem.h"
#include "conf/conf_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf faults = BUF_INIT(1 << 20), shown = BUF_INIT(1 << 20);
    struct conf *c = mem_new(struct conf);

    conf_take_file(c, slice_make(data, len), "fuzz", &faults);
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        struct conf_setting *s = &c->settings[i];
        if (s->raw && conf_value_parse(&conf_table[i], slice_cstr(s->raw), &s->value))
            conf_mask(conf_table[i].flags, slice_cstr(s->value.text), &shown);
    }
    conf_free(c);
    buf_free(&faults);
    buf_free(&shown);
    return 0;
}
