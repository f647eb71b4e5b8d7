/* Sources: imports, and running the top level. */
#include "plugin/vm_source.h"

#include "base/mem.h"
#include "plugin/vm_priv.h"

#define SOURCE_BYTES_MAX (16 << 20)
#define NEST_MAX         256 /* templates in templates, and requires in arguments of requires */
#define NAME_SHOWN_MAX   200

/* `require("@posthog/plugin-scaffold")` becomes this: the name may be shadowed at the top level of
 * the source by what is assigned from it, a member of globalThis may not. */
#define SCAFFOLD_EXPRESSION "({RetryError:globalThis.RetryError})"

/* --- tokens ----------------------------------------------------------------------------------- */

enum token { TOKEN_NONE, TOKEN_WORD, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SIGN };

struct open_require { /* a require( whose argument is no plain string */
    int depth;        /* of its parenthesis */
    int commas;
    bool has_any;
};

struct scan {
    const char *at, *end, *copied; /* copied: where the part begins that is not in out yet */
    struct buf *out;
    enum token last;
    struct slice last_text;
    char before_last;          /* the sign before a word: '.' makes it a member */
    int depth;                 /* of ( [ { */
    int template_at[NEST_MAX]; /* depth of each ${ that is open */
    int template_count;
    struct open_require require[NEST_MAX];
    int require_count;
    bool is_module;
};

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '\\' || (unsigned char)c >= 0x80;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\v' || c == '\f';
}

/* Behind white space and comments. */
static const char *skip_space(const char *at, const char *end)
{
    while (at < end) {
        if (is_space(*at)) {
            at++;
        } else if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
            while (at < end && *at != '\n')
                at++;
        } else if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
            at += 2;
            while (end - at >= 2 && !(at[0] == '*' && at[1] == '/'))
                at++;
            at = end - at >= 2 ? at + 2 : end;
        } else {
            break;
        }
    }
    return at;
}

/* Behind a string that begins at `at`; a line that ends first is left to the engine. */
static const char *skip_string(const char *at, const char *end)
{
    char quote = *at++;

    while (at < end && *at != quote && (*at != '\n' || quote == '`'))
        at += *at == '\\' && end - at >= 2 ? 2 : 1;
    return at < end ? at + 1 : end;
}

/* Behind a regular expression, or NULL when the slash is a division: the line has no second one. */
static const char *skip_regexp(const char *at, const char *end)
{
    bool is_in_class = false;

    for (at++; at < end && *at != '\n'; at++) {
        if (*at == '\\' && end - at >= 2 && at[1] != '\n')
            at++;
        else if (*at == '[')
            is_in_class = true;
        else if (*at == ']')
            is_in_class = false;
        else if (*at == '/' && !is_in_class)
            return at + 1;
    }
    return NULL;
}

static bool word_is_one_of(struct slice word, const char *const *list)
{
    for (; *list; list++)
        if (slice_eq(word, slice_cstr(*list)))
            return true;
    return false;
}

/* Whether a slash here begins a regular expression. */
static bool regexp_may_begin(const struct scan *s)
{
    static const char *const words[] = {"return", "typeof",     "case",  "in",    "of",
                                        "delete", "void",       "throw", "new",   "do",
                                        "else",   "instanceof", "await", "yield", NULL};

    switch (s->last) {
    case TOKEN_NONE:
        return true;
    case TOKEN_WORD:
        return s->before_last != '.' && word_is_one_of(s->last_text, words);
    case TOKEN_SIGN:
        return s->last_text.ptr[0] != ')' && s->last_text.ptr[0] != ']';
    default:
        return false;
    }
}

static void token_done(struct scan *s, enum token kind, const char *from)
{
    s->before_last = s->last == TOKEN_SIGN ? s->last_text.ptr[0] : 0;
    s->last = kind;
    s->last_text = slice_make(from, (size_t)(s->at - from));
    if (s->require_count > 0 && kind != TOKEN_NONE)
        s->require[s->require_count - 1].has_any = true;
}

