/* `plugin …`: plugins of the running server, by its admin API. */
#include "app/app_priv.h"
#include "app/remote.h"
#include "base/fs.h"
#include "base/iso8601.h"
#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FILE_BYTES_MAX  (12u << 20) /* a request to the admin API has 16 MiB */
#define LOGS_USUAL      100
#define FOLLOW_AT_ONCE  1000
#define FOLLOW_EVERY_NS 500000000
#define CONFIGS_MAX     256

static int fail(struct remote *r, const char *verb, const struct err *err)
{
    app_complain("hedgerow plugin %s: %s", verb, err->text);
    remote_close(r);
    return 1;
}

static int64_t number_of(const cJSON *object, const char *name)
{
    int64_t value = 0;

    return json_int(json_get(object, name), &value) ? value : 0;
}

static const char *member_of(const cJSON *object, const char *name)
{
    const char *text = json_str(object, name);

    return text ? text : "";
}

static void print_json(const cJSON *json, bool is_pretty)
{
    struct buf out = BUF_INIT(64 << 20);

    if (is_pretty)
        json_write_pretty(json, &out);
    else
        json_write(json, &out);
    buf_add_char(&out, '\n');
    app_print(buf_slice(&out));
    buf_free(&out);
}

/* --- list ------------------------------------------------------------------------------------- */

static const char *state_of(const cJSON *config)
{
    if (!json_bool(config, "enabled", false))
        return "disabled";
    if (json_str(config, "load_error"))
        return "failed";
    if (slice_eq(slice_cstr(member_of(config, "circuit")), SLICE("open")))
        return "circuit open";
    return member_of(config, "phase");
}

static void print_config(const cJSON *plugin, const cJSON *config)
{
    const char *load_error = json_str(config, "load_error"), *why = json_str(config, "circuit_why");
    const cJSON *error = json_get(config, "error");

    printf("%-6lld %-5lld %-6lld %-12s %10lld %8lld %9lld %9lld  %s (%s)\n",
           (long long)number_of(config, "id"), (long long)number_of(config, "team_id"),
           (long long)number_of(config, "order"), state_of(config),
           (long long)number_of(config, "calls"), (long long)number_of(config, "errors"),
           (long long)number_of(config, "p50_us"), (long long)number_of(config, "p99_us"),
           member_of(plugin, "name"), member_of(plugin, "source"));
    if (why)
        printf("%7s%s\n", "", why);
    if (load_error)
        printf("%7s%s\n", "", load_error);
    else if (error && json_str(error, "message"))
        printf("%7s%s: %s\n", "", member_of(error, "time"), member_of(error, "message"));
}

static void print_plugin(const cJSON *plugin)
{
    const cJSON *configs = json_get(plugin, "configs"), *config;

    cJSON_ArrayForEach(config, configs) print_config(plugin, config);
    if (!configs || !configs->child)
        printf("%-6s %-5s %-6s %-12s %10s %8s %9s %9s  %s (%s)\n", "-", "-", "-", "not in use", "",
               "", "", "", member_of(plugin, "name"), member_of(plugin, "source"));
}

static void print_head(void)
{
    printf("%-6s %-5s %-6s %-12s %10s %8s %9s %9s  %s\n", "ID", "TEAM", "ORDER", "STATE", "CALLS",
           "ERRORS", "P50 us", "P99 us", "PLUGIN");
}

static int plugin_list(struct remote *r, bool is_json)
{
    struct err err = ERR_INIT;
    cJSON *json = remote_call(r, "GET", "/api/plugins", SLICE_NONE, NULL, &err);
    const cJSON *plugin;

    if (!json)
        return fail(r, "list", &err);
    if (is_json) {
        print_json(json, true);
    } else {
        print_head();
        cJSON_ArrayForEach(plugin, json_get(json, "plugins")) print_plugin(plugin);
    }
    json_free(json);
    remote_close(r);
    return 0;
}

/* --- add -------------------------------------------------------------------------------------- */

static void add_member(cJSON *body, const char *name, cJSON *value)
{
    CHECK(value && cJSON_AddItemToObject(body, name, value));
}

/* The server may run in another directory. */
static bool add_dir(cJSON *body, const char *dir, struct err *err)
{
    struct buf source = BUF_INIT(PATH_MAX + 8);
    char full[PATH_MAX];

    if (!realpath(dir, full))
        return err_set(err, ERR_INPUT, "--source dir:%s: there is no such directory", dir);
    buf_addf(&source, "dir:%s", full);
    add_member(body, "source", cJSON_CreateString(buf_cstr(&source)));
    buf_free(&source);
    return true;
}

static bool add_inline(cJSON *body, const char *path, struct err *err)
{
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    bool ok = fs_read_all(path, &text, err);

    if (ok && memchr(text.ptr ? text.ptr : "", '\0', text.len))
        ok = err_set(err, ERR_INPUT, "%s is no source text, it has NUL bytes", path);
    if (ok) {
        bool is_ts = slice_ends(slice_cstr(path), SLICE(".ts"));
        cJSON *files = cJSON_CreateObject();
        add_member(files, is_ts ? "index.ts" : "index.js", cJSON_CreateString(buf_cstr(&text)));
        add_member(body, "source", cJSON_CreateString("inline"));
        add_member(body, "files", files);
    }
    buf_free(&text);
    return ok;
}

