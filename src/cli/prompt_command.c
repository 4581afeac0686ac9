#include "prompt_command.h"

#include "front/prompt_json.h"

enum dr_code run_prompt(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    (void)session;
    const struct dr_prompt_options how = {
        .syntax = (enum dr_prompt_syntax)options->prompt_syntax,
        .is_negative = options->is_negative,
        .steps = options->steps,
        .tokenizer_folder = options->tokenizer,
        .model = options->model};
    struct dr_prompt_info info;
    const enum dr_code code =
        dr_describe_prompt(options->operands[0], &how, &info, err);
    if (code == DR_OK) prompt_json_add(fields, &info);
    dr_prompt_info_free(&info);
    return code;
}
