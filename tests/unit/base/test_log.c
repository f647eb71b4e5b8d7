#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "child.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOON_US INT64_C(1651320005050000) /* 2022-04-30T12:00:05.050Z */

// Everything runs in child processes: each begins with a fresh logger and writes to a pipe.
static void assert_output(int fd, child_fn *fn, const char *expected)
{
    char *out = child_output(fd, fn, NULL);

    assert_string_equal(out, expected);
    mem_free(out);
}

static void begin(enum log_level lowest, enum log_format format)
{
    clock_fake_set(NOON_US);
    log_setup(lowest, format, false);
}

static void one_of_each(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_DEBUG, LOG_CLASSIC);
    log_debug("m", "a");
    log_info("m", "b");
    log_log("m", "c");
    log_warn("m", "d");
    log_error("m", "e");
}

static void levels_and_streams(void **state)
{
    UNUSED(state);
    assert_output(1, one_of_each,
                  "[MAIN] 12:00:05 · a module=m\n"
                  "[MAIN] 12:00:05 ℹ b module=m\n"
                  "[MAIN] 12:00:05 ✓ c module=m\n");
    assert_output(2, one_of_each,
                  "[MAIN] 12:00:05 ⚠ d module=m\n"
                  "[MAIN] 12:00:05 ✗ e module=m\n");
}

static void from_warn_up(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_WARN, LOG_CLASSIC);
    log_info("m", "no");
    log_line("no");
    CHECK(!log_is_on(LOG_LOG));
    CHECK(log_is_on(LOG_WARN));
}

static void none(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_NONE, LOG_CLASSIC);
    log_error("m", "no");
    CHECK(!log_is_on(LOG_ERROR));
    CHECK(!log_is_on(LOG_NONE));
}

static void what_is_below_is_silent(void **state)
{
    UNUSED(state);
    assert_output(1, from_warn_up, "");
    assert_output(2, none, "");
}

static void all_kinds(void *ctx)
{
    struct err err = ERR_INIT;

    UNUSED(ctx);
    err_set(&err, ERR_IO, "went wrong");
    begin(LOG_INFO, LOG_CLASSIC);
    log_set_prefix("INTK");
    log_info("m", "text here", KV_STR("s", "x"), KV_SLICE("l", SLICE("y")), KV_U64("u", UINT64_MAX),
             KV_I64("i", -5), KV_F64("f", 0.5), KV_BOOL("b", true), KV_STR("n", NULL),
             KV_ERR(&err));
}

static void fields_of_the_classic_format(void **state)
{
    UNUSED(state);
    assert_output(1, all_kinds,
                  "[INTK] 12:00:05 ℹ text here module=m s=x l=y u=18446744073709551615 i=-5 f=0.5 "
                  "b=true n=null err=\"went wrong\"\n");
}

static void nasty(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    log_write(LOG_INFO, NULL, "two\nlines\x1b[31m", NULL);
    log_info("m", "v", KV_STR("nl", "a\nb\r"), KV_STR("q", "say \"hi\" \\"), KV_STR("e", ""),
             KV_STR("eq", "a=b"), KV_SLICE("bad", SLICE("\xff\0")), KV_STR("c1", "\xc2\x9b"),
             KV_STR("utf", "é😀"));
    log_line("%s", "a\nb");
}

static void a_line_stays_a_line(void **state)
{
    UNUSED(state);
    assert_output(1, nasty,
                  "[MAIN] 12:00:05 ℹ two\\nlines\\u001b[31m\n"
                  "[MAIN] 12:00:05 ℹ v module=m nl=\"a\\nb\\u000d\" q=\"say \\\"hi\\\" \\\\\" "
                  "e=\"\" eq=\"a=b\" bad=\"\xef\xbf\xbd\\u0000\" c1=\\u009b utf=é😀\n"
                  "[MAIN] 12:00:05 ℹ a\\nb\n");
}

static void as_json(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_INFO, LOG_JSON);
    log_set_prefix("INTK");
    log_log("ring", "say \"hi\"\n", KV_STR("s", "a\nb"), KV_F64("inf", INFINITY), KV_U64("n", 7));
    log_line("Over and out!");
}