/* The text of a template, from behind the backtick or the brace of a substitution. */
static void scan_template(struct scan *s)
{
    while (s->at < s->end && *s->at != '`') {
        if (*s->at == '\\' && s->end - s->at >= 2) {
            s->at += 2;
        } else if (s->end - s->at >= 2 && s->at[0] == '$' && s->at[1] == '{' &&
                   s->template_count < NEST_MAX) {
            s->at += 2;
            s->template_at[s->template_count++] = ++s->depth;
            s->last = TOKEN_NONE;
            return;
        } else {
            s->at++;
        }
    }
    if (s->at < s->end)
        s->at++;
    token_done(s, TOKEN_STRING, s->at);
}

/* --- require ---------------------------------------------------------------------------------- */

static bool import_fault(struct slice name, struct err *err)
{
    return err_set(err, ERR_INPUT,
                   "Cannot import '%.*s'! This package is not provided by PostHog in plugins.",
                   (int)MIN(name.len, NAME_SHOWN_MAX), name.ptr);
}

static bool flush_to(struct scan *s, const char *upto)
{
    bool ok = buf_add(s->out, s->copied, (size_t)(upto - s->copied));

    s->copied = upto;
    return ok;
}

/* At the parenthesis behind `require`, which began at `from`. */
static bool scan_require(struct scan *s, const char *from, struct err *err)
{
    const char *name = skip_space(s->at + 1, s->end), *behind;
    bool is_string = name < s->end && (*name == '"' || *name == '\'' || *name == '`');

    behind = is_string ? skip_string(name, s->end) : name;
    if (is_string) {
        struct slice text = slice_make(name + 1, (size_t)(behind - name) - 1);

        if (text.len > 0)
            text.len--;
        is_string = *name != '`' || slice_find(text, '$') == -1;
        behind = skip_space(behind, s->end);
        if (is_string && behind < s->end && *behind == ')') {
            if (!slice_eq(text, SLICE(VM_SCAFFOLD)))
                return import_fault(text, err);
            if (!flush_to(s, from) || !buf_add_str(s->out, SCAFFOLD_EXPRESSION))
                return err_set(err, ERR_LIMIT, "the source is too large");
            s->copied = s->at = behind + 1;
            s->last_text = slice_make(behind, 1);
            s->last = TOKEN_SIGN;
            return true;
        }
    }
    s->at++;
    s->depth++;
    token_done(s, TOKEN_SIGN, s->at - 1);
    if (s->require_count < NEST_MAX)
        s->require[s->require_count++] = (struct open_require){.depth = s->depth};
    return true;
}

/* A closing parenthesis: of a require? `function require(x) {` and methods of that name are none.
 */
static bool close_require(struct scan *s, struct err *err)
{
    const char *next = skip_space(s->at, s->end);
    const struct open_require *r;

    if (s->require_count == 0)
        return true;
    r = &s->require[s->require_count - 1];
    if (r->depth != s->depth)
        return true;
    s->require_count--;
    if (r->has_any && r->commas == 0 && !(next < s->end && *next == '{'))
        return import_fault(SLICE("undefined"), err);
    return true;
}

/* --- the scan --------------------------------------------------------------------------------- */

static bool scan_word(struct scan *s, struct err *err)
{
    const char *from = s->at, *next;
    struct slice word;
    bool is_member = s->last == TOKEN_SIGN && s->last_text.ptr[0] == '.' && s->last_text.len == 1;
    bool is_declared = s->last == TOKEN_WORD && slice_eq(s->last_text, SLICE("function"));

    while (s->at < s->end && is_word_char(*s->at))
        s->at++;
    word = slice_make(from, (size_t)(s->at - from));
    next = skip_space(s->at, s->end);
    if (!is_member && s->depth == 0) {
        if (slice_eq(word, SLICE("export")) && next < s->end && *next != ':' && *next != '=')
            s->is_module = true;
        if (slice_eq(word, SLICE("import")) && next < s->end && *next != '(' && *next != '.' &&
            *next != ':' && *next != '=')
            s->is_module = true;
    }
    token_done(s, from[0] >= '0' && from[0] <= '9' ? TOKEN_NUMBER : TOKEN_WORD, from);
    if (is_member || is_declared || !slice_eq(word, SLICE("require")) || next >= s->end ||
        *next != '(')
        return true;
    s->at = next;
    return scan_require(s, from, err);
}

