#include "store_aid.h"

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
    must(aid->ops->object_put(aid->self, &(struct store_object){"plugins", "b", "{}"}, &aid->err));
    must(aid->ops->object_put(aid->self, &(struct store_object){"plugins", "a", "1"}, &aid->err));
    must(aid->ops->object_put(aid->self, &(struct store_object){"actions", "c", "2"}, &aid->err));
    aid_commit(aid);
    must(aid->ops->object_put(aid->self, &(struct store_object){"plugins", "a", "3"}, &aid->err));
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
    assert_false(
        aid->ops->object_put(aid->self, &(struct store_object){"plugins", "a", NULL}, &aid->err));
    assert_int_equal(aid->err.code, ERR_INPUT);
    expect_objects(aid, 9, "");
    aid_close(aid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(put_and_list),
                                       cmocka_unit_test(without_text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
