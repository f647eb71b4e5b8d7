/* fs.h - files and directories whose state must survive. Any thread. Paths in messages. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

MUST_CHECK bool fs_read_all(const char *path, struct buf *out,
                            struct err *err); /* ERR_LIMIT over out->max; ERR_GONE when absent */
/* Writes a temporary file beside it, syncs, renames, syncs the directory. */
MUST_CHECK bool fs_write_atomic(const char *path, struct slice bytes, unsigned mode,
                                struct err *err);
MUST_CHECK bool fs_mkdirs(const char *path, unsigned mode, struct err *err); /* existing is fine */
MUST_CHECK bool fs_sync_dir(const char *path, struct err *err);
bool fs_exists(const char *path);
uint64_t fs_bytes(const char *path); /* size of a file; 0 when it is absent */
MUST_CHECK bool fs_remove(const char *path, struct err *err); /* absent is fine */
MUST_CHECK bool fs_free_bytes(const char *path, uint64_t *bytes,
                              struct err *err); /* for non-root */
/* Whole writes and reads at an offset, repeated on EINTR and short counts. */
MUST_CHECK bool fs_pwrite(int fd, const void *bytes, size_t len, uint64_t at, const char *path,
                          struct err *err);
MUST_CHECK bool fs_pread(int fd, void *bytes, size_t len, uint64_t at, size_t *got,
                         const char *path, struct err *err);
/* Exclusive lock for the life of the process (flock; the file also names the pid). ERR_FULL with
 * the holder's pid when another process has it. Returns the descriptor or -1. */
MUST_CHECK int fs_lock(const char *path, struct err *err);
char *fs_join(const char *dir,
              const char *name); /* heap; a name that begins with / is taken alone */
