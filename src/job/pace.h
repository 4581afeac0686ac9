/* pace — estimates how long a job's networks still take, from their speed so far.
 *
 *     pace_count(&pace, NETWORK_UNET, flop)         for each step that is to come
 *     pace_begin(&pace, NETWORK_UNET, flop, now)    a step runs ...
 *     pace_left_ms(&pace, share, now)               ... and this share of it is done
 *     pace_end(&pace, PACE_DONE, now)
 *
 * The speed of each kind of network is measured; a network that has not run yet is assumed to be as fast as
 * the one that has done most work. There is no estimate during the first moments of a step, or after very
 * little work. Work is counted in floating-point operations; reading weights and writing files are not counted.
 *
 * Plain numbers, no memory; one thread.
 */
#ifndef JOB_PACE_H
#define JOB_PACE_H

#include "job/step_list.h"

enum {
    PACE_KINDS = NETWORK_DECODER + 1
};

struct pace {
    struct pace_part {
        double total_flop; /* of all steps */
        double left_flop;  /* of those that are still to come, and the one that runs */
        double done_flop, ms; /* of those that are done, and what these took */
    } parts[PACE_KINDS];
    /* of the step that runs; 0 flop: none does */
    enum network_kind kind;
    double step_flop, began_ms;
};

enum pace_end {
    PACE_DONE,
    PACE_FAILED /* it counts as still to come */
};

void pace_count(struct pace *pace, enum network_kind kind, double flop);
void pace_begin(struct pace *pace, enum network_kind kind, double flop, double now_ms);
void pace_end(struct pace *pace, enum pace_end how, double now_ms);

/* Of the whole work, 0..1, with this share of the step that runs. */
double pace_share(const struct pace *pace, double step_share);

/* Negative while it cannot be estimated. */
double pace_left_ms(const struct pace *pace, double step_share, double now_ms);

/* Nothing is to come any more, but for what pace_expect adds: steps that were counted before. */
void pace_forget_rest(struct pace *pace);
void pace_expect(struct pace *pace, enum network_kind kind, double flop);

#endif
