/* vae_switch — changing the VAE of the loaded checkpoint, and back (darkroom.h,
 * dr_engine_choose_vae). model_switch.c takes the setting along to the next checkpoint.
 */
#ifndef ENGINE_VAE_SWITCH_H
#define ENGINE_VAE_SWITCH_H

#include "engine/engine.h"

/* Apply the setting to a pipeline that was just opened: nothing is loaded yet. What does not fit
 * falls back to base, and the pipeline's resolution says so. Errors: DR_CANCELLED alone. */
enum dr_code vae_switch_apply_setting(const struct dr_engine *engine,
                                      struct pipeline *pipeline,
                                      struct dr_error *err) DR_MUST_CHECK;

/* The setting's VAE turned out not to fit: `why` is said, and the checkpoint's own is the active
 * one. The setting's words stay. */
void vae_switch_fall_back(struct dr_engine *engine, struct pipeline *pipeline,
                          const struct dr_error *why);

#endif
