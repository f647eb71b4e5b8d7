/* attachment.h - a file beside a plugin config. Any thread that may read files. */
#pragma once

#include "base/arena.h"
#include "plugin/plugin.h"

/* Contents, texts and all are the arena's; `key` and `path` must live as long. */
MUST_CHECK bool attachment_read(const char *key, const char *path, struct arena *arena,
                                struct plugin_attachment *out, struct err *err);
