#include "base/fs.h"
#include "base/mem.h"
#include "lib/unit.h"
#include "plugin/loader.h"
#include "temp_dir.h"

#include <stdio.h>
#include <unistd.h>

static void read_object(const char *text, struct plugin_files *f)
{
    struct err err = ERR_INIT;
    cJSON *object = json_parse(slice_cstr(text), &err);

    assert_non_null(object);
    loader_read(object, 3, f);
    json_free(object);
}

/* Either the source and its path, or the error. */
static void expect(struct plugin_files *f, const char *path, const char *source, const char *error)
{
    if (error) {
        assert_non_null(f->load_error);
        if (!strstr(f->load_error, error))
            fail_msg("%s\nhas no %s", f->load_error, error);
        assert_null(f->source);
    } else {
        if (f->load_error)
            fail_msg("%s", f->load_error);
        assert_string_equal(f->source_path, path);
        assert_string_equal(f->source, source);
        assert_int_equal(f->source_len, strlen(source));
    }
    plugin_files_fini(f);
}

static void inline_files(void **state)
{
    static const struct {
        const char *files, *path, *source, *error;
    } table[] = {
        {"{\"index.js\":\"1\"}", "/index.js", "1", NULL},
        {"{\"index.ts\":\"2\",\"index.js\":\"1\"}", "/index.js", "1", NULL},
        {"{\"index.ts\":\"2\"}", "/index.ts", "2", NULL},
        {"{\"index.js\":\"1\",\"plugin.json\":\"{}\"}", "/index.js", "1", NULL},
        {"{\"src/a.js\":\"3\",\"index.js\":\"1\",\"plugin.json\":\"{\\\"main\\\":\\\"src/"
         "a.js\\\"}\"}",
         "/src/a.js", "3", NULL},
        {"{\"index.js\":\"\"}", "/index.js", "", NULL},
        {"{}", NULL, NULL,
         "Could not load source code for plugin mine ID 3 (organization ID default). Tried: "
         "index.js, index.ts"},
        {"{\"index.js\":\"1\",\"plugin.json\":\"{\\\"main\\\":\\\"b.js\\\"}\"}", NULL, NULL,
         "Tried: b.js"},
        {"{\"index.js\":\"1\",\"plugin.json\":\"{\"}", NULL, NULL,
         "Could not load \"plugin.json\" for plugin mine ID 3 (organization ID default)"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf text = BUF_INIT(1 << 16);
        struct plugin_files f;

        buf_addf(&text, "{\"name\":\"mine\",\"source\":\"inline\",\"files\":%s}", table[i].files);
        read_object(buf_cstr(&text), &f);
        expect(&f, table[i].path, table[i].source, table[i].error);
        buf_free(&text);
    }
}

static void other_sources(void **state)
{
    struct plugin_files f;

    UNUSED(state);
    read_object("{\"name\":\"G\",\"source\":\"builtin:geoip\"}", &f);
    assert_null(f.load_error);
    assert_string_equal(f.builtin, "geoip");
    plugin_files_fini(&f);
    read_object("{\"name\":\"G\",\"source\":\"builtin:nothing\"}", &f);
    expect(&f, NULL, NULL, "no plugin \"nothing\" in this program");
    read_object("{\"name\":\"G\",\"source\":\"file:a.zip\"}", &f);
    expect(&f, NULL, NULL, "file:a.zip is not supported yet");
    read_object("{\"name\":\"G\",\"source\":\"npm:x\"}", &f);
    expect(&f, NULL, NULL, "npm:x is not supported yet");
    read_object("{}", &f);
    expect(&f, NULL, NULL, "not supported yet");
}

static void directories(void **state)
{
    char *dir = temp_dir_new();
    struct plugin_files f;
    struct err err = ERR_INIT;

    UNUSED(state);
    loader_read_dir("/nonexistent/dir", "mine", 3, &f);
    expect(&f, NULL, NULL, "there is no directory /nonexistent/dir");
    loader_read_dir(dir, "mine", 3, &f);
    expect(&f, NULL, NULL,
           "No \"main\" config key or \"index.js\" file found for plugin mine ID 3 (organization "
           "ID default)");
    temp_dir_write(dir, "index.ts", "typed");
    loader_read_dir(dir, "mine", 3, &f);
    expect(&f, "/index.ts", "typed", NULL);
    temp_dir_write(dir, "index.js", "plain");
    loader_read_dir(dir, "mine", 3, &f);
    expect(&f, "/index.js", "plain", NULL);
    temp_dir_write(dir, "plugin.json", "{\"main\":\"./sub/x.js\",\"description\":\"d\"}");
    loader_read_dir(dir, "mine", 3, &f);
    expect(&f, NULL, NULL, "Tried: ./sub/x.js");
    char *sub = temp_dir_path(dir, "sub");
    assert_true(fs_mkdirs(sub, 0700, &err));
    mem_free(sub);
    temp_dir_write(dir, "sub/x.js", "deep");
    loader_read_dir(dir, "mine", 3, &f);
    assert_string_equal(manifest_description(f.manifest), "d");
    expect(&f, "/sub/x.js", "deep", NULL);
    temp_dir_write(dir, "plugin.json", "not json");
    loader_read_dir(dir, "mine", 3, &f);
    expect(&f, NULL, NULL, "Could not load \"plugin.json\"");
    temp_dir_free(dir);
}

static void main_stays_inside(void **state)
{
    static const char *const paths[] = {"/etc/passwd", "../x.js", "a/../../x.js", ".."};
    char *dir = temp_dir_new();

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct plugin_files f;
        char text[100];

        snprintf(text, sizeof(text), "{\"main\":\"%s\"}", paths[i]);
        temp_dir_write(dir, "plugin.json", text);
        loader_read_dir(dir, "mine", 3, &f);
        expect(&f, NULL, NULL, "\"main\" must be a path inside of the plugin");
    }
    temp_dir_free(dir);
}

static void links(void **state)
{
    char *dir = temp_dir_new(), *plugin = temp_dir_path(dir, "plugin");
    char *link = temp_dir_path(dir, "plugin/index.js"), *alias = temp_dir_path(dir, "alias");
    struct plugin_files f;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(fs_mkdirs(plugin, 0700, &err));
    temp_dir_write(dir, "secret.js", "secret");
    temp_dir_write(dir, "plugin/real.js", "real");
    assert_int_equal(symlink("../secret.js", link), 0);
    loader_read_dir(plugin, "mine", 3, &f);
    expect(&f, NULL, NULL, "is a link that leads out of the plugin");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("real.js", link), 0);
    loader_read_dir(plugin, "mine", 3, &f);
    expect(&f, "/index.js", "real", NULL);
    assert_int_equal(symlink("plugin", alias), 0); /* the directory itself may be one */
    loader_read_dir(alias, "mine", 3, &f);
    expect(&f, "/index.js", "real", NULL);
    mem_free(alias);
    mem_free(link);
    mem_free(plugin);
    temp_dir_free(dir);
}

static void a_file_that_is_none(void **state)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "index.js");
    struct plugin_files f;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(fs_mkdirs(path, 0700, &err));
    loader_read_dir(dir, "mine", 3, &f);
    expect(&f, NULL, NULL, "index.js");
    mem_free(path);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inline_files), cmocka_unit_test(other_sources),
        cmocka_unit_test(directories),  cmocka_unit_test(main_stays_inside),
        cmocka_unit_test(links),        cmocka_unit_test(a_file_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
