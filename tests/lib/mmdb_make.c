#include "mmdb_make.h"

#include "base/mem.h"

#include <yyjson.h>

#include <arpa/inet.h>
#include <stdlib.h>

#define NODES_MAX 4096
#define EMPTY     UINT32_MAX
#define DATA_BIT  (UINT32_C(1) << 31)

struct mmdb_make {
    int ip_version, record_bits;
    const char *type;
    uint64_t epoch_s;
    bool has_floats;
    uint32_t nodes[NODES_MAX][2]; /* a node, EMPTY, or DATA_BIT with the place of the value */
    uint32_t count;
    struct buf data;
};

struct mmdb_make *mmdb_make_new(int ip_version, int record_bits, const char *type)
{
    struct mmdb_make *m = mem_new(struct mmdb_make);

    m->ip_version = ip_version;
    m->record_bits = record_bits;
    m->type = type;
    m->epoch_s = 1700000000;
    m->nodes[0][0] = m->nodes[0][1] = EMPTY;
    m->count = 1;
    m->data = BUF_INIT((size_t)1 << 20);
    return m;
}

void mmdb_make_free(struct mmdb_make *m)
{
    buf_free(&m->data);
    mem_free(m);
}

void mmdb_make_built_at(struct mmdb_make *m, uint64_t epoch_s)
{
    m->epoch_s = epoch_s;
}

void mmdb_make_floats(struct mmdb_make *m)
{
    m->has_floats = true;
}

/* --- values ----------------------------------------------------------------------------------- */

static void add_big_endian(struct buf *b, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        CHECK(buf_add_char(b, (char)(value >> (8 * i))));
}

static void add_head(struct buf *b, unsigned type, size_t size)
{
    unsigned short_size = size < 29 ? (unsigned)size : size < 285 ? 29 : 30;

    CHECK(size < 65821);
    CHECK(buf_add_char(b, (char)((type > 7 ? 0 : type) << 5 | short_size)));
    if (type > 7)
        CHECK(buf_add_char(b, (char)(type - 7)));
    if (short_size == 29)
        add_big_endian(b, size - 29, 1);
    else if (short_size == 30)
        add_big_endian(b, size - 285, 2);
}

static void add_str(struct buf *b, struct slice text)
{
    add_head(b, 2, text.len);
    CHECK(buf_add_slice(b, text));
}

static void add_fraction(struct buf *b, double value, bool is_float)
{
    float single = (float)value;
    uint64_t bits = 0;
    uint32_t half;

    memcpy(&bits, &value, sizeof(bits));
    memcpy(&half, &single, sizeof(half));
    add_head(b, is_float ? 15 : 3, is_float ? 4 : 8);
    add_big_endian(b, is_float ? half : bits, is_float ? 4 : 8);
}

static void add_value(struct mmdb_make *m, struct buf *b, yyjson_val *v)
{
    size_t i, count;
    yyjson_val *key, *value;

    if (yyjson_is_obj(v)) {
        add_head(b, 7, yyjson_obj_size(v));
        yyjson_obj_foreach(v, i, count, key, value)
        {
            add_str(b, slice_make(yyjson_get_str(key), yyjson_get_len(key)));
            add_value(m, b, value);
        }
    } else if (yyjson_is_arr(v)) {
        add_head(b, 11, yyjson_arr_size(v));
        yyjson_arr_foreach(v, i, count, value) add_value(m, b, value);
    } else if (yyjson_is_str(v)) {
        add_str(b, slice_make(yyjson_get_str(v), yyjson_get_len(v)));
    } else if (yyjson_is_real(v)) {
        add_fraction(b, yyjson_get_real(v), m->has_floats);
    } else if (yyjson_is_bool(v)) {
        add_head(b, 14, yyjson_get_bool(v));
    } else {
        bool is_below = yyjson_get_sint(v) < 0;

        add_head(b, is_below ? 8 : 6, 4);
        add_big_endian(b, (uint32_t)yyjson_get_sint(v), 4);
    }
}

