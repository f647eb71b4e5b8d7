/* step.h - what a PIPE thread does with an event before STORE gets it: a table of steps, run in
 * order.
 *
 * A step looks at the event at work and says how it goes on. STEP_HOLD means that the answer comes
 * later (a plugin awaits something): the work then belongs to the step until it calls step_resume
 * once, from any thread. Meanwhile later events of the same (team, distinct id) wait behind it,
 * others run on.
 *
 * Ownership: the work belongs to the worker; a step may replace `doc` (json_doc_free the old one)
 * but keeps no pointers into it after STEP_NEXT, STEP_DROP or STEP_DEAD. Texts that STORE needs go
 * into the output (pipe_priv.h) by the last step, `prepare`. A work that is still held when the
 * pipe was stopped is freed by pipe_free: step_resume must not be called after pipe_stop has
 * returned.
 */
#pragma once

#include "model/event.h"
#include "model/json_value.h"
#include "ring/feed.h"

enum step_result {
    STEP_NEXT, /* the next step may run */
    STEP_DROP, /* the event ends here, counted as dropped */
    STEP_DEAD, /* the event ends here as a dead letter; err->text says why */
    STEP_HOLD, /* step_resume tells the result later */
};

struct step_work;

typedef enum step_result step_fn(struct step_work *work, struct err *err);

struct step {
    const char *name; /* as in dead letters: plugin_server_ingest_event:<name> */
    step_fn *fn;
};

/* The result of a held work: anything but STEP_HOLD. `err` is read with STEP_DEAD and may be NULL
 * otherwise. */
void step_resume(struct step_work *work, enum step_result result, const struct err *err);
