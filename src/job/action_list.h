/* action_list — a job's steps with all that has to happen to memory between them, added up.
 *
 * A job is a list of actions: load this, reserve that, run a step, ... The forecast of its private
 * memory is that list, added up; running the job is that list, executed (job.c). There is no second
 * computation that could differ, so planned bytes equal the ledger's peak.
 *
 * Three residencies; the pictures are the same bytes in each:
 *   RESIDENT  what is loaded stays, what the job needs is loaded beside it
 *   LEAN      what the job does not need is released first
 *   PHASED    one component at a time, each from its first step to the last before another's
 *
 * A VAE whose latent space is not known yet is asked before anything else is done (latent_probe.h).
 */
#ifndef JOB_ACTION_LIST_H
#define JOB_ACTION_LIST_H

#include "pipeline/slot.h"

enum action_kind {
    ACTION_LOAD,    /* slot_load of the slot, in the order given */
    ACTION_RELEASE, /* slot_release of the slot */
    ACTION_SAVE, /* the checkpoint's own VAE is digested, before another takes its place */
    ACTION_REFERENCE, /* the checkpoint's own VAE encodes the latent probe's picture */
    ACTION_PROBE,     /* the VAE that is loaded decodes it: foreign is an error */
    ACTION_PROMPTS,   /* open the prompt cache */
    ACTION_RESERVE,   /* open the job's regions */
    ACTION_STEP,      /* run a step */
    ACTION_REFUND,    /* close the job's regions */
    ACTION_RESTORE,   /* the job's own VAE goes, the pipeline's comes back */
};

struct action {
    enum action_kind kind;
    struct slot *slot;     /* NULL: of none */
    enum slot_order order; /* of LOAD and RESTORE */
    int32_t step;          /* ACTION_STEP: its index in the job's list */
};

struct job;

/* Does the job run a step with this slot's weights? A text encoder whose prompts are all in the cache
 * is not run. */
bool action_list_needs(const struct job *job, const struct slot *slot);

/* Fill job->actions for job->residency, with what it makes of the packs, and job->planned_bytes.
 * Errors: DR_NOMEM. */
enum dr_code action_list_make(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Will the list make the pack of this source? */
bool action_list_makes_pack(const struct job *job, const struct source *source);

#endif
