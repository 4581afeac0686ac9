/* serve_command — `serve`: the engine behind HTTP, until it is told to end.
 */
#ifndef CLI_SERVE_COMMAND_H
#define CLI_SERVE_COMMAND_H

#include "commands.h"

command_run run_serve;

#endif
