/* convert_command — `darkroom convert MODEL -o OUT`: a checkpoint in another type (dr_convert). */
#ifndef CLI_CONVERT_COMMAND_H
#define CLI_CONVERT_COMMAND_H

#include "commands.h"

enum dr_code run_convert(struct session *session, const struct options *options,
                         json_t *fields, struct dr_error *err);

#endif
