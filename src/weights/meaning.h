/* meaning — settings of a checkpoint, besides its weights, that change the picture.
 *
 * The same weights give another picture when the UNet predicts v, when the noise schedule was
 * rescaled, when latents have a mean, or when an 8-bit weight has a scale. Programs store such
 * settings in many places: marker tensors, metadata, configs of diffusers, a YAML file beside the
 * checkpoint. None may be ignored, so one table (meaning_rules.c) lists every known name, and each
 * name of a file is classified as one of:
 *
 *     used       its value is obeyed: it is in struct meaning, or a network's spec reads it
 *     harmless   it changes no result here: EMA copies, buffers, values that the user chooses
 *     refused    it would change the picture and is not supported: a finding
 *
 * A name without a rule is a finding if it can matter: a tensor with a component's prefix, a tensor
 * without a prefix (a marker), a key of a config that is neither null nor false. Other unknown
 * tensors cause a warning. A file with findings can be opened, because `inspect` shows them; code
 * that runs the file calls meaning_check.
 *
 * If several places state the prediction, the first of this list is used, and a place that
 * disagrees causes a warning:
 *
 *     metadata darkroom.prediction
 *     tensor v_pred
 *     metadata modelspec.prediction_type, modelspec.predict_key
 *     NAME.yaml: model.params.parameterization, or the scaling of its denoiser_config
 *     scheduler/scheduler_config.json: prediction_type
 *
 * Threads: pure functions of the file, once it is open.
 * Sources: ComfyUI comfy/supported_models.py, model_detection.py (markers, scaled fp8); Stability's
 * model specification 1.0.1 (modelspec.*); A1111 modules/sd_models_config.py (YAML); diffusers
 * 0.42.1, configs of schedulers/, models/ and pipelines/.
 */
#ifndef WEIGHTS_MEANING_H
#define WEIGHTS_MEANING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/error.h"

struct checkpoint;

/* ---- the table ---- */

enum meaning_place {
    MEANING_MARKER, /* a tensor outside the components that were found */
    MEANING_TEXT,   /* a tensor under a component's prefix, without it */
    MEANING_TEXT2,
    MEANING_UNET,
    MEANING_VAE,
    MEANING_METADATA, /* a key of __metadata__ */
    MEANING_PIPELINE_CONFIG,
    MEANING_UNET_CONFIG,
    MEANING_VAE_CONFIG,
    MEANING_TEXT_CONFIG, /* of either text encoder */
    MEANING_SCHEDULER_CONFIG,
    MEANING_YAML,
    MEANING_PLACE_COUNT
};

enum meaning_verdict {
    MEANING_USED,
    MEANING_HARMLESS,
    MEANING_REFUSED
};

/* A rule applies to a key with certain values. Rules of a key are tried in the table's
 * order. */
struct meaning_rule {
    enum meaning_place place;
    const char *key; /* an fnmatch pattern */
    enum meaning_verdict verdict;
    const char
        *values;      /* patterns joined by '|', numbers compared as such; NULL: any */
    const char *what; /* MEANING_REFUSED: what it is, for the message; else NULL */
};
extern const struct meaning_rule meaning_rules[];
extern const size_t meaning_rule_count;

/* The rule for a value, or NULL. is_known: some rule has the key, with any values. */
const struct meaning_rule *meaning_find(enum meaning_place place, const char *key,
                                        const char *value, bool *is_known);

/* ---- what a checkpoint means ---- */

struct meaning_finding {
    int role;         /* enum component_role; ROLE_COUNT: of how the whole is run */
    const char *text; /* file, key, value, and what it is */
    bool is_warning;  /* never refuses */
};

struct meaning {
    bool predicts_v;
    bool zero_terminal_snr;
    bool
        encodes_empty_negative; /* darkroom.zeros_for_empty_prompt, or model_index.json's
                                 * force_zeros_for_empty_prompt, is false */
    const char *
        prediction_source; /* "default", or where it is said; in the checkpoint's pool */
    const char *schedule_source;
    struct meaning_finding *findings;
    size_t finding_count, finding_capacity;
    uint8_t files
        [DIGEST_BYTES]; /* private: of the configs and the YAML file, as they were */
};

/* Fills checkpoint->meaning and each component's `meaning` (checkpoint.h) from its file and the
 * configs beside it. The components must be collected before. Errors: DR_NOMEM alone. */
enum dr_code meaning_read(struct checkpoint *checkpoint,
                          struct dr_error *err) DR_MUST_CHECK;

/* Are the configs, and the YAML file beside the checkpoint, still the files that were read? Does
 * not read them. */
bool meaning_is_current(const struct checkpoint *checkpoint);

/* Adds a finding, as text; reading tensors produces some that do not concern names. */
enum dr_code meaning_add(struct checkpoint *checkpoint, int role, struct dr_error *err,
                         const char *format, ...)
    __attribute__((format(printf, 4, 5))) DR_MUST_CHECK;

/* Checks whether these roles (a bit each; bit ROLE_COUNT: the whole) can be run. If not:
 * DR_UNSUPPORTED, with the first findings as text and advice. With `force`: DR_OK. `warnings`
 * receives the findings that were not refused, "" if there are none. */
enum dr_code meaning_check(const struct checkpoint *checkpoint, unsigned roles,
                           bool force, char *warnings, size_t warnings_bytes,
                           struct dr_error *err) DR_MUST_CHECK;

#endif
