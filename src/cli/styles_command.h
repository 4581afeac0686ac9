/* styles_command — `styles`: which styles are there. And what the options say of styles and wildcards, for one prompt. */
#ifndef CLI_STYLES_COMMAND_H
#define CLI_STYLES_COMMAND_H

#include "commands.h"

command_run run_styles;

/* The prompt with the styles of --style, and with wildcards replaced for that seed, unless prompts are plain text or the prompt is
 * that of a picture which is made again. Errors: dr_expand_prompt's. */
enum dr_code styles_expand(const struct options *options, const char *prompt,
                           const char *negative, uint64_t seed, struct dr_expanded *out,
                           struct dr_error *err);

#endif
