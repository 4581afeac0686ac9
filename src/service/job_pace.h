/* job_pace — how long jobs took here, by model and size: for how long the next one will.
 *
 * The last JOB_PACE_COUNT pairs of model and size are remembered. A size that was not made yet is taken from the nearest
 * one of the model, by the number of pixels. Threads: plain values, one thread at a time.
 */
#ifndef SERVICE_JOB_PACE_H
#define SERVICE_JOB_PACE_H

#include <stdint.h>

#include <darkroom/darkroom.h>

enum {
    JOB_PACE_COUNT = 16
};

struct job_pace {
    struct {
        char model[DR_PATH_BYTES];  /* "": free */
        int64_t pixels;             /* of one picture */
        double step_ms, picture_ms; /* of a step; of decoding a picture */
    } seen[JOB_PACE_COUNT];         /* the newest first */
};

void job_pace_note(struct job_pace *pace, const char *model,
                   const struct dr_generate_result *result);
/* Seconds; negative: nothing is known of this model. */
double job_pace_seconds(const struct job_pace *pace, const char *model, int64_t pixels,
                        int32_t steps, int32_t pictures);

#endif