static void json_format(void **state)
{
    UNUSED(state);
    assert_output(
        1, as_json,
        "{\"time\":\"2022-04-30T12:00:05.050Z\",\"level\":\"log\",\"icon\":\"✓\","
        "\"msg\":\"say \\\"hi\\\"\\n\",\"thread\":\"INTK\",\"mode\":\"INTK\",\"module\":\"ring\","
        "\"s\":\"a\\nb\",\"inf\":null,\"n\":7}\n"
        "{\"time\":\"2022-04-30T12:00:05.050Z\",\"level\":\"info\",\"icon\":\"ℹ\","
        "\"msg\":\"Over and out!\",\"thread\":\"INTK\",\"mode\":\"INTK\"}\n");
}

static void say(void *ctx)
{
    UNUSED(ctx);
    log_line("x");
}

static void by_roles(void *ctx)
{
    static const struct {
        enum thread_role role;
        int number;
    } threads[] = {{THREAD_PIPE, 1}, {THREAD_PIPE, 12}, {THREAD_PIPE, 12345},
                   {THREAD_NET, 2},  {THREAD_STORE, 0}, {THREAD_SYNC, 0}};
    struct err err = ERR_INIT;

    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct thread t;

        CHECK(thread_start(&t, threads[i].role, threads[i].number, say, NULL, &err));
        thread_join(&t);
    }
    thread_set_role(THREAD_MAIN, 0);
    say(NULL);
}

static void who_writes(void **state)
{
    UNUSED(state);
    assert_output(1, by_roles,
                  "[___1] 12:00:05 ℹ x\n[__12] 12:00:05 ℹ x\n[1234] 12:00:05 ℹ x\n"
                  "[_NET] 12:00:05 ℹ x\n[STOR] 12:00:05 ℹ x\n[SYNC] 12:00:05 ℹ x\n"
                  "[MAIN] 12:00:05 ℹ x\n");
}

static void local(void *ctx)
{
    UNUSED(ctx);
    setenv("TZ", "XYZ-5:30", 1);
    clock_fake_set(NOON_US);
    log_setup(LOG_INFO, LOG_CLASSIC, true);
    log_line("x");
    log_setup(LOG_INFO, LOG_JSON, true);
    log_line("x");
}

static void local_time(void **state)
{
    UNUSED(state);
    assert_output(1, local,
                  "[MAIN] 17:30:05 ℹ x\n"
                  "{\"time\":\"2022-04-30T17:30:05.050+05:30\",\"level\":\"info\",\"icon\":\"ℹ\","
                  "\"msg\":\"x\",\"thread\":\"MAIN\",\"mode\":\"MAIN\"}\n");
}

static void storm(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    for (int i = 0; i < 15; i++)
        log_info("m", "again", KV_I64("i", i));
    log_info("other", "again"); // another kind
    clock_fake_add(999999);
    log_info("m", "again", KV_I64("i", 15));
    clock_fake_add(1);
    log_info("m", "again", KV_I64("i", 16));
    log_info("m", "again", KV_I64("i", 17));
    for (int i = 0; i < 20; i++)
        log_line("lines are not collapsed");
}

static void repetitions_are_counted(void **state)
{
    struct buf expected = BUF_INIT(10000);

    UNUSED(state);
    for (int i = 0; i < 10; i++)
        buf_addf(&expected, "[MAIN] 12:00:05 ℹ again module=m i=%d\n", i);
    buf_add_str(&expected, "[MAIN] 12:00:05 ℹ again module=other\n"
                           "[MAIN] 12:00:06 ℹ again module=m i=16 suppressed=6\n"
                           "[MAIN] 12:00:06 ℹ again module=m i=17\n");
    for (int i = 0; i < 20; i++)
        buf_add_str(&expected, "[MAIN] 12:00:06 ℹ lines are not collapsed\n");
    assert_output(1, storm, buf_cstr(&expected));
    buf_free(&expected);
}

static void storm_without_end(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    for (int i = 0; i < 11; i++)
        log_info("m", "again");
    log_setup(LOG_INFO, LOG_CLASSIC, false);
    log_flush();
    log_flush(); // tells it once
}

