#include "keeper_aid.h"

static void no_log(void *self, const struct plugin_log_entry *entry)
{
    UNUSED(self);
    UNUSED(entry);
}

static const struct plugin_services services = {.log = no_log};

struct built {
    struct fake_store *fake;
    struct store store;
    struct plugins *plugins;
    struct keeper_build b;
    struct err err;
    char *dir;
};

static void begin(struct built *t)
{
    *t = (struct built){.fake = fake_store_new(), .err = ERR_INIT, .dir = temp_dir_new()};
    log_setup(LOG_NONE, LOG_CLASSIC, false);
    t->store = fake_store_ops(t->fake);
    t->plugins =
        plugins_new(&(struct plugins_options){.services = &services, .instance_id = "here"});
}

static void put(struct built *t, const char *kind, const char *key, const char *json)
{
    struct store_object o = {.kind = kind, .key = key, .json = json};

    assert_true(t->store.ops->object_put(t->store.self, &o, &t->err));
}

static void build(struct built *t)
{
    struct keeper_objects objects = {.items = NULL};

    assert_true(keeper_objects_read(&t->store, &objects, &t->err));
    keeper_set_build(t->plugins, &objects, &t->b);
    assert_null(objects.items); /* taken over */
}

static void end_build(struct built *t)
{
    plugin_set_unref(t->b.set);
    keeper_catalog_free(t->b.catalog);
    mem_free(t->b.geo_path);
}

static void end(struct built *t)
{
    end_build(t);
    plugins_free(t->plugins);
    fake_store_free(t->fake);
    temp_dir_free(t->dir);
}

static const struct plugin_config *config_of(struct built *t, const char *name)
{
    for (size_t i = 0; i < plugin_set_count(t->b.set); i++) {
        const struct plugin_config *c = plugin_set_at(t->b.set, i);
        if (strcmp(c->plugin_name, name) == 0)
            return c;
    }
    fail_msg("no config of %s", name);
    return NULL;
}

static void objects_become_configs(void **state)
{
    struct built t;
    size_t count;

    UNUSED(state);
    begin(&t);
    put(&t, "plugins", "a",
        "{\"name\":\"a\",\"source\":\"inline\",\"files\":{\"index.js\":\"A\",\"plugin.json\":"
        "\"{\\\"description\\\":\\\"does a\\\"}\"}}");
    put(&t, "plugins", "G", "{\"name\":\"G\",\"source\":\"builtin:geoip\"}");
    put(&t, "hooks", "1", "{}");
    put(&t, "plugin_configs", "2/a",
        "{\"plugin\":\"a\",\"team\":2,\"order\":7,\"config\":{\"k\":[1,\"v\"]}}");
    put(&t, "plugin_configs", "2/G", "{\"plugin\":\"G\",\"team\":2,\"order\":-1,\"enabled\":true}");
    put(&t, "plugin_configs", "3/a", "{\"plugin\":\"a\",\"team\":3,\"enabled\":false}");
    build(&t);
    assert_int_equal(plugin_set_count(t.b.set), 3);
    assert_int_equal(t.b.js_count, 1);
    assert_null(t.b.geo_path);
    const struct plugin_config *const *chain = plugin_set_team(t.b.set, 2, &count);
    assert_int_equal(count, 2);
    assert_string_equal(chain[0]->plugin_name, "G");
    assert_string_equal(chain[0]->builtin, "geoip");
    assert_string_equal(chain[0]->config_json, "{}");
    assert_int_equal(chain[0]->order, -1);
    assert_string_equal(chain[1]->plugin_name, "a");
    assert_null(chain[1]->builtin);
    assert_null(chain[1]->load_error);
    assert_true(slice_eq(chain[1]->source, SLICE("A")));
    assert_string_equal(chain[1]->source_path, "/index.js");
    assert_string_equal(chain[1]->config_json, "{\"k\":[1,\"v\"]}");
    assert_int_equal(chain[1]->id, 4);
    assert_int_equal(chain[1]->plugin_id, 1);
    plugin_set_team(t.b.set, 3, &count);
    assert_int_equal(count, 0);
    assert_int_equal(keeper_catalog_count(t.b.catalog), 2);
    const struct plugin_listed *a = keeper_catalog_find(t.b.catalog, "a");
    assert_string_equal(a->about, "does a");
    assert_string_equal(a->source, "inline");
    assert_false(a->is_builtin);
    const struct plugin_listed *g = keeper_catalog_find(t.b.catalog, "G");
    assert_true(g->is_builtin && *g->about);
    assert_null(keeper_catalog_find(t.b.catalog, "b"));
    end(&t);
}

