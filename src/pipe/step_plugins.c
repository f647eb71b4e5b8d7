/* The team's plugins, between decode and prepare. An event that one of them awaits is held; it is
 * resumed by the same thread, inside plugin_worker_turn. */
#include "pipe/pipe_priv.h"

/* The document again, for an event that waited for a place. The envelope still stands on the
 * record. */
static bool reload(struct plugin_event *e)
{
    struct step_work *work = CONTAINER_OF(e, struct step_work, plugin);

    return decode_data(work, &work->err);
}

static void done(struct plugin_event *e, enum plugin_verdict verdict)
{
    struct step_work *work = CONTAINER_OF(e, struct step_work, plugin);

    if (!work->doc.doc) {
        work->dead_reason = DEAD_UNPARSABLE;
        worker_resume(work, STEP_DEAD);
    } else {
        worker_resume(work, verdict == PLUGIN_DROP ? STEP_DROP : STEP_NEXT);
    }
}

enum step_result step_plugins(struct step_work *work, struct err *err)
{
    UNUSED(err);
    if (!work->worker->plugins)
        return STEP_NEXT;
    work->plugin = (struct plugin_event){
        .envelope = &work->envelope, .doc = &work->doc, .reload = reload, .done = done};
    switch (plugin_worker_run(work->worker->plugins, &work->plugin)) {
    case PLUGIN_DROP:
        return STEP_DROP;
    case PLUGIN_LATER:
        return STEP_HOLD;
    default:
        return STEP_NEXT;
    }
}