static bool scan_sign(struct scan *s, struct err *err)
{
    char c = *s->at++;
    struct open_require *r = s->require_count ? &s->require[s->require_count - 1] : NULL;

    if (c == '(' || c == '[' || c == '{')
        s->depth++;
    if (c == ',' && r && r->depth == s->depth)
        r->commas++;
    if (c == ')' && !close_require(s, err))
        return false;
    if (c == '}' && s->template_count > 0 && s->template_at[s->template_count - 1] == s->depth) {
        s->template_count--;
        s->depth--;
        scan_template(s);
        return true;
    }
    if ((c == ')' || c == ']' || c == '}') && s->depth > 0)
        s->depth--;
    token_done(s, TOKEN_SIGN, s->at - 1);
    return true;
}

static bool scan_token(struct scan *s, struct err *err)
{
    const char *from = s->at, *behind;

    if (is_word_char(*s->at))
        return scan_word(s, err);
    if (*s->at == '"' || *s->at == '\'') {
        s->at = skip_string(s->at, s->end);
        token_done(s, TOKEN_STRING, from);
        return true;
    }
    if (*s->at == '`') {
        s->at++;
        scan_template(s);
        return true;
    }
    if (*s->at == '/' && regexp_may_begin(s) && (behind = skip_regexp(s->at, s->end))) {
        s->at = behind;
        token_done(s, TOKEN_STRING, from);
        return true;
    }
    return scan_sign(s, err);
}

bool vm_source_scan(struct slice source, struct buf *out, bool *is_module, struct err *err)
{
    struct scan s = {
        .at = source.ptr, .end = source.ptr + source.len, .copied = source.ptr, .out = out};

    if (source.len > 0)
        for (s.at = skip_space(s.at, s.end); s.at < s.end; s.at = skip_space(s.at, s.end))
            if (!scan_token(&s, err))
                return false;
    *is_module = s.is_module;
    if ((source.len > 0 && !flush_to(&s, s.end)) || !buf_reserve(out, 1))
        return err_set(err, ERR_LIMIT, "the source is larger than %zu bytes", out->max);
    buf_cstr(out);
    return true;
}

/* --- modules ---------------------------------------------------------------------------------- */

char *vm_module_name(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    UNUSED(base);
    UNUSED(opaque);
    return js_strdup(ctx, name);
}

static int scaffold_init(JSContext *ctx, JSModuleDef *m)
{
    struct vm *vm = vm_of(ctx);
    JSValue all = JS_NewObject(ctx);

    if (!vm || JS_IsException(all) ||
        JS_SetPropertyStr(ctx, all, "RetryError", JS_DupValue(ctx, vm->retry_error)) < 0) {
        JS_FreeValue(ctx, all);
        return -1;
    }
    if (JS_SetModuleExport(ctx, m, "default", all) < 0)
        return -1;
    return JS_SetModuleExport(ctx, m, "RetryError", JS_DupValue(ctx, vm->retry_error));
}

