#include "conf_aid.h"

static void masked_texts(void **state)
{
    static const struct {
        unsigned flags;
        const char *text, *shown;
    } table[] = {
        {0, "plain", "plain"},
        {CONF_SECRET, "s", "***"},
        {CONF_SECRET, "", ""},
        {CONF_SECRET | CONF_URL, "http://a@b", "***"},
        {CONF_URL, "postgres://u:p@h:5432/db", "postgres://***@h:5432/db"},
        {CONF_URL, "postgres://u:p/w?d@h/db", "postgres://***@h/db"},
        {CONF_URL, "redis://:p@ss@h:1", "redis://***@h:1"},
        {CONF_URL, "redis://h:6379", "redis://h:6379"},
        {CONF_URL, "u:p@h", "***@h"},
        {CONF_URL, "http://h/x?password=p&sslmode=require&API_KEY=k&t",
         "http://h/x?password=***&sslmode=require&API_KEY=***&t"},
        {CONF_URL, "host=h password=p", "***"},
        {CONF_URL, "h:80?token=x", "***"},
        {CONF_URL, "", ""},
        {CONF_URL, "://@", "://***@"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf out = BUF_INIT(1000);
        assert_true(conf_mask(table[i].flags, slice_cstr(table[i].text), &out));
        assert_string_equal(buf_cstr(&out), table[i].shown);
        buf_free(&out);
    }
}

static void quoted_texts_are_one_short_line(void **state)
{
    struct buf out = BUF_INIT(1000);
    char text[200];

    UNUSED(state);
    conf_quote(SLICE("a\nb\x7f\0c"), &out);
    assert_string_equal(buf_cstr(&out), "a?b??c");
    buf_clear(&out);
    memset(text, 'x', sizeof(text));
    conf_quote(slice_make(text, sizeof(text)), &out);
    assert_int_equal(out.len, 103);
    buf_free(&out);
}

/* O-19: each secret set to a marker, which no listing and no fault may show. */
static void no_listing_shows_a_secret(void **state)
{
    struct buf out = BUF_INIT(1 << 20);
    char *environ[CONF_KEY_COUNT + 1];
    size_t count = 0;

    UNUSED(state);
    for (size_t i = 0; i < CONF_KEY_COUNT; i++) {
        struct buf line = BUF_INIT(1000);
        if (!(conf_table[i].flags & (CONF_SECRET | CONF_URL)))
            continue;
        bool is_url = conf_table[i].flags & CONF_URL;
        buf_addf(&line, is_url ? "%s=x://u:MARKER@h/" : "%s=MARKER", conf_table[i].name);
        environ[count++] = mem_dup_str(buf_cstr(&line));
        buf_free(&line);
    }
    environ[count] = NULL;
    struct conf *c =
        LOAD(.environ = environ, SETS("KAFKA_CLIENT_CERT_B64=x", "KAFKA_TRUSTED_CERT_B64=x"));
    conf_print(c, &out);
    for (size_t i = 0; i < c->warning_count; i++)
        buf_add_str(&out, c->warnings[i]);
    assert_true(out.len > 1000);
    assert_null(strstr(buf_cstr(&out), "MARKER"));
    conf_free(c);
    buf_clear(&out);
    assert_null(
        conf_load(&(struct conf_sources){.environ = environ, SETS("CAPTURE_PORT=x")}, &out));
    assert_null(strstr(buf_cstr(&out), "MARKER"));
    buf_free(&out);
    for (size_t i = 0; i < count; i++)
        mem_free(environ[i]);
}

static void names_that_sound_secret_are(void **state)
{
    static const char *const words[] = {"PASSWORD", "SECRET", "DSN", "TOKEN", "_KEY"};

    UNUSED(state);
    for (size_t i = 0; i < CONF_KEY_COUNT; i++)
        for (size_t w = 0; w < ARRAY_LEN(words); w++) {
            bool is_other = i == CONF_CAPTURE_TLS_KEY /* a path */ || i == CONF_CAPTURE_ANY_TOKEN;
            if (strstr(conf_table[i].name, words[w]) && !is_other)
                assert_true(conf_table[i].flags & CONF_SECRET);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked_texts),
        cmocka_unit_test(quoted_texts_are_one_short_line),
        cmocka_unit_test(no_listing_shows_a_secret),
        cmocka_unit_test(names_that_sound_secret_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
