/* vocabulary_command — `darkroom vocabulary`: download CLIP's vocabulary.
 *
 * The work is done by the script clip-vocabulary, which is installed beside the program. It needs python3 and pip,
 * which nothing else in darkroom does.
 */
#ifndef CLI_VOCABULARY_COMMAND_H
#define CLI_VOCABULARY_COMMAND_H

#include "commands.h"

/* Runs the script and waits for it. Its output goes to standard error. Errors: DR_IO if the script is not found,
 * cannot be run or fails (it says why on standard error); DR_CANCELLED after Ctrl-C. */
command_run run_vocabulary;

#endif
