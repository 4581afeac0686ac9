#include "packs_command.h"

#include <string.h>

#include "front/pack_json.h"
#include "interrupt.h"

static enum dr_code list_packs(struct session *session, const struct options *options,
                               unsigned flags, json_t *fields, struct dr_error *err)
{
    struct dr_pack_list list;
    const struct dr_packs_options how = {.flags = flags,
                                         .progress = talk_load,
                                         .progress_cookie = &session->talk};
    interrupt_heed();
    const enum dr_code code = dr_packs_list(options->packs, &how, &list, err);
    if (code == DR_OK) pack_json_add_list(fields, &list);
    dr_pack_list_free(&list);
    return code;
}

static enum dr_code prune_packs(const struct options *options, json_t *fields,
                                struct dr_error *err)
{
    struct dr_pack_prune pruned;
    if (!options->keep_given)
        return command_fail(
            err, DR_BAD_INPUT,
            "give the number of bytes to keep: packs prune --keep 20G; --keep 0 "
            "removes all packs");
    const enum dr_code code =
        dr_packs_prune(options->packs, options->keep, &pruned, err);
    if (code != DR_OK) return code;
    pack_json_add_prune(fields, &pruned);
    return DR_OK;
}

enum dr_code run_packs(struct session *session, const struct options *options,
                       json_t *fields, struct dr_error *err)
{
    const char *const what = options->operand_count ? options->operands[0] : "list";
    const bool prunes = strcmp(what, "prune") == 0;
    if (options->keep_given && !prunes)
        return command_fail(err, DR_BAD_INPUT, "--keep applies to packs prune only");
    if (prunes) return prune_packs(options, fields, err);
    if (strcmp(what, "list") == 0) return list_packs(session, options, 0, fields, err);
    if (strcmp(what, "verify") == 0)
        return list_packs(session, options, DR_PACKS_VERIFY, fields, err);
    return command_fail(err, DR_BAD_INPUT,
                        "packs takes list, verify or prune, not \"%.80s\"", what);
}
