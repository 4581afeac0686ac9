/* The samplers against diffusers (tests/golden/samplers.txt, from tools/golden/samplers.py) and k-diffusion
 * (samplers_k.txt, from samplers_k.py), against models whose answer is known, and against their contract about memory and noise.
 */
#include "sampling/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sampling/sampler_step.h"

enum {
    GOLDEN_COUNT = 24,
    GOLDEN_SEED = 1234,
    GUARD_BYTES = 256,
    MOST_STEPS = 60
};

typedef void model_function(void *context, const struct sampler_call *call,
                            size_t count, float *answer);

/* One run in memory of exactly sampler_bytes, filled with NaN before and guarded behind. */
struct trial {
    struct sampler_options options;
    model_function *model;
    void *context;
    uint64_t seed;
    const float *image; /* image-to-image */
    bool sees_picture;  /* each answer stands for the one picture */
    bool is_golden;
    int32_t calls; /* out: evaluations made */
};

static void check_picture(const struct trial *trial, const struct sampler *sampler,
                          const struct sampler_call *call, const float *answer);

static void trial_drive(struct trial *trial, struct sampler *sampler, float *answer)
{
    struct sampler_call call, again;
    trial->calls = 0;
    while (sampler_next(sampler, &call)) {
        check(sampler_next(sampler, &again));
        check(again.input == call.input && again.sigma == call.sigma);
        trial->model(trial->context, &call, trial->options.count, answer);
        if (trial->sees_picture) check_picture(trial, sampler, &call, answer);
        sampler_take(sampler, answer);
        ++trial->calls;
    }
    check(!sampler_next(sampler, &call));
    check_int(trial->calls, ==, sampler_call_count(sampler));
    check_int(sampler->step, ==, sampler->step_count);
}

static void trial_run(struct trial *trial, float *result, struct random_source *random)
{
    const size_t count = trial->options.count;
    struct dr_error err = {0};
    size_t bytes = 0;
    check_int(sampler_bytes(&trial->options, &bytes, &err), ==, DR_OK);
    check_int(bytes % 64, ==, 0);
    unsigned char *const memory = aligned_alloc(64, bytes + GUARD_BYTES);
    float *const noise = malloc(count * sizeof *noise);
    if (!memory || !noise) abort();
    memset(memory, 0xff, bytes);
    memset(memory + bytes, 0xa5, GUARD_BYTES);

    struct sampler sampler;
    random_init(random, RANDOM_CPU, trial->seed);
    trial->options.tree_seed = trial->seed;
    /* The other generator begins a draw faster, and a tree has fifty of them for each. */
    trial->options.tree_kind = trial->is_golden ? RANDOM_CPU : RANDOM_CUDA;
    check_int(sampler_init(&sampler, &trial->options, memory, random, &err), ==, DR_OK);
    random_normal(random, noise, count);
    memcpy(sampler.latent, trial->image ? trial->image : noise, count * sizeof *noise);
    sampler_start(&sampler, noise);
    trial_drive(trial, &sampler, noise);
    memcpy(result, sampler.latent, count * sizeof *noise);

    for (size_t i = 0; i < GUARD_BYTES; ++i)
        check_int(memory[bytes + i], ==, 0xa5);
    free(noise);
    free(memory);
}

static double relative_l2(const float *got, const float *want, size_t count)
{
    double error = 0, norm = 0;
    for (size_t i = 0; i < count; ++i) {
        const double difference = (double)got[i] - (double)want[i];
        error += difference * difference;
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(error / fmax(norm, DBL_MIN));
}

static bool all_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (!isfinite(values[i])) return false;
    return true;
}

/* ---- diffusers ---- */

/* The same function as tools/golden/samplers.py has. */
static void golden_model(void *context, const struct sampler_call *call, size_t count,
                         float *answer)
{
    (void)context;
    for (size_t i = 0; i < count; ++i) {
        const double here = (double)call->input[i];
        const double next = (double)call->input[(i + 1) % count];
        const double wave = sin(0.7 * (double)i + (double)call->time / 300);
        answer[i] = (float)tanh(0.9 * here + 0.3 * next + 0.5 * wave);
    }
}

static FILE *golden_open(const char *name)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : ".", name);
    FILE *const file = fopen(path, "r");
    if (!file) fprintf(stderr, "cannot open %s\n", path);
    return file;
}

static bool golden_doubles(FILE *file, int32_t count, double *out)
{
    for (int32_t i = 0; i < count; ++i)
        if (fscanf(file, "%lf", &out[i]) != 1) return false;
    return true;
}

static void golden_close(const char *what, const struct sampler_options *options,
                         const double *got, const double *want, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        const double most = 1e-5 * fmax(fabs(want[i]), 1e-3);
        if (!(fabs(got[i] - want[i]) <= most))
            check_fail_at("%s %s, %d steps: %s %d is %.9g, not %.9g",
                          sampler_name(options->kind), schedule_name(options->schedule),
                          (int)options->steps, what, (int)i, got[i], want[i]);
    }
}

