#include "admin/plugin_change.h"
#include "admin_aid.h"

static bool in_tx(struct aid *aid, bool ok)
{
    if (ok)
        must(aid->store.ops->commit(aid->store.self, NULL, NULL, 0, &aid->err));
    else
        aid->store.ops->rollback(aid->store.self);
    return ok;
}

static void begin(struct aid *aid)
{
    aid->err = ERR_INIT;
    must(aid->store.ops->begin(aid->store.self, &aid->err));
}

static bool add_line(const struct store_object *o, void *ctx)
{
    buf_addf(ctx, "%lld %s %s %s\n", (long long)o->id, o->kind, o->key, o->json);
    return true;
}

static void expect_objects(struct aid *aid, const char *wanted)
{
    struct buf out = BUF_INIT(1 << 16);

    must(aid->store.ops->objects_each(aid->store.self, add_line, &out, &aid->err));
    assert_string_equal(buf_cstr(&out), wanted);
    buf_free(&out);
}

static void apply(struct aid *aid, const char *text)
{
    struct provision_outcome o;

    must(aid_apply(aid, text, false, &o));
}

/* --- enable --- */

static void enable_and_disable(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    apply(aid, "{\"plugin_configs\":[{\"plugin\":\"p\",\"team\":1,\"config\":{\"b\":1,\"a\":2}}]}");
    begin(aid);
    must(in_tx(aid, plugin_change_enable(&aid->store, 1, true, &aid->err)));
    expect_objects(aid, "1 plugin_configs 1/p "
                        "{\"plugin\":\"p\",\"team\":1,\"config\":{\"b\":1,\"a\":2}}\n");
    begin(aid);
    must(in_tx(aid, plugin_change_enable(&aid->store, 1, false, &aid->err)));
    expect_objects(aid, "1 plugin_configs 1/p {\"plugin\":\"p\",\"team\":1,\"config\":{\"b\":1,"
                        "\"a\":2},\"enabled\":false}\n");
    begin(aid);
    must(in_tx(aid, plugin_change_enable(&aid->store, 1, true, &aid->err)));
    expect_objects(aid, "1 plugin_configs 1/p {\"plugin\":\"p\",\"team\":1,\"config\":{\"b\":1,"
                        "\"a\":2},\"enabled\":true}\n");
    begin(aid);
    assert_false(in_tx(aid, plugin_change_enable(&aid->store, 2, true, &aid->err)));
    assert_int_equal(aid->err.code, ERR_GONE);
    aid_close(aid);
}

/* --- GeoIP --- */

#define GEOIP_CONFIG \
    "{\"plugin\":\"GeoIP\",\"team\":1,\"order\":0,\"enabled\":true,\"config\":{}}\n"

