/* picture_commands — encode, decode, and memory's forecast; and what they share with generate
 * (generate_command.h).
 */
#ifndef CLI_PICTURE_COMMANDS_H
#define CLI_PICTURE_COMMANDS_H

#include "commands.h"

command_run run_encode, run_decode, run_forecast;

/* What the options say of a job to generate. */
struct dr_generate_options picture_commands_job(struct session *session,
                                                const struct options *options);

/* profile may be NULL. */
void picture_commands_answer_profile(struct session *session,
                                     const struct options *options,
                                     const struct dr_profile *profile, json_t *fields);

#endif
