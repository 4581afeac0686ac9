/* soak_check — what must hold after every operation of a soak: functions of what was seen before
 * and after it, and of what it answered. They ask nobody and change nothing, so that a test can
 * show them states that no engine should ever be in.
 *
 * Each returns true where all is well. Where not, the finding says what was expected and what was
 * seen. Threads: none.
 */
#ifndef TOOLS_SOAK_CHECK_H
#define TOOLS_SOAK_CHECK_H

#include <stdbool.h>

#include <darkroom/darkroom.h>

enum {
    SOAK_COMPONENTS = 16 /* at most */
};

/* An engine between two calls. */
struct soak_state {
    char model[DR_PATH_BYTES];
    struct dr_vae_info vae;
    struct dr_component_memory components[SOAK_COMPONENTS];
    int32_t component_count;
    uint64_t ledger_bytes; /* private and mapped */
    /* of its regions: weights, encoded prompts, and anything else, which is left over */
    uint64_t weights_bytes, prompt_bytes, other_bytes;
    uint64_t kernel_private_bytes;
    bool regions_agree;
    char disagreement[DR_TEXT_BYTES];
};

struct soak_finding {
    char expected[DR_TEXT_BYTES], seen[DR_TEXT_BYTES];
};

/* The state as such: regions against the kernel, components against regions, nothing of a job
 * left over. */
bool soak_check_state(const struct soak_state *state, struct soak_finding *finding);

/* Model and VAE are what they were (a digest may have become known). */
bool soak_check_choice(const struct soak_state *before, const struct soak_state *after,
                       struct soak_finding *finding);
/* That, and every byte of the ledger, by component: what an operation that was refused leaves. */
bool soak_check_untouched(const struct soak_state *before,
                          const struct soak_state *after, struct soak_finding *finding);

/* After a switch: the model is this one; the VAE is what was chosen. NULL: not looked at. */
bool soak_check_switched(const struct soak_state *after, const char *model,
                         const char *choice, struct soak_finding *finding);

/* After an unload nothing of it is in memory. */
bool soak_check_released(const struct soak_state *after, enum dr_unload_what what,
                         struct soak_finding *finding);

/* before + acquired - released = after, and both ends are what was seen. */
bool soak_check_receipt(const struct soak_state *before, const struct soak_state *after,
                        const struct dr_receipt *receipt, struct soak_finding *finding);

bool soak_check_peak(uint64_t planned_bytes, uint64_t peak_bytes,
                     struct soak_finding *finding);

bool soak_check_code(enum dr_code expected, enum dr_code seen, const char *message,
                     struct soak_finding *finding);

/* ---- pictures ---- */

enum {
    SOAK_MAX_PICTURES = 4096
};

/* Digests of what was made, by a digest of what it was made from. */
struct soak_pictures {
    struct {
        uint64_t key, digest;
    } list[SOAK_MAX_PICTURES];
    int32_t count;
    uint64_t compared_count;
};

/* The first of a key is remembered (while there is room), each later one must be equal to it. */
bool soak_check_picture(struct soak_pictures *pictures, uint64_t key, uint64_t digest,
                        struct soak_finding *finding);

/* FNV-1a, to be chained from SOAK_DIGEST_START: no proof, but enough to see a difference. */
#define SOAK_DIGEST_START UINT64_C(0xcbf29ce484222325)
uint64_t soak_digest(uint64_t digest, const void *data, size_t bytes);

/* ---- the slope ---- */

/* A straight line through points, by least squares. Zeroed: no points. */
struct soak_slope {
    int32_t count;
    uint64_t first_bytes, last_bytes, max_bytes;
    double sum_x, sum_y, sum_xx,
        sum_xy; /* y relative to the first, so that digits suffice */
};
void soak_slope_add(struct soak_slope *slope, uint64_t operation, uint64_t bytes);
/* Bytes an operation; 0 for fewer than two operations apart. */
double soak_slope_value(const struct soak_slope *slope);

#endif