/* Each is told and stays in the set; the others are as they would be. */
static void what_is_broken_is_told(void **state)
{
    static const struct {
        const char *name, *plugin, *config, *error;
    } table[] = {
        {"gone", NULL, "{\"plugin\":\"gone\",\"team\":1}", "There is no plugin \"gone\""},
        {"dir", "{\"name\":\"dir\",\"source\":\"dir:/nonexistent\"}",
         "{\"plugin\":\"dir\",\"team\":1}", "there is no directory /nonexistent"},
        {"zip", "{\"name\":\"zip\",\"source\":\"file:x.zip\"}", "{\"plugin\":\"zip\",\"team\":1}",
         "not supported yet"},
        {"att", "{\"name\":\"att\",\"source\":\"inline\",\"files\":{\"index.js\":\"A\"}}",
         "{\"plugin\":\"att\",\"team\":1,\"attachments\":{\"f\":\"/nonexistent/f\"}}",
         "The attachment \"f\" cannot be read: open /nonexistent/f"},
    };
    struct built t;

    UNUSED(state);
    begin(&t);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].plugin)
            put(&t, "plugins", table[i].name, table[i].plugin);
        put(&t, "plugin_configs", table[i].name, table[i].config);
    }
    put(&t, "plugin_configs", "bad", "no json");
    put(&t, "plugins", "bad", "no json");
    put(&t, "plugin_configs", "empty", "{}");
    build(&t);
    assert_int_equal(plugin_set_count(t.b.set), ARRAY_LEN(table) + 1);
    assert_int_equal(t.b.js_count, 0);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct plugin_config *c = config_of(&t, table[i].name);
        struct buf json = BUF_INIT(1 << 16), shown = BUF_INIT(1 << 16);
        assert_non_null(c->load_error);
        assert_has(c->load_error, table[i].error);
        buf_addf(&shown, "\"error\":{\"message\":");
        buf_add_json_str(&shown, slice_cstr(c->load_error));
        plugin_state_json(c->state, &json);
        assert_has(buf_cstr(&json), buf_cstr(&shown));
        buf_free(&json);
        buf_free(&shown);
    }
    end(&t);
}

static void attachments(void **state)
{
    static const char *const types[][2] = {
        {"a.json", "application/json"}, {"b.csv", "text/csv"}, {"c", "application/octet-stream"}};
    struct built t;
    struct buf json = BUF_INIT(1 << 16);

    UNUSED(state);
    begin(&t);
    buf_add_str(&json, "{\"plugin\":\"p\",\"team\":1,\"attachments\":{");
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        temp_dir_write(t.dir, types[i][0], types[i][1]);
        buf_addf(&json, "%s\"key%zu\":\"%s/%s\"", i ? "," : "", i, t.dir, types[i][0]);
    }
    buf_add_str(&json, "}}");
    put(&t, "plugins", "p",
        "{\"name\":\"p\",\"source\":\"inline\",\"files\":{\"index.js\":\"A\"}}");
    put(&t, "plugin_configs", "1/p", buf_cstr(&json));
    build(&t);
    const struct plugin_config *c = config_of(&t, "p");
    assert_null(c->load_error);
    assert_int_equal(c->attachment_count, ARRAY_LEN(types));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%zu", i);
        assert_string_equal(c->attachments[i].key, key);
        assert_string_equal(c->attachments[i].file_name, types[i][0]);
        assert_string_equal(c->attachments[i].content_type, types[i][1]);
        assert_true(slice_eq(c->attachments[i].contents, slice_cstr(types[i][1])));
    }
    uint64_t before = c->fingerprint;
    end_build(&t);
    temp_dir_write(t.dir, "a.json", "other");
    build(&t);
    assert_true(config_of(&t, "p")->fingerprint != before);
    buf_free(&json);
    end(&t);
}

/* GeoIP's attachment is its database: a file, not read into the set. */
static void the_database_of_geoip(void **state)
{
    struct built t;

    UNUSED(state);
    begin(&t);
    put(&t, "plugins", "G", "{\"name\":\"G\",\"source\":\"builtin:geoip\"}");
    put(&t, "plugin_configs", "1/G",
        "{\"plugin\":\"G\",\"team\":1,\"enabled\":false,\"attachments\":{\"db\":\"/off\"}}");
    put(&t, "plugin_configs", "2/G",
        "{\"plugin\":\"G\",\"team\":2,\"attachments\":{\"db\":\"/some/where.mmdb\"}}");
    build(&t);
    assert_string_equal(t.b.geo_path, "/some/where.mmdb");
    for (size_t i = 0; i < 2; i++) {
        assert_null(plugin_set_at(t.b.set, i)->load_error);
        assert_int_equal(plugin_set_at(t.b.set, i)->attachment_count, 0);
    }
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_become_configs),
        cmocka_unit_test(what_is_broken_is_told),
        cmocka_unit_test(attachments),
        cmocka_unit_test(the_database_of_geoip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