/* The time steps and sigmas of the whole schedule, whatever the strength; one more sigma, where the
 * last step ends. Returns the number of steps. */
static int32_t sampler_table(const struct sampler_options *options, double *times,
                             double *sigmas)
{
    struct schedule_step steps[SAMPLER_MAX_STEPS];
    const enum schedule_kind kind =
        sampler_resolve_schedule(options->kind, options->schedule);
    const struct schedule_model model = {.zero_terminal_snr =
                                             options->zero_terminal_snr};
    schedule_fill(sampler_rules[options->kind].grid, kind, options->steps, 0, &model,
                  steps);
    for (int32_t i = 0; i < options->steps; ++i) {
        times[i] = steps[i].time;
        sigmas[i] = steps[i].sigma;
    }
    sigmas[options->steps] = steps[options->steps - 1].sigma_next;
    return options->steps;
}

static bool golden_table(FILE *file, const struct sampler_options *options)
{
    double want[2 * SAMPLER_MAX_STEPS + 1], times[SAMPLER_MAX_STEPS],
        sigmas[SAMPLER_MAX_STEPS + 1];
    const int32_t steps = options->steps;
    if (!golden_doubles(file, 2 * steps + 1, want)) return false;
    check_int(sampler_table(options, times, sigmas), ==, steps);
    golden_close("time", options, times, want, steps);
    golden_close("sigma", options, sigmas, want + steps, steps + 1);
    return true;
}

static bool golden_run(FILE *file, bool is_tuned, struct sampler_options *options,
                       double *worst)
{
    double numbers[GOLDEN_COUNT], strength;
    float want[GOLDEN_COUNT], got[GOLDEN_COUNT], image[GOLDEN_COUNT];
    char prediction[8];
    struct sampler_tuning *const tuning = &options->tuning;
    if (fscanf(file, "%7s %lf", prediction, &strength) != 2) return false;
    tuning->is_given = is_tuned;
    if (is_tuned && fscanf(file, "%lf %lf %lf %lf %lf", &tuning->eta, &tuning->s_churn,
                           &tuning->s_tmin, &tuning->s_tmax, &tuning->s_noise) != 5)
        return false;
    if (!sampler_takes_eta(options->kind))
        tuning->eta = -1; /* the reference reads none */
    if (!golden_doubles(file, GOLDEN_COUNT, numbers)) return false;
    for (int32_t i = 0; i < GOLDEN_COUNT; ++i) {
        want[i] = (float)numbers[i];
        image[i] = (float)(0.8 * sin(1.3 * i + 0.2));
    }
    options->prediction =
        strcmp(prediction, "v") == 0 ? PREDICTION_V : PREDICTION_EPSILON;
    options->image_to_image = strength > 0;
    options->strength = (float)strength;
    struct random_source random;
    struct trial trial = {.options = *options,
                          .model = golden_model,
                          .is_golden = true,
                          .seed = GOLDEN_SEED,
                          .image = strength > 0 ? image : NULL};
    trial_run(&trial, got, &random);
    const double error = relative_l2(got, want, GOLDEN_COUNT);
    /* The tree's levels are rounded to 1e-6, and so is what the last digits of the latents decide. */
    const bool has_tree = sampler_rules[options->kind].noise == SAMPLER_NOISE_TREE;
    if (!(error <= (has_tree ? 1e-3 : 1e-4)))
        check_fail_at("%s %s, %d steps, %s, strength %g, eta %g, churn %g: off by %.3g",
                      sampler_name(options->kind), schedule_name(options->schedule),
                      (int)options->steps, prediction, strength, tuning->eta,
                      tuning->s_churn, error);
    *worst = fmax(*worst, error);
    return true;
}

static bool golden_record(FILE *file, const char *what, struct sampler_options *options,
                          double *worst)
{
    const bool is_tuned = strcmp(what, "tuned") == 0;
    if (strcmp(what, "table") == 0) return golden_table(file, options);
    return golden_run(file, is_tuned, options, &worst[options->kind]);
}

