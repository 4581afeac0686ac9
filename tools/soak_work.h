/* soak_work — the operations of a soak, and the folder that they work in.
 *
 *     soak_work_open      checks the lists, makes the folder and the files that operations use
 *     soak_work_settle    brings the engine to one and the same state, whose memory is comparable
 *     soak_work_run       one random operation, with everything that is checked after it
 *     soak_work_close     the folder goes
 *
 * Threads: one. The engine must not be used by anybody else meanwhile.
 */
#ifndef TOOLS_SOAK_WORK_H
#define TOOLS_SOAK_WORK_H

#include "soak_check.h"

enum {
    SOAK_MAX_NAMES = 16
};

/* Names with commas between, split. */
struct soak_names {
    char text[DR_PATH_BYTES];
    const char *list[SOAK_MAX_NAMES];
    int count;
};

enum soak_kind {
    SOAK_MODEL,
    SOAK_MODEL_REFUSED,
    SOAK_VAE,
    SOAK_VAE_REFUSED,
    SOAK_GENERATE,
    SOAK_GENERATE_REFUSED,
    SOAK_ENCODE,
    SOAK_DECODE,
    SOAK_CODEC_REFUSED,
    SOAK_UNLOAD_VAE,
    SOAK_UNLOAD_MODEL,
    SOAK_CANCEL,
    SOAK_KIND_COUNT
};
const char *soak_kind_name(enum soak_kind kind);

struct soak_work {
    struct dr_engine *engine;
    struct soak_names models, vaes;
    uint64_t random; /* the state of the generator: the seed, at first */
    struct {
        uint64_t done, refused;
    } counts[SOAK_KIND_COUNT];
    uint64_t check_count;
    struct soak_pictures pictures;
    struct soak_finding finding;
    enum soak_kind kind; /* of the last operation */
    /* private below */
    char folder[512];
    int model_idx;
    struct {
        bool is_known;
        enum dr_code code;
    } vae_codes[SOAK_MAX_NAMES]
               [SOAK_MAX_NAMES]; /* by model and VAE: what choosing it says */
    struct soak_state before, after;
};

/* A failure in one statement, as the engine's own. */
enum dr_code soak_fail(struct dr_error *err, enum dr_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Split; "" and NULL are none. Errors: DR_BAD_INPUT (too many, too long, an empty one). */
enum dr_code soak_names_split(struct soak_names *names, const char *option,
                              const char *text, struct dr_error *err) DR_MUST_CHECK;

/* engine, models, vaes and random are set; models holds at least one. Each model makes a picture.
 * Errors: DR_IO (the folder), and whatever keeps a model from making one: then it cannot be
 * soaked. soak_work_close has to be called in any case. */
enum dr_code soak_work_open(struct soak_work *work, struct dr_error *err) DR_MUST_CHECK;
void soak_work_close(struct soak_work *work);

/* The first model, its own VAE, nothing in memory. *bytes: kernel private bytes there. */
enum dr_code soak_work_settle(struct soak_work *work, uint64_t *bytes,
                              struct dr_error *err) DR_MUST_CHECK;

/* False where a check failed (the finding says which) or the engine cannot be asked. */
bool soak_work_run(struct soak_work *work);

#endif
