/* model_switch — loading another checkpoint, and releasing weights.
 *
 * A switch first opens the new checkpoint and resolves its VAE. If old and new weights fit the budget
 * together, the new ones are loaded before the old ones are released, else after. The old pipeline is
 * closed last, when nothing can fail any more.
 */
#ifndef SWITCH_MODEL_SWITCH_H
#define SWITCH_MODEL_SWITCH_H

#include "switch/current_model.h"

struct model_switch_options {
    const char *path;
    bool eager; /* read all components now, if they fit the budget */
    bool force; /* DR_LOAD_FORCE */
};

/* dr_engine_load. note: "" or a clause for the receipt. On error the model is as it was. Errors:
 * pipeline_open's, the VAE's and slot_load's; DR_CANCELLED. */
enum dr_code model_switch(struct current_model *model,
                          const struct model_switch_options *options, char *note,
                          size_t note_bytes, struct dr_error *err) DR_MUST_CHECK;

/* Release the weights of all components, or of the VAE alone; returns the bytes. The choice of model
 * and VAE stays. */
size_t model_switch_release(struct current_model *model);
size_t model_switch_release_vae(struct current_model *model);

#endif
