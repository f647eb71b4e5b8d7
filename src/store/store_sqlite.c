/* The embedded store: opening, batches, status. Each table has a file of its own.
 *
 * A batch is one SQLite transaction, BEGIN IMMEDIATE to COMMIT. Order of commit: counters, cursor
 * and the meta row are written, COMMIT syncs, and only then everything that was collected becomes
 * visible in memory (publish). Until then rollback only has to forget.
 */
#include "store/store_sqlite.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/store_priv.h"

#define APPLICATION_ID 0x68656467 /* "hedg" */
#define ARENA_BYTES    (64 << 10)
#define KEY_BYTES_MAX  (64 << 20)
#define CLOSE_BUSY_US  1000000

#define MIB ((uint64_t)1 << 20)

static const char init_sql[] = {
#include "store/migrations/0001_init.sql.inc"
    0};

static const char plugins_sql[] = {
#include "store/migrations/0002_plugins.sql.inc"
    0};

static const struct db_migration migrations[] = {
    {.number = 1, .name = "init", .sql = init_sql},
    {.number = 2, .name = "plugins", .sql = plugins_sql},
};

static const struct db_schema schema = {
    .application_id = APPLICATION_ID, .migrations = migrations, .count = ARRAY_LEN(migrations)};

/* --- shared by the files of this folder */

struct store_sqlite *store_self(void *self)
{
    return OBJ(self, struct store_sqlite, STORE_MAGIC);
}

bool store_failed(struct store_sqlite *s, const struct err *err)
{
    if (err->code == ERR_IO)
        s->is_broken = true;
    return false;
}

bool store_in_batch(struct store_sqlite *s, struct err *err)
{
    if (s->is_in_batch && db_is_in_tx(s->db))
        return true;
    return err_set(err, ERR_BUG,
                   s->is_in_batch ? "the batch has failed already, roll it back"
                                  : "outside of a batch");
}

bool store_may_write(struct store_sqlite *s, struct err *err)
{
    return !s->is_in_batch || store_in_batch(s, err);
}

bool store_prepare(struct store_sqlite *s, struct db_stmt **stmt, const char *sql, struct err *err)
{
    *stmt = db_prepare(s->db, sql, err);
    return *stmt != NULL;
}

/* SplitMix64's last step. */
uint64_t store_hash_id(int64_t id)
{
    uint64_t z = (uint64_t)id + 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t store_hash(const struct store_sqlite *s, unsigned what, int64_t team_id,
                    struct slice bytes)
{
    return store_hash_keyed(s->hash_key, what, team_id, bytes);
}

uint64_t store_hash_keyed(const uint64_t hash_key[2], unsigned what, int64_t team_id,
                          struct slice bytes)
{
    uint64_t key[2] = {hash_key[0] ^ store_hash_id(team_id), hash_key[1] ^ store_hash_id(what)};

    return hash_keyed(key, bytes);
}

uint64_t store_hash_uuid(const uint64_t hash_key[2], const struct uuid *uuid)
{
    return store_hash_keyed(hash_key, 0x100u + INDEX_UUID, 0, slice_make(uuid->b, sizeof(uuid->b)));
}

struct slice store_cache_key(struct store_sqlite *s, int64_t a, int64_t b, struct slice bytes)
{
    buf_clear(&s->key);
    CHECK(buf_add(&s->key, &a, sizeof(a)) && buf_add(&s->key, &b, sizeof(b)) &&
          buf_add_slice(&s->key, bytes));
    return buf_slice(&s->key);
}

struct slice store_arena_dup(struct store_sqlite *s, struct slice text)
{
    return text.len ? arena_dup(s->arena, text) : SLICE("");
}

bool store_read_uuid(struct slice blob, struct uuid *out)
{
    if (blob.len != sizeof(out->b))
        return false;
    memcpy(out->b, blob.ptr, sizeof(out->b));
    return true;
}

void store_pointers_add(struct pointers *p, void *item)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->items = mem_realloc(p->items, p->cap * sizeof(*p->items));
    }
    p->items[p->count++] = item;
}

void store_pointers_free(struct pointers *p)
{
    mem_free(p->items);
    *p = (struct pointers){.items = NULL};
}

/* --- batches */

/* Memory and log stay bounded also when upkeep is called too rarely for what comes in. */
static bool catch_up(struct store_sqlite *s, struct err *err)
{
    if (!tidy_thread_is_ready(s))
        return true;
    fold_begin(s, false);
    if (!event_index_is_behind(s) && (s->log.count < STORE_LOG_MAX || !fold_is_ready(s)))
        return true;
    return tidy_run(s, err);
}

