/* job — one request: planned exactly, executed, and all of its memory released.
 *
 *     job_prepare   the request becomes a list of steps (job_steps.h), its networks get their plans
 *                   (network_plans.h), and its memory is laid out (step_list.h)
 *     job_admit     loads and releases are put between the steps, and their bytes are added up
 *                   (action_list.h); the first residency that fits the limit is taken, or the job is refused
 *     job_run       the same list is executed (step_run.h)
 *     job_finish    releases everything; always called, also after an error
 *
 * If no residency fits, the VAE's largest activations are computed in bands, more of them at each level, and
 * the residencies are tried again. This takes more work; the pictures are the same bytes.
 *
 * Finished work is not lost. A picture that is sampled is decoded and written, even if the job is
 * cancelled or fails before the others are sampled: a cancel request only stops making new pictures.
 * A second request (insistence, cancel.h) stops everything.
 *
 * Threads: one job at a time on a pipeline. State that other threads may read meanwhile (slots, regions)
 * changes only with the ledger's lock held.
 */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "base/cancel.h"
#include "darkroom/darkroom.h"
#include "image/image.h"
#include "job/action_list.h"
#include "job/embedding_set.h"
#include "job/pace.h"
#include "job/step_list.h"
#include "pipeline/adapter_set.h"
#include "pipeline/conditioning.h"
#include "pipeline/pipeline.h"
#include "pipeline/prompt_contexts.h"
#include "sampling/sampler.h"
#include "switch/latent_probe.h"
#include "weights/file_hash.h"

enum job_residency {
    JOB_RESIDENT,
    JOB_LEAN,
    JOB_PHASED,
    JOB_RESIDENCY_COUNT
};

/* In which order the pictures of a batch go through their steps. */
enum job_order {
    JOB_BY_PICTURE, /* each is sampled, decoded and written before the next */
    JOB_BY_NETWORK  /* all are sampled, then all are decoded and written */
};

enum job_kind {
    JOB_GENERATE,
    JOB_ENCODE, /* a picture to a latent file */
    JOB_DECODE  /* a latent file to pictures */
};

/* A LoRA that the prompt names: a file in the LoRA directory. */
struct prompt_lora {
    char name[256];
    double unet, text;
};

/* The request, made from checked options (request.h). */
struct job_request {
    enum job_kind kind;
    int32_t width, height;         /* of the picture, as the networks make it */
    int32_t cut_width, cut_height; /* of the picture that is shown and written */
    const char *
        size_from; /* path of the picture that has this size; NULL: it was not taken from one */
    int32_t batch;
    uint64_t seed;
    struct dr_sampling sampling;
    bool
        guided; /* cfg > 1, or the prompt has parts or a weight: the negative prompt counts */
    float cfg;
    int32_t clip_skip;
    enum dr_rng rng;
    struct sampler_options sampler;
    struct prompt_contexts prompts;  /* JOB_GENERATE */
    struct embedding_set embeddings; /* that they name */
    enum dr_prompt_syntax prompt_syntax;
    bool pads;                      /* prompt and negative prompt to one length */
    bool negative_is_zero;          /* SDXL, and no negative prompt was given */
    struct size_conditioning sizes; /* SDXL */
    bool sizes_said;
    const char *init; /* path, or NULL; what JOB_ENCODE encodes */
    enum dr_fit init_fit;
    /* Its files; the path is NULL where there are none, else the first one's. Borrowed. */
    struct dr_output files;
    bool output_is_latent;
    const char *latent_input;      /* JOB_DECODE: path */
    const char *prompt, *negative; /* JOB_GENERATE: never NULL */
    struct prompt_lora loras[DR_MAX_LORAS];
    int32_t lora_count;
    const struct dr_lora *given_loras; /* by options, not by the prompt; borrowed */
    int32_t given_lora_count;
    bool has_negative; /* one was given, "" or not */
    double strength;
    int32_t bits, quality;
    bool profile;                /* time each operator of the networks */
    char warning[DR_TEXT_BYTES]; /* "" or sentences about the checkpoint's defaults */
    void (*progress)(void *cookie, const struct dr_progress *progress);
    void *progress_cookie;
    int32_t preview_every; /* 0: no previews */
    void (*preview)(void *cookie, const struct dr_preview *preview);
    void *preview_cookie;
    void (*image)(void *cookie, int32_t index, uint64_t seed, const float *rgb,
                  int32_t width, int32_t height);
    void *image_cookie;
    void (*written)(void *cookie, int32_t index, const struct dr_image_info *image);
    void *written_cookie;
};

/* Are latents decoded, for a picture file or for the caller's callback? */
bool job_request_decodes(const struct job_request *want);

/* What the engine provides to its job; borrowed. */
struct job_context {
    struct pipeline *pipeline;
    struct ledger *ledger;
    const struct cancel *cancel;
    struct latent_probe_memory *probes;
    enum dtype dtype;
    bool exact_convolutions; /* no Winograd */
    size_t
        beside_bytes; /* when a message names a budget, this much is added to the bytes of regions */
    bool only_looks; /* a forecast: nothing is reserved for it */
};

