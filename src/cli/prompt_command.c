#include "prompt_command.h"

#include "front/prompt_json.h"
#include "models_command.h"
#include "styles_command.h"

enum dr_code run_prompt(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    (void)session;
    char model[DR_PATH_BYTES] = "";
    const struct dr_models_options models = models_options(options);
    if (options->model) {
        const enum dr_code found = dr_find_model(options->model, &models, model, err);
        if (found != DR_OK) return found;
    }
    const struct dr_prompt_options how = {
        .syntax = (enum dr_prompt_syntax)options->prompt_syntax,
        .is_negative = options->is_negative,
        .steps = options->steps,
        .tokenizer_folder = options->tokenizer,
        .model = model,
        .embedding_directory = options->embedding_dir};
    const char *const typed = options->operands[0];
    const bool is_negative = options->is_negative;
    struct dr_expanded text;
    struct dr_prompt_info info;
    enum dr_code code =
        styles_expand(options, is_negative ? NULL : typed, is_negative ? typed : NULL,
                      options->seed, &text, err);
    if (code != DR_OK) return code;
    code =
        dr_describe_prompt(is_negative ? text.negative : text.prompt, &how, &info, err);
    if (code == DR_OK) prompt_json_add(fields, &info);
    dr_prompt_info_free(&info);
    dr_expanded_free(&text);
    return code;
}