static bool add_source(cJSON *body, const struct cli *cli, struct err *err)
{
    struct slice source = slice_cstr(cli->source);
    bool is_inline = cli->source && slice_eq(source, SLICE("inline"));

    if (!cli->source || cli->word_count != (is_inline ? 3u : 2u))
        return err_set(err, ERR_INPUT,
                       "say `plugin add NAME --source dir:PATH`, `--source inline FILE` or "
                       "`--source builtin:geoip`");
    if (is_inline)
        return add_inline(body, cli->words[2], err);
    if (slice_starts(source, SLICE("dir:")))
        return add_dir(body, cli->source + 4, err);
    add_member(body, "source", cJSON_CreateString(cli->source)); /* the server knows which */
    return true;
}

static bool add_number(cJSON *body, const char *option, const char *name, const char *text,
                       struct err *err)
{
    int64_t value = 0;

    if (!text)
        return true;
    if (!slice_i64(slice_cstr(text), &value))
        return err_set(err, ERR_INPUT, "%s must be a whole number, not %s", option, text);
    add_member(body, name, cJSON_CreateNumber((double)value));
    return true;
}

/* JSON, or @FILE with it. */
static bool add_settings(cJSON *body, const char *text, struct err *err)
{
    struct buf file = BUF_INIT(FILE_BYTES_MAX);
    cJSON *json = NULL;

    if (!text)
        return true;
    if (text[0] != '@')
        json = json_parse(slice_cstr(text), err);
    else if (fs_read_all(text + 1, &file, err))
        json = json_parse(buf_slice(&file), err);
    buf_free(&file);
    if (!json)
        return err_wrap(err, "--plugin-config");
    add_member(body, "config", json);
    return true;
}

static void print_added(const cJSON *answer)
{
    const cJSON *plugin = json_get(answer, "plugin");

    print_head();
    print_plugin(plugin);
}

static int plugin_add(struct remote *r, const struct cli *cli)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT(64 << 20), details = BUF_INIT(1 << 20);
    cJSON *body = cJSON_CreateObject(), *answer = NULL;

    if (cli->word_count > 1)
        add_member(body, "name", cJSON_CreateString(cli->words[1]));
    if (add_source(body, cli, &err) && add_number(body, "--team", "team", cli->team, &err) &&
        add_number(body, "--order", "order", cli->order, &err) &&
        add_settings(body, cli->plugin_config, &err)) {
        json_write(body, &text);
        answer = remote_call(r, "POST", "/api/plugins", buf_slice(&text), &details, &err);
    }
    json_free(body);
    if (!answer)
        fprintf(stderr, "%s", buf_cstr(&details));
    else if (cli->json)
        print_json(answer, true);
    else
        print_added(answer);
    bool ok = answer != NULL;
    json_free(answer);
    buf_free(&text);
    buf_free(&details);
    if (!ok)
        return fail(r, "add", &err);
    remote_close(r);
    return 0;
}

/* --- which config ----------------------------------------------------------------------------- */

struct chosen {
    int64_t ids[CONFIGS_MAX];
    size_t count;
};

static void choose_of(const cJSON *plugin, int64_t team_id, struct chosen *out)
{
    const cJSON *config;

    cJSON_ArrayForEach(
        config,
        json_get(plugin, "configs")) if ((!team_id || number_of(config, "team_id") == team_id) &&
                                         out->count < CONFIGS_MAX) out->ids[out->count++] =
        number_of(config, "id");
}

/* A number is a config's id; a name stands for all configs of that plugin, or those of --team. */
static bool choose(struct remote *r, const struct cli *cli, const char *word, struct chosen *out,
                   struct err *err)
{
    int64_t team_id = 0;
    const cJSON *plugin;

    *out = (struct chosen){.count = 0};
    if (cli->team && !slice_i64(slice_cstr(cli->team), &team_id))
        return err_set(err, ERR_INPUT, "--team must be a whole number, not %s", cli->team);
    if (slice_i64(slice_cstr(word), &out->ids[0])) {
        out->count = 1;
        return true;
    }
    cJSON *json = remote_call(r, "GET", "/api/plugins", SLICE_NONE, NULL, err);
    if (!json)
        return false;
    cJSON_ArrayForEach(
        plugin, json_get(json, "plugins")) if (slice_eq(slice_cstr(member_of(plugin, "name")),
                                                        slice_cstr(word)))
        choose_of(plugin, team_id, out);
    json_free(json);
    return out->count || err_set(err, ERR_GONE,
                                 "no plugin \"%s\" is configured; `hedgerow plugin list` shows "
                                 "what is there",
                                 word);
}

