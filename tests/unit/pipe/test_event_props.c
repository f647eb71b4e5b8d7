#include "pipe_aid.h"

/* The table by length is by hand: every name must be found. */
#include "pipe/event_props.c"

static void test_table(void **state)
{
    UNUSED(state);
    assert_int_equal(first_of_length[LENGTH_MAX + 1], ARRAY_LEN(known));
    for (size_t i = 1; i < ARRAY_LEN(known); i++) {
        struct slice name = slice_cstr(known[i].name);

        assert_int_equal(find(name), i);
        assert_int_equal(known[i].prop >= PROP_CAMPAIGN, known[i].initial != NULL);
    }
    assert_int_equal(find(SLICE("")), 0);
    assert_int_equal(find(SLICE("$sett")), 0);
    assert_int_equal(find(SLICE("$set_onc")), 0);
    assert_int_equal(find(SLICE("a name that is longer than all of them")), 0);
}

static void test_initial_names(void **state)
{
    struct buf name = BUF_INIT(64);

    UNUSED(state);
    for (size_t i = 1; i < ARRAY_LEN(known); i++) {
        if (!known[i].initial)
            continue;
        buf_clear(&name);
        buf_addf(&name, "$initial_%s", known[i].name + (known[i].name[0] == '$'));
        assert_string_equal(buf_cstr(&name), known[i].initial);
    }
    buf_free(&name);
}

struct fixture {
    struct pipe pipe;
    struct worker worker;
    struct json_doc doc;
    struct event_props props;
    struct prepared out;
};

static void write_props(struct fixture *f, const char *properties)
{
    struct json_read_options opt = {0};
    struct err err = ERR_INIT;

    memset(f, 0, sizeof(*f));
    worker_init(&f->worker, &f->pipe, 0);
    f->out.arena = arena_new(4096);
    assert_true(json_doc_read(slice_cstr(properties), &opt, &f->doc, &err));
    event_props_sort(&f->worker, f->doc.root, NULL, &f->props);
    event_props_fold(&f->worker, &f->props);
    assert_true(event_props_write(&f->worker, &f->props, SLICE("1.2.3.4"), &f->out));
}

static void fixture_fini(struct fixture *f)
{
    json_doc_free(&f->doc);
    arena_free(f->out.arena);
    worker_fini(&f->worker);
}

static void test_texts(void **state)
{
    struct fixture f;

    UNUSED(state);
    write_props(&f, "{\"a\":1,\"$set\":{\"x\":1},\"$unset\":[\"u\"],\"$set_once\":{\"y\":2,\"x\":5}"
                    ",\"$group_3\":[\"g\",1]}");
    assert_slice(f.out.properties,
                 "{\"a\":1,\"$set\":{\"x\":1},\"$unset\":[\"u\"],\"$set_once\":{\"y\":2,\"x\":5},"
                 "\"$group_3\":[\"g\",1],\"$ip\":\"1.2.3.4\"}");
    assert_slice(f.out.set, "{\"x\":1}");
    assert_slice(f.out.set_once, "{\"y\":2,\"x\":5}");
    assert_slice(f.out.unset, "[\"u\"]");
    assert_slice(f.out.first, "{\"y\":2,\"x\":1}");
    assert_slice(f.out.sent_groups[3].key, "g,1");
    assert_slice(slice_make(f.out.properties.ptr + f.out.sent_groups[3].from,
                            f.out.sent_groups[3].to - f.out.sent_groups[3].from),
                 "[\"g\",1]");
    assert_int_not_equal(f.out.change, 0);
    fixture_fini(&f);
    write_props(&f, "{\"$set\":{},\"$unset\":\"x\"}");
    assert_null(f.out.set.ptr);
    assert_null(f.out.unset.ptr);
    assert_null(f.out.first.ptr);
    assert_int_equal(f.out.change, 0);
    fixture_fini(&f);
}

static uint64_t change(const char *properties)
{
    struct fixture f;
    uint64_t c;

    write_props(&f, properties);
    c = f.out.change;
    fixture_fini(&f);
    return c;
}

/* The fingerprint of a change: names of $set_once, values of $set, all of $unset. */
static void test_change(void **state)
{
    UNUSED(state);
    assert_true(change("{\"$browser\":\"a\"}") == change("{\"$browser\":\"b\",\"other\":1}"));
    assert_true(change("{\"$browser\":\"a\"}") != change("{\"$os\":\"a\"}"));
    assert_true(change("{\"$set\":{\"a\":1}}") != change("{\"$set\":{\"a\":2}}"));
    assert_true(change("{\"$set\":{\"a\":1}}") != change("{\"$set_once\":{\"a\":1}}"));
    assert_true(change("{\"$unset\":[\"a\"]}") != change("{\"$unset\":[\"b\"]}"));
    assert_true(change("{\"$set_once\":{\"ab\":1,\"c\":1}}") !=
                change("{\"$set_once\":{\"a\":1,\"bc\":1}}"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_initial_names),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