static void equals_reference(const char *name, int least_records)
{
    FILE *const file = golden_open(name);
    check(file != NULL);
    if (!file) return;
    char what[8], sampler[32], schedule[32];
    int records = 0;
    double worst[SAMPLER_COUNT] = {0};
    while (fscanf(file, "%7s %31s %31s", what, sampler, schedule) == 3) {
        int zero_snr = 0, steps;
        const bool has_snr = strcmp(what, "tuned") != 0;
        check(!has_snr || fscanf(file, "%d", &zero_snr) == 1);
        check_int(fscanf(file, "%d", &steps), ==, 1);
        struct sampler_options options = {.steps = steps,
                                          .zero_terminal_snr = zero_snr,
                                          .count = GOLDEN_COUNT};
        options.prediction = zero_snr ? PREDICTION_V : PREDICTION_EPSILON;
        const bool known = sampler_from_name(sampler, &options.kind) &&
                           schedule_from_name(schedule, &options.schedule);
        check(known);
        const bool read = known && golden_record(file, what, &options, worst);
        check(read);
        if (!read) break;
        ++records;
    }
    check(feof(file));
    fclose(file);
    check_int(records, >, least_records);
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind)
        if (worst[kind] > 0)
            fprintf(stderr, "    %-17s worst relative L2 %.2g\n", sampler_name(kind),
                    worst[kind]);
}

static void equals_diffusers(void)
{
    equals_reference("samplers.txt", 2400);
}

static void equals_k_diffusion(void)
{
    equals_reference("samplers_k.txt", 1000);
}

/* ---- Models with a known answer ---- */

/* All pictures are one: the answer of any sampler at any number of steps. */
static const float *const picture =
    (const float[]){0.5f, -1.25f, 2, 0.0625f, -0.75f, 1, -3, 0, 0.1f, -0.1f};
enum {
    PICTURE_COUNT = 10,
    RUN_COUNT = 40
};

/* A noise of sigma is taken off in float32: what is left of the picture is no better than that. */
static void check_picture(const struct trial *trial, const struct sampler *sampler,
                          const struct sampler_call *call, const float *answer)
{
    float got[RUN_COUNT], want[RUN_COUNT];
    for (size_t i = 0; i < RUN_COUNT; ++i)
        want[i] = picture[i % PICTURE_COUNT];
    sampler_picture(sampler, answer, got);
    const double error = relative_l2(got, want, RUN_COUNT);
    if (!(error <= 1e-6 * (1 + fmin(call->sigma, 4096))))
        check_fail_at("%s %s, prediction %d: the picture at sigma %g is off by %.3g",
                      sampler_name(trial->options.kind),
                      schedule_name(trial->options.schedule),
                      (int)trial->options.prediction, call->sigma, error);
}

struct known {
    enum prediction_kind prediction;
    double spread; /* standard deviation of the pictures around 0; 0: the one picture */
};

/* The exact model: x of the model's view is alpha*x0 + noise*eps with the picture x0 that is
 * to be expected of x. */
static void known_model(void *context, const struct sampler_call *call, size_t count,
                        float *answer)
{
    const struct known *const known = context;
    const struct schedule_level level = schedule_level(call->sigma);
    const double power = known->spread * known->spread;
    const double share =
        power * level.alpha /
        (power * level.alpha * level.alpha + level.noise * level.noise);
    for (size_t i = 0; i < count; ++i) {
        const double x = (double)call->input[i];
        const double x0 =
            known->spread > 0 ? share * x : (double)picture[i % PICTURE_COUNT];
        const double eps = (x - level.alpha * x0) / level.noise;
        answer[i] = known->prediction == PREDICTION_V
                        ? (float)(level.alpha * eps - level.noise * x0)
                        : (float)eps;
    }
}

/* Steps that need not end where the next begins, and whose last leaves some noise: what is
 * beside the picture at the start (the noise, less the picture's share) is carried along. */
static void noise_is_carried(const struct sampler_options *options, const float *start,
                             float *want)
{
    struct schedule_step steps[MOST_STEPS];
    const struct sampler_rule *const rule = &sampler_rules[options->kind];
    const struct schedule_model model = {.zero_terminal_snr =
                                             options->zero_terminal_snr};
    schedule_fill(rule->grid,
                  sampler_resolve_schedule(options->kind, options->schedule),
                  options->steps, 0, &model, steps);
    const double most = rule->scales_input ? steps[0].sigma : 1;
    for (size_t i = 0; i < RUN_COUNT; ++i) {
        const double x0 = (double)picture[i % PICTURE_COUNT];
        double x = (double)start[i] * most;
        for (int32_t k = 0; k < options->steps; ++k) {
            struct schedule_level from = schedule_level(steps[k].sigma),
                                  to = schedule_level(steps[k].sigma_next);
            if (rule->scales_input) {
                from = (struct schedule_level){.alpha = 1, .noise = steps[k].sigma};
                to = (struct schedule_level){.alpha = 1, .noise = steps[k].sigma_next};
            }
            x = to.alpha * x0 + to.noise * (x - from.alpha * x0) / from.noise;
        }
        want[i] = (float)x;
    }
}

