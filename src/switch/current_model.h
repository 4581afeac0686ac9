/* current_model — the checkpoint that is in use, and the VAE preferences for it and for checkpoints that
 * are loaded later.
 *
 * model_switch.h replaces its pipeline, vae_switch.h the VAE of the pipeline. The struct outlives every
 * pipeline: the VAE preferences, the results of latent probes and the open vocabularies are kept when the
 * checkpoint changes.
 *
 * Threads: one call changes it. Other threads may read the pipeline and the choice of a VAE while they
 * hold the ledger's lock; both change only with that lock held.
 */
#ifndef SWITCH_CURRENT_MODEL_H
#define SWITCH_CURRENT_MODEL_H

#include "pipeline/pipeline.h"
#include "pipeline/resources.h"
#include "pipeline/tokenizers.h"
#include "switch/latent_probe.h"

struct vae_preferences {
    char folder[DR_PATH_BYTES];  /* of VAEs; "" none */
    char choice[DR_PATH_BYTES];  /* set for all models by a call; "" never */
    bool forced;                 /* set with DR_VAE_FORCE */
    struct dr_settings settings; /* the user's, as read when the engine was opened */
};

struct current_model {
    struct resources *resources; /* borrowed from the engine */
    struct pipeline *pipeline;   /* owned; NULL: no model is loaded */
    char base[DR_PATH_BYTES];    /* of models that are loaded later; "": none */
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
