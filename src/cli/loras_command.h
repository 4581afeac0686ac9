/* loras_command — `loras`: which LoRAs are there. And the LoRAs of a job's options. */
#ifndef CLI_LORAS_COMMAND_H
#define CLI_LORAS_COMMAND_H

#include "commands.h"

command_run run_loras;

/* The files that --lora names, for one job. */
struct loras_named {
    struct dr_lora loras[OPTIONS_MAX_WORDS];
    char (*paths)[DR_PATH_BYTES]; /* theirs */
    int32_t count;
};

/* Errors: dr_find_lora's. loras_named_free, also after an error. */
enum dr_code loras_named_find(struct loras_named *named, const struct options *options,
                              struct dr_error *err) DR_MUST_CHECK;
void loras_named_free(struct loras_named *named);

#endif
