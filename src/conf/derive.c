/* Settings that follow from others, and faults that no setting shows alone. */
#include "base/mem.h"
#include "conf/conf_priv.h"

static const char *str(const struct conf *c, enum conf_key key)
{
    return c->settings[key].value.text;
}

static bool is_given(const struct conf *c, enum conf_key key)
{
    return str(c, key)[0] != '\0';
}

/* Everything but the unreserved characters of RFC 3986. */
static void add_percent(struct slice s, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (is_plain) {
            buf_add_char(out, (char)c);
        } else {
            char text[3] = {'%', digits[c >> 4], digits[c & 15]};
            buf_add(out, text, sizeof(text));
        }
    }
}

/* A bare IPv6 address needs brackets in a URL. */
static void add_host(const char *host, const char *port, struct buf *out)
{
    bool is_bare = strchr(host, ':') && host[0] != '[';

    buf_addf(out, is_bare ? "[%s]:%s" : "%s:%s", host, port);
}

static void derive_database(struct conf *c)
{
    static const enum conf_key parts[] = {CONF_POSTHOG_DB_USER, CONF_POSTHOG_DB_PASSWORD,
                                          CONF_POSTHOG_POSTGRES_HOST, CONF_POSTHOG_POSTGRES_PORT};
    struct buf url = BUF_INIT(1 << 20);

    if (is_given(c, CONF_DATABASE_URL))
        return;
    if (!is_given(c, CONF_POSTHOG_DB_NAME)) {
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            if (conf_is_set(c, parts[i]))
                conf_warn(c, "%s (%s) has no effect without POSTHOG_DB_NAME",
                          conf_key_name(parts[i]), c->settings[parts[i]].where);
        return;
    }
    buf_add_str(&url, "postgres://");
    add_percent(slice_cstr(str(c, CONF_POSTHOG_DB_USER)), &url);
    if (is_given(c, CONF_POSTHOG_DB_PASSWORD)) {
        buf_add_char(&url, ':');
        add_percent(slice_cstr(str(c, CONF_POSTHOG_DB_PASSWORD)), &url);
    }
    buf_add_char(&url, '@');
    add_host(str(c, CONF_POSTHOG_POSTGRES_HOST), str(c, CONF_POSTHOG_POSTGRES_PORT), &url);
    buf_add_char(&url, '/');
    add_percent(slice_cstr(str(c, CONF_POSTHOG_DB_NAME)), &url);
    conf_put(c, CONF_DATABASE_URL, buf_slice(&url), c->settings[CONF_POSTHOG_DB_NAME].origin);
    buf_free(&url);
}

static void derive_redis(struct conf *c)
{
    struct buf url = BUF_INIT(1 << 20);

    if (!is_given(c, CONF_POSTHOG_REDIS_HOST))
        return;
    buf_add_str(&url, "redis://");
    if (is_given(c, CONF_POSTHOG_REDIS_PASSWORD)) {
        buf_add_char(&url, ':');
        add_percent(slice_cstr(str(c, CONF_POSTHOG_REDIS_PASSWORD)), &url);
        buf_add_char(&url, '@');
    }
    add_host(str(c, CONF_POSTHOG_REDIS_HOST), str(c, CONF_POSTHOG_REDIS_PORT), &url);
    conf_put(c, CONF_REDIS_URL, buf_slice(&url), c->settings[CONF_POSTHOG_REDIS_HOST].origin);
    buf_free(&url);
}

static void derive_kafka_hosts(struct conf *c, struct buf *faults)
{
    struct slice rest = slice_cstr(str(c, CONF_KAFKA_HOSTS)), one, scheme = SLICE("kafka://");
    struct buf hosts = BUF_INIT(1 << 20);

    while (slice_split(&rest, ',', &one)) {
        one = slice_trim(one);
        if (slice_starts(one, scheme))
            one = slice_make(one.ptr + scheme.len, one.len - scheme.len);
        if (one.len == 0)
            continue;
        if (hosts.len > 0)
            buf_add_char(&hosts, ',');
        buf_add_slice(&hosts, one);
    }
    if (hosts.len > 0)
        conf_put(c, CONF_KAFKA_HOSTS, buf_slice(&hosts), c->settings[CONF_KAFKA_HOSTS].origin);
    else if (conf_bool(c, CONF_KAFKA_ENABLED))
        buf_add_str(faults, "You must set KAFKA_HOSTS to process events from Kafka!\n");
    buf_free(&hosts);
}

/* All of `keys` or none of them. */
static void check_together(const struct conf *c, const enum conf_key *keys, size_t count,
                           struct buf *faults)
{
    size_t given = 0, missing = 0;

    for (size_t i = 0; i < count; i++)
        given += is_given(c, keys[i]);
    if (given == 0 || given == count)
        return;
    for (size_t i = 0; i < count; i++)
        if (!is_given(c, keys[i]))
            buf_addf(faults, "%s%s", missing++ ? " and " : "", conf_key_name(keys[i]));
    for (size_t i = 0; i < count; i++)
        if (is_given(c, keys[i])) {
            buf_addf(faults, "%s missing: needed with %s (%s)\n", missing > 1 ? " are" : " is",
                     conf_key_name(keys[i]), c->settings[keys[i]].where);
            return;
        }
}

