#include "app/attachment.h"
#include "base/mem.h"
#include "lib/unit.h"
#include "temp_dir.h"

static void reads(void **state)
{
    static const char *const types[][2] = {
        {"a.json", "application/json"}, {"b.csv", "text/csv"},
        {"c.txt", "text/plain"},        {"d.tar.gz", "application/gzip"},
        {"e.html", "text/html"},        {"f.mmdb", "application/octet-stream"},
    };
    struct arena *arena = arena_new(1024);
    char *dir = temp_dir_new();

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct plugin_attachment a;
        struct err err = ERR_INIT;
        char *path = temp_dir_path(dir, types[i][0]);

        temp_dir_write(dir, types[i][0], "bytes");
        assert_true(attachment_read("key", path, arena, &a, &err));
        assert_string_equal(a.key, "key");
        assert_string_equal(a.file_name, types[i][0]);
        assert_string_equal(a.content_type, types[i][1]);
        assert_true(slice_eq(a.contents, SLICE("bytes")));
        mem_free(path);
    }
    temp_dir_free(dir);
    arena_free(arena);
}

static void refuses(void **state)
{
    struct arena *arena = arena_new(1024);
    struct plugin_attachment a;
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_false(attachment_read("db", "/nonexistent/x", arena, &a, &err));
    assert_non_null(strstr(err.text, "The attachment \"db\" cannot be read: open /nonexistent/x"));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
