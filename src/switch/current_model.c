#include "switch/current_model.h"

#include "base/xdg.h"

enum dr_code current_model_open_tokenizers(struct current_model *model,
                                           struct dr_error *err)
{
    char data[DR_PATH_BYTES];
    (void)xdg_path(XDG_DATA, "tokenizer", data, sizeof data);
    const struct tokenizer_places places = {model->tokenizer_folder,
                                            model->pipeline->path, data};
    return tokenizers_open(&model->tokenizers, &places, err);
}

void current_model_close(struct current_model *model)
{
    pipeline_close(&model->pipeline);
    tokenizers_close(&model->tokenizers);
    dr_settings_free(&model->vae.settings);
}
