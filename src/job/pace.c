#include "job/pace.h"

/* A pace is known from this share of a kind's first step on: the first layers also map weights and generate code.
 * It tells nothing about work that is more than this many times as much: a text encoder runs for a moment. */
static const double LEAST_STEP_SHARE = 0.04, LEAST_WORK_SHARE = 0.01;

void pace_count(struct pace *pace, enum network_kind kind, double flop)
{
    pace->parts[kind].total_flop += flop;
    pace_expect(pace, kind, flop);
}

void pace_expect(struct pace *pace, enum network_kind kind, double flop)
{
    pace->parts[kind].left_flop += flop;
}

void pace_begin(struct pace *pace, enum network_kind kind, double flop, double now_ms)
{
    pace->kind = kind;
    pace->step_flop = flop;
    pace->began_ms = now_ms;
}

void pace_end(struct pace *pace, enum pace_end how, double now_ms)
{
    struct pace_part *const part = &pace->parts[pace->kind];
    if (how == PACE_DONE && pace->step_flop > 0.0) {
        part->done_flop += pace->step_flop;
        part->left_flop -= pace->step_flop;
        part->ms += now_ms - pace->began_ms;
    }
    pace->step_flop = 0.0;
}

/* Because of rounding, the sum may exceed the total. */
double pace_share(const struct pace *pace, double step_share)
{
    double total = 0.0, done = step_share * pace->step_flop;
    for (int kind = 0; kind < PACE_KINDS; ++kind) {
        total += pace->parts[kind].total_flop;
        done += pace->parts[kind].done_flop;
    }
    if (!(total > 0.0)) return 0.0;
    return done < total ? done / total : 1.0;
}

/* What a kind has done, with this share of the step that runs. */
static struct pace_part part_now(const struct pace *pace, int kind, double step_share,
                                 double now_ms)
{
    struct pace_part part = pace->parts[kind];
    if (!(pace->step_flop > 0.0) || pace->kind != (enum network_kind)kind) return part;
    part.left_flop -= step_share * pace->step_flop;
    if (!(part.done_flop > 0.0) && step_share < LEAST_STEP_SHARE) return part;
    part.done_flop += step_share * pace->step_flop;
    part.ms += now_ms - pace->began_ms;
    return part;
}

double pace_left_ms(const struct pace *pace, double step_share, double now_ms)
{
    struct pace_part parts[PACE_KINDS];
    const struct pace_part *most = &parts[0];
    double ms = 0.0;
    for (int kind = 0; kind < PACE_KINDS; ++kind) {
        parts[kind] = part_now(pace, kind, step_share, now_ms);
        if (parts[kind].done_flop > most->done_flop) most = &parts[kind];
    }
    for (int kind = 0; kind < PACE_KINDS; ++kind) {
        const struct pace_part *const part = &parts[kind];
        const struct pace_part *const measured = part->done_flop > 0.0 ? part : most;
        if (!(part->left_flop > 0.0)) continue;
        if (!(measured->done_flop > LEAST_WORK_SHARE * part->left_flop)) return -1.0;
        ms += part->left_flop * measured->ms / measured->done_flop;
    }
    return most->done_flop > 0.0 ? ms : -1.0;
}

void pace_forget_rest(struct pace *pace)
{
    for (int kind = 0; kind < PACE_KINDS; ++kind)
        pace->parts[kind].left_flop = 0.0;
}
