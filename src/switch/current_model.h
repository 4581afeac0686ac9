/* current_model — the checkpoint that is in use, and what is wanted of its VAE and of those loaded
 * later.
 *
 * The switches work on it: model_switch.h puts another pipeline in its place, vae_switch.h another
 * VAE into the pipeline. It outlives every pipeline: the VAE preferences, the results of latent
 * probes and the open vocabularies are taken from one checkpoint to the next.
 *
 * Threads: one call changes it. Others may look at the pipeline and at the choice of a VAE while they
 * hold the ledger's lock: both change with that held.
 */
#ifndef SWITCH_CURRENT_MODEL_H
#define SWITCH_CURRENT_MODEL_H

#include "pipeline/pipeline.h"
#include "pipeline/resources.h"
#include "pipeline/tokenizers.h"
#include "switch/latent_probe.h"

struct vae_preferences {
    char folder[DR_PATH_BYTES];  /* of VAEs; "" none */
    char choice[DR_PATH_BYTES];  /* said for all models by a call; "" never */
    bool forced;                 /* it was said with DR_VAE_FORCE */
    struct dr_settings settings; /* of the user, as they were when the engine opened */
};

struct current_model {
    struct resources *resources; /* borrowed from the engine */
    struct pipeline *pipeline;   /* owned; NULL: no model is loaded */
    bool eager;                  /* the model was loaded with its weights */
    struct vae_preferences vae;
    struct latent_probe_memory probes;
    struct tokenizers tokenizers;
    char tokenizer_folder[DR_PATH_BYTES]; /* the engine's option, or "" */
};

/* tokenizers_open, for the loaded model. */
enum dr_code current_model_open_tokenizers(struct current_model *model,
                                           struct dr_error *err) DR_MUST_CHECK;

/* Release everything. A zeroed struct is fine. */
void current_model_close(struct current_model *model);

#endif
