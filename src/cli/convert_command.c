#include "convert_command.h"

#include <stdlib.h>

#include "front/conversion_json.h"
#include "interrupt.h"
#include "models_command.h"

enum dr_code run_convert(struct session *session, const struct options *options,
                         json_t *fields, struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    const struct dr_models_options models = models_options(options);
    if (!options->output)
        return command_fail(err, DR_BAD_INPUT,
                            "give the file to write: -o FILE.gguf or -o "
                            "FILE.safetensors");
    enum dr_code code = dr_find_model(options->operands[0], &models, path, err);
    if (code != DR_OK) return code;
    struct dr_conversion *const conversion = calloc(1, sizeof *conversion);
    if (!conversion) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    const struct dr_convert_options how = {.output = options->output,
                                           .weights = (enum dr_weights)options->weights,
                                           .overwrite = options->overwrite,
                                           .progress = talk_load,
                                           .progress_cookie = &session->talk};
    interrupt_heed();
    code = dr_convert(path, &how, conversion, err);
    if (code == DR_OK) conversion_json_add(fields, conversion);
    free(conversion);
    return code;
}
