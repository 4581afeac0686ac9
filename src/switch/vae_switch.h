/* vae_switch — changes the VAE of the loaded checkpoint, and restores the original.
 *
 * The original is saved (its digest is computed), the new VAE is probed (vae_trial.h), and only then do the
 * new weights replace the old ones. If a switch fails, the old state is restored.
 */
#ifndef SWITCH_VAE_SWITCH_H
#define SWITCH_VAE_SWITCH_H

#include "switch/current_model.h"
#include "switch/vae_choice.h"

/* Make the choice the VAE of the loaded checkpoint, and the preference for models that are loaded
 * later; without a model only the preference is set. *was_active: it resolves to the override that is active
 * already. On error neither the active VAE nor the preference changes. Errors: vae_choice_open's,
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

/* The preferred VAE cannot be used: the checkpoint's own becomes the active one, with the reason `why`.
 * The preference does not change. */
void vae_switch_fall_back(struct current_model *model, struct pipeline *pipeline,
                          const struct dr_error *why);

#endif