struct job {
    struct job_context context;
    struct job_request request;
    /* The VAE, where it is another than the pipeline's (its override, or the checkpoint's own): */
    struct vae_file *vae; /* this one, lent by the caller; NULL: none of its own */
    bool vae_to_base; /* the checkpoint's own, though the pipeline has an override */
    bool vae_forced;  /* the caller requested no latent probe */
    const struct adapter_set *adapters; /* lent by the caller; NULL: none */
    bool vae_differs; /* the slot's override is the job's now, not the pipeline's */
    bool vae_was_resident; /* a VAE was in memory when the job began */
    struct latent_probe
        probe; /* prepared (memory is set) where the VAE is tried first */

    /* what is computed */
    struct step_list list; /* made by job_prepare where it has no steps yet */
    bool list_is_made;     /* by job_prepare: job_plan may put it in another order */
    enum job_order order;  /* that it is in */
    size_t region_bytes[REGION_TAG_COUNT]; /* of the values of each tag */
    struct image_reader *reader;           /* of the init picture, its head read */
    struct image_head head;
    size_t decoder_bytes; /* beside regions: what the init picture's decoder takes */

    /* what happens to memory */
    enum job_residency residency;
    struct action *actions;
    int32_t action_count, action_capacity;
    const struct source *packed[2 * PIPELINE_SLOTS]; /* whose packs the list makes */
    int32_t packed_count;
    bool keeps_contexts;   /* network_plans_keep_contexts */
    size_t planned_bytes;  /* peak of the ledger's private bytes, by the list */
    size_t sampling_bytes; /* the most of them while a step samples */
    uint64_t
        load_bytes; /* of the files of all components that the list loads or digests */

    /* while it runs */
    struct region regions[REGION_TAG_COUNT]; /* those of region_bytes that are not 0 */
    const struct network *bound;             /* has its arena at bound_arena */
    const unsigned char *bound_arena;
    struct random_source random; /* of the picture that is sampled */
    struct sampler sampler;
    struct file_hash hash; /* of the model's file; see model_hash.h */
    int32_t calls_total;   /* of the UNet, in the step that runs */
    enum dr_stage stage;
    /* of load_bytes: those of components that are loaded, and of the one that is being loaded */
    uint64_t loaded_bytes, loading_bytes;
    double started_ms;
    struct pace pace; /* of its networks */
    const struct cancel
        *asked; /* the context's flag as it was lent, and one below it ... */
    struct cancel insistence; /* ... that takes insistence alone */
    /* Pictures of the batch, from the first on: those whose latents are there, and those that are saved:
     * decoded and written, or in the file of latents. */
    int32_t sampled_count, saved_count;
    bool finishes; /* it ends early: only what is sampled is saved */

    /* results */
    double text_ms, unet_ms, vae_ms; /* sums */
    int32_t unet_calls, vae_runs;
    struct dr_image_info *images; /* [batch], caller's */
    int32_t written_count;        /* pictures that are in a file, from the first on */
    char
        warning[DR_TEXT_BYTES]; /* "" or what went wrong after the pictures were done */
};

/* Make the list of steps, the plans and the memory layout. The job's VAE (if any) is put into the
 * slot. After an error job_finish must be called too. Errors: DR_INCOMPLETE, the plans'; DR_FOREIGN,
 * where it is known. */
enum dr_code job_prepare(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Add up one residency: fills actions and planned_bytes. PHASED puts the list in the order by network, the
 * others by picture; the memory is the same. Errors: DR_NOMEM. */
enum dr_code job_plan(struct job *job, enum job_residency residency,
                      struct dr_error *err) DR_MUST_CHECK;

/* Description of the current plan: "one component loaded at a time, VAE activations above
 * 16.0 MiB computed in bands". */
enum {
    JOB_MANNER_BYTES = 160
};
void job_manner(const struct job *job, char text[static JOB_MANNER_BYTES]);

/* Take the first residency whose peak is within the ledger's limit, with as few activations in bands as
 * possible; memory that the limit leaves is used to save work.
 * Errors: DR_OVER_BUDGET with need, have and limit; network_plans_shrink's. */
enum dr_code job_admit(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Errors: DR_FOREIGN before any step runs; the steps'. */
enum dr_code job_run(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Close the regions, destroy the plans, and put the setting's VAE back into its slot. If it was resident
 * before the job, it is loaded again; if that fails, it stays released and is read when it is
 * needed. */
void job_finish(struct job *job);

/* Its adapters; an empty set where it has none. */
const struct adapter_set *job_adapters(const struct job *job);

/* The spec of the VAE that this job uses; NULL: there is none. */
const struct vae_spec *job_vae_spec(const struct job *job);

/* Report progress to the caller. */
void job_report(const struct job *job, int32_t image, int32_t step, double share);
/* The same while weights are read, as component_progress takes it: share is the component's, and what is reported that of
 * all that the list loads. cookie: the job. */
void job_report_load(void *cookie, double share);

#endif
