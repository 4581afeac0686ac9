/* models_command — `models`: which models there are; and what other commands find by a model's name.
 */
#ifndef CLI_MODELS_COMMAND_H
#define CLI_MODELS_COMMAND_H

#include "commands.h"

command_run run_models;

/* Where models are searched, by a command's options. */
struct dr_models_options models_options(const struct options *options);

#endif
