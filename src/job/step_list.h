/* step_list — what a job computes, as data: typed steps in their order, the values that go from one
 * to the next, and the networks that they run.
 *
 *     prompts --TEXT--> rows of the prompt cache
 *     file --READ--> pixels --RESIZE--> encoder's input --ENCODE--> moments
 *     seed (and moments) --NOISE--> sampler's state --SAMPLE--> latents
 *     latents --DECODE--> decoder's output (or pixels) --WRITE--> file
 *     file --READ_LATENTS--> latents --WRITE_LATENTS--> file
 *
 * Some steps share more than values, so they must follow each other in the list: NOISE and its
 * SAMPLEs share the sampler and its random numbers (struct job), READ uses the open picture file, RESIZE
 * leaves its result in the encoder's arena for ENCODE, and DECODE leaves its result in the decoder's arena
 * for WRITE.
 *
 * A list is as long as the job needs: a second pass at another size, or another model from some step
 * on, are more steps. Steps that run the same network at the same size share its plan.
 *
 * The live range of a value is from the first step that uses it to the last. The layout of a job's
 * memory depends only on these ranges (step_list_place): values whose ranges overlap get separate memory,
 * others may share it. A value has a tag, and the values of one tag are in one region, so that the ledger
 * shows what a job's bytes are used for.
 *
 * Threads: one at a time. Memory: malloc, a few hundred bytes for each step.
 */
#ifndef JOB_STEP_LIST_H
#define JOB_STEP_LIST_H

#include "mem/ledger.h"
#include "model/clip_text.h"
#include "model/unet.h"
#include "model/vae.h"
#include "pipeline/slot.h"
#include "sampling/sampler.h"

/* ---- networks ---------------------------------------------------------------------------- */

enum network_kind {
    NETWORK_TEXT,
    NETWORK_ENCODER, /* of the VAE */
    NETWORK_UNET,
    NETWORK_DECODER /* of the VAE */
};

/* A network for pictures of one size. Its plan is made after the list (network_plans.h). */
struct network {
    enum network_kind kind;
    struct slot *slot;     /* whose weights it reads */
    int32_t width, height; /* of the picture, in pixels; 0 for text */
    int32_t n, tokens;     /* UNET: contexts in a batch, and tokens of each; else 0 */
    union {
        struct clip_text_plan text;
        struct vae_encode_plan encode;
        struct unet_plan unet;
        struct vae_decode_plan decode;
    };
};

/* NULL: it was not made yet. */
struct plan *network_plan(const struct network *network);

/* ---- values ------------------------------------------------------------------------------ */

enum {
    STEP_NONE = -1 /* in place of an index: no value, no network */
};

/* How many networks a step may run, one after the other, in the same arena. */
enum {
    STEP_NETWORKS = 4
};

struct step_value {
    enum region_tag tag;
    size_t bytes;
    /* bytes are the largest arena of their plans; all STEP_NONE: as above */
    int32_t networks[STEP_NETWORKS];
    int32_t first, last; /* steps; first > last: nobody uses it */
    size_t offset;       /* in the region of its tag, by step_list_place */
};

/* ---- steps ------------------------------------------------------------------------------- */

enum step_kind {
    STEP_TEXT,   /* encode all chunks of the prompts with one text encoder */
    STEP_READ,   /* the init picture's file to pixels */
    STEP_RESIZE, /* pixels, of whatever size, to the input of the VAE's encoder */
    STEP_ENCODE, /* to moments; and to scaled latents where the step has an output for them */
    STEP_NOISE, /* start a sampler: noise, or the latents of moments with noise mixed in */
    STEP_SAMPLE,        /* from one noise level to another, with the UNet of a slot */
    STEP_READ_LATENTS,  /* a latent file to the latents of all pictures */
    STEP_WRITE_LATENTS, /* and back */
    STEP_DECODE,        /* one picture's latents to its samples */
    STEP_WRITE          /* the decoded picture to its file, and to the caller */
};

struct step {
    enum step_kind kind;
    int32_t image_idx; /* of the batch; 0 where the step serves all of it */
    int32_t width,
        height; /* of the picture, in pixels; latents are an eighth of that */
    int32_t source_width, source_height; /* RESIZE: of its pixels */
    int32_t
        network; /* that it runs, or whose values it writes or reads; SAMPLE: the first
                      * of those that its batches run (context_batch.h) */
    int32_t arena;  /* value: the network's arena, from its input to its output */
    int32_t pixels; /* value: RESIZE reads it; READ, and DECODE where given, write it */
    int32_t moments; /* value: ENCODE writes it, NOISE reads it */
    int32_t latents; /* value: [batch, 4, h, w]; this step's are those of image_idx */
    int32_t state;   /* value: the sampler's memory */
    int32_t scratch; /* value: of no other step; TEXT: the vectors of embeddings */
    struct sampler_options sampler; /* NOISE, SAMPLE */
    bool continues; /* SAMPLE: goes on from the latents that another SAMPLE left */
};

/* A step of no network and without values. */
struct step step_init(enum step_kind kind, int32_t width, int32_t height);

/* Floats of one picture's latents at this step's size. */
size_t step_latent_count(const struct step *step);

/* ---- the list ---------------------------------------------------------------------------- */

struct step_list {
    struct step *steps;
    struct step_value *values;
    struct network *networks;
    int32_t step_count, value_count, network_count;
    bool has_no_memory; /* malloc failed: step_list_place says so */
};

/* Each returns an index. If malloc fails, the index is 0, and the list cannot be used. */
int32_t step_list_add_value(struct step_list *list, enum region_tag tag, size_t bytes);
/* The one that is there for this kind, slot and size, or a new one. */
int32_t step_list_network(struct step_list *list, enum network_kind kind,
                          struct slot *slot, int32_t width, int32_t height);
/* The same for the UNet of a step of this size, for batches of n contexts with so many tokens each. */
int32_t step_list_unet(struct step_list *list, struct slot *slot,
                       const struct step *step, int32_t n, int32_t tokens);
/* A value for the arena of a network's plan. */
int32_t step_list_add_arena(struct step_list *list, int32_t network);
/* The arena holds this network's plan too, at another time. */
void step_list_share_arena(struct step_list *list, int32_t arena, int32_t network);
/* Append a step; the live ranges of its values are extended to it. */
void step_list_add(struct step_list *list, const struct step *step);

/* Does the list have a step of this kind? */
bool step_list_has(const struct step_list *list, enum step_kind kind);

/* The network that a step runs with; NULL: none. */
struct network *step_list_network_of(const struct step_list *list,
                                     const struct step *step);

/* Take out all steps and values; the networks stay, with their plans. */
void step_list_clear(struct step_list *list);

/* Lay out all values by their live ranges, with the current bytes of the plans; region_bytes[tag] is
 * what each region needs, 0 where no value has the tag. Errors: DR_NOMEM, DR_OVER_BUDGET (the sum
 * overflows). */
enum dr_code step_list_place(struct step_list *list,
                             size_t region_bytes[static REGION_TAG_COUNT],
                             struct dr_error *err) DR_MUST_CHECK;

/* Destroys the plans of its networks too. A zeroed list is fine, and is what remains. */
void step_list_finish(struct step_list *list);

#endif
