#include "pipe/step.h"

#include "pipe/pipe_priv.h"

void step_resume(struct step_work *work, enum step_result result, const struct err *err)
{
    CHECK(result != STEP_HOLD);
    work->result = result;
    if (err)
        work->err = *err;
    work->message.kind = MESSAGE_RESUME;
    mpsc_push(&work->worker->inbox, &work->message.node);
}