static void finds_the_picture(const struct sampler_options *options)
{
    /* It lays its line through velocities, which are not the same at each level though the picture is. */
    if (options->kind == SAMPLER_PLMS && options->prediction == PREDICTION_V) return;
    struct known known = {.prediction = options->prediction};
    struct random_source random;
    struct trial trial = {.options = *options,
                          .model = known_model,
                          .context = &known,
                          .seed = 5,
                          .sees_picture = true};
    float got[RUN_COUNT], want[RUN_COUNT], start[RUN_COUNT];
    trial_run(&trial, got, &random);
    random_init(&random, RANDOM_CPU, trial.seed);
    random_normal(&random, start, RUN_COUNT);
    for (size_t i = 0; i < RUN_COUNT; ++i)
        want[i] = picture[i % PICTURE_COUNT];
    const bool leaves_noise =
        options->schedule == SCHEDULE_KL_OPTIMAL || options->kind == SAMPLER_DDIM ||
        options->kind == SAMPLER_PLMS || options->kind == SAMPLER_DEIS;
    const bool is_random = sampler_rules[options->kind].noise != SAMPLER_NOISE_NONE &&
                           options->kind != SAMPLER_DDIM;
    if (leaves_noise && !is_random) noise_is_carried(options, start, want);
    check(all_finite(got, RUN_COUNT));
    const double error = relative_l2(got, want, RUN_COUNT);
    /* Where the last level before 0 is high (1 step), float32 loses 1e-7 times its sigma. Where fresh noise is left, its
     * deviation is 0.0292, and that of the pictures 1.26. */
    const double most = is_random && (leaves_noise || options->kind == SAMPLER_TCD)
                            ? 1.7 * 0.0292 / 1.26
                        : options->schedule == SCHEDULE_KL_OPTIMAL ? 5e-4
                        : options->zero_terminal_snr               ? 1e-3
                                                                   : 2e-5;
    if (!(error <= most))
        check_fail_at("%s %s, %d steps, prediction %d: off by %.3g",
                      sampler_name(options->kind), schedule_name(options->schedule),
                      (int)options->steps, (int)options->prediction, error);
}

static void every_pair_finds_the_picture(void)
{
    int pairs = 0;
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        for (enum schedule_kind schedule = 0; schedule < SCHEDULE_COUNT; ++schedule) {
            if (!sampler_accepts(kind, schedule)) continue;
            const int32_t most = sampler_default_schedule(kind) == SCHEDULE_LCM
                                     ? SCHEDULE_LCM_STEPS
                                     : MOST_STEPS;
            const bool has_tree = sampler_rules[kind].noise == SAMPLER_NOISE_TREE;
            for (int32_t i = 0; i < 2 * most; i += has_tree ? 29 : 7)
                finds_the_picture(&(struct sampler_options){
                    .kind = kind,
                    .schedule = schedule,
                    .prediction = i % 2 ? PREDICTION_V : PREDICTION_EPSILON,
                    .steps = 1 + i / 2,
                    .count = RUN_COUNT});
            ++pairs;
        }
    }
    /* with default and automatic */
    check_int(pairs, ==, 14 * 13 + 2 * 5 + 2 * 3 + 8 + 3);
}

/* Zero terminal SNR begins at a sigma of 4096, or infinite. */
static void zero_terminal_snr_finds_the_picture(void)
{
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind)
        for (int32_t steps = 1; steps <= 50; steps += 7)
            finds_the_picture(&(struct sampler_options){
                .kind = kind,
                .prediction = PREDICTION_V,
                .schedule = sampler_accepts(kind, SCHEDULE_TRAILING) ? SCHEDULE_TRAILING
                                                                     : SCHEDULE_DEFAULT,
                .zero_terminal_snr = true,
                .steps = steps,
                .count = RUN_COUNT});
}

/* Near 1000 steps rounding makes neighbouring levels equal; no step may divide by that. */
static void very_many_steps_stay_finite(void)
{
    static const int32_t counts[] = {499, 500, 501, 998, 999, 1000};
    struct known known = {.prediction = PREDICTION_EPSILON, .spread = 1};
    struct random_source random;
    float got[4];
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        if (sampler_default_schedule(kind) == SCHEDULE_LCM) continue;
        for (enum schedule_kind schedule = 0; schedule < SCHEDULE_COUNT; ++schedule) {
            /* A tree's draws would take minutes: one schedule, whose levels meet, stands for all. The levels of beta and
             * kl-optimal never meet. */
            if (sampler_rules[kind].noise == SAMPLER_NOISE_TREE &&
                schedule != SCHEDULE_LEADING)
                continue;
            if (schedule == SCHEDULE_BETA || schedule == SCHEDULE_KL_OPTIMAL) continue;
            for (size_t i = 0; sampler_accepts(kind, schedule) && i < 6; ++i) {
                struct trial trial = {
                    .options = {.kind = kind,
                                .schedule = schedule,
                                .steps = counts[i],
                                .count = 4},
                    .model = known_model,
                    .context = &known,
                    .seed = 7
                };
                trial_run(&trial, got, &random);
                check(all_finite(got, 4));
            }
        }
    }
}

