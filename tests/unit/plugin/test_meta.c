/* The meta object: what it has, what of it is the vm's own. */
#include "vm_aid.h"

static void test_keys(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    vm_aid_eval(&a, "return [Object.keys(meta), typeof meta.metrics, Object.keys(meta.utils),"
                    " meta.global, meta.attachments, meta.config]");
    assert_string_equal(a.text,
                        "[[\"config\",\"attachments\",\"global\",\"cache\",\"storage\","
                        "\"geoip\",\"jobs\",\"utils\"],\"undefined\",[\"cursor\"],{},{},{}]");
    vm_aid_fini(&a);
}

static void test_config(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    a.config.config_json = "{\"k\":\"v\",\"n\":1,\"deep\":{\"a\":[1]},\"__proto__\":2}";
    vm_aid_eval(&a, "event.properties = meta.config; return event");
    assert_string_equal(a.text, "{\"properties\":{\"k\":\"v\",\"n\":1,\"deep\":{\"a\":[1]},"
                                "\"__proto__\":2}}");
    /* A change is seen by later calls of the same vm, not by the next one. */
    vm_aid_run(&a,
               "exports.setupPlugin = (m) => { m.config.k = m.config.k.toUpperCase();"
               " m.global.set = new Set([1]) };"
               "exports.processEvent = (e, m) => [m.config.k, m.global.set && m.global.set.size]");
    vm_aid_call_named(&a, "setupPlugin", NULL);
    vm_aid_event(&a, "{}");
    assert_string_equal(a.text, "[\"V\",1]");
    vm_aid_eval(&a, "return [meta.config.k, meta.global]");
    assert_string_equal(a.text, "[\"v\",{}]");
    vm_aid_fini(&a);
}

static void test_attachments(void **state)
{
    static const struct plugin_attachment all[] = {
        {"schema", "application/json", "schema.json", SLICE("{\"a\":\"\xC3\xA9\"}")},
        {"bytes", "application/octet-stream", "b.bin", SLICE("\x00\xff\xfe")},
        {"empty", "text/plain", "e.txt", SLICE_NONE},
    };
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    a.config.attachments = all;
    a.config.attachment_count = ARRAY_LEN(all);
    vm_aid_eval(&a,
                "const { schema, bytes, empty, none } = meta.attachments;"
                "return [schema.content_type, schema.file_name, JSON.parse(schema.contents).a,"
                " schema.contents.toString(), `${empty.contents}`, [...bytes.contents],"
                " String(bytes.contents).length, bytes.contents instanceof Uint8Array,"
                " bytes.contents.constructor.name, bytes.contents.subarray(1).toString().length,"
                " none === undefined]");
    assert_string_equal(a.text, "[\"application/json\",\"schema.json\",\"\xC3\xA9\","
                                "\"{\\\"a\\\":\\\"\xC3\xA9\\\"}\",\"\",[0,255,254],3,true,"
                                "\"Buffer\",2,true]");
    vm_aid_fini(&a);
}

/* toString of a Buffer is called on whatever plugins like. */
static void test_buffer_text_of_others(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    vm_aid_init(&a);
    a.config.attachments = (struct plugin_attachment[]){{"k", "t", "f", SLICE("text")}};
    a.config.attachment_count = 1;
    vm_aid_eval(&a,
                "const f = meta.attachments.k.contents.toString; const bad = [null, 1, {}, [],"
                " new DataView(new ArrayBuffer(3)), Object.create(meta.attachments.k.contents)];"
                "return [bad.map((b) => { try { return f.call(b) } catch (e) { return e.name } }),"
                " f.call(new Uint16Array([0x4142])), f.call(new Uint8Array(0))]");
    assert_string_equal(a.text, "[[\"TypeError\",\"TypeError\",\"TypeError\",\"TypeError\","
                                "\"TypeError\",\"TypeError\"],\"BA\",\"\"]");
    vm_aid_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_attachments),
        cmocka_unit_test(test_buffer_text_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