static bool op_begin(void *self, struct err *err)
{
    struct store_sqlite *s = store_self(self);

    if (s->is_in_batch)
        return err_set(err, ERR_BUG, "begin inside of a batch");
    if (!tidy_thread_check(s, err) || !catch_up(s, err))
        return false;
    tidy_thread_let_pass(s);
    if (!db_begin(s->db, err))
        return store_failed(s, err);
    s->is_in_batch = true;
    return true;
}

static void end_batch(struct store_sqlite *s, bool committed)
{
    counter_forget(s, committed);
    arena_reset(s->arena);
    s->is_in_batch = false;
}

static void op_rollback(void *self)
{
    struct store_sqlite *s = store_self(self);

    if (!s->is_in_batch)
        return;
    db_rollback(s->db);
    s->seq = s->seq_kept;
    change_log_rollback(s);
    person_forget(s);
    distinct_id_forget(s);
    group_rollback(s);
    event_rollback(s);
    end_batch(s, false);
}

static void publish(struct store_sqlite *s)
{
    s->seq_kept = s->seq;
    change_log_publish(s);
    person_publish(s);
    distinct_id_publish(s);
    group_publish(s);
    event_publish(s);
    end_batch(s, true);
    s->commits++;
    store_refresh_status(s);
}

static bool commit_faults(struct err *err)
{
    if (fault_point("store.commit"))
        return err_set(err, ERR_FULL, "fault point store.commit");
    if (fault_point("store.commit.retry"))
        return err_set(err, ERR_RETRY, "fault point store.commit.retry");
    return !fault_point("store.commit.io") || err_set(err, ERR_IO, "fault point store.commit.io");
}

static bool op_commit(void *self, const struct feed_position *position, const struct feed_run *runs,
                      size_t run_count, struct err *err)
{
    struct store_sqlite *s = store_self(self);
    int64_t start = clock_mono_us();

    if (!store_in_batch(s, err))
        return false;
    if (!counter_write(s, err) || (position && !cursor_put(s, position, runs, run_count, err)) ||
        !tidy_write_meta(s, s->log.folded_seq, err) || !commit_faults(err))
        return store_failed(s, err);
    fault_crash("store.commit.before");
    if (!db_commit(s->db, err))
        return store_failed(s, err);
    fault_crash("store.commit.after");
    metric_observe(s->metrics.commit, (double)(clock_mono_us() - start) / 1e6);
    publish(s);
    return true;
}

/* --- status */

uint64_t store_wal_bytes(const struct store_sqlite *s)
{
    return (uint64_t)atomic_load_explicit(&s->wal_pages, memory_order_relaxed) * 4120;
}

uint64_t store_database_bytes(const struct store_sqlite *s)
{
    return fs_bytes(s->path);
}

void store_refresh_status(struct store_sqlite *s)
{
    atomic_store_explicit(&s->seen_unfolded, s->log.count, memory_order_relaxed);
    atomic_store_explicit(&s->seen_persons_cached, lru_count(s->persons.lru), memory_order_relaxed);
    atomic_store_explicit(&s->seen_last_change, s->seq_kept.change, memory_order_relaxed);
    if (tidy_thread_is_ready(s)) /* else the TIDY thread is filling index and filter */
        store_refresh_index(s);
}

void store_refresh_index(struct store_sqlite *s)
{
    atomic_store_explicit(&s->seen_open_rows, s->index.open->count, memory_order_relaxed);
    atomic_store_explicit(&s->seen_dedupe_entries, dedupe_count(&s->dedupe), memory_order_relaxed);
    atomic_store_explicit(&s->seen_dedupe_window_us, dedupe_covered_us(&s->dedupe, clock_wall_us()),
                          memory_order_relaxed);
}

static void op_status(void *self, struct store_status *out)
{
    struct store_sqlite *s = store_self(self);

    *out = (struct store_status){
        .events = atomic_load_explicit(&s->seen_events, memory_order_relaxed),
        .last_change = atomic_load_explicit(&s->seen_last_change, memory_order_relaxed),
        .database_bytes = store_database_bytes(s),
        .wal_bytes = store_wal_bytes(s),
        .unfolded = atomic_load_explicit(&s->seen_unfolded, memory_order_relaxed),
        .open_part_rows = atomic_load_explicit(&s->seen_open_rows, memory_order_relaxed),
        .dedupe_entries = atomic_load_explicit(&s->seen_dedupe_entries, memory_order_relaxed),
        .dedupe_window_s =
            atomic_load_explicit(&s->seen_dedupe_window_us, memory_order_relaxed) / 1000000,
        .persons_cached = atomic_load_explicit(&s->seen_persons_cached, memory_order_relaxed),
    };
}

