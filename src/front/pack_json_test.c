#include "front/pack_json.h"

#include <time.h>

#include "check.h"
#include "front/json_fixture.h"

static const char *listed(const struct dr_pack_list *list)
{
    json_t *const answer = json_object();
    pack_json_add_list(answer, list);
    return json_text(answer);
}

static void lists_packs(void)
{
    struct dr_pack_info *const packs = calloc(2, sizeof *packs);
    struct tm noon = {.tm_year = 126,
                      .tm_mon = 10,
                      .tm_mday = 25,
                      .tm_hour = 9,
                      .tm_min = 30,
                      .tm_isdst = -1};
    packs[0] = (struct dr_pack_info){.path = "/c/1\xFF.pack",
                                     .source = "vae of /m/a\xFF.sft",
                                     .name = "1a",
                                     .state = DR_PACK_READY,
                                     .in_use = 1,
                                     .bytes = 4096,
                                     .used_s = mktime(&noon)};
    packs[1] = (struct dr_pack_info){.path = "2.pack",
                                     .state = DR_PACK_BEING_MADE,
                                     .problem = "cut off",
                                     .used_s = packs[0].used_s};
    const struct dr_pack_list list = {.folder = "/c",
                                      .packs = packs,
                                      .count = 2,
                                      .bytes = 4096,
                                      .limit_bytes = 9,
                                      .limit_text = "9 B"};
    check_str(
        listed(&list),
        "{'folder':'/c','bytes':4096,'limit_bytes':9,'limit_reason':'9 B','packs':["
        "{'name':'1a','source':'vae of /m/a\xEF\xBF\xBD.sft','state':'ready','bytes':4096,"
        "'used':'2026-11-25 09:30','in_use':true,'path':'/c/1\xEF\xBF\xBD.pack'},"
        "{'name':'','source':'','state':'being made','bytes':0,"
        "'used':'2026-11-25 09:30','path':'2.pack','problem':'cut off'}]}");
    packs[1].goes = 1;
    json_t *const plan = json_object();
    pack_json_add_plan(plan, &list);
    check_str(json_text(plan),
              "{'would_remove':[{'name':'','source':'','state':'being made','bytes':0,"
              "'used':'2026-11-25 09:30','path':'2.pack','problem':'cut off'}]}");
    free(packs);
}

static void an_empty_folder_is_a_list(void)
{
    const struct dr_pack_list list = {.folder = "/c"};
    check_str(listed(&list),
              "{'folder':'/c','bytes':0,'limit_bytes':0,'limit_reason':'','packs':[]}");
}

static void says_what_was_pruned(void)
{
    const struct dr_pack_prune prune = {
        .removed_bytes = 1, .kept_bytes = 2, .removed_count = 3, .kept_count = 4};
    json_t *const answer = json_object();
    pack_json_add_prune(answer, &prune);
    check_str(json_text(answer),
              "{'removed_bytes':1,'removed_count':3,'kept_bytes':2,'kept_count':4}");
    const struct dr_pack_prune used = {.in_use_bytes = 5, .in_use_count = 1};
    json_t *const other = json_object();
    pack_json_add_prune(other, &used);
    check_str(json_text(other),
              "{'removed_bytes':0,'removed_count':0,'kept_bytes':0,'kept_count':0,"
              "'in_use_bytes':5,'in_use_count':1}");
}

int main(void)
{
    check_run(lists_packs);
    check_run(an_empty_folder_is_a_list);
    check_run(says_what_was_pruned);
    return check_done();
}
