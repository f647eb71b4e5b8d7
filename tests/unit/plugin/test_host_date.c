/* Date that follows clock.h. */
#include "vm_aid.h"

#define AT_MS 1652184000000 /* 2022-05-10T12:00:00Z */

static void begin(struct vm_aid *a, bool has_own_clock)
{
    struct plugins_options opt = plugins_aid_options(NULL);

    opt.has_own_clock = has_own_clock;
    clock_fake_set(AT_MS * 1000);
    vm_aid_init_with(a, &opt);
}

static void end(struct vm_aid *a)
{
    vm_aid_fini(a);
    clock_fake_off();
}

static void test_present(void **state)
{
    static const char *const table[][2] = {
        {"return [Date.now(), new Date().getTime(), +new Date]",
         "[1652184000000,1652184000000,1652184000000]"},
        {"return new Date()", "\"2022-05-10T12:00:00.000Z\""},
        {"return typeof Date()", "\"string\""},
        {"return Date().includes('2022')", "true"},
        {"return [new Date(5).getTime(), new Date(undefined).getTime(), new "
         "Date('1970').getTime()]",
         "[5,null,0]"},
        {"return [new Date(2020, 1, 3).getDate(), Date.UTC(1970, 0, 2), Date.parse('1970-01-02')]",
         "[3,86400000,86400000]"},
        {"return [Date.name, Date.length, new Date().constructor === Date, new Date instanceof "
         "Date,"
         "Object.keys(Date)]",
         "[\"Date\",7,true,true,[]]"},
        {"class Own extends Date { x() { return this.getTime() } } return [new Own().x(),"
         "new Own instanceof Own]",
         "[1652184000000,true]"},
        {"globalThis.Date = 1; return Date", "1"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct vm_aid a;

        begin(&a, true);
        assert_string_equal(vm_aid_eval(&a, table[i][0]), table[i][1]);
        end(&a);
    }
}

static void test_moves(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, true);
    vm_aid_run(&a, "exports.onEvent = () => Date.now() + new Date().getTime()");
    clock_fake_add(1500);
    vm_aid_call_named(&a, "onEvent", "1");
    assert_string_equal(a.text, "3304368000002");
    end(&a);
}

static void test_the_systems(void **state)
{
    struct vm_aid a;

    UNUSED(state);
    begin(&a, false); /* the engine's own, which no fake reaches */
    assert_string_equal(vm_aid_eval(&a, "return Date.now() === 1652184000000"), "false");
    assert_string_equal(vm_aid_eval(&a, "return Date.toString().includes('native')"), "true");
    end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_present),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_the_systems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
