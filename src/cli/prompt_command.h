/* prompt_command — `prompt`: what a prompt means. Commands are described in commands.h. */
#ifndef CLI_PROMPT_COMMAND_H
#define CLI_PROMPT_COMMAND_H

#include "commands.h"

command_run run_prompt;

#endif
