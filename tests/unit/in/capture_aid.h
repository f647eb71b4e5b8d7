/* capture_aid.h - teams and trees for the tests of capture. */
#pragma once

#include "base/mem.h"
#include "in/capture/capture_priv.h"

#define AID_NOW_US 1651320000000000 /* 2022-04-30T12:00:00Z */

static const char *const aid_dropped[] = {"dropme"};

static const struct team aid_teams[] = {
    {.id = 2, .name = "two", .api_token = "phc_test_token_0001"},
    {.id = 3, .name = "anonymous", .api_token = "phc_anon_token_0002", .anonymize_ips = true},
    {.id = 4,
     .name = "legacy",
     .api_token = "legacy2022token",
     .drop = aid_dropped,
     .drop_count = 1},
    {.id = 5,
     .name = "over quota",
     .api_token = "phc_quota_token_03",
     .over_quota_events = true,
     .over_quota_recordings = true},
};

/* Sealed, one reference. `with_first` adds team 1, which takes unknown tokens. */
static inline struct team_set *aid_team_set(bool with_first)
{
    static const struct team first = {.id = 1, .name = "first", .api_token = "phc_first"};
    struct team_set *set = team_set_new();
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(aid_teams); i++)
        CHECK(team_set_add(set, &aid_teams[i], &err));
    if (with_first)
        CHECK(team_set_add(set, &first, &err));
    team_set_add_personal_key(set, SLICE("phx_personal_key_0001"), 2);
    team_set_seal(set);
    return set;
}

/* A tree as capture reads it. */
static inline struct json_doc aid_json(const char *text)
{
    struct json_doc doc = {.doc = NULL};
    struct err err = ERR_INIT;

    CHECK(capture_body_parse(slice_cstr(text), 1 << 20, &doc, &err) == CAPTURE_OK);
    return doc;
}
