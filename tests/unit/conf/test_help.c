#include "conf_aid.h"

static size_t lines(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void help_has_a_line_for_each(void **state)
{
    struct buf out = BUF_INIT(1 << 20);

    UNUSED(state);
    assert_true(conf_help(&out));
    assert_int_equal(lines(buf_cstr(&out)), CONF_KEY_COUNT);
    assert_non_null(strstr(buf_cstr(&out),
                           "       - CAPTURE_PORT - port of the capture listener; 0: a free one "
                           "(default 8000; native)\n"));
    assert_non_null(strstr(buf_cstr(&out),
                           " - PISCINA_USE_ATOMICS - there is no such thread pool (default "
                           "true; no effect)\n"));
    assert_non_null(strstr(buf_cstr(&out), "(default empty; external store; not built yet)\n"));
    buf_free(&out);
}

static void the_reference_page_has_sections_and_rows(void **state)
{
    struct buf out = BUF_INIT(1 << 20);

    UNUSED(state);
    assert_true(conf_docs_markdown(&out));
    const char *text = buf_cstr(&out);
    assert_memory_equal(text, "# Settings\n", 11);
    assert_non_null(strstr(text, "\n## Listeners\n"));
    assert_non_null(
        strstr(text, "\n| `CAPTURE_PORT` | whole number | `8000` | `0..65535` | native | port of"));
    assert_non_null(strstr(
        text, "\n| `QUEUE_SYNC` | text | `always` | `always\\|interval\\|never` | native |"));
    assert_non_null(strstr(text, "\n| `ADMIN_TOKEN` | text |  |  | native | password"));
    for (size_t i = 0; i < CONF_KEY_COUNT; i++)
        assert_non_null(strstr(text, conf_table[i].name));
    buf_free(&out);
}

static void what_is_printed_loads_again(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "conf");
    struct buf out = BUF_INIT(1 << 20);
    struct conf *c = LOAD(.environ = ENV("SITE_URL= a#b ", "QUEUE_MAX_BYTES=1GiB",
                                         "DEDUPE_HOURS=.5", "AUTO_MIGRATE=off", "ADMIN_TOKEN=x"));

    UNUSED(state);
    assert_true(conf_print(c, &out));
    assert_int_equal(lines(buf_cstr(&out)), CONF_KEY_COUNT);
    assert_non_null(strstr(buf_cstr(&out), "\nSITE_URL=\" a#b \" # environment\n"));
    assert_non_null(strstr(buf_cstr(&out), "\nCAPTURE_PORT=8000 # default\n"));
    assert_non_null(strstr(buf_cstr(&out), "\nQUEUE_MAX_BYTES=1073741824 # environment\n"));
    assert_non_null(strstr(buf_cstr(&out), "\nADMIN_TOKEN=*** # environment\n"));
    conf_free(c);

    temp_dir_write(dir, "conf", buf_cstr(&out));
    c = LOAD(.file = path);
    assert_string_equal(conf_str(c, CONF_SITE_URL), " a#b ");
    assert_int_equal(conf_int(c, CONF_QUEUE_MAX_BYTES), 1 << 30);
    assert_true(conf_num(c, CONF_DEDUPE_HOURS) > 0.4999 && conf_num(c, CONF_DEDUPE_HOURS) < 0.5001);
    assert_false(conf_bool(c, CONF_AUTO_MIGRATE));
    conf_free(c);
    buf_free(&out);
    mem_free(path);
    temp_dir_free(dir);
}

static void as_json_with_secrets_masked(void **state)
{
    struct buf out = BUF_INIT(1 << 20);
    struct conf *c = LOAD(.environ = ENV("SITE_URL=\"x\"", "ADMIN_TOKEN=hidden"));

    UNUSED(state);
    assert_true(conf_print_json(c, &out));
    assert_true(slice_starts(buf_slice(&out),
                             SLICE("{\"settings\":[{\"name\":\"DATA_DIR\",\"group\":"
                                   "\"Process and data\",\"value\":\"./data\",\"default\":"
                                   "\"./data\",\"origin\":\"default\",\"effect\":\"native\","
                                   "\"is_secret\":false,\"is_built\":true,\"help\":\"")));
    assert_non_null(strstr(buf_cstr(&out),
                           "{\"name\":\"ADMIN_TOKEN\",\"group\":\"Process and data\","
                           "\"value\":\"***\",\"default\":\"\",\"origin\":"
                           "\"environment\","));
    assert_null(strstr(buf_cstr(&out), "hidden"));
    assert_non_null(strstr(buf_cstr(&out), "\"value\":\"\\\"x\\\"\""));
    assert_true(slice_ends(buf_slice(&out), SLICE("\"}]}")));
    buf_free(&out);
    conf_free(c);
}

static void a_full_buffer_is_told(void **state)
{
    struct buf out = BUF_INIT(100);
    struct conf *c = LOAD(.environ = NULL);

    UNUSED(state);
    assert_false(conf_help(&out));
    buf_clear(&out);
    assert_false(conf_docs_markdown(&out));
    buf_clear(&out);
    assert_false(conf_print(c, &out));
    for (out.max = 0; out.max < 60; out.max++) {
        buf_clear(&out);
        assert_false(conf_print_json(c, &out));
    }
    buf_free(&out);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_has_a_line_for_each),
        cmocka_unit_test(the_reference_page_has_sections_and_rows),
        cmocka_unit_test(what_is_printed_loads_again),
        cmocka_unit_test(as_json_with_secrets_masked),
        cmocka_unit_test(a_full_buffer_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
