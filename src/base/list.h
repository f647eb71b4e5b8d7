/* list.h - intrusive doubly linked list. A node is in one list at a time. One thread. */
#pragma once

#include "base/check.h"

struct list {
    struct list *prev, *next;
};

#define LIST_INIT(name)               ((struct list){&(name), &(name)})
#define list_entry(ptr, type, member) CONTAINER_OF(ptr, type, member)
#define list_each(pos, head)          for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
#define list_each_safe(pos, tmp, head)                                     \
    for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head); \
         pos = tmp, tmp = pos->next)

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *pos, struct list *node)
{
    node->prev = pos->prev;
    node->next = pos;
    pos->prev->next = node;
    pos->prev = node;
}

#define list_push_back(head, node)  list_insert_before((head), (node))
#define list_push_front(head, node) list_insert_before((head)->next, (node))

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = node;
}
