#include "app/mode_send.c"
#include "app_aid.h"

#define UUID "00000000-0000-7000-8000-"
#define U    UUID "000000000001"

static struct sender *sender_new(const struct fake *f)
{
    struct sender *s = mem_new(struct sender);

    s->batch = BUF_INIT(2 * BATCH_BYTES + LINE_BYTES_MAX);
    s->url = BUF_INIT(1000);
    s->token = "phc_\"x";
    buf_addf(&s->url, "http://127.0.0.1:%d/batch/", f ? fake_port(f) : 1);
    return s;
}

static void sender_free(struct sender *s)
{
    buf_free(&s->batch);
    buf_free(&s->url);
    mem_free(s);
}

/* Sends the text as a file; what was printed is freed by the caller. */
static bool send_text(struct sender *s, const char *text, char **out, struct err *err)
{
    char *dir = temp_dir_new(), *path = temp_dir_path(dir, "f");
    struct printing printing;

    temp_dir_write(dir, "f", text);
    printing_begin(&printing);
    bool ok = send_file(s, path, err);
    *out = printing_end(&printing);
    mem_free(path);
    temp_dir_free(dir);
    return ok;
}

static void lines_go_as_they_are(void **state)
{
    struct err err = ERR_INIT;
    struct fake f;
    char *out;

    UNUSED(state);
    fake_open(&f, "{}");
    struct sender *s = sender_new(&f);
    assert_true(send_text(s, "\n {\"uuid\":\"" U "\",\"n\":9007199254740993}\r\n{\"x\":1.50}\n{}\n",
                          &out, &err));
    fake_stop(&f);
    assert_int_equal(f.count, 1);
    const char *body = f.asked[0].body;
    assert_has(body,
               "{\"api_key\":\"phc_\\\"x\",\"batch\":[{\"uuid\":\"" U "\",\"n\":9007199254740993},"
               "{\"x\":1.50,\"uuid\":\"");
    assert_has(body, "\"},{}]}"); /* an empty object gets no uuid: it is refused anyway */
    assert_int_equal(s->sent, 3);
    assert_string_equal(out, "");
    mem_free(out);
    sender_free(s);
    fake_close(&f);
}

/* What capture would replace by a uuid of its own gets one here, behind the other: the last counts.
 */
static void every_event_has_a_uuid(void **state)
{
    static const struct {
        const char *line;
        bool is_kept;
    } table[] = {
        {"{\"uuid\":\"" U "\"}", true},
        {"{\"uuid\":\"00000000000070008000000000000001\"}", true},
        {"{\"uuid\":null}", false},
        {"{\"uuid\":5}", false},
        {"{\"uuid\":\"\"}", false},
        {"{\"uuid\":\"x\"}", false},
        {"{\"uuid\":\"00000000-0000-0000-0000-000000000000\"}", false},
        {"{\"UUID\":\"" U "\"}", false},
        {"{\"a\":{\"uuid\":\"" U "\"} }", false},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct sender *s = sender_new(NULL);
        struct err err = ERR_INIT;
        struct slice line = slice_cstr(table[i].line);
        assert_true(add_line(s, line, 1, &err));
        struct slice sent = buf_slice(&s->batch), bare = slice_make(line.ptr, line.len - 1);
        struct uuid id;
        assert_true(slice_starts(sent, bare));
        if (!table[i].is_kept)
            assert_true(uuid_parse(
                slice_make(sent.ptr + sent.len - 2 - UUID_TEXT_LEN, UUID_TEXT_LEN), &id));
        if (slice_eq(sent, line) != table[i].is_kept)
            fail_msg("%s: %s", table[i].line, buf_cstr(&s->batch));
        sender_free(s);
    }
}

static void batches_have_an_end(void **state)
{
    struct buf text = BUF_INIT(1 << 20);
    struct err err = ERR_INIT;
    struct fake f;
    char *out;

    UNUSED(state);
    fake_open(&f, "{}");
    struct sender *s = sender_new(&f);
    for (int i = 0; i < 2 * BATCH_EVENTS + 1; i++)
        buf_addf(&text, "{\"uuid\":\"" UUID "%012d\"}\n", i);
    assert_true(send_text(s, buf_cstr(&text), &out, &err));
    fake_stop(&f);
    assert_int_equal(f.count, 3);
    assert_has(f.asked[0].body, "{\"uuid\":\"" UUID "000000000499\"}]}");
    assert_has(f.asked[1].body, "[{\"uuid\":\"" UUID "000000000500\"},");
    assert_has(f.asked[2].body, "[{\"uuid\":\"" UUID "000000001000\"}]}");
    assert_int_equal(s->sent, 2 * BATCH_EVENTS + 1);
    mem_free(out);
    buf_free(&text);
    sender_free(s);
    fake_close(&f);
}

