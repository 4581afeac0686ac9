#include "loras_command.h"

#include <stdlib.h>

#include "front/lora_json.h"

enum dr_code run_loras(struct session *session, const struct options *options,
                       json_t *fields, struct dr_error *err)
{
    struct dr_lora_list list;
    (void)session;
    const enum dr_code code = dr_list_loras(options->lora_dir, &list, err);
    if (code != DR_OK) return code;
    lora_list_json_add(fields, &list);
    dr_lora_list_free(&list);
    return DR_OK;
}

enum dr_code loras_named_find(struct loras_named *named, const struct options *options,
                              struct dr_error *err)
{
    enum dr_code code = DR_OK;
    *named = (struct loras_named){0};
    if (!options->loras.list[0]) return DR_OK;
    named->paths = calloc(OPTIONS_MAX_WORDS, sizeof *named->paths);
    if (!named->paths)
        return command_fail(err, DR_NOMEM, "out of memory for the list of LoRAs");
    for (int i = 0; code == DR_OK && options->loras.list[i]; ++i) {
        code = dr_find_lora(options->loras.list[i], options->lora_dir, DR_LORA_ANY,
                            named->paths[i], &named->loras[i], err);
        if (code == DR_OK) ++named->count;
    }
    return code;
}

void loras_named_free(struct loras_named *named)
{
    free(named->paths);
    *named = (struct loras_named){0};
}
