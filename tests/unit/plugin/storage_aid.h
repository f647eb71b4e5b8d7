/* storage_aid.h - a storage service in memory that answers when told. */
#ifndef TESTS_UNIT_PLUGIN_STORAGE_AID_H
#define TESTS_UNIT_PLUGIN_STORAGE_AID_H

#include "base/map.h"
#include "vm_aid.h"

#include <stdlib.h>

struct storage_aid {
    struct vm_aid vm; /* first: its services are the table's self */
    struct map *rows; /* key -> text */
    struct plugin_storage_call *waiting[256];
    size_t count;
    bool is_failing;
};

static inline void storage_aid_call(void *self, struct plugin_storage_call *call)
{
    struct storage_aid *s = self;

    assert_true(s->count < ARRAY_LEN(s->waiting));
    s->waiting[s->count++] = call;
}

static inline void storage_aid_do(struct storage_aid *s, struct plugin_storage_call *c)
{
    char *old = map_get(s->rows, c->key), *value = NULL;
    char number[40];

    c->is_found = old != NULL;
    switch (c->op) {
    case PLUGIN_STORAGE_GET:
        if (old)
            buf_add_str(&c->value, old);
        return;
    case PLUGIN_STORAGE_INIT:
        if (old)
            return;
        value = slice_dup(buf_slice(&c->value));
        break;
    case PLUGIN_STORAGE_SET:
        value = slice_dup(buf_slice(&c->value));
        break;
    case PLUGIN_STORAGE_ADD:
        snprintf(number, sizeof(number), "%g",
                 (old ? strtod(old, NULL) : 0) + strtod(buf_cstr(&c->value), NULL));
        value = mem_dup_str(number);
        buf_clear(&c->value);
        buf_add_str(&c->value, number);
        break;
    case PLUGIN_STORAGE_DEL:
        map_remove(s->rows, c->key);
        mem_free(old);
        return;
    }
    mem_free(map_put(s->rows, c->key, value));
}

/* Answers everything that has been asked so far; the worker is not turned. */
static inline void storage_aid_answer(struct storage_aid *s)
{
    struct err err = ERR_INIT;

    err_set(&err, ERR_IO, "no disk");
    for (size_t i = 0; i < s->count; i++) {
        if (!s->is_failing)
            storage_aid_do(s, s->waiting[i]);
        s->waiting[i]->done(s->waiting[i], !s->is_failing, s->is_failing ? &err : NULL);
    }
    s->count = 0;
}

static inline void storage_aid_init(struct storage_aid *s)
{
    static struct plugin_services table;
    struct plugins_options opt = plugins_aid_options(NULL);

    table = services_aid_table;
    table.storage = storage_aid_call;
    opt.services = &table;
    vm_aid_init_with(&s->vm, &opt);
    s->rows = map_new();
    s->count = 0;
    s->is_failing = false;
}

static inline void storage_aid_fini(struct storage_aid *s)
{
    struct map_iter it = {0};
    struct slice key;
    void *value;

    storage_aid_answer(s);
    vm_aid_fini(&s->vm);
    while (map_next(s->rows, &it, &key, &value))
        mem_free(value);
    map_free(s->rows);
}

/* vm_aid_eval with the answers given as they are asked for. */
static inline const char *storage_aid_eval(struct storage_aid *s, const char *script)
{
    struct buf source = BUF_INIT(1 << 20);

    buf_addf(&source, "exports.processEvent = async (event, meta) => { %s }", script);
    vm_aid_run(&s->vm, buf_cstr(&source));
    buf_free(&source);
    if (vm_aid_event(&s->vm, "{}") == VM_LATER)
        while (!s->vm.is_done) {
            assert_true(s->count > 0);
            storage_aid_answer(s);
            plugin_worker_turn(s->vm.worker);
        }
    if (s->vm.outcome == VM_FAILED) {
        memmove(s->vm.text + 1, s->vm.text, sizeof(s->vm.text) - 2);
        s->vm.text[0] = '!';
    }
    return s->vm.text;
}

#endif
