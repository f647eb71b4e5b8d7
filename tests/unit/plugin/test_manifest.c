#include "lib/unit.h"
#include "plugin/manifest.h"

static void what_is_a_manifest(void **state)
{
    static const char *const good[] = {"{}", "\xef\xbb\xbf{\"main\":\"a.js\"}", "{\"main\":7}"};
    static const char *const bad[] = {"", "[]", "1", "{", "{\"a\":1,}", "nonsense"};
    struct err err;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        err = ERR_INIT;
        cJSON *m = manifest_parse(slice_cstr(good[i]), &err);
        assert_non_null(m);
        json_free(m);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err = ERR_INIT;
        assert_null(manifest_parse(slice_cstr(bad[i]), &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
}

static void what_it_says(void **state)
{
    static const struct {
        const char *text, *main, *description;
    } table[] = {
        {"{}", NULL, ""},
        {"{\"main\":\"dist/index.js\",\"description\":\"does it\"}", "dist/index.js", "does it"},
        {"{\"main\":\"\",\"description\":null}", NULL, ""},
        {"{\"main\":{},\"description\":[]}", NULL, ""},
    };
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        cJSON *m = manifest_parse(slice_cstr(table[i].text), &err);
        assert_non_null(m);
        if (table[i].main)
            assert_string_equal(manifest_main(m), table[i].main);
        else
            assert_null(manifest_main(m));
        assert_string_equal(manifest_description(m), table[i].description);
        json_free(m);
    }
}

static void defaults(void **state)
{
    static const struct {
        const char *manifest, *config, *wanted;
    } table[] = {
        {"{}", "{\"a\":1}", "{\"a\":1}"},
        {"{\"config\":[{\"key\":\"a\",\"default\":\"x\"},{\"key\":\"b\",\"default\":\"y\"}]}",
         "{\"a\":\"mine\"}", "{\"a\":\"mine\",\"b\":\"y\"}"},
        {"{\"config\":[{\"key\":\"a\",\"default\":\"x\"}]}", "{\"a\":null}", "{\"a\":null}"},
        {"{\"config\":[{\"markdown\":\"text\",\"default\":\"x\"},{\"key\":\"n\",\"default\":null},"
         "{\"key\":\"f\",\"type\":\"attachment\",\"default\":\"z\"},{\"key\":\"e\"},7,"
         "{\"key\":\"i\",\"default\":3},{\"key\":8,\"default\":1}]}",
         "{}", "{\"i\":3}"},
        {"{\"config\":{\"b\":{\"order\":2,\"default\":\"2\"},\"a\":{\"default\":\"1\"},\"c\":{}}}",
         "{}", "{\"b\":\"2\",\"a\":\"1\"}"},
        {"{\"config\":\"none\"}", "{}", "{}"},
    };
    struct err err = ERR_INIT;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf out = BUF_INIT(1 << 16);
        cJSON *m = manifest_parse(slice_cstr(table[i].manifest), &err);
        cJSON *config = json_parse(slice_cstr(table[i].config), &err);
        assert_non_null(m);
        manifest_add_defaults(m, config);
        json_write(config, &out);
        assert_string_equal(buf_cstr(&out), table[i].wanted);
        json_free(m);
        json_free(config);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_manifest),
        cmocka_unit_test(what_it_says),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
