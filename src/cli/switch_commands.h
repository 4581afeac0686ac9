/* switch_commands — the commands that change what is active: model, vae, unload, budget. And what
 * the commands that make pictures begin with.
 */
#ifndef CLI_SWITCH_COMMANDS_H
#define CLI_SWITCH_COMMANDS_H

#include "commands.h"

command_run run_model, run_vae, run_unload, run_budget;

/* `-m` and `--budget` come before the work of any command that has them. A one-shot command's
 * switch is no news: its receipt is that of the job. */
enum dr_code command_prepare(struct session *session, const struct options *options,
                             json_t *fields, struct dr_error *err) DR_MUST_CHECK;

/* The path of the model that command_prepare will have: the one that is named, loaded, or in the settings.
 * Errors: dr_find_model's. */
enum dr_code command_find_model(struct session *session, const struct options *options,
                                char path[static DR_PATH_BYTES],
                                struct dr_error *err) DR_MUST_CHECK;

/* Do the settings name a model for commands that are given none? */
bool command_has_default_model(void);

/* The member `budget`: bytes and reason. */
enum dr_code command_add_budget(struct session *session, json_t *fields,
                                struct dr_error *err) DR_MUST_CHECK;

#endif
