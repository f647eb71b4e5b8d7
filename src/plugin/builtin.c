#include "plugin/builtin.h"

static const struct builtin builtins[] = {
    {"geoip", "Adds where the event's address is: $geoip_… properties, also of the person.",
     builtin_geoip_run},
};

const struct builtin *builtin_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        if (strcmp(builtins[i].name, name) == 0)
            return &builtins[i];
    }
    return NULL;
}

const struct builtin *builtin_at(size_t index)
{
    return index < ARRAY_LEN(builtins) ? &builtins[index] : NULL;
}