static void large_lines_fill_a_batch(void **state)
{
    struct buf text = BUF_INIT(16 << 20);
    struct err err = ERR_INIT;
    struct fake f;
    char *out;

    UNUSED(state);
    fake_open(&f, "{}");
    struct sender *s = sender_new(&f);
    for (int i = 0; i < 3; i++) {
        buf_addf(&text, "{\"uuid\":\"" UUID "%012d\",\"t\":\"", i);
        for (int k = 0; k < 250000; k++)
            buf_add_str(&text, "0123456789");
        buf_add_str(&text, "\"}\n");
    }
    assert_true(send_text(s, buf_cstr(&text), &out, &err));
    fake_stop(&f);
    assert_int_equal(f.count, 3); /* two do not fit into 4 MiB */
    assert_int_equal(s->sent, 3);
    mem_free(out);
    buf_free(&text);
    sender_free(s);
    fake_close(&f);
}

static void bad_lines_cost_only_themselves(void **state)
{
    struct err err = ERR_INIT;
    struct fake f;
    char *out;

    UNUSED(state);
    fake_open(&f, "{\"detail\":\"no\"}");
    f.statuses[0] = f.statuses[2] = 400; /* the batch, then its second line */
    struct sender *s = sender_new(&f);
    assert_true(
        send_text(s, "{\"uuid\":\"0\"}\nx\n{\"uuid\":\"1\"}\n5\n{\"uuid\":\"2\"}", &out, &err));
    fake_stop(&f);
    assert_int_equal(f.count, 4);
    assert_int_equal(s->sent, 2);
    assert_int_equal(s->refused, 3);
    assert_has(out, "line 2: ");
    assert_has(out, "line 3: the server answered 400: {\"detail\":\"no\"}");
    assert_has(out, "line 4: must be a JSON object");
    mem_free(out);
    sender_free(s);
    fake_close(&f);
}

static void a_wrong_token_ends_it(void **state)
{
    struct err err = ERR_INIT;
    struct fake f;
    char *out;

    UNUSED(state);
    fake_open(&f, "{}");
    f.statuses[0] = 401;
    struct sender *s = sender_new(&f);
    assert_false(send_text(s, "{\"uuid\":\"0\"}\n", &out, &err));
    fake_stop(&f);
    assert_int_equal(f.count, 1);
    assert_has(err.text, "401");
    mem_free(out);
    sender_free(s);
    fake_close(&f);
}

static void no_file(void **state)
{
    static const char *const paths[] = {"/no/such/file", "/"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct sender *s = sender_new(NULL);
        struct err err = ERR_INIT;
        assert_false(send_file(s, paths[i], &err));
        assert_has(err.text, paths[i]);
        sender_free(s);
    }
}

static void the_whole_mode(void **state)
{
    char port[64], capture[64];
    const char *sets[] = {"ADMIN_TOKEN=t", port, capture, NULL};
    struct printing printing;
    struct place p;
    struct fake f;

    UNUSED(state);
    fake_open(&f, "{\"teams\":[{\"id\":1,\"api_token\":\"phc_first\"}]}");
    snprintf(port, sizeof(port), "HTTP_SERVER_PORT=%d", fake_port(&f));
    snprintf(capture, sizeof(capture), "CAPTURE_PORT=%d", fake_port(&f));
    place_open(&p, sets);
    temp_dir_write(p.dir, "events", "{\"uuid\":\"0\"}\n");
    char *path = temp_dir_path(p.dir, "events");
    struct cli cli = {.mode = CLI_SEND, .words = {path}, .word_count = 1};
    printing_begin(&printing);
    int code = mode_send(&cli, p.conf);
    char *out = printing_end(&printing);
    assert_int_equal(code, 0);
    assert_has(out, "1 events sent, 0 lines refused, ");
    fake_stop(&f);
    assert_string_equal(f.asked[0].path, "/api/teams?");
    assert_string_equal(f.asked[1].path, "/batch/?");
    assert_has(f.asked[1].body, "{\"api_key\":\"phc_first\",");
    mem_free(out);
    mem_free(path);
    fake_close(&f);
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_as_they_are),
        cmocka_unit_test(every_event_has_a_uuid),
        cmocka_unit_test(batches_have_an_end),
        cmocka_unit_test(large_lines_fill_a_batch),
        cmocka_unit_test(bad_lines_cost_only_themselves),
        cmocka_unit_test(a_wrong_token_ends_it),
        cmocka_unit_test(no_file),
        cmocka_unit_test(the_whole_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
