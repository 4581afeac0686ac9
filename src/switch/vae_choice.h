/* vae_choice — from what was said to an opened VAE.
 *
 * Three things choose a VAE: a setting that meets a checkpoint, a request for the loaded one, and
 * a job for itself. All three come here: the words are resolved (vae_resolution), the file is
 * opened and found whole (vae_file), and what goes wrong is an error or a fallback, as the kind
 * of choice has it. No weights are read and nothing that runs is touched. Whether a VAE belongs
 * to the checkpoint's latent space is told here where it is known; else by whoever reads its
 * weights (latent_probe.h), with the same outcome.
 *
 *                                        VAE_SETTING    VAE_REQUEST
 *     the words resolve to nothing       base, said     error
 *     an explicit file is unusable,      base, said     error
 *       or foreign and not forced
 *     a file that automatic found is     base, said     base, said
 *       unusable or foreign
 *
 * Who says the words of a setting, the first that says any:
 *
 *     vae_by_model in the settings       "model"
 *     dr_engine_choose_vae, before       "setting"
 *     vae in the settings                "setting"
 *     nobody: automatic                  "default"
 *
 * A request for the loaded model comes before all of them, and what a job says for itself before that: it
 * is a VAE_REQUEST too.
 */
#ifndef SWITCH_VAE_CHOICE_H
#define SWITCH_VAE_CHOICE_H

#include "switch/current_model.h"

enum vae_choice_kind {
    VAE_SETTING,
    VAE_REQUEST
};

/* What the settings and earlier calls say for a checkpoint: the table above. */
void vae_choice_setting(const struct current_model *model, const char *checkpoint,
                        struct vae_said *said);

struct vae_choice {
    struct vae_resolution resolution;
    bool is_present;       /* it means the override that the pipeline has already */
    struct vae_file *file; /* opened for this choice; NULL: base, or is_present */
};

struct vae_choice_words {
    const char *said; /* NULL: what is chosen already */
    enum vae_choice_kind kind;
    bool force; /* a foreign one, too: no latent probe */
};

/* What was said means this for the pipeline. Errors: as the table above, and DR_CANCELLED;
 * nothing is left open then. */
enum dr_code vae_choice_open(struct vae_choice *choice,
                             const struct current_model *model,
                             const struct pipeline *pipeline,
                             const struct vae_choice_words *words,
                             struct dr_error *err) DR_MUST_CHECK;

/* A job's choice turned out to be foreign when it ran: base instead. False where it was asked
 * for by name, and that is an error. */
bool vae_choice_gives_way(struct vae_choice *choice, const struct current_model *model,
                          const struct dr_error *why);

/* A VAE and the checkpoint's own, for the latent probe. False where nothing has to be asked:
 * no file, no VAE of the checkpoint's own, or it was forced. */
bool vae_choice_pair(const struct pipeline *pipeline, struct vae_file *file,
                     struct latent_pair *pair);

/* Does it mean base where the pipeline has an override? */
bool vae_choice_leaves_override(const struct vae_choice *choice,
                                const struct pipeline *pipeline);

/* The file becomes the caller's. */
struct vae_file *vae_choice_take(struct vae_choice *choice);

/* Closes the file where it was not taken. NULL-safe and repeatable. */
void vae_choice_close(struct vae_choice *choice);

/* Put the words on who said it, "" for none, before a resolution's reason. */
void vae_choice_explain(struct vae_resolution *resolution, const char *note);

/* Fall back to the checkpoint's own VAE: `why` becomes the reason, and is logged. */
void vae_choice_fall_back(const struct current_model *model,
                          struct vae_resolution *resolution,
                          const struct dr_error *why);

#endif
