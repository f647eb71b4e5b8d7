/* The config file: NAME=value lines.
 *
 *     # a comment
 *     CAPTURE_PORT = 8000          # white space around name and value does not count
 *     SITE_URL     = "https://example.org/#top"
 *
 * A # begins a comment at the start of a line and behind white space. Between "" it does not, and
 * \" \\ \n \t stand for what they say; between '' everything is itself. Nothing is expanded, no
 * value goes over the end of its line. The parser knows no settings: it hands out names and values,
 * one fault for each line that is neither.
 */
#include "base/utf8.h"
#include "conf/conf_priv.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > CONF_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case '"':
    case '\\':
        return c;
    default:
        return 0;
    }
}

/* `s` begins with the quote. What stands behind the closing one is left in *rest. */
static const char *read_quoted(struct slice s, struct buf *out, struct slice *rest)
{
    char quote = s.ptr[0];

    for (size_t i = 1; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == quote) {
            *rest = slice_make(s.ptr + i + 1, s.len - i - 1);
            return NULL;
        }
        if (c == '\\' && quote == '"') {
            c = i + 1 < s.len ? escaped(s.ptr[i + 1]) : 0;
            if (!c)
                return "only \\\" \\\\ \\n \\t \\r may stand behind a backslash between double "
                       "quotes";
            i++;
        }
        buf_add_char(out, c);
    }
    return "the closing quote is missing";
}

/* NULL, or what is wrong. */
static const char *read_value(struct slice s, struct buf *out)
{
    struct slice rest = SLICE_NONE;

    if (s.len > 0 && (s.ptr[0] == '"' || s.ptr[0] == '\'')) {
        const char *wrong = read_quoted(s, out, &rest);
        if (wrong)
            return wrong;
        struct slice behind = slice_trim(rest);
        bool is_comment = behind.len > 0 && behind.ptr[0] == '#' && is_blank(rest.ptr[0]);
        return behind.len == 0 || is_comment ? NULL : "nothing may follow the closing quote";
    }
    for (size_t i = 1; i < s.len; i++)
        if (s.ptr[i] == '#' && is_blank(s.ptr[i - 1])) {
            s.len = i;
            break;
        }
    buf_add_slice(out, slice_trim(s));
    return NULL;
}

/* The value begins behind the blanks that follow the =, but a # right behind blanks is a comment.
 */
static struct slice value_start(struct slice s)
{
    size_t i = 0;

    while (i < s.len && is_blank(s.ptr[i]))
        i++;
    if (i > 0 && i < s.len && s.ptr[i] == '#')
        return slice_make(s.ptr, 0);
    return slice_make(s.ptr + i, s.len - i);
}

static const char *read_line(struct slice line, struct buf *value, unsigned number,
                             conf_file_fn *fn, void *ctx)
{
    struct slice text = slice_trim(line);

    if (text.len == 0 || text.ptr[0] == '#')
        return NULL;
    if (slice_find(text, '\0') != -1 || !utf8_is_valid(text))
        return "must be UTF-8 text without NUL";
    ptrdiff_t equals = slice_find(text, '=');
    if (equals == -1)
        return "must be NAME=value or begin with #";
    struct slice name = slice_trim(slice_make(text.ptr, (size_t)equals));
    if (!name_is_valid(name))
        return "a name consists of letters, digits and _";
    struct slice rest = slice_make(text.ptr + equals + 1, text.len - (size_t)equals - 1);
    buf_clear(value);
    const char *wrong = read_value(value_start(rest), value);
    if (!wrong)
        fn(name, slice_make(value->ptr ? value->ptr : "", value->len), number, ctx);
    return wrong;
}

void conf_file_parse(struct slice text, const char *label, conf_file_fn *fn, void *ctx,
                     struct buf *faults)
{
    struct buf value = BUF_INIT(text.len + 1);
    struct slice rest = text, line;
    unsigned number = 0;

    if (slice_starts(rest, SLICE("\xef\xbb\xbf")))
        rest = slice_make(rest.ptr + 3, rest.len - 3);
    while (slice_split(&rest, '\n', &line)) {
        number++;
        const char *wrong = read_line(line, &value, number, fn, ctx);
        if (wrong)
            buf_addf(faults, "%s, line %u: %s\n", label, number, wrong);
    }
    buf_free(&value);
}

static bool needs_quotes(struct slice value)
{
    static const char special[] = "#\"'\\\n\r\t\v\f";

    if (value.len != slice_trim(value).len)
        return true;
    for (size_t i = 0; i < sizeof(special) - 1; i++)
        if (slice_find(value, special[i]) != -1)
            return true;
    return false;
}

bool conf_file_write_value(struct slice value, struct buf *out)
{
    if (!needs_quotes(value))
        return buf_add_slice(out, value);
    buf_add_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        const char *escape = c == '"'    ? "\\\""
                             : c == '\\' ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\t' ? "\\t"
                             : c == '\r' ? "\\r"
                                         : NULL;
        if (escape)
            buf_add_str(out, escape);
        else
            buf_add_char(out, c);
    }
    return buf_add_char(out, '"') && !out->is_over;
}
