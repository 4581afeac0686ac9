/* vae_switch — changing the VAE of the loaded checkpoint, and back.
 *
 * The original is saved (its digest), the new VAE is tried (vae_trial.h), and only then does the slot
 * change hands. A switch that fails puts back what was there.
 */
#ifndef SWITCH_VAE_SWITCH_H
#define SWITCH_VAE_SWITCH_H

#include "switch/current_model.h"
#include "switch/vae_choice.h"

/* Make what was said the VAE of the loaded checkpoint, and the preference for models that are loaded
 * later; without a model it is the preference alone. *was_active: it meant the override that was active
 * already. On error what was active stays, and so does the preference. Errors: vae_choice_open's,
 * vae_trial_begin's, slot_load's. */
enum dr_code vae_switch(struct current_model *model,
                        const struct vae_choice_words *words, bool *was_active,
                        struct dr_error *err) DR_MUST_CHECK;

/* Apply the preferences to a pipeline that was just opened: nothing is loaded yet. A VAE that does not
 * fit is replaced by the checkpoint's own, and the pipeline's resolution says why. Errors:
 * DR_CANCELLED alone. */
enum dr_code vae_switch_apply_setting(const struct current_model *model,
                                      struct pipeline *pipeline,
                                      struct dr_error *err) DR_MUST_CHECK;

/* The preferred VAE turned out not to fit: the checkpoint's own becomes the active one, and `why` is
 * its reason. What was said stays. */
void vae_switch_fall_back(struct current_model *model, struct pipeline *pipeline,
                          const struct dr_error *why);

#endif
