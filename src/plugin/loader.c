/* Where the files are differs (a directory, the stored object), what is looked for does not:
 * plugin.json, then the file that its `main` names, else index.js, else index.ts. Only that one
 * file is loaded. The texts of load errors are those that people know. */
#include "plugin/loader.h"

#include "base/fs.h"
#include "base/mem.h"
#include "plugin/builtin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ORGANIZATION "default" /* all plugins belong to one */

struct place {
    const char *dir;    /* NULL: inline */
    const cJSON *files; /* of an inline one */
    const char *name;
    int64_t id;
    struct plugin_files *out;
};

static void fail(struct plugin_files *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void fail(struct plugin_files *out, const char *fmt, ...)
{
    char text[1000];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    mem_free(out->load_error);
    out->load_error = mem_dup_str(text);
}

#define DIGEST        "plugin %s ID %lld (organization ID " ORGANIZATION ")"
#define DIGEST_ARG(p) (p)->name, (long long)(p)->id

/* A symbolic link in a plugin must not lead to files of the machine, whoever wrote the plugin. One
 * that cannot be resolved is left to the reading. */
static bool leads_outside(const char *dir, const char *full)
{
    char *top = realpath(dir, NULL), *real = realpath(full, NULL);
    struct slice inside = slice_cstr(top);
    bool is_outside = top && real && strcmp(top, "/") != 0 &&
                      (!slice_starts(slice_cstr(real), inside) || real[inside.len] != '/');

    mem_free(top); // realpath's, from the same malloc
    mem_free(real);
    return is_outside;
}

/* True with *text when the file is there. A file that is there and cannot be read fails. */
static bool read_file(const struct place *p, const char *path, struct buf *text)
{
    struct err err = ERR_INIT;

    if (!p->dir) {
        const char *content = json_str(p->files, path);

        if (content && !buf_add_str(text, content))
            fail(p->out, "%s is longer than %zu bytes, " DIGEST, path, text->max, DIGEST_ARG(p));
        return content != NULL;
    }
    char *full = fs_join(p->dir, path);
    bool is_outside = leads_outside(p->dir, full);
    bool ok = !is_outside && fs_read_all(full, text, &err);
    if (is_outside)
        fail(p->out, "%s is a link that leads out of the plugin: " DIGEST, full, DIGEST_ARG(p));
    else if (!ok && err.code != ERR_GONE)
        fail(p->out, "%s, " DIGEST, err.text, DIGEST_ARG(p));
    mem_free(full);
    return ok;
}

static void read_manifest(const struct place *p)
{
    struct buf text = BUF_INIT(LOADER_MANIFEST_MAX);
    struct err err = ERR_INIT;

    if (read_file(p, "plugin.json", &text) && !p->out->load_error) {
        p->out->manifest = manifest_parse(buf_slice(&text), &err);
        if (!p->out->manifest)
            fail(p->out, "Could not load \"plugin.json\" for " DIGEST ": %s", DIGEST_ARG(p),
                 err.text);
    }
    buf_free(&text);
}

/* `main` stays inside of the plugin. */
static bool is_inside(const char *path)
{
    struct slice rest = slice_cstr(path), part;

    if (path[0] == '/')
        return false;
    while (slice_split(&rest, '/', &part))
        if (slice_eq(part, SLICE("..")))
            return false;
    return true;
}

static bool read_source(const struct place *p, const char *path)
{
    struct buf text = BUF_INIT(LOADER_SOURCE_MAX), name = BUF_INIT(4096);

    bool is_there = read_file(p, path, &text);
    if (is_there && !p->out->load_error) {
        p->out->source_len = text.len;
        p->out->source = slice_dup(buf_slice(&text));
        buf_addf(&name, "/%s", slice_starts(slice_cstr(path), SLICE("./")) ? path + 2 : path);
        p->out->source_path = mem_dup_str(buf_cstr(&name));
    }
    buf_free(&text);
    buf_free(&name);
    return is_there || p->out->load_error;
}

static void tell_missing(const struct place *p, const char *path)
{
    if (p->dir && !fs_exists(p->dir))
        fail(p->out,
             "No \"main\" config key or \"index.js\" file found for " DIGEST
             ": there is no directory %s",
             DIGEST_ARG(p), p->dir);
    else if (p->dir && !path)
        fail(p->out, "No \"main\" config key or \"index.js\" file found for " DIGEST,
             DIGEST_ARG(p));
    else
        fail(p->out, "Could not load source code for " DIGEST ". Tried: %s", DIGEST_ARG(p),
             path ? path : "index.js, index.ts");
}

static void read_place(const struct place *p)
{
    read_manifest(p);
    if (p->out->load_error)
        return;
    const char *path = p->out->manifest ? manifest_main(p->out->manifest) : NULL;
    if (path && !is_inside(path))
        fail(p->out, "\"main\" must be a path inside of the plugin, not %s: " DIGEST, path,
             DIGEST_ARG(p));
    else if (path ? !read_source(p, path)
                  : !read_source(p, "index.js") && !read_source(p, "index.ts"))
        tell_missing(p, path);
}

void loader_read_dir(const char *dir, const char *name, int64_t plugin_id, struct plugin_files *out)
{
    struct place p = {.dir = dir, .name = name, .id = plugin_id, .out = out};

    *out = (struct plugin_files){.builtin = NULL};
    read_place(&p);
}

static void find_builtin(const struct place *p, const char *name)
{
    const struct builtin *b = builtin_find(name);

    if (b)
        p->out->builtin = b->name;
    else
        fail(p->out, "There is no plugin \"%s\" in this program, " DIGEST, name, DIGEST_ARG(p));
}

void loader_read(const cJSON *object, int64_t plugin_id, struct plugin_files *out)
{
    const char *source = json_str(object, "source"), *name = json_str(object, "name");
    struct place p = {.name = name ? name : "", .id = plugin_id, .out = out};
    struct slice s = slice_cstr(source ? source : "");

    *out = (struct plugin_files){.builtin = NULL};
    p.files = json_get(object, "files");
    if (slice_starts(s, SLICE("builtin:")))
        find_builtin(&p, source + 8);
    else if (slice_starts(s, SLICE("dir:")))
        loader_read_dir(source + 4, p.name, plugin_id, out);
    else if (slice_eq(s, SLICE("inline")))
        read_place(&p);
    else
        fail(out, "The source %s is not supported yet, " DIGEST ": use dir:PATH or inline",
             source ? source : "(none)", DIGEST_ARG(&p));
}

void plugin_files_fini(struct plugin_files *f)
{
    json_free(f->manifest);
    mem_free(f->source);
    mem_free(f->source_path);
    mem_free(f->load_error);
    *f = (struct plugin_files){.builtin = NULL};
}
