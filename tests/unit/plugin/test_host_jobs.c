/* meta.jobs. */
#include "vm_aid.h"

struct jobs_aid {
    struct vm_aid vm; /* first: its services are the table's self */
    char text[512];   /* of the last job: "TYPE PAYLOAD us-from-now" */
    int count;
    bool is_full;
};

static bool jobs_aid_put(void *self, const struct plugin_job *job, struct err *err)
{
    struct jobs_aid *j = self;

    if (j->is_full)
        return err_set(err, ERR_FULL, "the queue is full");
    assert_int_equal(job->config_id, 7);
    assert_int_equal(job->team_id, 2);
    j->count++;
    snprintf(j->text, sizeof(j->text), "%s %.*s %lld", job->type, SLICE_ARG(job->payload),
             (long long)(job->run_at_us - clock_wall_us()));
    return true;
}

static void jobs_aid_init(struct jobs_aid *j, bool has_queue)
{
    static struct plugin_services table;
    struct plugins_options opt = plugins_aid_options(NULL);

    table = services_aid_table;
    table.job = has_queue ? jobs_aid_put : NULL;
    opt.services = &table;
    vm_aid_init_with(&j->vm, &opt);
    j->count = 0;
    j->is_full = false;
}

static void test_put(void **state)
{
    static const struct {
        const char *script, *text;
    } table[] = {
        {"a({ x: 1 }).runNow()", "a {\"x\":1} 0"},
        {"a().runNow()", "a  0"},
        {"a(null).runNow()", "a null 0"},
        {"['b c'](1).runNow()", "b c 1 0"},
        {"a(1).runIn(5, 'seconds')", "a 1 5000000"},
        {"a(1).runIn(5, 'second')", "a 1 5000000"},
        {"a(1).runIn(1, 'milliseconds')", "a 1 1000"},
        {"a(1).runIn(1.5, 'minutes')", "a 1 90000000"},
        {"a(1).runIn(1, 'hour')", "a 1 3600000000"},
        {"a(1).runIn(1, 'days')", "a 1 86400000000"},
        {"a(1).runIn(1, 'week')", "a 1 604800000000"},
        {"a(1).runIn(1, 'month')", "a 1 2592000000000"},
        {"a(1).runIn(1, 'quarter')", "a 1 7862400000000"},
        {"a(1).runIn(1, 'year')", "a 1 31536000000000"},
        {"a(1).runIn('2', 'seconds')", "a 1 2000000"},
        {"a(1).runAt(new Date(1600000001000))", "a 1 1000000"},
        {"a(1).runAt(1600000000000)", "a 1 0"},
    };
    struct jobs_aid j;
    char script[200];

    UNUSED(state);
    clock_fake_set(1600000000000000);
    jobs_aid_init(&j, true);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        snprintf(script, sizeof(script), "return meta.jobs%s%s",
                 table[i].script[0] == '[' ? "" : ".", table[i].script);
        if (strcmp(vm_aid_eval(&j.vm, script), "undefined") != 0)
            fail_msg("%s: %s", script, j.vm.text);
        assert_string_equal(j.text, table[i].text);
    }
    assert_int_equal(j.count, ARRAY_LEN(table));
    vm_aid_fini(&j.vm);
    clock_fake_off();
}

static void test_faults(void **state)
{
    static const struct {
        const char *script, *text;
    } table[] = {
        {"a(1).runIn(1, 'fortnight')", "!Unknown time unit: fortnights"},
        {"a(1).runIn(1, 'fortnights')", "!Unknown time unit: fortnights"},
        {"a(1).runIn(1)", "!Unknown time unit: undefineds"},
        {"a(1).runIn(NaN, 'days')", "!The time of a job must be a date or a number"},
        {"a(1).runIn(1e300, 'years')", "!The time of a job must be a date or a number"},
        {"a(1).runAt(new Date('x'))", "!The time of a job must be a date or a number"},
        {"a(1).runAt()", "!"},
        {"a(10n).runNow()", "!"},
    };
    struct jobs_aid j;
    char script[200];

    UNUSED(state);
    jobs_aid_init(&j, true);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        snprintf(script, sizeof(script), "const p = meta.jobs.%s; return p", table[i].script);
        vm_aid_eval(&j.vm, script);
        if (strncmp(j.vm.text, table[i].text, strlen(table[i].text)) != 0)
            fail_msg("%s: %s", script, j.vm.text);
    }
    j.is_full = true;
    assert_string_equal(vm_aid_eval(&j.vm, "return meta.jobs.a().runNow()"), "!the queue is full");
    assert_int_equal(j.count, 0);
    vm_aid_fini(&j.vm);
}

static void test_no_queue(void **state)
{
    struct jobs_aid j;

    UNUSED(state);
    jobs_aid_init(&j, false);
    assert_string_equal(vm_aid_eval(&j.vm, "return meta.jobs.a().runNow()"),
                        "!No JobQueue available");
    vm_aid_fini(&j.vm);
}

/* Awaiting the object does not hang, and symbols are no jobs. */
static void test_no_thenable(void **state)
{
    struct jobs_aid j;

    UNUSED(state);
    clock_fake_set(1600000000000000);
    jobs_aid_init(&j, true);
    assert_string_equal(vm_aid_eval(&j.vm, "const jobs = await meta.jobs; return [typeof jobs.then,"
                                           " typeof jobs[Symbol.toPrimitive],"
                                           " typeof jobs[Symbol.iterator], typeof jobs.other]"),
                        "[\"undefined\",\"undefined\",\"undefined\",\"function\"]");
    assert_string_equal(vm_aid_eval(&j.vm, "const { retry } = meta.jobs; await retry(1).runNow();"
                                           " return 1"),
                        "1");
    assert_string_equal(j.text, "retry 1 0");
    vm_aid_fini(&j.vm);
    clock_fake_off();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_no_queue),
        cmocka_unit_test(test_no_thenable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
