/* A database in use: one or two mapped files and the look-up in them.
 *
 * libmaxminddb finds the file's parts and walks the tree of addresses; records are read by
 * geo_record.c. Before the library sees a file, its metadata is walked within a budget, because the
 * library unfolds the metadata with all that its pointers claim; afterwards a sample of the
 * tree is followed, so that a file with broken pointers is refused as a whole and not at every
 * look-up.
 */
#include "base/mem.h"
#include "geo/geo_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define META_BYTES_MAX ((size_t)128 << 10)
#define META_MARK      "\xab\xcd\xefMaxMind.com"
#define TREE_GAP       16 /* zeros between the tree and the data */
#define SAMPLE_NODES   256

/* --- before the library ----------------------------------------------------------------------- */

struct meta {
    uint64_t node_count, record_bits, ip_version, major;
};

/* The metadata stands behind the last mark of the file. */
static bool find_meta(struct slice file, struct slice *meta)
{
    const size_t mark = sizeof(META_MARK) - 1;
    struct slice tail = file;

    if (tail.len > META_BYTES_MAX) {
        tail.ptr += tail.len - META_BYTES_MAX;
        tail.len = META_BYTES_MAX;
    }
    for (size_t at = tail.len >= mark ? tail.len - mark + 1 : 0; at-- > 0;) {
        if (memcmp(tail.ptr + at, META_MARK, mark) == 0) {
            *meta = slice_make(tail.ptr + at + mark, tail.len - at - mark);
            return true;
        }
    }
    return false;
}

static bool read_meta(struct slice bytes, struct meta *out)
{
    struct geo_reader r = {
        .data = (const uint8_t *)bytes.ptr, .size = bytes.len, .budget = GEO_BUDGET_META};
    struct geo_value top, value;
    struct geo_walk w;
    struct slice key;

    if (!geo_value_read(&r, 0, &top) || top.type != GEO_MAP || !geo_value_check(&r, &top, 0))
        return false;
    w = geo_walk_start(&r, &top);
    while (geo_walk_member(&w, &key, &value)) {
        if (slice_eq(key, SLICE("node_count")))
            out->node_count = value.whole;
        else if (slice_eq(key, SLICE("record_size")))
            out->record_bits = value.whole;
        else if (slice_eq(key, SLICE("ip_version")))
            out->ip_version = value.whole;
        else if (slice_eq(key, SLICE("binary_format_major_version")))
            out->major = value.whole;
    }
    return !w.is_bad;
}

/* What is wrong with the file, or NULL. */
static const char *find_fault(struct slice file)
{
    struct meta meta = {0};
    struct slice bytes;
    uint64_t before;

    if (!find_meta(file, &bytes))
        return "it has no MaxMind metadata: it is cut off, or something else";
    if (!read_meta(bytes, &meta))
        return "its metadata is damaged";
    if (meta.major != 2)
        return "its format is not version 2";
    if (meta.ip_version != 4 && meta.ip_version != 6)
        return "its metadata is damaged (ip_version)";
    if (meta.record_bits != 24 && meta.record_bits != 28 && meta.record_bits != 32)
        return "its metadata is damaged (record_size)";
    before = (uint64_t)(bytes.ptr - file.ptr) - (sizeof(META_MARK) - 1);
    if (meta.node_count == 0 || meta.node_count > UINT32_MAX ||
        meta.node_count * (meta.record_bits / 4) + TREE_GAP > before)
        return "it is shorter than its metadata says: it is cut off";
    return NULL;
}

static bool check_file(int fd, const char *name, struct err *err)
{
    struct stat st;
    const char *fault;
    void *map;

    if (fstat(fd, &st) == -1 || st.st_size == 0)
        return err_set(err, ERR_INPUT, "%s is empty", name);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, ERR_IO, "%s cannot be mapped", name);
    fault = find_fault(slice_make(map, (size_t)st.st_size));
    (void)munmap(map, (size_t)st.st_size);
    return !fault || err_set(err, ERR_INPUT, "%s is not a usable GeoIP database: %s", name, fault);
}

/* --- a sample of the tree --------------------------------------------------------------------- */

struct sample {
    const MMDB_s *mmdb;
    size_t records, places;
};

static bool follow(struct sample *s, uint8_t type, const MMDB_entry_s *entry)
{
    struct geo_record record;
    enum geo_layout layout;

    if (type != MMDB_RECORD_TYPE_DATA)
        return type != MMDB_RECORD_TYPE_INVALID;
    if (!geo_record_read(s->mmdb->data_section, s->mmdb->data_section_size, entry->offset, &record,
                         &layout))
        return false;
    s->records++;
    s->places += layout != GEO_NO_PLACES;
    return true;
}

