/* embeddings_command — `embeddings`: which embeddings are there. */
#ifndef CLI_EMBEDDINGS_COMMAND_H
#define CLI_EMBEDDINGS_COMMAND_H

#include "commands.h"

command_run run_embeddings;

#endif
