/* schedule — which noise levels a run visits, and what the UNet is told at each.
 *
 * Training knew 1000 noise levels: betas from 0.00085 to 0.012, linear in their square root,
 * and abar, the running product of 1 - beta, which is the share of signal left at a time.
 * sigma = sqrt((1 - abar) / abar) is the noise beside a signal of 1. A schedule picks `steps`
 * of these levels, from much noise to little, and each step leads from one to the next:
 *
 *     step      0           1                 n-1
 *     time     999  ----  946.4  ----  ...  --- 0
 *     sigma   14.61 ---> 10.75 ---> ... ---> 0.03 ---> sigma_next of the last (0, mostly)
 *
 * A sampler sees a level through two numbers, alpha and noise, with x = alpha*x0 + noise*eps
 * and alpha^2 + noise^2 = 1: struct schedule_level. sigma alone decides both.
 *
 * Samplers differ in how they lay out the times and what they round; this is data, struct
 * schedule_grid, one constant for each of the ways there are. The differences are accidents
 * of the reference, diffusers 0.42.1 schedulers/, and kept since a seed should mean here what
 * it means there; its float32 tables are kept too (sigma_max is 14.6146469, where exact
 * arithmetic gives 14.614641).
 *
 * Invariants: time and sigma never rise within a run, except where it restarts; sigma_next <= sigma.
 * Pure functions: no allocation, no state; any thread.
 * Sources: spacings arXiv 2305.08891 table 2, zero terminal signal its algorithm 1; Karras
 * levels arXiv 2206.00364 equation 5; LCM arXiv 2310.04378; beta arXiv 2407.12173 (levels, not times, as in
 * diffusers and A1111); KL-optimal and Align Your Steps arXiv 2404.14507; restart arXiv 2306.14878. What has no
 * counterpart in diffusers is A1111's: modules/sd_schedulers.py, sd_samplers_extra.py.
 */
#ifndef SAMPLING_SCHEDULE_H
#define SAMPLING_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, "name on the command line") */
#define SCHEDULES(X)                                                                   \
    X(DEFAULT, "default")                 /* the sampler's first in its rule's list */ \
    X(AUTOMATIC, "automatic")             /* what A1111 takes for the sampler */       \
    X(NORMAL, "normal")                   /* times evenly from 999 to 0 */             \
    X(KARRAS, "karras")                   /* sigma^(1/7) evenly */                     \
    X(EXPONENTIAL, "exponential")         /* log sigma evenly */                       \
    X(POLYEXPONENTIAL, "polyexponential") /* the same, by another name (rho 1) */      \
    X(SGM_UNIFORM, "sgm-uniform")         /* times evenly from 999, 0 left out */      \
    X(SIMPLE, "simple")                   /* every 1000/steps-th time from 999, cut */ \
    X(BETA, "beta")                       /* quantiles of the beta distribution 0.6 */ \
    X(KL_OPTIMAL, "kl-optimal") /* atan(sigma) evenly; ends at the least level */      \
    X(ALIGN_YOUR_STEPS, "align-your-steps") /* published levels, log-linear */         \
    X(LEADING, "leading")                   /* multiples of 1000/steps, plus 1 */      \
    X(TRAILING, "trailing")                 /* from 999 down by 1000/steps */          \
    X(LCM, "lcm") /* from the 50 times that LCM was distilled at */

enum schedule_kind {
#define X(name, text) SCHEDULE_##name,
    SCHEDULES(X)
#undef X
    SCHEDULE_COUNT
};

enum {
    SCHEDULE_TRAINING_STEPS = 1000,
    SCHEDULE_LCM_STEPS = 50,
    SCHEDULE_LEAST_RESTART_STEPS = 20 /* with fewer, restart goes down once */
};

const char *schedule_name(enum schedule_kind kind);
/* False, *kind untouched, where no schedule has the name. */
bool schedule_from_name(const char *name, enum schedule_kind *kind);

struct schedule_grid {
    /* 1: normal and leading lay out one time more, and leave out the smallest. */
    int32_t spare_points;
    /* 1: so does every schedule. */
    int32_t left_out_points;
    /* The UNet sees whole times: even spacings and Karras rounded half to even, exponential
     * cut. sgm-uniform keeps fractions in any grid. The sigmas never suffer from it. */
    bool whole_times;
    /* Karras and its like span all 1000 levels; else those between the first and the last
     * time of `normal` at this number of steps. */
    bool full_range;
    /* Between the levels of the training, sigma's logarithm is linear in time; else sigma is. */
    bool blends_logs;
    /* Later steps begin again at a higher level (restart). */
    bool restarts;
    /* A step leads 1000/steps times down, wherever the next one starts, and the last to
     * abar[0] (DDIM). Else to the next one's sigma, and the last to 0. */
    bool by_stride;
    /* The last step leads to abar[0], too (TCD, DEIS). */
    bool ends_at_least;
    /* With zero terminal signal, abar[999] stays 0 and sigma is infinite; else it is 2^-24. */
    bool reaches_zero;
};

extern const struct schedule_grid schedule_grid_fractional; /* Euler, Euler a, Heun */
extern const struct schedule_grid schedule_grid_whole; /* DPM++ 2M, its SDE, UniPC */
extern const struct schedule_grid schedule_grid_deis;
extern const struct schedule_grid schedule_grid_ddim; /* PLMS, too */
extern const struct schedule_grid schedule_grid_lcm;  /* DDPM, too */
extern const struct schedule_grid schedule_grid_tcd;
/* k-diffusion's, as A1111 lays them out: all others, and those for which it discards the level before 0. */
extern const struct schedule_grid schedule_grid_log;
extern const struct schedule_grid schedule_grid_log_short;
extern const struct schedule_grid schedule_grid_restart;

struct schedule_step {
    double time; /* what the UNet sees */
    double
        sigma; /* where the step starts; a float32 value, or infinite (reaches_zero) */
    double sigma_next; /* where it ends */
    double time_next;  /* what the UNet sees there; 0 where it ends at 0 */
};

/* The model that the levels are for. */
struct schedule_model {
    bool zero_terminal_snr;
    bool is_sdxl; /* whose published levels align-your-steps takes */
};

/* Fill out[steps]. kind is neither DEFAULT nor AUTOMATIC; 1 <= steps <= 1000 (50 for LCM); asserted.
 * With a grid that restarts, the steps from `first` on are laid out as a run of their own (image-to-image). */
void schedule_fill(const struct schedule_grid *grid, enum schedule_kind kind,
                   int32_t steps, int32_t first, const struct schedule_model *model,
                   struct schedule_step *out);

/* The time at a level within a step, maybe fractional; and the level at a whole time, in this grid. */
double schedule_time(const struct schedule_model *model, double sigma);
double schedule_sigma(const struct schedule_grid *grid,
                      const struct schedule_model *model, double time);

struct schedule_level {
    double alpha; /* weight of the signal */
    double noise; /* weight of the noise */
};

struct schedule_level schedule_level(double sigma);

#endif