/* Pictures normally distributed with deviation 1: x follows sqrt(1 + sigma^2) exactly. The
 * error left when the last level before 0 is reached tells the order of the method. */
static double ode_error(enum sampler_kind kind, int32_t steps)
{
    struct known known = {.prediction = PREDICTION_EPSILON, .spread = 1};
    struct random_source random;
    struct trial trial = {
        .options = {.kind = kind,
                    .schedule = SCHEDULE_KARRAS,
                    .steps = steps,
                    .count = RUN_COUNT},
        .model = known_model,
        .context = &known,
        .seed = 11
    };
    float got[RUN_COUNT], want[RUN_COUNT];
    double times[SAMPLER_MAX_STEPS], sigmas[SAMPLER_MAX_STEPS + 1];
    sampler_table(&trial.options, times, sigmas);
    trial_run(&trial, got, &random);

    random_init(&random, RANDOM_CPU, trial.seed);
    random_normal(&random, want, RUN_COUNT);
    const bool euler_view = sampler_rules[kind].scales_input;
    const double first = sigmas[0], last = sigmas[steps - 1];
    const double start = euler_view ? first : sqrt(first * first + 1);
    /* The step to 0 lands on the picture expected at the level before, in every method. */
    const double way = start / sqrt(first * first + 1) / sqrt(last * last + 1);
    for (size_t i = 0; i < RUN_COUNT; ++i)
        want[i] = (float)(way * (double)want[i]);
    return relative_l2(got, want, RUN_COUNT);
}

static void methods_have_their_order(void)
{
    static const struct {
        enum sampler_kind kind;
        double least, most; /* error at 20 steps over error at 40 */
    } rows[] = {
        {SAMPLER_EULER,    1.7, 2.4},
        {SAMPLER_HEUN,     3.3, 5.5},
        {SAMPLER_DPMPP_2M, 3.0, 5.5},
        {SAMPLER_UNIPC,    3.3, 12 },
        {SAMPLER_DPM2,     3.0, 5.5},
        {SAMPLER_LMS,      8.0, 200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const double coarse = ode_error(rows[i].kind, 20),
                     fine = ode_error(rows[i].kind, 40);
        fprintf(stderr, "    %-9s 20 steps %.2g, 40 steps %.2g\n",
                sampler_name(rows[i].kind), coarse, fine);
        check_real(coarse / fine, >, rows[i].least);
        check_real(coarse / fine, <, rows[i].most);
    }
}

/* ---- Contract ---- */

static const struct sampler_options plain = {.kind = SAMPLER_EULER,
                                             .steps = 10,
                                             .count = 64};

static void names_go_both_ways(void)
{
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        enum sampler_kind found = SAMPLER_COUNT;
        check(sampler_from_name(sampler_name(kind), &found));
        check_int(found, ==, kind);
    }
    enum sampler_kind untouched = SAMPLER_HEUN;
    check(!sampler_from_name("Euler", &untouched));
    check(!sampler_from_name("", &untouched));
    check_int(untouched, ==, SAMPLER_HEUN);
}

static void default_is_the_first(void)
{
    static const enum schedule_kind firsts[SAMPLER_COUNT] = {
        [SAMPLER_DDIM] = SCHEDULE_LEADING,
        [SAMPLER_LCM] = SCHEDULE_LCM,
        [SAMPLER_PLMS] = SCHEDULE_LEADING,
        [SAMPLER_DDPM] = SCHEDULE_LEADING,
        [SAMPLER_TCD] = SCHEDULE_LCM};
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        struct sampler_options options = {.kind = kind, .steps = 9, .count = 1};
        double times[2][9], sigmas[2][10];
        check_int(sampler_table(&options, times[0], sigmas[0]), ==, 9);
        options.schedule = firsts[kind] ? firsts[kind] : SCHEDULE_NORMAL;
        check_int(sampler_table(&options, times[1], sigmas[1]), ==, 9);
        check_bytes(times[0], times[1], sizeof times[0]);
        check_bytes(sigmas[0], sigmas[1], sizeof sigmas[0]);
    }
}

static void refused(struct sampler_options options, const char *part)
{
    struct dr_error err = {0};
    size_t bytes = 77;
    check_int(sampler_bytes(&options, &bytes, &err), ==, DR_BAD_INPUT);
    check_int(bytes, ==, 77);
    check_int(err.code, ==, DR_BAD_INPUT);
    check_has(err.message, part);
    struct sampler sampler = {.step = 5};
    check_int(sampler_init(&sampler, &options, NULL, NULL, NULL), ==, DR_BAD_INPUT);
    check_int(sampler.step, ==, 5);
}

