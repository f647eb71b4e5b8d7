#include "pipe_aid.h"

static struct json_doc read_json(const char *text)
{
    struct json_read_options opt = {0};
    struct json_doc doc;
    struct err err = ERR_INIT;

    assert_true(json_doc_read(slice_cstr(text), &opt, &doc, &err));
    return doc;
}

static void assert_draft(const struct draft *d, const char *text)
{
    struct buf out = BUF_INIT(1 << 20);

    assert_true(draft_write(d, &out));
    assert_slice(buf_slice(&out), text);
    buf_free(&out);
}

static void test_put(void **state)
{
    struct json_doc a = read_json("{\"x\":1,\"y\":\"\\u0000\",\"x\":3}");
    struct json_doc b = read_json("{\"y\":[2],\"z\":null}");
    struct draft d, e;

    UNUSED(state);
    draft_init(&d);
    draft_init(&e);
    assert_draft(&d, "{}");
    draft_put_all(&d, a.root);
    assert_draft(&d, "{\"x\":3,\"y\":\"\xef\xbf\xbd\"}");
    draft_put_all(&d, b.root);
    assert_draft(&d, "{\"x\":3,\"y\":[2],\"z\":null}");
    draft_put(&d, SLICE("new"), a.root);
    draft_put_all(&e, b.root);
    draft_copy(&e, &d);
    assert_draft(&e, "{\"y\":[2],\"z\":null,\"x\":3,\"new\":{\"x\":3,\"y\":\"\xef\xbf\xbd\"}}");
    draft_put_all(&e, json_member(b.root, SLICE("y"))); /* no object: nothing */
    draft_put_all(&e, NULL);
    assert_int_equal(e.names.count, 4);
    draft_clear(&d);
    assert_draft(&d, "{}");
    draft_fini(&d);
    draft_fini(&e);
    json_doc_free(&a);
    json_doc_free(&b);
}

static void test_many(void **state)
{
    struct buf text = BUF_INIT(1 << 20);
    struct json_doc doc;
    struct draft d;

    UNUSED(state);
    for (int i = 0; i < 1000; i++)
        buf_addf(&text, "%c\"%d\":%d", i ? ',' : '{', i, i);
    buf_add_char(&text, '}');
    doc = read_json(buf_cstr(&text));
    draft_init(&d);
    for (int round = 0; round < 3; round++) {
        draft_clear(&d);
        draft_put_all(&d, doc.root);
        assert_int_equal(d.names.count, 1000);
        assert_draft(&d, buf_cstr(&text));
    }
    draft_fini(&d);
    json_doc_free(&doc);
    buf_free(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
