/* packs_command — `packs`: what the folder of packs holds, is it right, and making room. */
#ifndef CLI_PACKS_COMMAND_H
#define CLI_PACKS_COMMAND_H

#include "commands.h"

command_run run_packs;

#endif