#define changed(...)           \
    ((struct sampler_options){ \
        .kind = plain.kind, .steps = plain.steps, .count = plain.count, __VA_ARGS__})

static void refused_pairs_list_what_goes(void)
{
    refused(changed(.schedule = SCHEDULE_LCM),
            "the sampler euler does not support the schedule lcm; it supports: "
            "normal, karras, exponential, polyexponential, sgm-uniform, simple, beta, "
            "kl-optimal, align-your-steps, leading, trailing");
    struct sampler_options options = plain;
    options.kind = SAMPLER_DDIM;
    options.schedule = SCHEDULE_KARRAS;
    refused(
        options,
        "the sampler ddim does not support the schedule karras; it supports: leading, "
        "trailing, normal");
    options.kind = SAMPLER_LCM;
    options.schedule = SCHEDULE_NORMAL;
    refused(options, "it supports: lcm");
}

static void bad_options_are_refused(void)
{
    struct sampler_options options = plain;
    options.steps = 0;
    refused(options, "0 steps: the sampler euler takes 1 to 1000");
    options.steps = -3;
    refused(options, "-3 steps");
    options.steps = 1001;
    refused(options, "1001 steps");
    options.kind = SAMPLER_LCM;
    options.steps = 51;
    refused(options, "51 steps: the sampler lcm takes 1 to 50");
    options = plain;
    options.kind = SAMPLER_COUNT;
    refused(options, "sampler number 20");
    options = plain;
    options.schedule = SCHEDULE_COUNT;
    refused(options, "schedule number 14");
    options = plain;
    options.kind = SAMPLER_DDIM;
    options.zero_terminal_snr = true;
    refused(options, "zero terminal SNR");
}

/* What a sampler would not read is refused, and what is no number. */
static void bad_tuning_is_refused(void)
{
    struct sampler_options options = plain;
    options.tuning =
        (struct sampler_tuning){.is_given = true, .eta = 0.5, .s_noise = 1};
    refused(options, "eta 0.5: the sampler euler adds no noise");
    options.tuning.eta = -1;
    options.tuning.s_churn = NAN;
    refused(options, "s_churn nan");
    options.kind = SAMPLER_LMS;
    options.tuning.s_churn = 3;
    refused(options, "s_churn 3: the sampler lms has none");
    options.kind = SAMPLER_EULER_A;
    options.tuning.s_churn = 0;
    options.tuning.eta = 1.5;
    refused(options, "eta 1.5");
    options.tuning.eta = 1;
    options.tuning.s_noise = INFINITY;
    refused(options, "s_noise inf");
}

static void bad_counts_are_refused(void)
{
    static const size_t counts[] = {0, SIZE_MAX, SIZE_MAX / 4, SIZE_MAX / 4 - 15,
                                    SIZE_MAX / 8};
    struct dr_error err = {0};
    size_t bytes = 77;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; ++i) {
        struct sampler_options options = plain;
        options.count = counts[i];
        check_int(sampler_bytes(&options, &bytes, &err), ==, DR_BAD_INPUT);
        check_has(err.message, "a latent of ");
        check_int(bytes, ==, 77);
    }
}

static void strength_decides_the_start(void)
{
    static const struct {
        float strength;
        int32_t steps, taken; /* 0: refused */
    } rows[] = {
        {1,      10,   10},
        {0.999f, 10,   9 },
        {0.7f,   10,   7 },
        {0.3f,   10,   3 },
        {0.1f,   10,   1 },
        {0.09f,  10,   0 },
        {0,      10,   0 },
        {0.29f,  100,  28},
        {0.57f,  100,  56},
        {0.58f,  100,  57},
        {0.5f,   1,    0 },
        {1,      1,    1 },
        {0.75f,  30,   22},
        {0.35f,  20,   7 },
        {0.001f, 1000, 1 }
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        struct sampler_options options = plain;
        options.steps = rows[i].steps;
        options.strength = rows[i].strength;
        options.image_to_image = true;
        if (rows[i].taken == 0) {
            refused(options, "leaves no step");
            continue;
        }
        unsigned char *const memory = aligned_alloc(64, 1 << 16);
        struct sampler sampler;
        if (!memory) abort();
        check_int(sampler_init(&sampler, &options, memory, NULL, NULL), ==, DR_OK);
        check_int(sampler.step_count, ==, rows[i].taken);
        free(memory);
    }
    struct sampler_options options = plain;
    options.image_to_image = true;
    options.strength = -0.01f;
    refused(options, "strength -0.01: give a value between 0 and 1");
    options.strength = 1.01f;
    refused(options, "strength 1.01");
    options.strength = NAN;
    refused(options, "between 0 and 1");
    options.image_to_image = false; /* and then nobody looks at it */
    size_t bytes;
    check_int(sampler_bytes(&options, &bytes, NULL), ==, DR_OK);
}

