#include "store_aid.h"

static const char init_sql[] = {
#include "store/migrations/0001_init.sql.inc"
    0};

struct list {
    char text[200];
    int left;
};

static bool collect(const struct store_object *o, void *ctx)
{
    struct list *l = ctx;
    size_t at = strlen(l->text);

    snprintf(l->text + at, sizeof(l->text) - at, "%s/%s=%s ", o->kind, o->key, o->json);
    return --l->left > 0;
}

static void expect_objects(struct aid *aid, int at_most, const char *wanted)
{
    struct list l = {.left = at_most};

    must(aid->ops->objects_each(aid->self, collect, &l, &aid->err));
    assert_string_equal(l.text, wanted);
}

static void put_and_list(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    expect_objects(aid, 9, "");
    aid_begin(aid);
    must(aid->ops->object_put(
        aid->self, &(struct store_object){.kind = "plugins", .key = "b", .json = "{}"}, &aid->err));
    must(aid->ops->object_put(
        aid->self, &(struct store_object){.kind = "plugins", .key = "a", .json = "1"}, &aid->err));
    must(aid->ops->object_put(
        aid->self, &(struct store_object){.kind = "actions", .key = "c", .json = "2"}, &aid->err));
    aid_commit(aid);
    must(aid->ops->object_put(
        aid->self, &(struct store_object){.kind = "plugins", .key = "a", .json = "3"}, &aid->err));
    expect_objects(aid, 9, "actions/c=2 plugins/a=3 plugins/b={} ");
    expect_objects(aid, 1, "actions/c=2 ");
    must(aid->ops->object_remove(aid->self, "plugins", "b", &aid->err));
    must(aid->ops->object_remove(aid->self, "plugins", "nothing", &aid->err));
    aid_begin(aid);
    must(aid->ops->object_remove(aid->self, "plugins", "a", &aid->err));
    aid->ops->rollback(aid->self);
    aid_reopen(aid);
    expect_objects(aid, 9, "actions/c=2 plugins/a=3 ");
    aid_close(aid);
}

static void without_text(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    assert_false(aid->ops->object_put(
        aid->self, &(struct store_object){.kind = "plugins", .key = "a", .json = NULL}, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    expect_objects(aid, 9, "");
    aid_close(aid);
}

static bool collect_ids(const struct store_object *o, void *ctx)
{
    struct list *l = ctx;
    size_t at = strlen(l->text);

    snprintf(l->text + at, sizeof(l->text) - at, "%s/%s=%lld ", o->kind, o->key, (long long)o->id);
    return true;
}

static void expect_ids(struct aid *aid, const char *wanted)
{
    struct list l = {.left = 0};

    must(aid->ops->objects_each(aid->self, collect_ids, &l, &aid->err));
    assert_string_equal(l.text, wanted);
}

static void put(struct aid *aid, const char *kind, const char *key, const char *json)
{
    struct store_object o = {.kind = kind, .key = key, .json = json, .id = 77};

    must(aid->ops->object_put(aid->self, &o, &aid->err));
}

static void numbers_are_never_reused(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    put(aid, "plugins", "b", "1");
    put(aid, "plugins", "a", "1");
    put(aid, "hooks", "a", "1");
    put(aid, "plugins", "b", "2");
    expect_ids(aid, "hooks/a=1 plugins/a=2 plugins/b=1 ");
    must(aid->ops->object_remove(aid->self, "plugins", "a", &aid->err));
    put(aid, "plugins", "a", "3");
    aid_reopen(aid);
    put(aid, "plugins", "c", "3");
    expect_ids(aid, "hooks/a=1 plugins/a=3 plugins/b=1 plugins/c=4 ");
    aid_close(aid);
}

static bool change_it(const struct store_object *o, void *ctx)
{
    struct aid *aid = ctx;
    struct store_object changed = *o;

    changed.json = "changed";
    must(aid->ops->object_put(aid->self, &changed, &aid->err));
    return true;
}

static bool never(const struct store_object *o, void *ctx)
{
    UNUSED(o);
    UNUSED(ctx);
    fail();
    return true;
}

static void get_by_number(void **state)
{
    struct aid a, *aid = &a;

    UNUSED(state);
    aid_open(aid);
    put(aid, "plugins", "a", "1");
    put(aid, "hooks", "a", "1");
    must(aid->ops->object_get(aid->self, "plugins", 1, change_it, aid, &aid->err));
    must(aid->ops->object_get(aid->self, "plugins", 2, never, aid, &aid->err));
    must(aid->ops->object_get(aid->self, "actions", 1, never, aid, &aid->err));
    expect_objects(aid, 9, "hooks/a=1 plugins/a=changed ");
    aid_close(aid);
}

/* As the first schema left it. */
static void old_objects_get_numbers(void **state)
{
    struct aid a, *aid = &a;
    struct db *db;

    UNUSED(state);
    aid_open(aid);
    aid_close_store(aid);
    aid_copy_file("/dev/null", aid->path);
    db = db_open(&(struct db_options){.path = aid->path}, &aid->err);
    must(db && db_exec(db, init_sql, &aid->err));
    must(db_exec(db,
                 "PRAGMA user_version=1; PRAGMA application_id=0x68656467;"
                 "INSERT INTO objects VALUES ('plugins','z','1'), ('plugins','y','2'), "
                 "('hooks','z','3')",
                 &aid->err));
    db_close(db);
    aid_open_again(aid);
    put(aid, "plugins", "a", "4");
    put(aid, "plugins", "z", "5");
    put(aid, "actions", "a", "6");
    expect_ids(aid, "actions/a=1 hooks/z=1 plugins/a=3 plugins/y=1 plugins/z=2 ");
    expect_objects(aid, 9, "actions/a=6 hooks/z=3 plugins/a=4 plugins/y=2 plugins/z=5 ");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_list), cmocka_unit_test(without_text),
        cmocka_unit_test(numbers_are_never_reused), cmocka_unit_test(get_by_number),
        cmocka_unit_test(old_objects_get_numbers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
