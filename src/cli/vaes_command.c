#include "vaes_command.h"

#include "front/vae_list_json.h"
#include "switch_commands.h"

enum dr_code run_vaes(struct session *session, const struct options *options,
                      json_t *fields, struct dr_error *err)
{
    struct dr_vae_list list;
    enum dr_code code = command_prepare(session, options, fields, err);
    if (code != DR_OK) return code;
    code = dr_engine_list_vaes(session->engine, options->digests ? DR_LIST_DIGESTS : 0,
                               talk_progress, &session->talk, &list, err);
    if (code != DR_OK) return code;
    vae_list_json_add(fields, &list);
    dr_vae_list_free(&list);
    return DR_OK;
}
