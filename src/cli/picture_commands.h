/* picture_commands — the commands that make pictures and latent images, or tell what they would
 * need: generate, encode, decode, and memory's forecast.
 */
#ifndef CLI_PICTURE_COMMANDS_H
#define CLI_PICTURE_COMMANDS_H

#include "commands.h"

command_run run_generate, run_encode, run_decode, run_forecast;

#endif
