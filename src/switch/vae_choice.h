/* vae_choice — resolves a VAE choice and opens the file.
 *
 * A VAE is chosen by a setting (when a checkpoint is loaded), by a request for the loaded checkpoint, or by
 * a job for itself. In all three cases the choice is resolved (vae_resolution), and the file is
 * opened and checked to be complete (vae_file). A failure is an error or a fallback, depending on the kind
 * of choice. No weights are read, and the running model is not changed. If it is known already that a VAE
 * is from another latent space, it is refused here; else when its weights are read (latent_probe.h), with
 * the same result.
 *
 *                                          VAE_SETTING       VAE_REQUEST
 *     the choice resolves to nothing       base, warning     error
 *     an explicit file cannot be used, or  base, warning     error
 *       has another latent space and
 *       was not forced
 *     the same of a file that              base, warning     base, warning
 *       "automatic" found
 *
 * Precedence of settings, and the name of each as an origin:
 *
 *     vae_by_model in the settings         "model"
 *     dr_engine_choose_vae, before         "setting"
 *     vae in the settings                  "setting"
 *     none of them: automatic              "default"
 *
 * A request for the loaded model takes precedence over all of them, and a job's own choice over that; both
 * are a VAE_REQUEST.
 */
#ifndef SWITCH_VAE_CHOICE_H
#define SWITCH_VAE_CHOICE_H

#include "switch/current_model.h"

enum vae_choice_kind {
    VAE_SETTING,
    VAE_REQUEST
};

/* The choice for a checkpoint by the settings and earlier calls: see the second table above. */
void vae_choice_setting(const struct current_model *model, const char *checkpoint,
                        struct vae_said *said);

struct vae_choice {
    struct vae_resolution resolution;
    bool is_present; /* it resolves to the override that the pipeline has already */
    struct vae_file *file; /* opened for this choice; NULL: base, or is_present */
};

struct vae_choice_words {
    const char *said; /* NULL: what is chosen already */
    enum vae_choice_kind kind;
    bool force; /* also from another latent space: no latent probe */
};

/* Resolve and open the choice for the pipeline. Errors: see the table above, and DR_CANCELLED;
 * then nothing is open. */
enum dr_code vae_choice_open(struct vae_choice *choice,
                             const struct current_model *model,
                             const struct pipeline *pipeline,
                             const struct vae_choice_words *words,
                             struct dr_error *err) DR_MUST_CHECK;

/* The latent probe refused a job's choice: use the base instead. False if the VAE was requested
 * by name, which is an error. */
bool vae_choice_gives_way(struct vae_choice *choice, const struct current_model *model,
                          const struct dr_error *why);

/* The two VAEs for the latent probe. False if no probe is needed:
 * there is no file, the checkpoint has no VAE, or the choice was forced. */
bool vae_choice_pair(const struct pipeline *pipeline, struct vae_file *file,
                     struct latent_pair *pair);

/* Does it resolve to the base while the pipeline has an override? */
bool vae_choice_leaves_override(const struct vae_choice *choice,
                                const struct pipeline *pipeline);

/* The file becomes the caller's. */
struct vae_file *vae_choice_take(struct vae_choice *choice);

/* Close the file if it was not taken. NULL-safe and repeatable. */
void vae_choice_close(struct vae_choice *choice);

/* Put the text about the origin ("" for none) before a resolution's reason. */
void vae_choice_explain(struct vae_resolution *resolution, const char *note);

/* Fall back to the checkpoint's own VAE: `why` becomes the reason, and is logged. */
void vae_choice_fall_back(const struct current_model *model,
                          struct vae_resolution *resolution,
                          const struct dr_error *why);

#endif