/* What is refused names a strength; that, as it is printed, takes a step, and less does not. */
static void suggested_strength_is_enough(void)
{
    struct sampler_options options = plain;
    options.image_to_image = true;
    for (int32_t steps = 1; steps <= SAMPLER_MAX_STEPS; ++steps) {
        struct dr_error err = {0};
        size_t bytes;
        options.steps = steps;
        options.strength = 0;
        check_int(sampler_bytes(&options, &bytes, &err), ==, DR_BAD_INPUT);
        const char *const said = strstr(err.message, "at least ");
        if (!said) {
            check_fail_at("%d steps: %s", (int)steps, err.message);
            return;
        }
        char *end;
        const double least = strtod(said + strlen("at least "), &end);
        check(strncmp(end, ", or more steps", 15) == 0);
        options.strength = (float)least;
        if (sampler_bytes(&options, &bytes, &err) != DR_OK)
            check_fail_at("%d steps: %s", (int)steps, err.message);
        options.strength = (float)(least * 0.985);
        check_int(sampler_bytes(&options, &bytes, NULL), ==, DR_BAD_INPUT);
    }
}

/* Every vector costs its floats, no more: latent, scratch, what is kept. */
static void bytes_are_exact(void)
{
    static const size_t vectors[SAMPLER_COUNT] = {
        [SAMPLER_EULER] = 2,        [SAMPLER_EULER_A] = 2,
        [SAMPLER_HEUN] = 3,         [SAMPLER_DPMPP_2M] = 3,
        [SAMPLER_DPMPP_2M_SDE] = 4, [SAMPLER_UNIPC] = 4,
        [SAMPLER_DDIM] = 1,         [SAMPLER_LCM] = 2,
        [SAMPLER_DPMPP_SDE] = 5,    [SAMPLER_DPMPP_2M_SDE_HEUN] = 6,
        [SAMPLER_DPMPP_2S_A] = 3,   [SAMPLER_DPMPP_3M_SDE] = 7,
        [SAMPLER_DPM2] = 3,         [SAMPLER_DPM2_A] = 3,
        [SAMPLER_LMS] = 6,          [SAMPLER_RESTART] = 3,
        [SAMPLER_PLMS] = 5,         [SAMPLER_DEIS] = 3,
        [SAMPLER_DDPM] = 2,         [SAMPLER_TCD] = 2};
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        struct sampler_options options = {.kind = kind, .steps = 20, .count = 16384};
        size_t bytes[2];
        check_int(sampler_bytes(&options, &bytes[0], NULL), ==, DR_OK);
        options.count = 2 * 16384;
        check_int(sampler_bytes(&options, &bytes[1], NULL), ==, DR_OK);
        check_int(bytes[1] - bytes[0], ==, vectors[kind] * 16384 * sizeof(float));
        check_int(bytes[0], <=, vectors[kind] * 16384 * sizeof(float) + 1024);
    }
}

static void odd_counts_stay_in_their_memory(void)
{
    struct known known = {.prediction = PREDICTION_EPSILON};
    struct random_source random;
    float got[80];
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        for (size_t count = 1; count <= 80; ++count) {
            struct trial trial = {
                .options = {.kind = kind, .steps = 4, .count = count},
                .model = known_model,
                .context = &known,
                .seed = count
            };
            trial_run(&trial, got, &random);
            check(all_finite(got, count));
        }
    }
}

static void runs_repeat_exactly(void)
{
    struct random_source random;
    float got[3][GOLDEN_COUNT];
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        struct trial trial = {
            .options = {.kind = kind, .steps = 7, .count = GOLDEN_COUNT},
            .model = golden_model,
            .seed = 3
        };
        trial_run(&trial, got[0], &random);
        trial_run(&trial, got[1], &random);
        trial.seed = 4;
        trial_run(&trial, got[2], &random);
        check_bytes(got[0], got[1], sizeof got[0]);
        check(memcmp(got[0], got[2], sizeof got[0]) != 0);
    }
}

/* After a run the generator stands where the reference's would: so the next picture of a batch
 * that shares it is the same, too. */
static void noise_is_drawn_as_often_as_in_the_reference(void)
{
    static const int32_t draws[SAMPLER_COUNT] = {
        [SAMPLER_EULER_A] = 6,    [SAMPLER_DPMPP_2M_SDE] = 6, [SAMPLER_LCM] = 5,
        [SAMPLER_DPMPP_2S_A] = 5, [SAMPLER_DPM2_A] = 5,       [SAMPLER_DDPM] = 6,
        [SAMPLER_TCD] = 5};
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        struct random_source used, fresh;
        float got[GOLDEN_COUNT], want[GOLDEN_COUNT];
        struct trial trial = {
            .options = {.kind = kind, .steps = 6, .count = GOLDEN_COUNT},
            .model = golden_model,
            .seed = 9
        };
        trial_run(&trial, got, &used);
        random_init(&fresh, RANDOM_CPU, 9);
        for (int32_t i = 0; i <= draws[kind]; ++i)
            random_normal(&fresh, want, GOLDEN_COUNT);
        random_normal(&used, got, GOLDEN_COUNT);
        random_normal(&fresh, want, GOLDEN_COUNT);
        check_bytes(got, want, sizeof got);
    }
}