JSModuleDef *vm_module_load(JSContext *ctx, const char *name, void *opaque)
{
    struct vm *vm = vm_of(ctx);
    JSModuleDef *m;

    UNUSED(opaque);
    if (strcmp(name, VM_SCAFFOLD) != 0) {
        vm_throw(ctx, NULL,
                 "%s: Cannot import '%.*s'! This package is not provided by PostHog in plugins.",
                 vm ? vm->config.source_path : "", NAME_SHOWN_MAX, name);
        return NULL;
    }
    m = JS_NewCModule(ctx, name, scaffold_init);
    if (m &&
        (JS_AddModuleExport(ctx, m, "default") < 0 || JS_AddModuleExport(ctx, m, "RetryError") < 0))
        return NULL;
    return m;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool load_failed(struct vm *vm, const char *text)
{
    plugin_error_set(&vm->error, "Error", "%s: %s", vm->config.source_path, text);
    vm->has_error = true;
    return false;
}

static bool is_typescript(const struct vm *vm)
{
    return slice_ends(slice_cstr(vm->config.source_path), SLICE(".ts"));
}

/* A syntax error says where: "/index.js: unexpected token (3:7)". */
static bool compile_failed(struct vm *vm)
{
    JSContext *ctx = vm->ctx;
    JSValue value = JS_GetException(ctx);
    int32_t line = 0, column = 0;
    struct plugin_error e = {0};
    bool is_syntax;

    vm_error_from_value(vm, value, &e);
    is_syntax = e.name && strcmp(e.name, "SyntaxError") == 0 && !e.is_memory && !e.is_timeout;
    if (is_syntax) {
        JSValue at = JS_GetPropertyStr(ctx, value, "lineNumber");

        JS_ToInt32(ctx, &line, at);
        JS_FreeValue(ctx, at);
        at = JS_GetPropertyStr(ctx, value, "columnNumber");
        JS_ToInt32(ctx, &column, at);
        JS_FreeValue(ctx, at);
        plugin_error_set(&vm->error, e.name, "%s: %.400s (%d:%d)%s", vm->config.source_path,
                         e.message, (int)line, (int)column,
                         is_typescript(vm)
                             ? ". TypeScript is not supported yet: ship it compiled to JavaScript"
                             : "");
        vm->error.stack = e.stack;
        e.stack = NULL;
    } else {
        vm->error = e;
        e = (struct plugin_error){0};
    }
    plugin_error_fini(&e);
    JS_FreeValue(ctx, value);
    vm->has_error = true;
    return false;
}

static JSValue compile(struct vm *vm, const struct buf *text, bool is_module)
{
    int flags = is_module ? JS_EVAL_TYPE_MODULE : JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT;

    return JS_Eval(vm->ctx, text->ptr, text->len, vm->config.source_path,
                   flags | JS_EVAL_FLAG_COMPILE_ONLY);
}

/* A module's result is a promise; it must have settled when its jobs have run. */
static bool module_settle(struct vm *vm, JSValueConst promise)
{
    JSContext *ctx = vm->ctx;
    JSValue reason;

    vm_leave(vm);
    vm->is_calling = true;
    runtime_drain_jobs(vm->runtime);
    vm->is_calling = false;
    vm_enter(vm);
    switch (JS_PromiseState(ctx, promise)) {
    case JS_PROMISE_REJECTED:
        reason = JS_PromiseResult(ctx, promise);
        runtime_rejection_forget(vm->runtime, promise);
        vm_error_from_value(vm, reason, &vm->error);
        JS_FreeValue(ctx, reason);
        vm->has_error = true;
        return false;
    case JS_PROMISE_PENDING:
        return load_failed(vm, "the top level awaits something that does not come by itself");
    default:
        return true;
    }
}

static bool run_module(struct vm *vm, JSValue compiled)
{
    JSContext *ctx = vm->ctx;
    JSModuleDef *m = (JSModuleDef *)JS_VALUE_GET_PTR(compiled);
    JSValue promise = JS_EvalFunction(ctx, compiled), space;
    bool ok;

    if (JS_IsException(promise))
        return false;
    ok = module_settle(vm, promise);
    JS_FreeValue(ctx, promise);
    if (!ok)
        return false;
    space = JS_GetModuleNamespace(ctx, m);
    ok = !JS_IsException(space) && vm_exports_find(vm, space);
    JS_FreeValue(ctx, space);
    return ok;
}

static bool run_script(struct vm *vm, JSValue compiled)
{
    JSValue value = JS_EvalFunction(vm->ctx, compiled);

    if (JS_IsException(value))
        return false;
    JS_FreeValue(vm->ctx, value);
    return vm_exports_find(vm, JS_UNDEFINED);
}

bool vm_source_run(struct vm *vm, const struct plugin_config *config)
{
    struct buf text = BUF_INIT(SOURCE_BYTES_MAX);
    struct err err = ERR_INIT;
    bool is_module = false, ok;
    JSValue compiled;

    if (!vm_source_scan(config->source, &text, &is_module, &err)) {
        buf_free(&text);
        return load_failed(vm, err.text);
    }
    is_module = is_module || JS_DetectModule(text.ptr, text.len);
    compiled = compile(vm, &text, is_module);
    buf_free(&text);
    if (JS_IsException(compiled))
        return compile_failed(vm);
    ok = is_module ? run_module(vm, compiled) : run_script(vm, compiled);
    return ok;
}
