/* job — one piece of work, from its exact plan to its last byte given back.
 *
 *     job_prepare   makes the networks' plans (compute/plan.h) and the list of actions
 *     job_admit     adds the list up; picks the first residency that fits the limit, or refuses
 *     job_run       executes the same list
 *     job_finish    gives everything back, on every path
 *
 * A job is a list of actions: load this, reserve that, run the text encoder, ... The forecast
 * of its private memory is that list, added up; running it is that list, executed. There is no
 * second computation that could differ, so planned bytes equal the ledger's peak.
 *
 * Three residencies, tried in order; the pictures are the same bytes in each:
 *   RESIDENT  what is loaded stays, what the job needs is loaded beside it
 *   LEAN      what the job does not need is released first
 *   PHASED    one component at a time: text encoders, VAE encoder, UNet, VAE decoder
 *
 * Where none of them fits, the VAE's largest maps are made in bands (compute/plan_band.h), a
 * level at a time, and the residencies are tried again: that costs work, and the bytes are the
 * same.
 *
 * A VAE whose latent space is not known yet is asked before anything else is done
 * (latent_probe.h); the actions for that are in the list like all others.
 *
 * Threads: one job at a time on a pipeline. What others look at meanwhile (slots, regions) changes with
 * the ledger's lock held.
 */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "base/cancel.h"
#include "darkroom/darkroom.h"
#include "image/image.h"
#include "model/tokenizer.h"
#include "pipeline/conditioning.h"
#include "pipeline/pipeline.h"
#include "sampling/sampler.h"
#include "switch/latent_probe.h"

enum job_residency {
    JOB_RESIDENT,
    JOB_LEAN,
    JOB_PHASED,
    JOB_RESIDENCY_COUNT
};

enum action_kind {
    ACTION_LOAD,    /* slot_load of the slot, in the order given */
    ACTION_RELEASE, /* slot_release of the slot */
    ACTION_SAVE, /* the checkpoint's own VAE is digested, before another takes its place */
    ACTION_REFERENCE, /* the checkpoint's own VAE encodes the latent probe's picture */
    ACTION_PROBE,     /* the VAE that is loaded decodes it: foreign is an error */
    ACTION_PROMPTS,   /* open the prompt cache */
    ACTION_RESERVE,   /* open the job's regions */
    ACTION_TEXT,      /* run: prompts to contexts, by the slot's encoder */
    ACTION_ENCODE,    /* run: the init picture to moments */
    ACTION_SAMPLE,    /* run: noise to latents, all pictures */
    ACTION_LATENTS,   /* read or write the latent file */
    ACTION_DECODE,    /* run: latents to pictures, each written */
    ACTION_REFUND,    /* close the job's regions */
    ACTION_RESTORE,   /* the job's own VAE goes, the setting's comes back */
};

struct action {
    enum action_kind kind;
    struct slot *slot; /* NULL: of none */
    enum slot_order order;
};

enum {
    JOB_MAX_ACTIONS = 32
};

/* What is wanted; filled by generate.c from checked options. */
struct job_request {
    bool wants_text, wants_encode, wants_sample, wants_decode;
    int32_t width, height; /* of the picture */
    int32_t batch;
    uint64_t seed;
    bool guided; /* cfg > 1: negative and prompt in one batch */
    float cfg;
    int32_t clip_skip;
    enum dr_rng rng;
    struct sampler_options sampler;
    /* For each text encoder, all with the same number of chunks; empty beyond the family's, and in a
     * forecast, which counts one chunk. Borrowed. */
    struct prompt_chunks prompt_chunks[PIPELINE_TEXTS], negative_chunks[PIPELINE_TEXTS];
    bool negative_is_zero;          /* SDXL, and no negative prompt was given */
    struct size_conditioning sizes; /* SDXL */
    bool sizes_said;
    const char *init;   /* path, or NULL */
    const char *output; /* path, or NULL */
    bool output_is_latent;
    const char *latent_input;      /* decode: path */
    const char *prompt, *negative; /* never NULL where wants_text */
    double strength;
    int32_t bits, quality;
    bool profile; /* time each operator of the networks */
    void (*progress)(void *cookie, const struct dr_progress *progress);
    void *progress_cookie;
    void (*image)(void *cookie, int32_t index, uint64_t seed, const float *rgb,
                  int32_t width, int32_t height);
    void *image_cookie;
};

/* What the engine lends to its job. */
struct job_context {
    struct pipeline *pipeline;
    struct ledger *ledger;
    const struct cancel *cancel;
    struct latent_probe_memory *probes;
    enum dtype dtype;
    size_t beside_bytes; /* a budget that is named has this much beside regions */
    bool only_looks;     /* a forecast: nothing is reserved for it */
};

