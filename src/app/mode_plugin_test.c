/* `plugin test DIR`: a plugin on events, without a server, a data directory or the network. What
 * the plugin does wrong is a result; only what is asked for wrongly ends with 1. */
#include "app/app_priv.h"
#include "app/attachment.h"
#include "app/plugin_trial.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/iso8601.h"
#include "base/mem.h"
#include "model/json_value.h"
#include "plugin/loader.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX  (256u << 20)
#define OUTPUT_BYTES_MAX (1u << 30)
#define TEAM_USUAL       1

struct plugin_test {
    const struct cli *cli;
    struct arena *arena;
    struct plugin_files files;
    char dir[PATH_MAX];
    cJSON *config, *fixture;
    struct buf config_json, events;
    struct plugin_attachment *attachments;
    size_t attachment_count;
    int64_t team_id, clock_us;
};

/* --- what is given ---------------------------------------------------------------------------- */

static bool read_dir(struct plugin_test *p, const char *dir, struct err *err)
{
    struct stat st;

    if (!realpath(dir, p->dir))
        return err_set(err, ERR_INPUT, "there is no directory %s", dir);
    if (stat(p->dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_INPUT, "%s is no directory", dir);
    loader_read_dir(p->dir, strrchr(p->dir, '/') + 1, 1, &p->files);
    return true;
}

/* An object; an empty one when no file is named. */
static cJSON *read_object(const char *option, const char *path, struct err *err)
{
    struct buf text = BUF_INIT(INPUT_BYTES_MAX);
    cJSON *json = NULL;

    if (!path)
        return cJSON_CreateObject();
    if (fs_read_all(path, &text, err)) {
        json = json_parse(buf_slice(&text), err);
        if (!json)
            err_wrap(err, "%s", path);
        else if (!cJSON_IsObject(json))
            err_set(err, ERR_INPUT, "%s: line 1: must be an object", path);
    }
    buf_free(&text);
    if (json && cJSON_IsObject(json))
        return json;
    json_free(json);
    err_wrap(err, "%s", option);
    return NULL;
}

static bool read_config(struct plugin_test *p, struct err *err)
{
    p->config = read_object("--config", p->cli->tested_config, err);
    if (!p->config)
        return false;
    if (p->files.manifest)
        manifest_add_defaults(p->files.manifest, p->config);
    return json_write(p->config, &p->config_json) ||
           err_set(err, ERR_LIMIT, "--config has more than %u bytes", INPUT_BYTES_MAX);
}

static bool read_attachments(struct plugin_test *p, struct err *err)
{
    const cJSON *list = json_get(p->fixture, "attachments"), *item;
    char *base = p->cli->fixture ? app_base_dir(p->cli->fixture) : NULL;
    bool ok = true;

    p->attachments =
        arena_zalloc(p->arena, ((size_t)cJSON_GetArraySize(list) + 1) * sizeof(*p->attachments));
    cJSON_ArrayForEach(item, list)
    {
        ok = ok &&
             (cJSON_IsString(item) ||
              err_set(err, ERR_INPUT, "/attachments/%s: must be the path of a file", item->string));
        if (!ok)
            break;
        char *path = fs_join(base, item->valuestring);
        ok = attachment_read(item->string, arena_dup_cstr(p->arena, slice_cstr(path)), p->arena,
                             &p->attachments[p->attachment_count], err);
        p->attachment_count += ok;
        mem_free(path);
    }
    mem_free(base);
    return ok;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(slice_cstr(name), slice_cstr(names[i])))
            return true;
    return false;
}

/* Members that nobody knows are named, in case one was meant to be another. */
static bool check_fixture(const struct plugin_test *p, struct err *err)
{
    static const char *const objects[] = {"attachments", "storage", "cache", "team"};
    const cJSON *item;

    cJSON_ArrayForEach(item, p->fixture)
    {
        if (slice_eq(slice_cstr(item->string), SLICE("http"))) {
            if (!cJSON_IsArray(item))
                return err_set(err, ERR_INPUT, "/http: must be a list");
        } else if (!is_one_of(item->string, objects, ARRAY_LEN(objects))) {
            app_complain("warning: --fixture: /%s is not known and ignored", item->string);
        } else if (!cJSON_IsObject(item)) {
            return err_set(err, ERR_INPUT, "/%s: must be an object", item->string);
        }
    }
    return true;
}

static bool read_team(struct plugin_test *p, struct err *err)
{
    const cJSON *id = json_get(json_get(p->fixture, "team"), "id");

    p->team_id = 0;
    return !id || (json_int(id, &p->team_id) && p->team_id > 0) ||
           err_set(err, ERR_INPUT, "/team/id: must be a whole number from 1");
}

static bool read_fixture(struct plugin_test *p, struct err *err)
{
    p->fixture = read_object("--fixture", p->cli->fixture, err);
    return p->fixture &&
           ((check_fixture(p, err) && read_team(p, err) && read_attachments(p, err)) ||
            err_wrap(err, "--fixture: %s", p->cli->fixture));
}

