/* vaes_command — `vaes`: which VAEs are there for a model, and what each choice would mean. */
#ifndef CLI_VAES_COMMAND_H
#define CLI_VAES_COMMAND_H

#include "commands.h"

command_run run_vaes;

#endif
