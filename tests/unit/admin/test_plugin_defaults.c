#include "admin/plugin_defaults.h"
#include "admin_aid.h"

#define MANIFEST \
    "\"plugin.json\":\"{\\\"config\\\":[{\\\"key\\\":\\\"k\\\",\\\"default\\\":\\\"v\\\"}]}\""

static void expect_filled(const struct plugin_defaults *d, const char *config, const char *wanted)
{
    char *filled = plugin_defaults_fill(d, config);

    if (wanted)
        assert_string_equal(filled, wanted);
    else
        assert_null(filled);
    mem_free(filled);
}

static void fills_what_is_absent(void **state)
{
    struct plugin_defaults *d = plugin_defaults_new();

    UNUSED(state);
    plugin_defaults_read(d, "{\"name\":\"p\",\"source\":\"inline\",\"files\":{" MANIFEST "}}");
    plugin_defaults_read(d, "{\"name\":\"bare\",\"source\":\"inline\",\"files\":{}}");
    plugin_defaults_read(d, "{\"name\":\"gone\",\"source\":\"dir:/nonexistent\"}");
    plugin_defaults_read(d, "{\"name\":\"bad\",\"source\":\"inline\",\"files\":{\"plugin.json\":"
                            "\"{\"}}");
    plugin_defaults_read(d, "no json");
    expect_filled(d, "{\"plugin\":\"p\",\"team\":1}",
                  "{\"plugin\":\"p\",\"team\":1,\"config\":{\"k\":\"v\"}}");
    expect_filled(d, "{\"plugin\":\"p\",\"config\":{\"a\":1}}",
                  "{\"plugin\":\"p\",\"config\":{\"a\":1,\"k\":\"v\"}}");
    expect_filled(d, "{\"plugin\":\"p\",\"config\":{\"k\":null}}", NULL);
    expect_filled(d, "{\"plugin\":\"bare\"}", NULL);
    expect_filled(d, "{\"plugin\":\"gone\"}", NULL);
    expect_filled(d, "{\"plugin\":\"bad\"}", NULL);
    expect_filled(d, "{\"plugin\":\"other\"}", NULL);
    expect_filled(d, "no json", NULL);
    plugin_defaults_free(d);
    plugin_defaults_free(NULL);
}

static const char *find(void *ctx, const char *name)
{
    ++*(int *)ctx;
    return strcmp(name, "stored") == 0
               ? "{\"name\":\"stored\",\"source\":\"inline\",\"files\":{" MANIFEST "}}"
               : NULL;
}

/* A plugin of the file comes before a stored one, and each is read once. */
static void of_a_provision_file(void **state)
{
    static const char text[] =
        "{\"plugins\":[{\"name\":\"p\",\"source\":\"inline\",\"files\":{" MANIFEST "}}],"
        "\"plugin_configs\":[{\"plugin\":\"p\",\"team\":1},{\"plugin\":\"p\",\"team\":2},"
        "{\"plugin\":\"stored\",\"team\":1},{\"plugin\":\"stored\",\"team\":2},"
        "{\"plugin\":\"nowhere\",\"team\":1}]}";
    struct json_faults faults = JSON_FAULTS_INIT;
    struct provision *p = provision_parse(slice_cstr(text), NULL, &faults);
    int asked = 0;

    UNUSED(state);
    assert_non_null(p);
    struct plugin_defaults *d = plugin_defaults_of(p, find, &asked);
    assert_int_equal(asked, 2);
    expect_filled(d, "{\"plugin\":\"p\"}", "{\"plugin\":\"p\",\"config\":{\"k\":\"v\"}}");
    expect_filled(d, "{\"plugin\":\"stored\"}", "{\"plugin\":\"stored\",\"config\":{\"k\":\"v\"}}");
    expect_filled(d, "{\"plugin\":\"nowhere\"}", NULL);
    plugin_defaults_free(d);
    provision_free(p);
    json_faults_free(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fills_what_is_absent),
                                       cmocka_unit_test(of_a_provision_file)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