struct job {
    struct job_context context;
    struct job_request request;
    struct vae_file
        *vae;         /* the job's own VAE, lent by the caller; NULL: the setting's */
    bool vae_differs; /* vae is in the slot in place of the setting's */
    bool vae_to_base; /* the job said none: base, though the setting has an override */
    bool vae_was_resident;
    bool vae_forced;           /* whoever asked for the job wants no latent probe */
    struct latent_probe probe; /* prepared where its VAE has to be asked first */

    struct clip_text_plan text_plans[PIPELINE_TEXTS];
    struct unet_plan unet_plan;
    struct vae_encode_plan encode_plan;
    struct vae_decode_plan decode_plan;
    struct image_reader *reader; /* of the init picture, its head read */
    struct image_head head;
    size_t arena_bytes, latents_bytes, picture_bytes;

    const struct source *packed[2 * PIPELINE_SLOTS]; /* whose packs the list makes */
    int32_t packed_count;
    struct action actions[JOB_MAX_ACTIONS];
    int32_t action_count;
    enum job_residency residency;
    size_t planned_bytes; /* peak of the ledger's private bytes, by the list */
    size_t decoder_bytes; /* beside regions: what the init picture's decoder takes */

    struct region arena, latents, picture;
    /* carved from latents; shapes: count = 4 * h * w floats, channels first */
    size_t count;
    int32_t latent_width, latent_height;
    void *sampler_memory;
    float *results;    /* [batch, count] */
    float *noise;      /* [count] */
    float *prediction; /* [count] */
    float *moments;    /* [h, w, 8] */

    /* results */
    double text_ms, unet_ms, vae_ms; /* sums */
    int32_t unet_calls, vae_runs;
    int32_t calls_total;
    double started_ms;
    struct dr_image_info *images; /* [batch], caller's */
    enum dr_stage stage;
    char
        warning[DR_TEXT_BYTES]; /* "" or what went wrong after the pictures were done */
};

/* Make plans for what the request wants. The job's VAE (if any) is put into the slot. On error
 * job_finish still has to be called. Errors: DR_INCOMPLETE, the plans'; DR_FOREIGN, where it is
 * known. */
enum dr_code job_prepare(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Add up one residency; fills actions and planned_bytes. */
void job_plan(struct job *job, enum job_residency residency);

/* Make the larger of the VAE's plans one level smaller; *smaller is false where there is no such level,
 * or nothing to be won by it: the text encoder or the UNet needs as much. Errors: DR_NOMEM,
 * DR_CANCELLED (looked at before each plan); job_finish is then all that may follow. */
enum dr_code job_shrink(struct job *job, bool *smaller,
                        struct dr_error *err) DR_MUST_CHECK;

/* Undo job_shrink. Errors: as there. */
enum dr_code job_make_whole(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* The VAE's maps of more bytes are made in bands; 0: none is. */
size_t job_whole_bytes(const struct job *job);

/* How the job is done, as planned now: "one component loaded at a time, VAE activations above
 * 16.0 MiB computed in bands". */
enum {
    JOB_MANNER_BYTES = 160
};
void job_manner(const struct job *job, char text[static JOB_MANNER_BYTES]);

/* Floating-point operations of the whole job but for its text encoders; all steps are counted,
 * also those that image-to-image leaves out. */
double job_flop(const struct job *job);

/* The same of the job as job_admit would make it, were the limit what is planned now; the plans stay as they
 * are. Errors: as job_shrink. */
enum dr_code job_flop_at_best(struct job *job, double *flop,
                              struct dr_error *err) DR_MUST_CHECK;

/* Pick the first residency whose peak is within the ledger's limit, with the largest maps whole that go; what
 * the limit leaves is used for as little work as goes.
 * Errors: DR_OVER_BUDGET with need, have and limit; as job_shrink. */
enum dr_code job_admit(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Errors: DR_FOREIGN before any stage runs; the stages'. */
enum dr_code job_run(struct job *job, struct dr_error *err) DR_MUST_CHECK;

/* Regions closed, plans destroyed, the setting's VAE back in its slot (and resident again where
 * this job's own took its place; a failure there leaves it released, to be read when it is
 * needed). */
void job_finish(struct job *job);

/* The spec of the VAE that this job uses; NULL: there is none. */
const struct vae_spec *job_vae_spec(const struct job *job);

/* Tell the caller how far it is. */
void job_report(const struct job *job, int32_t image, int32_t step, double share);

#endif
