/* `plugin test DIR`: a plugin on events, without a server, a data directory or the network. */
#include "app/app_priv.h"
#include "base/fs.h"

int mode_plugin_test(const struct cli *cli, const struct conf *conf)
{
    UNUSED(conf);
    if (cli->word_count != 2) {
        app_complain("hedgerow plugin test: say `plugin test DIR [--config F] [--event F] [--hook "
                     "NAME] [--fixture F] [--clock ISO]`");
        return 1;
    }
    if (!fs_exists(cli->words[1])) {
        app_complain("hedgerow plugin test: there is no directory %s", cli->words[1]);
        return 1;
    }
    app_complain("hedgerow plugin test: running plugins is not finished yet");
    return 1;
}
