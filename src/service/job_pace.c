#include "service/job_pace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The place of a pair; the last one where it is new. */
static int place_of(const struct job_pace *pace, const char *model, int64_t pixels)
{
    int place = 0;
    while (place < JOB_PACE_COUNT - 1 && (pace->seen[place].pixels != pixels ||
                                          strcmp(pace->seen[place].model, model) != 0))
        ++place;
    return place;
}

void job_pace_note(struct job_pace *pace, const char *model,
                   const struct dr_generate_result *result)
{
    const int64_t pixels = (int64_t)result->width * result->height;
    if (!(result->unet_per_step_ms > 0) || pixels <= 0) return;
    const int place = place_of(pace, model, pixels);
    memmove(pace->seen + 1, pace->seen, (size_t)place * sizeof *pace->seen);
    snprintf(pace->seen[0].model, sizeof pace->seen[0].model, "%s", model);
    pace->seen[0].pixels = pixels;
    pace->seen[0].step_ms = result->unet_per_step_ms;
    pace->seen[0].picture_ms = result->vae_ms;
}

double job_pace_seconds(const struct job_pace *pace, const char *model, int64_t pixels,
                        int32_t steps, int32_t pictures)
{
    int nearest = -1;
    double least = INFINITY;
    for (int i = 0; i < JOB_PACE_COUNT && pace->seen[i].model[0]; ++i) {
        if (strcmp(pace->seen[i].model, model) != 0) continue;
        const double distance =
            fabs(log((double)pace->seen[i].pixels / (double)pixels));
        if (distance >= least) continue;
        least = distance;
        nearest = i;
    }
    if (nearest < 0) return -1;
    const double ratio = (double)pixels / (double)pace->seen[nearest].pixels;
    return pictures * ratio *
           (steps * pace->seen[nearest].step_ms + pace->seen[nearest].picture_ms) / 1e3;
}