static void many_kinds(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    for (int i = 0; i < 12; i++)
        log_info("m", "again");
    clock_fake_add(5000000);
    for (int i = 0; i < 1000; i++) {
        char text[16];

        // Messages are constants elsewhere; here they push the first one out.
        CHECK(snprintf(text, sizeof(text), "%d", i) > 0);
        log_write(LOG_INFO, "m", text, NULL);
    }
}

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;

    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

static void no_count_is_lost(void **state)
{
    char *out = child_output(1, storm_without_end, NULL);

    UNUSED(state);
    assert_int_equal(occurrences(out, "\n"), 11);
    assert_int_equal(occurrences(out, "again module=m suppressed=1\n"), 1);
    mem_free(out);
    out = child_output(1, many_kinds, NULL);
    assert_int_equal(occurrences(out, "\n"), 1011);
    assert_int_equal(occurrences(out, "again module=m suppressed=2\n"), 1);
    mem_free(out);
}

static char *long_text(void)
{
    char *text = (char *)mem_alloc(20001);

    memset(text, '\n', 20000);
    text[20000] = '\0';
    return text;
}

static void huge(void *ctx)
{
    char *text = long_text();

    begin(LOG_INFO, *(enum log_format *)ctx);
    log_write(LOG_INFO, "m", text, (const struct log_kv[]){{.key = NULL}});
    log_info("m", "v", KV_STR("a", text), KV_STR("b", text), KV_STR("c", text), KV_STR("d", text),
             KV_U64("last", 1));
    log_line("%s", text);
    mem_free(text);
}

static void a_line_has_an_end(void **state)
{
    enum log_format format = LOG_JSON;
    char *out = child_output(1, huge, &format);
    struct slice rest = slice_cstr(out), line;
    int lines = 0;

    UNUSED(state);
    while (slice_split(&rest, '\n', &line) && line.len > 0) {
        struct err err = ERR_INIT;
        cJSON *json = json_parse(line, &err);

        assert_true(line.len <= 8192);
        assert_non_null(json); // whole, though fields are missing
        lines++;
        if (lines == 2) {
            assert_non_null(json_str(json, "a"));
            assert_null(json_str(json, "d"));
            assert_non_null(json_get(json, "last"));
        }
        json_free(json);
    }
    assert_int_equal(lines, 3);
    mem_free(out);
    format = LOG_CLASSIC;
    out = child_output(1, huge, &format);
    assert_int_equal(occurrences(out, "\n"), 3);
    mem_free(out);
}

enum { THREADS = 4, EACH = 200 };

static void chatter(void *ctx)
{
    UNUSED(ctx);
    for (int i = 0; i < EACH; i++) {
        log_line("a line of its own");
        log_info("m", "collapsed", KV_I64("i", i));
    }
}

static void many_threads(void *ctx)
{
    struct thread threads[THREADS];
    struct err err = ERR_INIT;

    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    for (int i = 0; i < THREADS; i++)
        CHECK(thread_start(&threads[i], THREAD_PIPE, i + 1, chatter, NULL, &err));
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
}

static void lines_of_threads_do_not_mix(void **state)
{
    char *out = child_output(1, many_threads, NULL);

    UNUSED(state);
    assert_int_equal(occurrences(out, "] 12:00:05 ℹ a line of its own\n"), THREADS * EACH);
    assert_int_equal(occurrences(out, "] 12:00:05 ℹ collapsed module=m i="), 10);
    assert_int_equal(occurrences(out, "\n"), THREADS * EACH + 10);
    mem_free(out);
}

static void into_a_closed_pipe(void *ctx)
{
    UNUSED(ctx);
    begin(LOG_INFO, LOG_CLASSIC);
    close(1);
    log_line("nobody reads this");
    dprintf(2, "still here");
}

static void a_broken_output_is_survived(void **state)
{
    UNUSED(state);
    assert_output(2, into_a_closed_pipe, "still here");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_and_streams),
        cmocka_unit_test(what_is_below_is_silent),
        cmocka_unit_test(fields_of_the_classic_format),
        cmocka_unit_test(a_line_stays_a_line),
        cmocka_unit_test(json_format),
        cmocka_unit_test(who_writes),
        cmocka_unit_test(local_time),
        cmocka_unit_test(repetitions_are_counted),
        cmocka_unit_test(no_count_is_lost),
        cmocka_unit_test(a_line_has_an_end),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(a_broken_output_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
