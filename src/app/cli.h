/* cli.h - the command line: which mode, which settings, what is left for the mode.
 *
 * Precedence: help > version > healthcheck > migrate > idle > the first word that is no option >
 * serve. The five flags are found anywhere; the rest is ignored then.
 */
#pragma once

#include "base/buf.h"
#include "conf/conf.h"

enum cli_mode {
    CLI_SERVE,
    CLI_HELP,
    CLI_VERSION,
    CLI_HEALTHCHECK,
    CLI_MIGRATE,
    CLI_IDLE,
    CLI_CHECK,
    CLI_CONFIG,
    CLI_APPLY,
    CLI_EXPORT,
    CLI_TEAM,
    CLI_SEND,
    CLI_TAIL,
    CLI_PLUGIN,
};

#define CLI_WORDS_MAX 8
#define CLI_SETS_MAX  256

struct cli {
    enum cli_mode mode;
    const char *words[CLI_WORDS_MAX]; /* behind the mode's name */
    size_t word_count;
    const char *sets[CLI_SETS_MAX]; /* NAME=value */
    size_t set_count;
    const char *config_file;
    /* options of single modes */
    const char *token, *url, *team, *event, *id;
    const char *source, *order, *plugin_config, *limit;
    const char *tested_config, *hook, *fixture,
        *clock; /* `plugin test`: its --config is no file of settings */
    bool json, prune, follow, accept_gap;
    bool test_mode; /* defaults that the plugin server had in its tests */
};

/* The exit code to end with when the words cannot be understood (text in *fault: one line), 0 when
 * fine. 2 for an unknown mode, 1 for everything else. */
MUST_CHECK int cli_parse(int argc, char *const *argv, struct cli *cli, struct buf *fault);
bool cli_is_plugin_test(const struct cli *cli);
const char *cli_prefix(enum cli_mode mode); /* four letters for log lines */