static const struct store_ops ops = {
    .begin = op_begin,
    .commit = op_commit,
    .rollback = op_rollback,
    .person_get = person_op_get,
    .person_create = person_op_create,
    .person_update = person_op_update,
    .distinct_id_add = distinct_id_op_add,
    .person_merge = person_op_merge,
    .group_type = group_op_type,
    .group_get = group_op_get,
    .group_put = group_op_put,
    .event_seen = event_op_seen,
    .event_insert = event_op_insert,
    .recording_insert = recording_op_insert,
    .dead_letter_insert = dead_letter_op_insert,
    .count = counter_op_count,
    .team_put = team_op_put,
    .team_remove = team_op_remove,
    .teams_load = team_op_load,
    .object_put = object_op_put,
    .object_remove = object_op_remove,
    .objects_each = object_op_each,
    .object_get = object_op_get,
    .plugin_storage_get = plugin_rows_storage_get,
    .plugin_storage_set = plugin_rows_storage_set,
    .plugin_storage_remove = plugin_rows_storage_remove,
    .plugin_logs_insert = plugin_rows_logs_insert,
    .plugin_error_put = plugin_rows_error_put,
    .plugin_circuit_put = plugin_rows_circuit_put,
    .plugin_states_each = plugin_rows_states_each,
    .position = cursor_op_position,
    .tidy = tidy_op,
    .status = op_status,
};

/* --- open and close */

static void set_options(struct store_sqlite *s, const struct store_sqlite_options *opt)
{
    s->opt = *opt;
    s->path = mem_dup_str(opt->path);
    s->opt.path = s->path;
    s->opt.distinct_id_cache_entries =
        opt->distinct_id_cache_entries ? opt->distinct_id_cache_entries : 10000;
    s->opt.cache_bytes_max = opt->cache_bytes_max ? opt->cache_bytes_max : 64 * MIB;
    s->opt.wal_checkpoint_bytes = opt->wal_checkpoint_bytes ? opt->wal_checkpoint_bytes : 2 * MIB;
    s->opt.wal_restart_bytes = opt->wal_restart_bytes ? opt->wal_restart_bytes : 256 * MIB;
    s->opt.wal_alarm_bytes = opt->wal_alarm_bytes ? opt->wal_alarm_bytes : 1024 * MIB;
}

static bool sync_folder(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_dup(path, (size_t)(slash - path) + 2) : mem_dup_str(".");
    bool ok;

    if (slash)
        dir[slash - path + 1] = '\0';
    ok = fs_sync_dir(dir, err);
    mem_free(dir);
    return ok;
}

static struct db *open_database(const char *path, int64_t busy_us, size_t cache_bytes, int *from,
                                int *to, struct err *err)
{
    struct db_options opt = {
        .path = path, .schema = &schema, .busy_us = busy_us, .cache_bytes = cache_bytes};
    struct db *db = db_open(&opt, err);

    /* The ring reuses what the cursor in here has passed: that cursor has to be on disk. */
    if (db && (!db_migrate(db, &schema, from, to, err) || !sync_folder(path, err) ||
               !db_sync_wal(db, err))) {
        db_close(db);
        return NULL;
    }
    return db;
}

static bool load_meta(struct store_sqlite *s, struct err *err)
{
    struct db_stmt *q =
        db_prepare(s->db,
                   "SELECT change_seq, person_seq, distinct_id_seq, part_seq, folded_seq, "
                   "hash_key FROM meta WHERE id = 1",
                   err);
    bool ok;

    if (!q)
        return false;
    enum db_step step = db_step(q, err);
    if (step != DB_ROW)
        return step == DB_DONE
                   ? err_set(err, ERR_IO, "%s: the row of meta is missing", db_name(s->db))
                   : false;
    s->seq = (struct store_seq){.change = db_col_i64(q, 0),
                                .person = db_col_i64(q, 1),
                                .distinct_id = db_col_i64(q, 2),
                                .part = db_col_i64(q, 3)};
    s->seq_kept = s->seq;
    s->log.folded_seq = db_col_i64(q, 4);
    struct slice key = db_col_blob(q, 5);
    ok = key.len == sizeof(s->hash_key) ||
         err_set(err, ERR_IO, "%s: meta has no hash key", db_name(s->db));
    if (ok)
        memcpy(s->hash_key, key.ptr, sizeof(s->hash_key));
    db_stmt_free(q);
    return ok;
}