static uint32_t add_json(struct mmdb_make *m, const char *json)
{
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    size_t at = m->data.len;

    CHECK(doc);
    add_value(m, &m->data, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return (uint32_t)at;
}

/* --- the tree --------------------------------------------------------------------------------- */

static int read_network(const struct mmdb_make *m, const char *network, uint8_t bits[16])
{
    char text[64];
    const char *slash = strchr(network, '/');
    int length = atoi(slash + 1);

    memset(bits, 0, 16);
    CHECK((size_t)(slash - network) < sizeof(text));
    memcpy(text, network, (size_t)(slash - network));
    text[slash - network] = '\0';
    if (strchr(text, ':')) {
        CHECK(m->ip_version == 6 && inet_pton(AF_INET6, text, bits) == 1);
        return length;
    }
    CHECK(inet_pton(AF_INET, text, bits + (m->ip_version == 6 ? 12 : 0)) == 1);
    return m->ip_version == 6 ? length + 96 : length;
}

void mmdb_make_add(struct mmdb_make *m, const char *network, const char *json)
{
    uint8_t bits[16];
    int length = read_network(m, network, bits);
    uint32_t node = 0;

    for (int i = 0; i < length; i++) {
        uint32_t *next = &m->nodes[node][bits[i / 8] >> (7 - i % 8) & 1];

        if (i == length - 1) {
            *next = DATA_BIT | add_json(m, json);
            return;
        }
        if (*next == EMPTY) {
            CHECK(m->count < NODES_MAX);
            m->nodes[m->count][0] = m->nodes[m->count][1] = EMPTY;
            *next = m->count++;
        }
        CHECK(!(*next & DATA_BIT));
        node = *next;
    }
}

static uint32_t record_of(const struct mmdb_make *m, uint32_t next)
{
    if (next == EMPTY)
        return m->count;
    return next & DATA_BIT ? m->count + 16 + (next & ~DATA_BIT) : next;
}

static void write_node(const struct mmdb_make *m, const uint32_t node[2], struct buf *out)
{
    uint32_t left = record_of(m, node[0]), right = record_of(m, node[1]);

    if (m->record_bits != 28) {
        add_big_endian(out, left, m->record_bits / 8);
        add_big_endian(out, right, m->record_bits / 8);
        return;
    }
    add_big_endian(out, left & 0xffffff, 3);
    add_big_endian(out, left >> 24 << 4 | right >> 24, 1);
    add_big_endian(out, right & 0xffffff, 3);
}

static void add_number(struct buf *out, const char *name, unsigned type, uint64_t value, int bytes)
{
    add_str(out, slice_cstr(name));
    add_head(out, type, (size_t)bytes);
    add_big_endian(out, value, bytes);
}

void mmdb_make_write(struct mmdb_make *m, struct buf *out)
{
    for (uint32_t i = 0; i < m->count; i++)
        write_node(m, m->nodes[i], out);
    for (int i = 0; i < 16; i++)
        CHECK(buf_add_char(out, '\0'));
    CHECK(buf_add_slice(out, buf_slice(&m->data)));
    CHECK(buf_add_str(out, "\xab\xcd\xefMaxMind.com"));
    add_head(out, 7, 9);
    add_number(out, "binary_format_major_version", 5, 2, 2);
    add_number(out, "binary_format_minor_version", 5, 0, 2);
    add_number(out, "build_epoch", 9, m->epoch_s, 8);
    add_number(out, "ip_version", 5, (uint64_t)m->ip_version, 2);
    add_number(out, "node_count", 6, m->count, 4);
    add_number(out, "record_size", 5, (uint64_t)m->record_bits, 2);
    add_str(out, SLICE("database_type"));
    add_str(out, slice_cstr(m->type));
    add_str(out, SLICE("description"));
    add_head(out, 7, 0);
    add_str(out, SLICE("languages"));
    add_head(out, 11, 0);
}
