/* latent_probe — does a VAE use the same latent space as the checkpoint's own VAE?
 *
 * The VAEs of SD1.5 and SDXL have the same tensor names and shapes, so a VAE must be tried: a small
 * fixed image is encoded by the checkpoint's own VAE (the base) and decoded by the other one. If the two
 * use different latent spaces, the result does not resemble the image. Latents are scaled as for the UNet,
 * as in a job, so that a wrong scale factor is detected too.
 *
 * The figure is the peak signal-to-noise ratio (PSNR, in dB) of the decoded image without its border. It
 * is compared with that of the base, which decodes the same latents:
 *
 *     own    <  LATENT_PROBE_ABLE_DB                      cannot be decided, allowed
 *     other  <  LATENT_PROBE_ABLE_DB and                  from another latent space, refused
 *     other  <  own - LATENT_PROBE_DROP_DB
 *     else                                                compatible
 *
 * Base and other need not be resident at the same time: `latent_probe_reference` computes the latents and the
 * base's figure while the base's weights are in memory, and stores them under the base's digest;
 * `latent_probe_check` decodes them with the other's weights. Verdicts and references are stored (struct
 * latent_probe_memory: a few KB, bounded), so a repeated switch computes nothing.
 *
 *     latent_probe_find       is it known already?
 *     latent_probe_prepare    plans; from here on the bytes are known
 *     latent_probe_reference  with the base's weights
 *     latent_probe_check      with the other's
 *     latent_probe_finish     plans destroyed, on every path
 *
 * Threads: one thread runs probes. Another thread may read the stored results (latent_probe_look) while it
 * holds the ledger's lock.
 */
#ifndef SWITCH_LATENT_PROBE_H
#define SWITCH_LATENT_PROBE_H

#include "base/cancel.h"
#include "model/vae.h"
#include "pipeline/slot.h"
#include "sampling/latent.h"

enum {
    LATENT_PROBE_CELLS =
        8, /* a side of the latents; the picture has 64 pixels a side */
    LATENT_PROBE_SIDE = LATENT_FACTOR * LATENT_PROBE_CELLS,
    LATENT_PROBE_FLOATS = LATENT_CHANNELS * LATENT_PROBE_CELLS * LATENT_PROBE_CELLS,
    LATENT_PROBE_REFERENCES = 4,
    LATENT_PROBE_VERDICTS = 16,
};

/* For orientation: an image of only the mean colour has 13 dB; means of 8x8 pixels, the best that an
 * untrained autoencoder can do, have 22 dB, and trained ones more. At 18 dB two thirds of the image's
 * variance are reproduced. Latents that are rotated at random reach about 10 dB. A fine-tuned VAE is
 * within a few dB of its base, even if its colours are a third stronger. latent_probe_test prints such
 * figures and checks the rule with them. */
#define LATENT_PROBE_ABLE_DB 18.0
#define LATENT_PROBE_DROP_DB 6.0

enum latent_verdict {
    LATENT_UNKNOWN,
    LATENT_FITS,
    LATENT_FOREIGN,
    LATENT_CANNOT_TELL,
};

struct latent_probe_result {
    enum latent_verdict verdict;
    double own_db; /* -INFINITY: the decoded image is not finite */
    double db;     /* the other's; NAN if the verdict did not need it */
};

/* The rule above. */
enum latent_verdict latent_probe_judge(double own_db, double db);

/* ---- what is remembered ---- */

/* A zeroed struct is empty. When it is full, the oldest entry is replaced. */
struct latent_probe_memory {
    const struct ledger *ledger; /* its lock is held during a change; NULL: no lock */
    struct latent_reference {
        bool is_set;
        uint8_t own[DIGEST_BYTES];
        double own_db;
        float latents
            [LATENT_PROBE_FLOATS]; /* channels last, as the encoder's mean: unscaled */
    } references[LATENT_PROBE_REFERENCES];
    struct latent_entry {
        bool is_set;
        uint8_t own[DIGEST_BYTES], other[DIGEST_BYTES];
        uint8_t file[DIGEST_BYTES]; /* of the identity of other's file */
        float own_scale, own_shift, other_scale, other_shift;
        struct latent_probe_result result;
    } entries[LATENT_PROBE_VERDICTS];
    int32_t next_reference, next_entry;
};

