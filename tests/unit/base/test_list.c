#include "base/list.h"
#include "unit.h"

struct item {
    int number;
    struct list node;
};

static int as_number(const struct list *head)
{
    int sum = 0;

    list_each (at, head)
        sum = sum * 10 + list_entry(at, struct item, node)->number;
    return sum;
}

static void order_and_removal(void **state)
{
    struct list head = LIST_INIT(head);
    struct item items[5];

    UNUSED(state);
    assert_true(list_is_empty(&head));
    for (int i = 0; i < 5; i++)
        items[i].number = i + 1;
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    list_insert_before(&items[2].node, &items[4].node);
    assert_int_equal(as_number(&head), 1253);
    list_remove(&items[4].node);
    assert_int_equal(as_number(&head), 123);
    assert_true(list_is_empty(&items[4].node)); // a removed node is a list of its own
    list_remove(&items[4].node);
    list_each_safe (at, next, &head)
        list_remove(at);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_removal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
