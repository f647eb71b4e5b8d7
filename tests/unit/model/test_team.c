#include "model/team.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

static void test_find(void **state)
{
    static const char *const drop[] = {"bot", "other"};
    struct team_set *s = team_set_new();
    struct team nine = {.id = 9,
                        .name = "nine",
                        .api_token = "phc_9",
                        .drop = drop,
                        .drop_count = 2,
                        .bucket = "default"};
    struct team two = {.id = 2, .api_token = "phc_2", .extra_json = "{\"x\":1}"};
    struct err err = ERR_INIT;
    const struct team *t;

    UNUSED(state);
    assert_true(team_set_add(s, &nine, &err));
    assert_true(team_set_add(s, &two, &err));
    team_set_add_personal_key(s, SLICE("phx_a"), 9);
    team_set_seal(s);
    assert_int_equal(team_set_count(s), 2);
    assert_int_equal(team_set_at(s, 0)->id, 2);
    assert_int_equal(team_set_at(s, 1)->id, 9);
    t = team_by_token(s, SLICE("phc_9"));
    assert_ptr_equal(t, team_by_id(s, 9));
    assert_string_equal(t->name, "nine");
    assert_ptr_not_equal(t->name, nine.name);
    assert_true(team_drops(t, SLICE("bot")));
    assert_false(team_drops(t, SLICE("bo")));
    assert_string_equal(t->extra_json, "{}");
    t = team_by_id(s, 2);
    assert_string_equal(t->name, "");
    assert_string_equal(t->extra_json, "{\"x\":1}");
    assert_null(t->slack_incoming_webhook);
    assert_false(team_drops(t, SLICE("bot")));
    assert_null(team_by_token(s, SLICE("phc_")));
    assert_null(team_by_token(s, SLICE("")));
    assert_null(team_by_id(s, 3));
    assert_int_equal(team_of_personal_key(s, SLICE("phx_a")), 9);
    assert_int_equal(team_of_personal_key(s, SLICE("phx_b")), 0);
    team_set_unref(s);
    team_set_unref(NULL);
}

static void test_refused(void **state)
{
    struct team_set *s = team_set_new();
    struct team good = {.id = 1, .api_token = "a"};
    struct team same_id = {.id = 1, .api_token = "b"};
    struct team same_token = {.id = 2, .api_token = "a"};
    struct team no_token = {.id = 3, .api_token = ""};
    struct err err = ERR_INIT;

    UNUSED(state);
    assert_true(team_set_add(s, &good, &err));
    assert_false(team_set_add(s, &same_id, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_false(team_set_add(s, &same_token, &err));
    assert_false(team_set_add(s, &no_token, &err));
    team_set_seal(s);
    assert_int_equal(team_set_count(s), 1);
    assert_null(team_by_id(s, 2));
    team_set_unref(s);
}

static struct team_set *one_team(int64_t id)
{
    struct team_set *s = team_set_new();
    struct team t = {.id = id, .api_token = "t"};
    struct err err = ERR_INIT;

    CHECK(team_set_add(s, &t, &err));
    team_set_seal(s);
    return s;
}

static void test_directory(void **state)
{
    struct team_directory *d = team_directory_new();
    const struct team_set *mine = NULL;
    const struct team_set *held;

    UNUSED(state);
    assert_int_equal(team_set_count(team_directory_cached(d, &mine)), 0);
    team_directory_publish(d, one_team(5));
    held = team_directory_get(d);
    assert_non_null(team_by_id(team_directory_cached(d, &mine), 5));
    assert_ptr_equal(team_directory_cached(d, &mine), held);
    team_directory_publish(d, one_team(6));
    assert_non_null(team_by_id(held, 5)); /* still there for who holds it */
    assert_non_null(team_by_id(team_directory_cached(d, &mine), 6));
    team_set_unref(held);
    team_set_unref(mine);
    team_directory_free(d);
    team_directory_free(NULL);
}

struct readers {
    struct team_directory *d;
    atomic_bool is_over;
};

static void *read_on(void *arg)
{
    struct readers *r = arg;
    const struct team_set *mine = NULL;

    while (!atomic_load(&r->is_over)) {
        const struct team_set *s = team_directory_cached(r->d, &mine);

        CHECK(team_set_count(s) <= 1);
        if (team_set_count(s) == 1)
            CHECK(team_by_token(s, SLICE("t")) == team_set_at(s, 0));
    }
    team_set_unref(mine);
    return NULL;
}

static void test_threads(void **state)
{
    struct readers r = {.d = team_directory_new()};
    pthread_t threads[2];

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    for (int64_t i = 1; i < 2000; i++)
        team_directory_publish(r.d, one_team(i));
    atomic_store(&r.is_over, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    team_directory_free(r.d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