static void check_s3(const struct conf *c, struct buf *faults)
{
    static const enum conf_key needed[] = {
        CONF_JOB_QUEUE_S3_AWS_ACCESS_KEY, CONF_JOB_QUEUE_S3_AWS_SECRET_ACCESS_KEY,
        CONF_JOB_QUEUE_S3_AWS_REGION, CONF_JOB_QUEUE_S3_BUCKET_NAME};
    struct slice rest = slice_cstr(str(c, CONF_JOB_QUEUES)), one;
    bool is_used = false;

    while (slice_split(&rest, ',', &one))
        is_used = is_used || slice_eq(one, SLICE("s3"));
    for (size_t i = 0; is_used && i < ARRAY_LEN(needed); i++)
        if (!is_given(c, needed[i]))
            buf_addf(faults, "%s is missing: needed with s3 in JOB_QUEUES\n",
                     conf_key_name(needed[i]));
}

static void fault_of(const struct conf *c, enum conf_key key, const char *text, struct buf *faults)
{
    const char *where = c->settings[key].where;

    buf_addf(faults, "%s=", conf_key_name(key));
    conf_quote(slice_cstr(str(c, key)), faults);
    buf_addf(faults, " (%s): %s\n", where ? where : "default", text);
}

static void check_capture(struct conf *c, struct buf *faults)
{
    static const enum conf_key tls[] = {CONF_CAPTURE_TLS_CERT, CONF_CAPTURE_TLS_KEY};
    struct slice sink = slice_cstr(str(c, CONF_CAPTURE_SINK)), file = SLICE("file:");
    struct slice prefix = slice_cstr(str(c, CONF_CAPTURE_PATH_PREFIX));
    bool is_sink = slice_eq(sink, SLICE("ring")) || slice_eq(sink, SLICE("print")) ||
                   (slice_starts(sink, file) && sink.len > file.len);

    if (!is_sink)
        fault_of(c, CONF_CAPTURE_SINK, "must be ring, print or file:PATH", faults);
    if (prefix.len > 0 && prefix.ptr[0] != '/')
        fault_of(c, CONF_CAPTURE_PATH_PREFIX, "must begin with /", faults);
    check_together(c, tls, ARRAY_LEN(tls), faults);
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    if (prefix.len < strlen(str(c, CONF_CAPTURE_PATH_PREFIX))) {
        char *text = slice_dup(prefix); /* the old text goes away */
        conf_put(c, CONF_CAPTURE_PATH_PREFIX, slice_cstr(text),
                 c->settings[CONF_CAPTURE_PATH_PREFIX].origin);
        mem_free(text);
    }
}

/* It names a directory in DATA_DIR, so it must be what Kafka takes for a topic. */
static void check_topic(const struct conf *c, struct buf *faults)
{
    struct slice topic = slice_cstr(str(c, CONF_KAFKA_CONSUMPTION_TOPIC));
    bool is_fine = topic.len > 0 && topic.len <= 200 && topic.ptr[0] != '.';

    for (size_t i = 0; is_fine && i < topic.len; i++) {
        char x = topic.ptr[i];
        is_fine = (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') ||
                  x == '.' || x == '_' || x == '-';
    }
    if (!is_fine)
        fault_of(c, CONF_KAFKA_CONSUMPTION_TOPIC,
                 "must be 1 to 200 letters, digits, . _ - and not begin with a dot", faults);
}

static void warn_odd(struct conf *c)
{
    bool is_public =
        slice_eq(slice_cstr(str(c, CONF_OBJECT_STORAGE_SECRET_ACCESS_KEY)),
                 slice_cstr(conf_table[CONF_OBJECT_STORAGE_SECRET_ACCESS_KEY].fallback));

    if (is_given(c, CONF_PLUGIN_SERVER_MODE) && !conf_bool(c, CONF_KAFKA_ENABLED))
        conf_warn(c,
                  "PLUGIN_SERVER_MODE=%s turns other parts off, which makes sense only with "
                  "KAFKA_ENABLED",
                  str(c, CONF_PLUGIN_SERVER_MODE));
    if (conf_bool(c, CONF_OBJECT_STORAGE_ENABLED) && is_public)
        conf_warn(c, "OBJECT_STORAGE_SECRET_ACCESS_KEY is still the default that everybody knows");
}

void conf_derive(struct conf *c, struct buf *faults)
{
    static const enum conf_key certs[] = {
        CONF_KAFKA_CLIENT_CERT_B64, CONF_KAFKA_CLIENT_CERT_KEY_B64, CONF_KAFKA_TRUSTED_CERT_B64};

    derive_database(c);
    derive_redis(c);
    derive_kafka_hosts(c, faults);
    check_together(c, certs, ARRAY_LEN(certs), faults);
    check_s3(c, faults);
    check_capture(c, faults);
    check_topic(c, faults);
    if (conf_int(c, CONF_TASKS_PER_WORKER) < 1)
        conf_put(c, CONF_TASKS_PER_WORKER, SLICE("1"), c->settings[CONF_TASKS_PER_WORKER].origin);
    if (conf_int(c, CONF_REDIS_POOL_MIN_SIZE) > conf_int(c, CONF_REDIS_POOL_MAX_SIZE))
        buf_addf(faults,
                 "REDIS_POOL_MIN_SIZE=%s: must not be greater than REDIS_POOL_MAX_SIZE=%s\n",
                 str(c, CONF_REDIS_POOL_MIN_SIZE), str(c, CONF_REDIS_POOL_MAX_SIZE));
    warn_odd(c);
}
