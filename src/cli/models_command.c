#include "models_command.h"

#include "front/model_list_json.h"
#include "interrupt.h"

struct dr_models_options models_options(const struct options *options)
{
    return (struct dr_models_options){.model_folders = options->models,
                                      .vae_folder = options->vae_dir,
                                      .pack_folder = options->packs};
}

enum dr_code run_models(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    const struct dr_models_options how = models_options(options);
    struct dr_model_list list;
    interrupt_heed();
    const enum dr_code code = dr_models_list(&how, &list, err);
    if (code == DR_OK) model_list_json_add(fields, &list);
    if (code == DR_OK && list.count == 0)
        talk_log(
            &session->talk, DR_LOG_NOTICE,
            "no model was found: put checkpoints into the model directory, or name "
            "another one with --models DIR or darkroom settings --models DIR");
    dr_model_list_free(&list);
    return code;
}
