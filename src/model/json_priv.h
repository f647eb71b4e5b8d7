/* json_priv.h - memory of event documents, shared by the files of json_value. */
#pragma once

#include <yyjson.h>

struct json_memory;

/* One document's share of the thread's blocks, at most `bytes_max`; *alc takes from it. */
struct json_memory *json_memory_open(size_t bytes_max, yyjson_alc *alc);
void json_memory_close(struct json_memory *m); /* NULL is legal; everything taken was given back */
