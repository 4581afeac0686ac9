/* generate_command — `generate`: from prompts and a name for the output to pictures, a job for each prompt.
 *
 * All names are known, and every file that is there is looked at, before the first step. With several prompts
 * the answer has `images` of all of them (with `prompt`), and `jobs` with the rest of each.
 */
#ifndef CLI_GENERATE_COMMAND_H
#define CLI_GENERATE_COMMAND_H

#include "commands.h"

command_run run_generate;

#endif
