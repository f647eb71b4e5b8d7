/* fake_store.h - a store in memory for tests: the whole op table with real transactions.
 *
 * Everything of a transaction is undone by rollback. Texts live as long as the store. Ops can be
 * made to fail: the n-th call of one op, or every insert of an event of a certain name. Threads:
 * ops by one thread; fake_store_wait and the failing switches by any; look at the tables only when
 * nothing runs (after pipe_stop, or after fake_store_wait with nothing sent since).
 */
#ifndef TESTS_LIB_FAKE_STORE_H
#define TESTS_LIB_FAKE_STORE_H

#include "store/store.h"

enum fake_op {
    FAKE_BEGIN,
    FAKE_COMMIT,
    FAKE_PERSON_GET,
    FAKE_PERSON_CREATE,
    FAKE_PERSON_UPDATE,
    FAKE_DISTINCT_ID_ADD,
    FAKE_PERSON_MERGE,
    FAKE_GROUP_TYPE,
    FAKE_GROUP_GET,
    FAKE_GROUP_PUT,
    FAKE_EVENT_SEEN,
    FAKE_EVENT_INSERT,
    FAKE_RECORDING_INSERT,
    FAKE_DEAD_LETTER_INSERT,
    FAKE_STORAGE_SET,
    FAKE_LOGS_INSERT,
    FAKE_TIDY,
    FAKE_OP_COUNT,
};

struct fake_person {
    struct person p;
    bool is_deleted;
};

struct fake_distinct_id {
    int64_t team_id;
    struct slice id;
    int64_t person_id;
    int64_t version;
};

struct fake_group {
    int64_t team_id;
    int type_index;
    struct slice key;
    struct store_group state;
};

struct fake_group_type {
    int64_t team_id;
    struct slice type;
    int index;
};

struct fake_counter {
    enum store_count what;
    int64_t team_id;
    struct slice event;
    uint64_t count;
};

struct fake_store;

struct fake_store *fake_store_new(void);
void fake_store_free(struct fake_store *f);
struct store fake_store_ops(struct fake_store *f);

/* The calls number nth, nth + 1, … (`times` of them, -1: all) of that op from now on fail with
 * `code`. */
void fake_store_fail(struct fake_store *f, enum fake_op op, int nth, int times, enum err_code code);
void fake_store_heal(struct fake_store *f);
void fake_store_poison(struct fake_store *f,
                       const char *event); /* inserting it fails with ERR_INPUT; NULL: none */
uint64_t fake_store_calls(struct fake_store *f, enum fake_op op);
/* Waits (10 s at most) until that many offsets are below the committed cursor or in runs. False on
 * time-out. */
bool fake_store_wait(struct fake_store *f, uint64_t finished);
bool fake_store_wait_calls(struct fake_store *f, enum fake_op op, uint64_t calls);

/* For what is there before the first event. */
struct person *fake_store_person(struct fake_store *f, int64_t team_id, const char *const *ids,
                                 size_t count, const char *properties, int64_t created_at_us);

size_t fake_store_person_count(const struct fake_store *f);
const struct fake_person *fake_store_person_at(const struct fake_store *f, size_t i);
size_t fake_store_distinct_id_count(const struct fake_store *f);
const struct fake_distinct_id *fake_store_distinct_id_at(const struct fake_store *f, size_t i);
size_t fake_store_event_count(const struct fake_store *f);
const struct event_row *fake_store_event_at(const struct fake_store *f, size_t i);
size_t fake_store_recording_count(const struct fake_store *f);
const struct recording_row *fake_store_recording_at(const struct fake_store *f, size_t i);
size_t fake_store_dead_count(const struct fake_store *f);
const struct dead_letter *fake_store_dead_at(const struct fake_store *f, size_t i);
size_t fake_store_group_count(const struct fake_store *f);
const struct fake_group *fake_store_group_at(const struct fake_store *f, size_t i);
size_t fake_store_group_type_count(const struct fake_store *f);
const struct fake_group_type *fake_store_group_type_at(const struct fake_store *f, size_t i);
size_t fake_store_plugin_log_count(const struct fake_store *f);
const struct store_plugin_log *fake_store_plugin_log_at(const struct fake_store *f, size_t i);
size_t fake_store_plugin_state_count(const struct fake_store *f);
const struct store_plugin_state *fake_store_plugin_state_at(const struct fake_store *f, size_t i);
uint64_t fake_store_counted(const struct fake_store *f, enum store_count what, int64_t team_id);
struct feed_position fake_store_position(struct fake_store *f, const struct feed_run **runs,
                                         size_t *count);

#endif
