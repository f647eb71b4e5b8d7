/* provision_priv.h - shapes of the provision file, shared by the files provision*.c. */
#pragma once

#include "model/provision.h"

/* Where in the document we are, and where its faults go. */
struct provision_place {
    struct buf pointer;
    struct json_faults *faults;
};

/* Both return the mark that provision_leave goes back to. */
size_t provision_enter_key(struct provision_place *p, const char *key);
size_t provision_enter_index(struct provision_place *p, size_t index);
void provision_leave(struct provision_place *p, size_t mark);
void provision_fault(struct provision_place *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define SHAPE_STR    1u
#define SHAPE_INT    2u /* whole number, |x| < 2^53 */
#define SHAPE_NUM    4u
#define SHAPE_BOOL   8u
#define SHAPE_LIST   16u
#define SHAPE_OBJECT 32u
#define SHAPE_NULL   64u

/* Looks further into a value of the right type. */
typedef void provision_check_fn(struct provision_place *p, const cJSON *value);

struct provision_field {
    const char *name; /* NULL ends the list */
    unsigned types;   /* SHAPE_, several are alternatives; 0: anything */
    bool is_required;
    provision_check_fn *check; /* NULL: none */
};

/* Type, unknown keys (unless `is_open`), missing keys, and each field. */
void provision_check_object(struct provision_place *p, const cJSON *json,
                            const struct provision_field *fields, bool is_open);
/* A list of such objects. */
void provision_check_list(struct provision_place *p, const cJSON *json, provision_check_fn *each);

extern const struct provision_field provision_team_fields[];
extern const struct provision_field provision_personal_key_fields[];

/* The parts that are kept as JSON, in the order of export. */
struct provision_part {
    const char *kind;
    provision_check_fn *check; /* of one object */
    const char *key[2];        /* the fields that make an object's key, the second may be NULL */
    bool is_named;             /* an object of objects by name instead of a list */
};

extern const struct provision_part provision_parts[];
extern const size_t provision_part_count;
