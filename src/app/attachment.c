#include "app/attachment.h"

#include "base/fs.h"

#define ATTACHMENT_BYTES_MAX (64u << 20)

static const char *content_type_of(const char *path)
{
    static const char *const types[][2] = {
        {".json", "application/json"}, {".txt", "text/plain"},      {".csv", "text/csv"},
        {".js", "text/javascript"},    {".html", "text/html"},      {".xml", "application/xml"},
        {".zip", "application/zip"},   {".gz", "application/gzip"},
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (slice_ends(slice_cstr(path), slice_cstr(types[i][0])))
            return types[i][1];
    return "application/octet-stream";
}

bool attachment_read(const char *key, const char *path, struct arena *arena,
                     struct plugin_attachment *out, struct err *err)
{
    struct buf bytes = BUF_INIT(ATTACHMENT_BYTES_MAX);
    const char *slash = strrchr(path, '/');
    bool ok = fs_read_all(path, &bytes, err);

    if (ok)
        *out = (struct plugin_attachment){.key = key,
                                          .content_type = content_type_of(path),
                                          .file_name = slash ? slash + 1 : path,
                                          .contents = arena_dup(arena, buf_slice(&bytes))};
    else
        err_wrap(err, "The attachment \"%s\" cannot be read", key);
    buf_free(&bytes);
    return ok;
}
