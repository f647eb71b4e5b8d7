/* loader.h - from a plugin's source to what runs: its manifest and its one source file.
 *
 * Threads: any that may read files (not PIPE, STORE, NET). Errors: a plugin that cannot be loaded
 * has `load_error`, the text that people see as the plugin's error; nothing else fails.
 */
#pragma once

#include "plugin/manifest.h"

#define LOADER_SOURCE_MAX   (16u << 20)
#define LOADER_MANIFEST_MAX (1u << 20)

struct plugin_files {    /* heap texts */
    const char *builtin; /* name of a plugin of the program (builtin.h); NULL: JavaScript */
    cJSON *manifest;     /* NULL: none, or broken */
    char *source;        /* NUL-terminated; NULL: builtin, or not loaded */
    size_t source_len;
    char *source_path; /* "/index.js" */
    char *load_error;  /* NULL: fine */
};

/* `object`: as the provision file has a plugin, {"name","source","files"?}, paths joined. */
void loader_read(const cJSON *object, int64_t plugin_id, struct plugin_files *out);
/* A directory with a plugin in it, as "dir:" has it. */
void loader_read_dir(const char *dir, const char *name, int64_t plugin_id,
                     struct plugin_files *out);
void plugin_files_fini(struct plugin_files *f);
