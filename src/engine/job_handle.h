/* job_handle — the state behind struct dr_job: what is to be done, who wants it stopped, how far it is.
 *
 *     created --job_handle_begin--> running --job_handle_end--> done, failed or cancelled
 *
 * A handle owns copies of its options' strings, so that whoever made it may let go of them. Its cancel
 * is never withdrawn: a request before, during or after the run is kept, and is about this job alone.
 * While the job runs it stands below the engine's (cancel.h), which stops whatever runs.
 *
 * Threads: the progress has a lock of its own, held for copying it alone. One thread runs the job; any
 * other may cancel it or look at its progress until it is destroyed. Lock order: the engine's, then this.
 */
#ifndef ENGINE_JOB_HANDLE_H
#define ENGINE_JOB_HANDLE_H

#include "engine/engine.h"
#include "job/request.h"

enum {
    JOB_HANDLE_STRINGS = 10
};

struct dr_job {
    struct dr_engine *engine; /* borrowed */
    bool is_codec;
    enum codec_direction direction;      /* of a codec */
    struct dr_generate_options generate; /* of every other job */
    struct dr_codec_options codec;
    char *strings[JOB_HANDLE_STRINGS]; /* theirs, owned */
    int32_t string_count;
    char **outputs; /* the names in generate.outputs, owned */
    size_t output_count;
    struct dr_lora *loras; /* in generate.loras; they and their paths owned */
    int32_t lora_count;
    struct cancel cancel;

    pthread_mutex_t lock; /* of what follows */
    struct dr_job_progress progress;
    double started_ms;
    double step_sum_ms; /* of the UNet's evaluations so far, and how many */
    int32_t step_sum_count;
    double reported_ms; /* when the last report came */
};

/* A handle for options that are not checked. Errors: DR_NOMEM. */
enum dr_code job_handle_create_generate(struct dr_engine *engine,
                                        const struct dr_generate_options *options,
                                        struct dr_job **out,
                                        struct dr_error *err) DR_MUST_CHECK;
enum dr_code job_handle_create_codec(struct dr_engine *engine,
                                     enum codec_direction direction,
                                     const struct dr_codec_options *options,
                                     struct dr_job **out,
                                     struct dr_error *err) DR_MUST_CHECK;

/* It runs from here on. Errors: DR_BAD_INPUT, it runs or ran before. */
enum dr_code job_handle_begin(struct dr_job *job, struct dr_error *err) DR_MUST_CHECK;
/* What the plan says, known before anything is reserved. */
void job_handle_set_planned(struct dr_job *job, uint64_t private_bytes);
void job_handle_end(struct dr_job *job, enum dr_code code);

/* These take the place of the caller's own callbacks, which are called in turn. cookie: the handle. */
void job_handle_report(void *cookie, const struct dr_progress *progress);
void job_handle_written(void *cookie, int32_t index, const struct dr_image_info *image);

#endif
