/* conf_aid.h - loading settings in tests. */
#pragma once

#include "base/mem.h"
#include "conf/conf_priv.h"
#include "temp_dir.h"
#include "unit.h"

/* Literals are const, an environment is not. */
#define ENV(...) \
    ((char **)(uintptr_t)(const void *)(const char *[]){__VA_ARGS__ __VA_OPT__(, ) NULL})
#define SETS(...)                               \
    .sets = (const char *const[]){__VA_ARGS__}, \
    .set_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

/* The settings; a fault fails the test. */
static inline struct conf *load_sources(const struct conf_sources *s)
{
    struct buf faults = BUF_INIT(1 << 20);
    struct conf *c = conf_load(s, &faults);

    if (!c)
        fail_msg("%s", buf_cstr(&faults));
    buf_free(&faults);
    return c;
}

#define LOAD(...) load_sources(&(struct conf_sources){__VA_ARGS__})

/* The faults exactly. */
static inline void expect_faults(const struct conf_sources *s, const char *expected)
{
    struct buf faults = BUF_INIT(1 << 20);

    assert_null(conf_load(s, &faults));
    assert_string_equal(buf_cstr(&faults), expected);
    buf_free(&faults);
}

#define EXPECT_FAULTS(text, ...) expect_faults(&(struct conf_sources){__VA_ARGS__}, text)

static inline void expect_warning(const struct conf *c, const char *expected)
{
    for (size_t i = 0; i < c->warning_count; i++)
        if (strcmp(c->warnings[i], expected) == 0)
            return;
    for (size_t i = 0; i < c->warning_count; i++)
        print_message("warning: %s\n", c->warnings[i]);
    fail_msg("no warning: %s", expected);
}