/* Who is compared; all borrowed. */
struct latent_pair {
    const struct vae_spec *own, *other;
    struct source *own_source, *other_source;
};

/* Is the verdict known? This reads no weights: the other VAE is identified by its digest or, if it was not
 * read since it was opened, by its file's identity. The verdict is unknown while the base's digest is.
 * Changes nothing. */
bool latent_probe_look(const struct latent_probe_memory *memory,
                       const struct latent_pair *pair,
                       struct latent_probe_result *result);
/* The same before the other VAE is used: its digest is recorded as expected, and a later load that finds
 * another digest fails with DR_CHANGED. */
bool latent_probe_find(const struct latent_probe_memory *memory,
                       const struct latent_pair *pair,
                       struct latent_probe_result *result);

/* ---- one probe ---- */

struct latent_probe {
    struct latent_probe_memory *memory; /* NULL: not prepared, no probe is needed */
    struct latent_pair pair;
    bool wants_reference;   /* the base's reference is not stored yet */
    size_t reference_bytes; /* private, page-rounded: the region that each step opens */
    size_t check_bytes;
    /* private below */
    struct vae_encode_plan encode;
    struct vae_decode_plan own_decode, other_decode;
};

struct latent_probe_work {
    struct ledger *ledger;
    const struct cancel *cancel; /* may be NULL */
};

/* Make the plans. cancel may be NULL; it is checked before each plan. On error the probe is zeroed. Errors:
 * the plans', DR_CANCELLED. */
enum dr_code latent_probe_prepare(struct latent_probe *probe,
                                  struct latent_probe_memory *memory,
                                  const struct latent_pair *pair,
                                  const struct cancel *cancel,
                                  struct dr_error *err) DR_MUST_CHECK;
void latent_probe_finish(struct latent_probe *probe); /* zeroed is fine */

/* Encode the image with the base, decode it again, and store the latents and the figure. If the base's
 * weights are resident in the slot, those are used; else they are read into a temporary region (bytes:
 * source_weights_bytes and the larger of reference_bytes and source_scratch_bytes). Afterwards the base's
 * digest is known. A base whose weights are not finite counts as one that cannot reproduce the image. Errors: slot_load's, region_open's,
 * DR_CANCELLED. */
enum dr_code latent_probe_reference(struct latent_probe *probe, const struct slot *slot,
                                    const struct latent_probe_work *work,
                                    struct dr_error *err) DR_MUST_CHECK;

/* Decode the reference with the other's weights, which were read and digested; store the verdict.
 * Errors: DR_FOREIGN with both figures; region_open's, DR_CANCELLED.
 * Fault place: FAULT_PROBE: no difference is found. */
enum dr_code latent_probe_check(struct latent_probe *probe,
                                const struct region *weights,
                                const struct latent_probe_work *work,
                                struct dr_error *err) DR_MUST_CHECK;

/* The same with weights that are read only for the probe and released after it. */
enum dr_code latent_probe_try(struct latent_probe *probe,
                              const struct latent_probe_work *work,
                              struct dr_error *err) DR_MUST_CHECK;

/* ---- words ---- */

/* "latent probe: 31.2 dB, the checkpoint's own 31.9 dB: fits" */
void latent_probe_describe(const struct latent_probe_result *result, char *text,
                           size_t text_bytes);
/* DR_FOREIGN where the result is foreign, else DR_OK. */
enum dr_code latent_probe_refuse(const struct latent_pair *pair,
                                 const struct latent_probe_result *result,
                                 struct dr_error *err) DR_MUST_CHECK;

#endif
