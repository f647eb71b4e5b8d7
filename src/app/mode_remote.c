/* The modes that ask the running server: apply, export, team, tail. */
#include "app/app_priv.h"
#include "app/remote.h"
#include "base/fs.h"
#include "base/mem.h"

#include <stdio.h>

static int fail(struct remote *r, const char *what, const struct err *err)
{
    app_complain("hedgerow %s: %s", what, err->text);
    remote_close(r);
    return 1;
}

static int64_t field(const cJSON *json, const char *part, const char *name)
{
    int64_t value = 0;

    return json_int(json_get(json_get(json, part), name), &value) ? value : 0;
}

int mode_apply(const struct cli *cli, const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct remote r;
    struct buf text = BUF_INIT(64 << 20), path = BUF_INIT(64 << 10), details = BUF_INIT(1 << 20);
    cJSON *json = NULL;

    if (!remote_open(&r, conf, &err))
        return fail(&r, "apply", &err);
    if (cli->word_count != 1) {
        err_set(&err, ERR_INPUT, "name one file: hedgerow apply FILE [--prune]");
    } else if (fs_read_all(cli->words[0], &text, &err)) {
        char *dir = app_base_dir(cli->words[0]);
        buf_add_str(&path, cli->prune ? "/api/apply?prune=1&" : "/api/apply?");
        remote_add_query(&path, "base_dir", slice_cstr(dir));
        json = remote_call(&r, "POST", buf_cstr(&path), buf_slice(&text), &details, &err);
        mem_free(dir);
    }
    if (json)
        printf("teams: %lld added, %lld changed, %lld removed; other objects: %lld added, %lld "
               "changed, %lld removed\n",
               (long long)field(json, "teams", "added"), (long long)field(json, "teams", "changed"),
               (long long)field(json, "teams", "removed"),
               (long long)field(json, "objects", "added"),
               (long long)field(json, "objects", "changed"),
               (long long)field(json, "objects", "removed"));
    else
        app_complain("%shedgerow apply: %s", buf_cstr(&details), err.text);
    int code = json ? 0 : 1;
    json_free(json);
    buf_free(&text);
    buf_free(&path);
    buf_free(&details);
    remote_close(&r);
    return code;
}

static int print_json(struct remote *r, const char *what, cJSON *json, const struct err *err)
{
    struct buf out = BUF_INIT(64 << 20);

    if (!json)
        return fail(r, what, err);
    json_write_pretty(json, &out);
    buf_add_char(&out, '\n');
    app_print(buf_slice(&out));
    buf_free(&out);
    json_free(json);
    remote_close(r);
    return 0;
}

int mode_export(const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct remote r;

    if (!remote_open(&r, conf, &err))
        return fail(&r, "export", &err);
    return print_json(&r, "export", remote_call(&r, "GET", "/api/export", SLICE_NONE, NULL, &err),
                      &err);
}

static void print_team(const cJSON *team)
{
    const char *name = json_str(team, "name"), *token = json_str(team, "api_token");
    int64_t id = 0;

    if (json_int(json_get(team, "id"), &id))
        printf("%-6lld %-50s %s\n", (long long)id, token ? token : "", name ? name : "");
}

static int team_list(struct remote *r, bool is_json)
{
    struct err err = ERR_INIT;
    cJSON *json = remote_call(r, "GET", "/api/teams", SLICE_NONE, NULL, &err);
    const cJSON *team;

    if (!json || is_json)
        return print_json(r, "team list", json, &err);
    printf("%-6s %-50s %s\n", "ID", "TOKEN", "NAME");
    cJSON_ArrayForEach(team, json_get(json, "teams")) print_team(team);
    json_free(json);
    remote_close(r);
    return 0;
}

static int team_change(struct remote *r, const char *path, struct slice body, bool is_json)
{
    struct err err = ERR_INIT;
    cJSON *json = remote_call(r, "POST", path, body, NULL, &err);

    if (!json || is_json)
        return print_json(r, "team", json, &err);
    print_team(json);
    json_free(json);
    remote_close(r);
    return 0;
}

static int team_add(struct remote *r, const struct cli *cli)
{
    struct err err = ERR_INIT;
    struct buf body = BUF_INIT(64 << 10);
    uint64_t id = 0;

    if (cli->id && !slice_u64(slice_cstr(cli->id), &id)) {
        err_set(&err, ERR_INPUT, "--id must be a whole number from 1, not %s", cli->id);
        return fail(r, "team add", &err);
    }
    buf_add_str(&body, "{\"name\":");
    buf_add_json_str(&body, slice_cstr(cli->words[1]));
    if (cli->id)
        buf_addf(&body, ",\"id\":%llu", (unsigned long long)id);
    buf_add_char(&body, '}');
    int code = team_change(r, "/api/teams", buf_slice(&body), cli->json);
    buf_free(&body);
    return code;
}

int mode_team(const struct cli *cli, const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct slice verb = slice_cstr(cli->word_count ? cli->words[0] : "");
    struct buf text = BUF_INIT(64 << 10);
    struct remote r;
    int code;

    if (!remote_open(&r, conf, &err))
        return fail(&r, "team", &err);
    if (slice_eq(verb, SLICE("list")) && cli->word_count == 1) {
        code = team_list(&r, cli->json);
    } else if (slice_eq(verb, SLICE("add")) && cli->word_count == 2) {
        code = team_add(&r, cli);
    } else if (slice_eq(verb, SLICE("rotate-token")) && cli->word_count == 2) {
        buf_addf(&text, "/api/teams/%s/rotate-token", cli->words[1]);
        code = team_change(&r, buf_cstr(&text), SLICE_NONE, cli->json);
    } else {
        err_set(&err, ERR_INPUT,
                "say `team add NAME [--id N]`, `team list` or `team rotate-token ID`");
        code = fail(&r, "team", &err);
    }
    buf_free(&text);
    return code;
}

static bool print_piece(struct slice bytes, void *ctx)
{
    UNUSED(ctx);
    return fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0;
}

int mode_tail(const struct cli *cli, const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct buf path = BUF_INIT(64 << 10);
    struct remote r;

    if (!remote_open(&r, conf, &err))
        return fail(&r, "tail", &err);
    buf_add_str(&path, "/api/tail?");
    if (cli->team) {
        remote_add_query(&path, "team", slice_cstr(cli->team));
        buf_add_char(&path, '&');
    }
    if (cli->event)
        remote_add_query(&path, "event", slice_cstr(cli->event));
    bool ok = remote_stream(&r, buf_cstr(&path), print_piece, NULL, &err);
    buf_free(&path);
    if (!ok)
        return fail(&r, "tail", &err);
    remote_close(&r);
    return 0;
}