static bool check_sample(const MMDB_s *mmdb, const char *name, struct err *err)
{
    uint32_t count = mmdb->metadata.node_count;
    uint32_t step = count > SAMPLE_NODES ? count / SAMPLE_NODES : 1;
    struct sample s = {.mmdb = mmdb};

    for (uint32_t at = 0; at < count && count - at >= step; at += step) {
        MMDB_search_node_s node;

        if (MMDB_read_node(mmdb, at, &node) != MMDB_SUCCESS ||
            !follow(&s, node.left_record_type, &node.left_record_entry) ||
            !follow(&s, node.right_record_type, &node.right_record_entry))
            return err_set(err, ERR_INPUT,
                           "%s is not a usable GeoIP database: it is damaged at node %lu", name,
                           (unsigned long)at);
    }
    if (s.records > 0 && s.places == 0)
        return err_set(err, ERR_INPUT,
                       "%s (%.60s) has no countries or cities in it; take a City or a Country "
                       "database",
                       name, mmdb->metadata.database_type);
    /* The sample touched pages all over the file: they are not ours to keep. */
    (void)madvise((void *)(uintptr_t)mmdb->file_content, (size_t)mmdb->file_size, MADV_DONTNEED);
    return true;
}

/* --- opening and closing ---------------------------------------------------------------------- */

struct geo_db *geo_db_new(void)
{
    struct geo_db *db = mem_new(struct geo_db);

    atomic_init(&db->refs, 1);
    return db;
}

bool geo_db_add(struct geo_db *db, int fd, const char *name, struct err *err)
{
    MMDB_s *mmdb = &db->files[db->count].mmdb;
    char path[32];
    int status;

    CHECK(db->count < GEO_FILES_MAX);
    if (!check_file(fd, name, err))
        return false;
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    status = MMDB_open(path, MMDB_MODE_MMAP, mmdb);
    if (status != MMDB_SUCCESS)
        return err_set(err, status == MMDB_OUT_OF_MEMORY_ERROR ? ERR_RETRY : ERR_INPUT,
                       "%s is not a usable GeoIP database: %s", name, MMDB_strerror(status));
    if (!check_sample(mmdb, name, err)) {
        MMDB_close(mmdb);
        return false;
    }
    db->count++;
    return true;
}

void geo_drop(const struct geo_db *db)
{
    struct geo_db *mine = (struct geo_db *)(uintptr_t)db; /* readers see it as immutable */

    if (!mine || atomic_fetch_sub(&mine->refs, 1) > 1)
        return;
    for (size_t i = 0; i < mine->count; i++) {
        MMDB_close(&mine->files[i].mmdb);
        for (size_t k = 0; k < ARRAY_LEN(mine->files[i].memos); k++)
            mem_free(atomic_load(&mine->files[i].memos[k]));
    }
    mem_free(mine);
}

/* --- looking up ------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool read_address(struct slice text, union address *out)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy) || slice_find(text, '\0') != -1)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, copy, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, copy, &out->v6.sin6_addr) != 1)
        return false;
    out->v6.sin6_family = AF_INET6;
    if (IN6_IS_ADDR_V4MAPPED(&out->v6.sin6_addr)) {
        struct in_addr inside;

        memcpy(&inside, out->v6.sin6_addr.s6_addr + 12, sizeof(inside));
        memset(out, 0, sizeof(*out));
        out->v4.sin_family = AF_INET;
        out->v4.sin_addr = inside;
    }
    return true;
}

static void remember(_Atomic(struct geo_record *) *slot, const struct geo_record *record)
{
    struct geo_record *memo = mem_dup(record, sizeof(*record)), *none = NULL;

    if (!atomic_compare_exchange_strong(slot, &none, memo))
        mem_free(memo); /* another thread was first */
}

static bool read_record(struct geo_file *file, uint32_t at, struct geo_record *out)
{
    _Atomic(struct geo_record *) *slot = &file->memos[at * 2654435761u >> (32 - GEO_MEMO_BITS)];
    const struct geo_record *memo = atomic_load(slot);
    enum geo_layout layout;

    if (memo && memo->id == at) {
        *out = *memo;
        return true;
    }
    if (!geo_record_read(file->mmdb.data_section, file->mmdb.data_section_size, at, out, &layout) ||
        layout == GEO_NO_PLACES)
        return false;
    if (!memo)
        remember(slot, out);
    return true;
}

static bool find_in(struct geo_file *file, const union address *address, struct geo_record *out)
{
    MMDB_lookup_result_s found;
    int status;

    if (address->any.sa_family == AF_INET6 && file->mmdb.metadata.ip_version == 4)
        return false;
    found = MMDB_lookup_sockaddr(&file->mmdb, &address->any, &status);
    return status == MMDB_SUCCESS && found.found_entry &&
           read_record(file, found.entry.offset, out);
}

bool geo_find(const struct geo_db *db, struct slice address, struct geo_record *out)
{
    struct geo_db *mine = (struct geo_db *)(uintptr_t)db; /* its memos change */
    union address a;

    if (!db || !read_address(address, &a))
        return false;
    for (size_t i = 0; i < mine->count; i++) {
        if (find_in(&mine->files[i], &a, out)) {
            out->id = out->id * GEO_FILES_MAX + (uint32_t)i;
            return true;
        }
    }
    return false;
}
