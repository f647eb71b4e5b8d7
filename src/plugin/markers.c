/* $plugins_succeeded, $plugins_failed, $plugins_deferred: what the chain leaves on the event.
 *
 * Most events of a team get the same three lists. A chain keeps those that it made as parsed
 * documents; an event refers to one, and `prepare` puts its members among the properties. So the
 * markers of an event cost no write and no parse of their own.
 */
#include "base/mem.h"
#include "plugin/worker_priv.h"

#define MARKERS_TEXT_MAX ((size_t)16 << 20) /* thousands of configs with long names */

static bool add_list(struct buf *out, const struct plugin_run *run, enum mark mark)
{
    bool is_first = true;
    bool ok = true;

    for (size_t i = 0; ok && i < run->chain->count; i++) {
        const struct plugin_config *c = run->chain->links[i]->config;
        char id[32];
        struct buf name = BUF_INIT(MARKERS_TEXT_MAX);

        if (!(run->marks[i] & mark))
            continue;
        snprintf(id, sizeof(id), " (%lld)", (long long)c->id);
        ok = buf_add_str(&name, c->plugin_name) && buf_add_str(&name, id) &&
             (is_first || buf_add_char(out, ',')) && buf_add_json_str(out, buf_slice(&name));
        is_first = false;
        buf_free(&name);
    }
    return ok;
}

static struct plugin_markers *markers_new(const struct plugin_run *run)
{
    size_t count = run->chain->count;
    struct plugin_markers *m = mem_zalloc(sizeof(*m) + count);
    struct json_read_options opt = {.memory_max = 64 * MARKERS_TEXT_MAX};
    struct buf text = BUF_INIT(4 * MARKERS_TEXT_MAX);
    struct err err = ERR_INIT;

    m->refs = 1;
    m->count = count;
    memcpy(m->marks, run->marks, count);
    if (!buf_add_str(&text, "{\"$plugins_succeeded\":[") || !add_list(&text, run, MARK_SUCCEEDED) ||
        !buf_add_str(&text, "],\"$plugins_failed\":[") || !add_list(&text, run, MARK_FAILED) ||
        !buf_add_str(&text, "],\"$plugins_deferred\":[") || !add_list(&text, run, MARK_DEFERRED) ||
        !buf_add_str(&text, "]}") || !json_doc_read(buf_slice(&text), &opt, &m->doc, &err)) {
        mem_free(m);
        m = NULL; /* the names of this team's plugins are too long for any event */
    }
    buf_free(&text);
    return m;
}

static struct plugin_markers *markers_find(struct plugin_run *run)
{
    struct plugin_chain *chain = run->chain;

    for (size_t i = 0; i < chain->markers_count; i++) {
        struct plugin_markers *m = chain->markers[i];

        if (memcmp(m->marks, run->marks, chain->count) == 0)
            return m;
    }
    return NULL;
}

void markers_unref(struct plugin_markers *m)
{
    if (!m || --m->refs > 0)
        return;
    json_doc_free(&m->doc);
    mem_free(m);
}

static bool any_marks(const struct plugin_run *run)
{
    for (size_t i = 0; i < run->chain->count; i++) {
        if (run->marks[i])
            return true;
    }
    return false;
}

void markers_put(struct plugin_run *run)
{
    struct plugin_chain *chain = run->chain;
    struct plugin_event *e = run->event;
    struct plugin_markers *m;

    if (run->is_copy || !any_marks(run))
        return;
    m = markers_find(run);
    if (!m) {
        m = markers_new(run);
        if (!m)
            return;
        if (chain->markers_count < MARKER_SETS_KEPT) {
            chain->markers[chain->markers_count++] = m;
            m->refs++;
        }
        m->refs--; /* ours; the event's follows */
    }
    m->refs++;
    e->markers_of = m;
    e->markers = m->doc.root;
}
