/* raw_fdatasync DIR RECORD_BYTES RECORDS_PER_SYNC SECONDS
 *
 * The disk's own limit for the ring: pwrite and fdatasync, again and again, over a zero-filled file
 * of 64 MiB. Prints one JSON line. */
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES ((size_t)64 << 20)

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static char buffer[FILE_BYTES];
    static int64_t took[1 << 20];
    char path[4096];
    size_t records, bytes, at = 0, syncs = 0;
    int64_t start, end, now;
    int fd;

    if (argc != 5) {
        fprintf(stderr, "usage: raw_fdatasync DIR RECORD_BYTES RECORDS_PER_SYNC SECONDS\n");
        return 2;
    }
    records = strtoull(argv[3], NULL, 10);
    bytes = strtoull(argv[2], NULL, 10) * records;
    if (bytes == 0 || bytes > FILE_BYTES) {
        fprintf(stderr, "one write must have 1 byte to 64 MiB\n");
        return 2;
    }
    snprintf(path, sizeof(path), "%s/raw_fdatasync.tmp", argv[1]);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd == -1)
        return fail(path);
    if (pwrite(fd, buffer, FILE_BYTES, 0) != (ssize_t)FILE_BYTES || fsync(fd) == -1)
        return fail("fill");
    for (size_t i = 0; i < bytes; i++)
        buffer[i] = (char)(i * 31);
    start = now = clock_mono_us();
    end = start + (int64_t)(atof(argv[4]) * 1e6);
    while (now < end) {
        int64_t before = now;

        if (at + bytes > FILE_BYTES)
            at = 0;
        if (pwrite(fd, buffer, bytes, (off_t)at) != (ssize_t)bytes || fdatasync(fd) == -1)
            return fail("write");
        at += bytes;
        now = clock_mono_us();
        took[syncs++ % (1 << 20)] = now - before;
    }
    close(fd);
    unlink(path);
    qsort(took, syncs < (1 << 20) ? syncs : (1 << 20), sizeof(*took), compare);
    printf("{\"bench\":\"raw_fdatasync\",\"record_bytes\":%s,\"records_per_sync\":%zu,"
           "\"syncs_per_s\":%.0f,\"records_per_s\":%.0f,\"mb_per_s\":%.1f,\"p50_us\":%lld,"
           "\"p99_us\":%lld}\n",
           argv[2], records, (double)syncs * 1e6 / (double)(now - start),
           (double)(syncs * records) * 1e6 / (double)(now - start),
           (double)(syncs * bytes) / (double)(now - start), (long long)took[syncs / 2],
           (long long)took[syncs * 99 / 100]);
    return 0;
}