/* The rest of a run whose first `cut` steps another sampler took: its latent and generator go on. */
static void run_in_two(enum sampler_kind kind, int32_t cut, float *result)
{
    struct sampler_options parts[2] = {
        {.kind = kind, .steps = 9, .count = GOLDEN_COUNT, .end_step = cut  },
        {.kind = kind, .steps = 9, .count = GOLDEN_COUNT, .first_step = cut}
    };
    struct random_source random;
    float answer[GOLDEN_COUNT];
    int32_t calls = 0;
    parts[0].tree_seed = parts[1].tree_seed = 5;
    parts[0].tree_kind = parts[1].tree_kind = RANDOM_CUDA;
    random_init(&random, RANDOM_CPU, 5);
    random_normal(&random, result, GOLDEN_COUNT);
    for (int32_t i = 0; i < 2; ++i) {
        struct trial trial = {.options = parts[i], .model = golden_model};
        struct sampler sampler;
        size_t bytes;
        check_int(sampler_bytes(&parts[i], &bytes, NULL), ==, DR_OK);
        void *const memory = aligned_alloc(64, bytes);
        if (!memory) abort();
        check_int(sampler_init(&sampler, &parts[i], memory, &random, NULL), ==, DR_OK);
        memcpy(sampler.latent, result, sizeof answer);
        if (i == 0) sampler_start(&sampler, NULL);
        trial_drive(&trial, &sampler, answer);
        memcpy(result, sampler.latent, sizeof answer);
        calls += trial.calls;
        free(memory);
    }
    const bool is_plms = kind == SAMPLER_PLMS; /* two in the first step of each part */
    check_int(calls, ==,
              sampler_calls_per_step(kind) == 2 ? 17
              : is_plms                         ? 9 + 1 + (cut < 8)
                                                : 9);
}

/* Methods that keep nothing of earlier steps give the same bytes; the others stay near. */
static void a_run_goes_on_in_another_sampler(void)
{
    for (enum sampler_kind kind = 0; kind < SAMPLER_COUNT; ++kind) {
        struct random_source random;
        float whole[GOLDEN_COUNT], cut[GOLDEN_COUNT];
        struct trial trial = {
            .options = {.kind = kind, .steps = 9, .count = GOLDEN_COUNT},
            .model = golden_model,
            .seed = 5
        };
        const bool has_history =
            kind == SAMPLER_DPMPP_2M || kind == SAMPLER_DPMPP_2M_SDE ||
            kind == SAMPLER_UNIPC || kind == SAMPLER_DPMPP_2M_SDE_HEUN ||
            kind == SAMPLER_DPMPP_3M_SDE || kind == SAMPLER_LMS ||
            kind == SAMPLER_PLMS || kind == SAMPLER_DEIS;
        trial_run(&trial, whole, &random);
        for (int32_t at = 1; at < 9; ++at) {
            run_in_two(kind, at, cut);
            check(all_finite(cut, GOLDEN_COUNT));
            if (!has_history) check_bytes(cut, whole, sizeof cut);
        }
        /* At the first step there is no history to lose; later there is. */
        run_in_two(kind, 4, cut);
        if (has_history) check(memcmp(cut, whole, sizeof cut) != 0);
    }
    struct sampler_options options = plain;
    options.first_step = options.steps;
    refused(options, "at least one step");
    options = plain;
    options.end_step = options.steps + 1;
    refused(options, "at least one step");
}

int main(void)
{
    check_run(equals_diffusers);
    check_run(equals_k_diffusion);
    check_run(every_pair_finds_the_picture);
    check_run(zero_terminal_snr_finds_the_picture);
    check_run(very_many_steps_stay_finite);
    check_run(methods_have_their_order);
    check_run(names_go_both_ways);
    check_run(default_is_the_first);
    check_run(refused_pairs_list_what_goes);
    check_run(bad_options_are_refused);
    check_run(bad_tuning_is_refused);
    check_run(bad_counts_are_refused);
    check_run(strength_decides_the_start);
    check_run(suggested_strength_is_enough);
    check_run(bytes_are_exact);
    check_run(odd_counts_stay_in_their_memory);
    check_run(runs_repeat_exactly);
    check_run(noise_is_drawn_as_often_as_in_the_reference);
    check_run(a_run_goes_on_in_another_sampler);
    return check_done();
}
