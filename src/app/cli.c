#include "app/cli.h"

static const struct {
    const char *name;
    enum cli_mode mode;
    const char *prefix;
} modes[] = {
    {"serve", CLI_SERVE, "MAIN"}, {"check", CLI_CHECK, "CHCK"},   {"config", CLI_CONFIG, "CONF"},
    {"apply", CLI_APPLY, "APLY"}, {"export", CLI_EXPORT, "EXPO"}, {"team", CLI_TEAM, "TEAM"},
    {"send", CLI_SEND, "SEND"},   {"tail", CLI_TAIL, "TAIL"},     {"plugin", CLI_PLUGIN, "PLUG"},
};

static const struct {
    const char *flag, *brief;
    enum cli_mode mode;
    const char *prefix;
} flags[] = {
    /* in order of precedence */
    {"--help", "-h", CLI_HELP, "HELP"},
    {"--version", "-v", CLI_VERSION, "VRSN"},
    {"--healthcheck", NULL, CLI_HEALTHCHECK, "HLTH"},
    {"--migrate", NULL, CLI_MIGRATE, "MGRT"},
    {"--idle", NULL, CLI_IDLE, "IDLE"},
};

const char *cli_prefix(enum cli_mode mode)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].mode == mode)
            return flags[i].prefix;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (modes[i].mode == mode)
            return modes[i].prefix;
    return "MAIN";
}

static bool text_is(const char *a, const char *b)
{
    return b && slice_eq(slice_cstr(a), slice_cstr(b));
}

static bool find_flag(int argc, char *const *argv, enum cli_mode *mode)
{
    for (size_t f = 0; f < ARRAY_LEN(flags); f++)
        for (int i = 1; i < argc; i++)
            if (text_is(argv[i], flags[f].flag) || text_is(argv[i], flags[f].brief)) {
                *mode = flags[f].mode;
                return true;
            }
    return false;
}

static bool find_mode(const char *word, enum cli_mode *mode)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (text_is(word, modes[i].name)) {
            *mode = modes[i].mode;
            return true;
        }
    return false;
}

/* An option with a value: "--name value" or "--name=value". Returns how many words it took, 0 when
 * it is not this one, -1 when the value is missing. */
static int take_value(int argc, char *const *argv, int at, const char *name, const char **value)
{
    struct slice word = slice_cstr(argv[at]), option = slice_cstr(name);

    if (!slice_starts(word, option))
        return 0;
    if (word.len > option.len && word.ptr[option.len] == '=') {
        *value = word.ptr + option.len + 1;
        return 1;
    }
    if (word.len != option.len)
        return 0;
    if (at + 1 >= argc)
        return -1;
    *value = argv[at + 1];
    return 2;
}

static int take_option(int argc, char *const *argv, int at, struct cli *cli)
{
    const struct {
        const char *name;
        const char **value;
    } values[] = {
        {"--config", &cli->config_file},
        {"--token", &cli->token},
        {"--url", &cli->url},
        {"--team", &cli->team},
        {"--event", &cli->event},
        {"--id", &cli->id},
        {"--source", &cli->source},
        {"--order", &cli->order},
        {"--plugin-config", &cli->plugin_config},
        {"--limit", &cli->limit},
        {"--hook", &cli->hook},
        {"--fixture", &cli->fixture},
        {"--clock", &cli->clock},
    };
    const struct {
        const char *name;
        bool *value;
    } switches[] = {
        {"--json", &cli->json},           {"--prune", &cli->prune},
        {"--follow", &cli->follow},       {"--accept-gap", &cli->accept_gap},
        {"--test-mode", &cli->test_mode},
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        int n = take_value(argc, argv, at, values[i].name, values[i].value);
        if (n)
            return n;
    }
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        if (text_is(argv[at], switches[i].name)) {
            *switches[i].value = true;
            return 1;
        }
    const char *set = NULL;
    int n = take_value(argc, argv, at, "--set", &set);
    if (n > 0 && cli->set_count < CLI_SETS_MAX)
        cli->sets[cli->set_count++] = set;
    return n;
}

bool cli_is_plugin_test(const struct cli *cli)
{
    return cli->mode == CLI_PLUGIN && cli->word_count && text_is(cli->words[0], "test");
}

int cli_parse(int argc, char *const *argv, struct cli *cli, struct buf *fault)
{
    bool has_flag, has_mode = false;

    *cli = (struct cli){.mode = CLI_SERVE};
    has_flag = find_flag(argc, argv, &cli->mode);
    for (int i = 1; i < argc;) {
        int n = 1;
        if (argv[i][0] == '-' && argv[i][1]) {
            n = take_option(argc, argv, i, cli);
            if (n < 0 && !has_flag) {
                buf_addf(fault, "hedgerow: %s needs a value behind it", argv[i]);
                return 1;
            }
            if (n == 0 && !has_flag) {
                buf_addf(fault,
                         "hedgerow: unknown option %s; `hedgerow --help` lists modes and settings",
                         argv[i]);
                return 1;
            }
        } else if (has_flag) {
            n = 1; /* the rest is ignored in a utility mode */
        } else if (!has_mode) {
            if (!find_mode(argv[i], &cli->mode)) {
                buf_addf(fault, "hedgerow: unknown mode %s; `hedgerow --help` lists them", argv[i]);
                return 2;
            }
            has_mode = true;
        } else if (cli->word_count < CLI_WORDS_MAX) {
            cli->words[cli->word_count++] = argv[i];
        } else {
            buf_addf(fault, "hedgerow: too many words at %s", argv[i]);
            return 1;
        }
        i += n > 0 ? n : 1;
    }
    if (cli_is_plugin_test(cli)) {
        cli->tested_config = cli->config_file;
        cli->config_file = NULL;
    }
    return 0;
}