static bool open_parts(struct store_sqlite *s, struct err *err)
{
    return load_meta(s, err) && tidy_open(s, err) && store_cursor_open(s, err) &&
           change_log_open(s, err) && fold_open(s, err) && person_open(s, err) &&
           distinct_id_open(s, err) && group_open(s, err) && event_open(s, err) &&
           event_index_open(s, err) && counter_open(s, err) && team_open(s, err) &&
           object_open(s, err) && plugin_rows_open(s, err) && recording_open(s, err) &&
           dead_letter_open(s, err) && retention_open(s, err);
}

static void free_parts(struct store_sqlite *s)
{
    counter_close(s);
    event_index_close(s);
    event_close(s);
    group_close(s);
    distinct_id_close(s);
    person_close(s);
    fold_close(s);
    change_log_close(s);
    db_close(s->db);
    cond_fini(&s->tidy.wake);
    cond_fini(&s->tidy.done);
    lock_fini(&s->tidy.lock);
    lock_fini(&s->index.lock);
    arena_free(s->arena);
    buf_free(&s->key);
    mem_free(s->path);
    s->magic = 0;
    mem_free(s);
}

bool store_sqlite_open(const struct store_sqlite_options *opt, struct store *store, struct err *err)
{
    struct store_sqlite *s = mem_new(struct store_sqlite);
    int from, to;

    s->magic = STORE_MAGIC;
    set_options(s, opt);
    s->arena = arena_new(ARENA_BYTES);
    s->key = BUF_INIT(KEY_BYTES_MAX);
    lock_init(&s->tidy.lock, "store tidy", RANK_STORE);
    lock_init(&s->index.lock, "store index", RANK_STORE);
    cond_init(&s->tidy.wake);
    cond_init(&s->tidy.done);
    s->db = open_database(opt->path, opt->busy_us, s->opt.cache_bytes_max / 2, &from, &to, err);
    if (!s->db || !open_parts(s, err)) {
        free_parts(s);
        return false;
    }
    if (from != to)
        log_info("store", from ? "hedgerow.db was migrated" : "hedgerow.db was made",
                 KV_I64("schema", to));
    db_on_wal(s->db, tidy_thread_wal, s);
    store_metrics_register(s, opt->metrics);
    store_refresh_status(s);
    store_refresh_index(s);
    store->ops = &ops;
    store->self = s;
    return true;
}

bool store_sqlite_start(struct store *store, struct err *err)
{
    return tidy_thread_start(store_self(store->self), err);
}

/* The open part is written out when that is quick, so that the next start has nothing to read. */
static void flush_index(struct store_sqlite *s)
{
    struct err err = ERR_INIT;

    if (!tidy_thread_is_ready(s) || !event_index_close_is_short(s))
        return;
    if (s->index.open->count)
        event_index_seal(s);
    while (event_index_sort_next(s))
        ;
    while (s->index.pending)
        if (!tidy_run(s, &err)) {
            log_warn("store", "the event index was not brought up to date, the next start does it",
                     KV_ERR(&err));
            return;
        }
}

void store_sqlite_close(struct store *store)
{
    struct store_sqlite *s = store_self(store->self);
    struct err err = ERR_INIT;

    tidy_thread_stop(s);
    op_rollback(s);
    if (!s->is_broken && !s->tidy.has_failed)
        flush_index(s);
    if (!s->is_broken && !s->tidy.has_failed) {
        db_set_busy(s->db, CLOSE_BUSY_US);
        if (!db_checkpoint(s->db, DB_CHECKPOINT_TRUNCATE, NULL, NULL, &err))
            log_warn("store", "no checkpoint at the end, the next start reads the write-ahead log",
                     KV_ERR(&err));
    }
    free_parts(s);
    store->ops = NULL;
    store->self = NULL;
}

bool store_sqlite_migrate(const char *path, int *from, int *to, struct err *err)
{
    struct db *db = open_database(path, CLOSE_BUSY_US, 0, from, to, err);

    db_close(db);
    return db != NULL;
}

bool store_sqlite_file_schema(const char *path, int *number, struct err *err)
{
    struct db_options opt = {.path = path, .schema = &schema, .is_read_only = true};
    struct db *db;
    int64_t version = 0;
    bool ok;

    *number = 0;
    if (!fs_exists(path))
        return true;
    db = db_open(&opt, err);
    ok = db && db_query_i64(db, "PRAGMA user_version", &version, err);
    db_close(db);
    *number = (int)version;
    return ok;
}

int store_sqlite_schema(void)
{
    return migrations[ARRAY_LEN(migrations) - 1].number;
}

const struct db_schema *store_sqlite_schema_table(void)
{
    return &schema;
}