static void geoip_for_a_team(void **state)
{
    static const struct {
        const char *before, *after;
    } table[] = {
        {"{}", "1 plugin_configs 1/GeoIP " GEOIP_CONFIG
               "1 plugins GeoIP {\"name\":\"GeoIP\",\"source\":\"builtin:geoip\"}\n"},
        {"{\"plugins\":[{\"name\":\"Places\",\"source\":\"builtin:geoip\"}]}",
         "1 plugin_configs 1/Places "
         "{\"plugin\":\"Places\",\"team\":1,\"order\":0,\"enabled\":true,\"config\":{}}\n"
         "1 plugins Places {\"name\":\"Places\",\"source\":\"builtin:geoip\"}\n"},
        /* Another plugin has that name. */
        {"{\"plugins\":[{\"name\":\"GeoIP\",\"source\":\"dir:/x\"}]}",
         "1 plugins GeoIP {\"name\":\"GeoIP\",\"source\":\"dir:/x\"}\n"},
        /* It is off, and stays so. */
        {"{\"plugins\":[{\"name\":\"GeoIP\",\"source\":\"builtin:geoip\"}],\"plugin_configs\":["
         "{\"plugin\":\"GeoIP\",\"team\":1,\"enabled\":false}]}",
         "1 plugin_configs 1/GeoIP {\"plugin\":\"GeoIP\",\"team\":1,\"enabled\":false}\n"
         "1 plugins GeoIP {\"name\":\"GeoIP\",\"source\":\"builtin:geoip\"}\n"},
        /* Somebody else's. */
        {"{\"plugins\":[{\"name\":\"GeoIP\",\"source\":\"builtin:geoip\"}],\"plugin_configs\":["
         "{\"plugin\":\"GeoIP\",\"team\":2}]}",
         "2 plugin_configs 1/GeoIP " GEOIP_CONFIG
         "1 plugin_configs 2/GeoIP {\"plugin\":\"GeoIP\",\"team\":2}\n"
         "1 plugins GeoIP {\"name\":\"GeoIP\",\"source\":\"builtin:geoip\"}\n"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct aid a, *aid = &a;

        aid_open(aid);
        apply(aid, table[i].before);
        for (int twice = 0; twice < 2; twice++) {
            begin(aid);
            must(in_tx(aid, plugin_change_geoip(&aid->store, 1, &aid->err)));
            expect_objects(aid, table[i].after);
        }
        aid_close(aid);
    }
}

/* --- put --- */

#define TWO_TEAMS "{\"teams\":[{\"id\":1,\"name\":\"a\"},{\"id\":2,\"name\":\"b\"}]}"
#define PLUGIN    "{\"name\":\"p\",\"source\":\"dir:/x\"}"

static bool put(struct aid *aid, const char *plugin, int64_t team_id, const char *config,
                const struct plugin_defaults *defaults)
{
    struct provision_object object = {.kind = PLUGIN_KIND, .key = "p", .json = plugin};
    struct err err = ERR_INIT;
    struct plugin_put p = {.plugin = &object,
                           .team_id = team_id,
                           .config = json_parse(slice_cstr(config), &err),
                           .defaults = defaults};

    assert_non_null(p.config);
    begin(aid);
    bool ok = in_tx(aid, plugin_change_put(&aid->store, &p, &aid->err));
    json_free(p.config);
    return ok;
}

static void put_for_a_team(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    apply(aid, TWO_TEAMS);
    apply(aid, "{\"plugin_configs\":[{\"plugin\":\"o\",\"team\":1,\"order\":6},"
               "{\"plugin\":\"o\",\"team\":2}]}");
    must(put(aid, PLUGIN, 1, "{}", NULL)); /* behind the others of the team */
    must(put(aid, PLUGIN, 2, "{\"order\":-3,\"enabled\":false,\"config\":{\"k\":1}}", NULL));
    must(put(aid, PLUGIN, 1, "{\"config\":{\"k\":2}}", NULL));               /* the rest stays */
    must(put(aid, "{\"name\":\"p\",\"source\":\"dir:/y\"}", 0, "{}", NULL)); /* the plugin alone */
    expect_objects(aid,
                   "1 plugin_configs 1/o {\"plugin\":\"o\",\"team\":1,\"order\":6}\n"
                   "3 plugin_configs 1/p {\"plugin\":\"p\",\"team\":1,\"order\":7,\"enabled\":true,"
                   "\"config\":{\"k\":2}}\n"
                   "2 plugin_configs 2/o {\"plugin\":\"o\",\"team\":2}\n"
                   "4 plugin_configs 2/p {\"plugin\":\"p\",\"team\":2,\"order\":-3,\"enabled\":"
                   "false,\"config\":{\"k\":1}}\n"
                   "1 plugins p {\"name\":\"p\",\"source\":\"dir:/y\"}\n");
    assert_false(put(aid, PLUGIN, 0, "{\"enabled\":true}", NULL)); /* of which team? */
    assert_non_null(strstr(aid->err.text, "/team: there are 2 teams"));
    assert_false(put(aid, PLUGIN, 3, "{}", NULL));
    assert_non_null(strstr(aid->err.text, "/team: there is no team 3"));
    aid_close(aid);
}

static void put_for_the_only_team(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    assert_false(put(aid, PLUGIN, 0, "{}", NULL));
    apply(aid, "{\"teams\":[{\"id\":5,\"name\":\"a\"}]}");
    must(put(aid, PLUGIN, 0, "{}", NULL));
    expect_objects(aid,
                   "1 plugin_configs 5/p {\"plugin\":\"p\",\"team\":5,\"order\":0,\"enabled\":true,"
                   "\"config\":{}}\n"
                   "1 plugins p " PLUGIN "\n");
    aid_close(aid);
}

static void put_with_defaults(void **state)
{
    struct aid a, *aid = &a;
    struct plugin_defaults *d = plugin_defaults_new();

    UNUSED(state);
    plugin_defaults_read(
        d, "{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"index.js\":\"\",\"plugin.json\":"
           "\"{\\\"config\\\":[{\\\"key\\\":\\\"k\\\",\\\"default\\\":\\\"v\\\"}]}\"}}");
    aid_open(aid);
    apply(aid, "{\"teams\":[{\"id\":1,\"name\":\"a\"}]}");
    must(put(aid, PLUGIN, 1, "{\"config\":{\"x\":1}}", d));
    expect_objects(aid,
                   "1 plugin_configs 1/p {\"plugin\":\"p\",\"team\":1,\"order\":0,\"enabled\":true,"
                   "\"config\":{\"x\":1,\"k\":\"v\"}}\n"
                   "1 plugins p " PLUGIN "\n");
    plugin_defaults_free(d);
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enable_and_disable), cmocka_unit_test(geoip_for_a_team),
        cmocka_unit_test(put_for_a_team),     cmocka_unit_test(put_for_the_only_team),
        cmocka_unit_test(put_with_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
