#include "admin_aid.h"
#include "child.h"

static void tell(void *ctx)
{
    log_setup(LOG_INFO, LOG_CLASSIC, false);
    provision_tell_unused(&((struct aid *)ctx)->store);
}

static void what_is_named(void **state)
{
    static const struct {
        const char *file, *parts; /* NULL: no line */
    } table[] = {
        {"{\"teams\":[{\"id\":1,\"name\":\"a\",\"anonymize_ips\":true,\"drop\":[\"x\"],"
         "\"session_recording_opt_in\":true,\"over_quota\":[\"events\"]}],"
         "\"personal_api_keys\":[{\"key\":\"phx_1\",\"team\":1}]}",
         NULL},
        {"{\"teams\":[{\"id\":1,\"name\":\"a\",\"quota\":{\"per_second\":1}},"
         "{\"id\":2,\"name\":\"b\",\"quota\":{\"per_second\":2},\"bucket\":\"b\"}]}",
         "parts=\"teams.quota, teams.bucket\""},
        {"{\"teams\":[{\"id\":1,\"name\":\"a\",\"class\":\"c\",\"organization\":\"o\","
         "\"slack_incoming_webhook\":\"https://x/y\"}],"
         "\"plugins\":[{\"name\":\"p\",\"source\":\"dir:p\"},{\"name\":\"q\",\"source\":\"dir:q\"}]"
         ","
         "\"plugin_configs\":[{\"plugin\":\"p\",\"team\":1}],\"buckets\":[{\"name\":\"b\"}]}",
         "parts=\"teams.slack_incoming_webhook, teams.class, teams.organization, buckets\""},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct aid a, *aid = &a;
        struct provision_outcome o;
        aid_open(aid);
        must(aid_apply(aid, table[i].file, false, &o));
        /* What an earlier file brought counts as well. */
        must(aid_apply(aid, "{\"teams\":[]}", false, &o));
        char *out = child_output(1, tell, aid);
        if (table[i].parts ? !strstr(out, table[i].parts) : *out)
            fail_msg("%s", out);
        mem_free(out);
        aid_close(aid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