static bool read_clock(struct plugin_test *p, struct err *err)
{
    return !p->cli->clock || iso8601_parse(slice_cstr(p->cli->clock), &p->clock_us) ||
           err_set(err, ERR_INPUT, "--clock must be a time as 2022-05-10T12:00:00Z, not %s",
                   p->cli->clock);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* The next line that is not empty; *number counts all. */
static bool next_line(struct slice *rest, size_t *number, struct slice *line)
{
    while (slice_split(rest, '\n', line)) {
        ++*number;
        *line = slice_trim(*line);
        if (line->len)
            return true;
    }
    return false;
}

static bool check_line(struct slice line, bool is_any, int64_t *team_id, struct err *err)
{
    struct json_read_options opt = {.memory_max = MAX((size_t)16 << 20, 32 * line.len)};
    struct json_doc doc = {0};
    yyjson_val *id;
    bool ok = json_doc_read(line, &opt, &doc, err);

    if (ok && !is_any && !yyjson_is_obj(doc.root))
        ok = err_set(err, ERR_INPUT, "an event must be a JSON object");
    id = ok ? json_member(doc.root, SLICE("team_id")) : NULL;
    if (*team_id == 0 && yyjson_is_int(id) && yyjson_get_sint(id) > 0)
        *team_id = yyjson_get_sint(id);
    json_doc_free(&doc);
    return ok;
}

static bool is_job(const char *hook)
{
    return slice_starts(slice_cstr(hook), SLICE("job:"));
}

/* All of it is looked at before the plugin is run. A team that the fixture does not name is that of
 * the first event. */
static bool read_events(struct plugin_test *p, struct err *err)
{
    const char *path = p->cli->event;
    struct slice rest, line;
    size_t number = 0;

    if (path && !fs_read_all(path, &p->events, err))
        return err_wrap(err, "--event");
    rest = path ? buf_slice(&p->events) : SLICE_NONE;
    while (next_line(&rest, &number, &line))
        if (!check_line(line, is_job(p->cli->hook), &p->team_id, err))
            return err_wrap(err, "--event: %s: line %zu", path, number);
    if (p->team_id == 0)
        p->team_id = TEAM_USUAL;
    return true;
}

static bool read_all(struct plugin_test *p, struct err *err)
{
    if (p->cli->word_count != 2)
        return err_set(err, ERR_INPUT,
                       "say `plugin test DIR [--config F] [--event F] [--hook NAME] [--fixture F] "
                       "[--clock ISO]`");
    return read_dir(p, p->cli->words[1], err) && read_config(p, err) && read_fixture(p, err) &&
           read_clock(p, err) && read_events(p, err);
}

/* --- which hook ------------------------------------------------------------------------------- */

static const char *const event_hooks[] = {"processEvent", "onEvent", "exportEvents", "onSnapshot",
                                          "onAction"};
#define SCHEDULES 3 /* the first of these */
static const char *const other_hooks[] = {"runEveryMinute", "runEveryHour", "runEveryDay",
                                          "setupPlugin", "teardownPlugin"};

static bool has_name(const cJSON *capabilities, const char *list, const char *name)
{
    const cJSON *item;

    cJSON_ArrayForEach(item,
                       json_get(capabilities, list)) if (cJSON_IsString(item) &&
                                                         slice_eq(slice_cstr(item->valuestring),
                                                                  slice_cstr(name))) return true;
    return false;
}

static bool has_hook(const cJSON *capabilities, const char *name)
{
    return is_job(name) ? has_name(capabilities, "jobs", name + 4)
                        : has_name(capabilities, "methods", name) ||
                              has_name(capabilities, "scheduled_tasks", name);
}

/* The first that the plugin has; NULL: none. */
static const char *first_of(const cJSON *capabilities, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has_hook(capabilities, names[i]))
            return names[i];
    return NULL;
}

/* What is run when nothing is asked for: processEvent, else what takes events if there are any,
 * else a schedule, else a job. */
static const char *usual_hook(struct plugin_test *p, const cJSON *capabilities)
{
    const cJSON *job = json_get(capabilities, "jobs");
    const char *name;

    if (!capabilities || has_hook(capabilities, "processEvent"))
        return "processEvent";
    name = first_of(capabilities, event_hooks, p->cli->event ? ARRAY_LEN(event_hooks) : 0);
    if (!name)
        name = first_of(capabilities, other_hooks, SCHEDULES);
    if (!name && job && job->child)
        name = arena_printf(p->arena, "job:%s", job->child->valuestring);
    return name;
}

static void add_names(const cJSON *capabilities, const char *list, const char *prefix,
                      struct buf *out)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, json_get(capabilities, list))
        buf_addf(out, "%s%s%s", out->len ? ", " : "", prefix, item->valuestring);
}

