/* latent_probe — does a VAE belong to the latent space that the checkpoint's own VAE makes?
 *
 * SD1.5's and SDXL's VAEs have the same names and shapes, so only what a VAE does tells: a small
 * fixed picture is encoded by the checkpoint's own VAE (the base) and decoded by the other one.
 * A foreign latent space cannot return the picture. Latents are handed over in the UNet's scale,
 * as a job hands them over, so a wrong scale factor shows too.
 *
 * The measure is the ratio of peak to noise (dB) between the picture and what comes back, its rim
 * left out, and it is relative to what the base itself returns:
 *
 *     own  <  LATENT_PROBE_ABLE_DB                        cannot tell, allowed
 *     it   <  LATENT_PROBE_ABLE_DB and                    foreign, refused
 *     it   <  own - LATENT_PROBE_DROP_DB
 *     else                                                fits
 *
 * Base and other need never be resident together: `latent_probe_reference` takes latents and
 * error while the base's weights are there and remembers them by its digest;
 * `latent_probe_check` decodes them with the other's. Both verdict and reference are remembered
 * (struct latent_probe_memory: a few KB, bounded), so a repeated switch costs nothing.
 *
 *     latent_probe_find       is it known already?
 *     latent_probe_prepare    plans; from here on the bytes are known
 *     latent_probe_reference  with the base's weights
 *     latent_probe_check      with the other's
 *     latent_probe_finish     plans destroyed, on every path
 *
 * Threads: one runs probes. Another may look at what is remembered (latent_probe_look) while it holds
 * the lock of the memory's ledger.
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

/* The picture's mean colour everywhere reaches 13 dB; 8x8 means of it, all that an autoencoder
 * without learning can return, 22; trained ones do better. At 18 two thirds of the picture's
 * variance are back. Latents that are rotated at random reach about 10. A fine-tuned VAE is
 * within a few dB of its base, also where its colours are stronger by a third.
 * latent_probe_test prints such figures, and holds the rule against them. */
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
    double own_db; /* -INFINITY: what came back is not finite */
    double db;     /* the other's; where the verdict needed no look at it: NAN */
};

/* The rule above. */
enum latent_verdict latent_probe_judge(double own_db, double db);

/* ---- what is remembered ---- */

/* Zeroed is empty. The oldest goes where there is no room. */
struct latent_probe_memory {
    const struct ledger *ledger; /* whose lock is held for a change; NULL: none */
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

/* Is the verdict known? Asks for no weights: the other is known by its digest or, where it was
 * not read since it was opened, by its file's identity. Not known while the base's digest is not.
 * Changes nothing. */
bool latent_probe_look(const struct latent_probe_memory *memory,
                       const struct latent_pair *pair,
                       struct latent_probe_result *result);
/* The same for who is about to use the other: its digest is expected from then on, and a load that
 * finds another is DR_CHANGED. */
bool latent_probe_find(const struct latent_probe_memory *memory,
                       const struct latent_pair *pair,
                       struct latent_probe_result *result);

/* ---- one probe ---- */

struct latent_probe {
    struct latent_probe_memory
        *memory; /* NULL: not prepared, there is nothing to ask */
    struct latent_pair pair;
    bool wants_reference;   /* the base's is not remembered */
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

/* Make the plans. cancel may be NULL; it is looked at before each. On error the probe is zero. Errors:
 * the plans', DR_CANCELLED. */
enum dr_code latent_probe_prepare(struct latent_probe *probe,
                                  struct latent_probe_memory *memory,
                                  const struct latent_pair *pair,
                                  const struct cancel *cancel,
                                  struct dr_error *err) DR_MUST_CHECK;
void latent_probe_finish(struct latent_probe *probe); /* zeroed is fine */

/* Encode the picture with the base and decode it again; remember both. The base's weights are
 * the slot's where they are resident there, else they are read into a region of their own for
 * as long as this takes (bytes: source_weights_bytes and the larger of reference_bytes and
 * source_scratch_bytes). Afterwards the base's digest is known. A base whose weights are not
 * finite is one that does not return the picture. Errors: slot_load's, region_open's,
 * DR_CANCELLED. */
enum dr_code latent_probe_reference(struct latent_probe *probe, const struct slot *slot,
                                    const struct latent_probe_work *work,
                                    struct dr_error *err) DR_MUST_CHECK;

/* Decode the reference with the other's weights, which were read and digested; remember the
 * verdict. Errors: DR_FOREIGN says both figures; region_open's, DR_CANCELLED.
 * Fault place: FAULT_PROBE: no difference is found. */
enum dr_code latent_probe_check(struct latent_probe *probe,
                                const struct region *weights,
                                const struct latent_probe_work *work,
                                struct dr_error *err) DR_MUST_CHECK;

/* The same with weights that are read for this alone: for a VAE that is not to stay. */
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
