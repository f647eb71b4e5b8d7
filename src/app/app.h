/* app.h - everything put together: modes of the one binary. */
#pragma once

#include "app/cli.h"

/* The whole program; returns the exit code. */
int app_main(int argc, char **argv);