static bool check_hook(const char *name, const cJSON *capabilities, struct err *err)
{
    struct buf names = BUF_INIT(300);

    if (!is_job(name) && !slice_eq(slice_cstr(name), SLICE("processEventBatch")) &&
        !is_one_of(name, event_hooks, ARRAY_LEN(event_hooks)) &&
        !is_one_of(name, other_hooks, ARRAY_LEN(other_hooks)))
        return err_set(
            err, ERR_INPUT,
            "--hook: there is no hook %s; it is processEvent, onEvent, exportEvents, "
            "onSnapshot, onAction, runEveryMinute, runEveryHour, runEveryDay or job:NAME",
            name);
    if (!capabilities || has_hook(capabilities, name))
        return true;
    add_names(capabilities, "methods", "", &names);
    add_names(capabilities, "scheduled_tasks", "", &names);
    add_names(capabilities, "jobs", "job:", &names);
    err_set(err, ERR_INPUT, "--hook: the plugin has no %s; it has %s", name,
            names.len ? buf_cstr(&names) : "no hooks at all");
    buf_free(&names);
    return false;
}

/* --- the run ---------------------------------------------------------------------------------- */

static bool run_lines(struct plugin_test *p, struct plugin_trial *t, const char *hook,
                      struct err *err)
{
    struct slice rest = buf_slice(&p->events), line;
    bool is_chain = slice_eq(slice_cstr(hook), SLICE("processEvent")), ok = true;
    size_t number = 0;

    while (ok && next_line(&rest, &number, &line))
        ok = is_chain ? plugin_trial_event(t, line, err) : plugin_trial_hook(t, hook, line, err);
    return ok;
}

/* All events at once. */
static bool run_list(struct plugin_test *p, struct plugin_trial *t, const char *hook,
                     struct err *err)
{
    struct buf list = BUF_INIT(2 * INPUT_BYTES_MAX);
    struct slice rest = buf_slice(&p->events), line;
    size_t number = 0;
    bool ok;

    buf_add_char(&list, '[');
    while (next_line(&rest, &number, &line)) {
        buf_add_str(&list, list.len > 1 ? "," : "");
        buf_add_slice(&list, line);
    }
    buf_add_char(&list, ']');
    ok = plugin_trial_hook(t, hook, buf_slice(&list), err);
    buf_free(&list);
    return ok;
}

static bool run_hook(struct plugin_test *p, struct plugin_trial *t, struct err *err)
{
    const cJSON *capabilities = plugin_trial_load(t);
    const char *hook = p->cli->hook ? p->cli->hook : usual_hook(p, capabilities);

    if (hook && slice_eq(slice_cstr(hook), SLICE("processEventBatch")))
        hook = "processEvent"; /* it stands behind it */
    if (hook && !check_hook(hook, capabilities, err))
        return false;
    if (!hook || slice_ends(slice_cstr(hook), SLICE("Plugin")))
        return true; /* set up and torn down it is anyway */
    if (slice_eq(slice_cstr(hook), SLICE("exportEvents")))
        return run_list(p, t, hook, err);
    if (is_one_of(hook, event_hooks, ARRAY_LEN(event_hooks)) || (is_job(hook) && p->cli->event))
        return run_lines(p, t, hook, err);
    return plugin_trial_hook(t, hook, SLICE_NONE, err);
}

static bool run(struct plugin_test *p, const struct conf *conf, struct buf *out, struct err *err)
{
    const char *name = p->files.manifest ? json_str(p->files.manifest, "name") : NULL;
    struct plugin_trial_options opt = {
        .conf = conf,
        .team_id = p->team_id,
        .api_token = json_str(json_get(p->fixture, "team"), "api_token"),
        .storage = json_get(p->fixture, "storage"),
        .cache = json_get(p->fixture, "cache"),
        .has_clock = p->cli->clock != NULL,
        .config = {.plugin_name = name ? name : strrchr(p->dir, '/') + 1,
                   .source = slice_make(p->files.source, p->files.source_len),
                   .source_path = p->files.source_path,
                   .config_json = buf_cstr(&p->config_json),
                   .attachments = p->attachments,
                   .attachment_count = p->attachment_count,
                   .load_error = p->files.load_error},
    };
    struct plugin_trial *t;
    bool ok;

    if (opt.has_clock)
        clock_fake_set(p->clock_us);
    t = plugin_trial_new(&opt);
    ok = run_hook(p, t, err);
    plugin_trial_end(t);
    ok = ok && plugin_trial_write(t, out, err);
    plugin_trial_free(t);
    if (opt.has_clock)
        clock_fake_off();
    return ok;
}

int mode_plugin_test(const struct cli *cli, const struct conf *conf)
{
    struct plugin_test p = {.cli = cli,
                            .arena = arena_new(4096),
                            .config_json = BUF_INIT(INPUT_BYTES_MAX),
                            .events = BUF_INIT(INPUT_BYTES_MAX)};
    struct buf out = BUF_INIT(OUTPUT_BYTES_MAX);
    struct err err = ERR_INIT;
    bool ok = read_all(&p, &err) && run(&p, conf, &out, &err);

    if (ok) {
        buf_add_char(&out, '\n');
        app_print(buf_slice(&out));
    } else {
        app_complain("hedgerow plugin test: %s", err.text);
    }
    plugin_files_fini(&p.files);
    json_free(p.config);
    json_free(p.fixture);
    buf_free(&p.config_json);
    buf_free(&p.events);
    buf_free(&out);
    arena_free(p.arena);
    return ok ? 0 : 1;
}
