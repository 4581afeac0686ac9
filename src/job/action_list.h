/* action_list — a job's steps, with the loads, releases and reservations of memory between them.
 *
 * A job is a list of actions: load a component, reserve a region, run a step, ... The forecast of private
 * memory adds up this list; running the job executes the same list (job.c). There is no separate
 * estimate, so the planned bytes equal the ledger's peak.
 *
 * There are three residencies; the pictures are the same bytes in each:
 *   RESIDENT  loaded components stay, and those that the job needs are loaded too
 *   LEAN      components that the job does not need are released first
 *   PHASED    one component at a time: each is released before the next one is loaded
 *
 * If it is not known whether the VAE has the checkpoint's latent space, it is probed before anything else
 * (latent_probe.h).
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

/* Does a step of the job need this slot's weights? A text encoder is not needed if all prompts are in the
 * cache. */
bool action_list_needs(const struct job *job, const struct slot *slot);

/* Fill job->actions for job->residency, and set which packs it creates and job->planned_bytes.
 * Errors: DR_NOMEM. */
enum dr_code action_list_make(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Will the list create the pack of this source? */
bool action_list_makes_pack(const struct job *job, const struct source *source);

#endif