static int plugin_switch(struct remote *r, const struct cli *cli, const char *verb)
{
    struct err err = ERR_INIT;
    struct chosen chosen;
    char path[100];

    if (cli->word_count != 2) {
        err_set(&err, ERR_INPUT, "say `plugin %s ID|NAME [--team N]`", verb);
        return fail(r, verb, &err);
    }
    if (!choose(r, cli, cli->words[1], &chosen, &err))
        return fail(r, verb, &err);
    for (size_t i = 0; i < chosen.count; i++) {
        (void)snprintf(path, sizeof(path), "/api/plugins/configs/%lld/%s", (long long)chosen.ids[i],
                       verb);
        cJSON *answer = remote_call(r, "POST", path, SLICE_NONE, NULL, &err);
        if (!answer)
            return fail(r, verb, &err);
        if (cli->json)
            print_json(answer, false);
        else
            printf("plugin config %lld is %sd\n", (long long)chosen.ids[i], verb);
        json_free(answer);
    }
    remote_close(r);
    return 0;
}

/* --- logs ------------------------------------------------------------------------------------- */

struct logs {
    struct remote *remote;
    bool is_json;
    int64_t config_id, limit; /* config_id 0: all */
    int64_t after;            /* id of the newest entry that was printed */
};

static void print_entry(const struct logs *l, const cJSON *entry)
{
    char time[ISO8601_LEN_MAX];

    if (l->is_json)
        print_json(entry, false);
    else
        printf("%s  %-5lld %-7s %-5s %s\n", iso8601_ms(number_of(entry, "at"), time),
               (long long)number_of(entry, "plugin_config_id"), member_of(entry, "source"),
               member_of(entry, "type"), member_of(entry, "message"));
}

/* The server gives the newest first, people read the oldest first. */
static bool print_logs(struct logs *l, struct err *err)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "/api/plugins/logs?config=%lld&limit=%lld&after=%lld",
                   (long long)l->config_id, (long long)l->limit, (long long)l->after);
    cJSON *json = remote_call(l->remote, "GET", path, SLICE_NONE, NULL, err);
    if (!json)
        return false;
    const cJSON *entries = json_get(json, "entries");
    for (int i = cJSON_GetArraySize(entries) - 1; i >= 0; i--) {
        const cJSON *entry = cJSON_GetArrayItem(entries, i);
        print_entry(l, entry);
        l->after = MAX(l->after, number_of(entry, "id"));
    }
    fflush(stdout);
    json_free(json);
    return true;
}

static int plugin_logs(struct remote *r, const struct cli *cli)
{
    struct logs l = {.remote = r, .is_json = cli->json, .limit = LOGS_USUAL};
    struct timespec pause = {.tv_nsec = FOLLOW_EVERY_NS};
    struct err err = ERR_INIT;
    struct chosen chosen;
    bool ok = true;

    if (cli->limit && (!slice_i64(slice_cstr(cli->limit), &l.limit) || l.limit < 1))
        ok = err_set(&err, ERR_INPUT, "--limit must be a whole number from 1, not %s", cli->limit);
    if (ok && cli->word_count > 1) {
        ok = choose(r, cli, cli->words[1], &chosen, &err);
        if (ok && chosen.count > 1)
            ok = err_set(&err, ERR_INPUT, "%s has %zu configs: give --team N, or the id of one",
                         cli->words[1], chosen.count);
        l.config_id = ok ? chosen.ids[0] : 0;
    }
    ok = ok && print_logs(&l, &err);
    l.limit = FOLLOW_AT_ONCE;
    while (ok && cli->follow) {
        nanosleep(&pause, NULL);
        ok = print_logs(&l, &err);
    }
    if (!ok)
        return fail(r, "logs", &err);
    remote_close(r);
    return 0;
}

/* --- all -------------------------------------------------------------------------------------- */

int mode_plugin(const struct cli *cli, const struct conf *conf)
{
    struct err err = ERR_INIT;
    const char *verb = cli->word_count ? cli->words[0] : "";
    struct slice v = slice_cstr(verb);
    struct remote r;

    if (cli_is_plugin_test(cli))
        return mode_plugin_test(cli, conf);
    if (!remote_open(&r, conf, &err))
        return fail(&r, verb, &err);
    if (slice_eq(v, SLICE("list")) && cli->word_count == 1)
        return plugin_list(&r, cli->json);
    if (slice_eq(v, SLICE("add")))
        return plugin_add(&r, cli);
    if (slice_eq(v, SLICE("enable")) || slice_eq(v, SLICE("disable")))
        return plugin_switch(&r, cli, verb);
    if (slice_eq(v, SLICE("logs")) && cli->word_count <= 2)
        return plugin_logs(&r, cli);
    err_set(&err, ERR_INPUT,
            "say `plugin add NAME --source …`, `plugin list`, `plugin enable ID|NAME`, `plugin "
            "disable ID|NAME`, `plugin logs [ID|NAME]` or `plugin test DIR`");
    return fail(&r, verb, &err);
}
