/* Jobs as handles: run once, cancelled at any moment and never in vain, watched from another thread. */
#include "engine/engine_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "base/clock.h"

enum {
    CANCELS = 40, /* at random moments */
};

static struct dr_generate_options options_for(const char *name)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = 4;
    options.seed = 7;
    options.batch = 2;
    return options;
}

static struct dr_job *create(struct dr_engine *engine,
                             const struct dr_generate_options *options)
{
    struct dr_job *job = NULL;
    const enum dr_code code = dr_job_create_generate(engine, options, &job, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(code, ==, DR_OK);
    return job;
}

static enum dr_code run(struct dr_job *job)
{
    struct dr_generate_result result;
    problem = (struct dr_error){0};
    const enum dr_code code = dr_job_run(job, &result, &problem);
    dr_generate_result_free(&result);
    return code;
}

static struct dr_job_progress progress_of(struct dr_job *job)
{
    struct dr_job_progress progress;
    dr_job_progress(job, &progress);
    return progress;
}

static struct dr_status status_of(struct dr_engine *engine)
{
    struct dr_status status;
    dr_engine_status(engine, &status);
    return status;
}

/* ---- once -------------------------------------------------------------------------------- */

/* The strings are the handle's own, and the picture is that of the plain call. */
static void a_job_is_the_plain_call(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("plain.png");
    struct dr_generate_result result;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    dr_generate_result_free(&result);

    char prompt[] = "a red circle", negative[] = "fog", sampler[] = "euler-a";
    char output[600], vae[] = "automatic";
    (void)snprintf(output, sizeof output, "%s", in_root("handle.png"));
    options.prompt = prompt;
    options.negative = negative;
    options.output = output;
    options.sampler = sampler;
    options.vae = vae;
    struct dr_job *job = create(engine, &options);
    prompt[0] = negative[0] = sampler[0] = output[0] = vae[0] = '!';
    check_int(progress_of(job).state, ==, DR_JOB_CREATED);
    check_int(dr_job_run(job, &result, &problem), ==, DR_OK);
    check_int(result.image_count, ==, 2);
    check_has(result.images[0].path, "handle.png");
    const struct dr_job_progress progress = progress_of(job);
    check_int(progress.state, ==, DR_JOB_DONE);
    check_real(progress.share, ==, 1.0);
    check_real(progress.step_ms, >, 0.0);
    check_int(progress.planned_private_bytes, ==, result.planned_private_bytes);
    check_int(progress.private_bytes, ==, check_memory(engine));
    check(same_file("plain.png", "handle.png"));
    check(same_file("plain-2.png", "handle-2.png"));
    dr_generate_result_free(&result);

    check_int(run(job), ==, DR_BAD_INPUT);
    check_has(problem.message, "runs once");
    dr_job_cancel(job); /* too late */
    check_int(run(job), ==, DR_BAD_INPUT);
    check_int(progress_of(job).state, ==, DR_JOB_DONE);
    dr_job_destroy(&job);
    check(job == NULL);
    dr_job_destroy(&job);
    dr_job_destroy(NULL);
    dr_engine_close(&engine);
}

static void codecs_are_jobs_too(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_job *job = NULL;
    struct dr_generate_result result;
    load(engine, "a.safetensors");
    struct dr_codec_options options = dr_codec_options_default();
    char input[600];
    (void)snprintf(input, sizeof input, "%s", in_root("plain.png"));
    options.input = input;
    options.output = in_root("latent.safetensors");
    check_int(dr_job_create_encode(engine, &options, &job, &problem), ==, DR_OK);
    input[0] = '!';
    check_int(dr_job_run(job, &result, &problem), ==, DR_OK);
    check_has(result.images[0].path, "latent.safetensors");
    dr_generate_result_free(&result);
    dr_job_destroy(&job);
    options.input = in_root("latent.safetensors");
    options.output = in_root("decoded.png");
    check_int(dr_job_create_decode(engine, &options, &job, &problem), ==, DR_OK);
    check_int(dr_job_run(job, &result, &problem), ==, DR_OK);
    check_int(result.width, ==, 64);
    dr_generate_result_free(&result);
    dr_job_destroy(&job);
    dr_engine_close(&engine);
}

/* What needs no model is refused at once, and the rest when it runs. */
static void options_are_checked_when_they_can_be(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_job *job = NULL;
    struct dr_generate_options bad[6];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
        bad[i] = options_for("bad.png");
    bad[0].steps = -1;
    bad[1].sampler = "none";
    bad[2].width = 65;
    bad[3].sampler = "euler-a";
    bad[3].scheduler = "lcm";
    bad[4].bits = 9;
    bad[5].output = in_root("bad.txt");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        check_int(dr_job_create_generate(engine, &bad[i], &job, &problem), ==,
                  DR_BAD_INPUT);
        check(job == NULL);
    }
    struct dr_codec_options codec = dr_codec_options_default();
    codec.input = in_root("plain.png");
    check_int(dr_job_create_encode(engine, &codec, &job, &problem), ==, DR_BAD_INPUT);
    codec.output = in_root("a.png");
    check_int(dr_job_create_encode(engine, &codec, &job, &problem), ==, DR_BAD_INPUT);
    check(job == NULL);

    const struct dr_generate_options good = options_for("good.png");
    job = create(engine, &good);
    check_int(run(job), ==, DR_NOT_FOUND);
    check_has(problem.message, "no model");
    check_int(progress_of(job).state, ==, DR_JOB_FAILED);
    dr_job_destroy(&job);
    struct dr_generate_options skip = options_for("good.png");
    skip.clip_skip = 99;
    job = create(engine, &skip);
    load(engine, "a.safetensors");
    check_int(run(job), ==, DR_BAD_INPUT);
    check_has(problem.message, "clip skip");
    dr_job_destroy(&job);
    dr_engine_close(&engine);
}

/* ---- one at a time ----------------------------------------------------------------------- */

struct second {
    struct dr_engine *engine;
    struct dr_job *job;
    int tries;
};

static void try_second(void *cookie, const struct dr_progress *progress)
{
    struct second *const second = cookie;
    struct dr_generate_result result;
    struct dr_error err = {0};
    (void)progress;
    ++second->tries;
    check_int(dr_job_run(second->job, &result, &err), ==, DR_BUSY);
    check_int(progress_of(second->job).state, ==, DR_JOB_CREATED);
}

static void a_second_job_is_busy_and_runs_later(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const struct dr_generate_options other = options_for("second.png");
    struct second second = {.engine = engine, .job = create(engine, &other)};
    struct dr_generate_options options = options_for("first.png");
    options.progress = try_second;
    options.progress_cookie = &second;
    struct dr_job *job = create(engine, &options);
    check_int(run(job), ==, DR_OK);
    check_int(second.tries, >, 8);
    dr_job_destroy(&job);
    check_int(run(second.job), ==, DR_OK);
    check(same_file("first.png", "second.png"));
    dr_job_destroy(&second.job);
    dr_engine_close(&engine);
}

/* ---- cancelling -------------------------------------------------------------------------- */

static void cancelled_before_it_runs(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const struct dr_generate_options options = options_for("cancelled.png");
    struct dr_job *job = create(engine, &options), *other = create(engine, &options);
    dr_job_cancel(job);
    check_int(progress_of(job).state, ==, DR_JOB_CANCELLED);
    check_int(engine_enter(engine, "test", &problem), ==, DR_OK);
    check_int(run(job), ==, DR_CANCELLED); /* also while another call runs */
    check_int(run(other), ==, DR_BUSY);
    engine_leave(engine);
    check_int(progress_of(job).state, ==, DR_JOB_CANCELLED);
    check_int(run(job), ==, DR_BAD_INPUT);
    check_int(access(in_root("cancelled.png"), F_OK), !=, 0);
    dr_job_destroy(&job);
    dr_job_cancel(NULL);
    /* nobody else is meant */
    check_int(run(other), ==, DR_OK);
    dr_job_destroy(&other);
    dr_engine_close(&engine);
}

struct canceller {
    struct dr_engine *engine;
    struct dr_job *job;
    enum dr_stage stage;
    int32_t image, step;
    bool all; /* by dr_engine_cancel */
    int reports_after;
    bool has_fired;
};

static void cancel_at(void *cookie, const struct dr_progress *progress)
{
    struct canceller *const it = cookie;
    it->reports_after += it->has_fired;
    if (it->has_fired || progress->stage != it->stage || progress->image != it->image ||
        progress->step != it->step)
        return;
    it->has_fired = true;
    if (it->all)
        dr_engine_cancel(it->engine);
    else
        dr_job_cancel(it->job);
}

static void cancelled_at_a_step(void)
{
    const struct {
        enum dr_stage stage;
        int32_t image, step;
        bool all;
    } places[] = {
        {DR_STAGE_TEXT, 0, 0, false},
        {DR_STAGE_UNET, 0, 0, false},
        {DR_STAGE_UNET, 0, 3, false},
        {DR_STAGE_UNET, 1, 2, false},
        {DR_STAGE_UNET, 1, 0, false},
        {DR_STAGE_UNET, 0, 2, true },
    };
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        struct canceller canceller = {.engine = engine,
                                      .stage = places[i].stage,
                                      .image = places[i].image,
                                      .step = places[i].step,
                                      .all = places[i].all};
        struct dr_generate_options options = options_for("stopped.png");
        char prompt[40];
        (void)snprintf(prompt, sizeof prompt, "circle number %d", (int)i);
        options.prompt = prompt; /* not cached: there is a text stage */
        options.progress = cancel_at;
        options.progress_cookie = &canceller;
        canceller.job = create(engine, &options);
        check_int(run(canceller.job), ==, DR_CANCELLED);
        check(canceller.has_fired);
        check_int(canceller.reports_after, <=, 1);
        check_int(progress_of(canceller.job).state, ==, DR_JOB_CANCELLED);
        check_real(progress_of(canceller.job).share, <, 1.0);
        check_int(check_memory(engine), <=, bytes + (1 << 20)); /* cached prompts */
        dr_job_destroy(&canceller.job);
        /* the next call is another's */
        const struct dr_generate_options next = options_for("next.png");
        struct dr_job *job = create(engine, &next);
        check_int(run(job), ==, DR_OK);
        check(same_file("next.png", "plain.png"));
        dr_job_destroy(&job);
    }
    dr_engine_close(&engine);
}

/* A thread that cancels after a while. */
struct late {
    struct dr_job *job;
    double delay_ms;
    double cancelled_ms;
};

static void *cancel_late(void *cookie)
{
    struct late *const late = cookie;
    const double start = clock_ms();
    while (clock_ms() - start < late->delay_ms)
        sched_yield();
    late->cancelled_ms = clock_ms();
    dr_job_cancel(late->job);
    return NULL;
}

/* At any moment, before the run too: what is cancelled before its end ends so. Moments are spread over
 * what a whole job takes. */
static void no_cancel_is_lost(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const struct dr_generate_options options = options_for("random.png");
    struct dr_job *job = create(engine, &options);
    check_int(run(job), ==, DR_OK);
    const double whole_ms = progress_of(job).elapsed_ms;
    dr_job_destroy(&job);
    int cancelled = 0;
    for (int i = 0; i < CANCELS; ++i) {
        job = create(engine, &options);
        struct late late = {.job = job, .delay_ms = whole_ms * i / CANCELS};
        pthread_t thread;
        if (pthread_create(&thread, NULL, cancel_late, &late) != 0) exit(1);
        const enum dr_code code = run(job);
        const double ended_ms = clock_ms();
        (void)pthread_join(thread, NULL);
        const struct dr_job_progress progress = progress_of(job);
        check(code == DR_CANCELLED || code == DR_OK);
        check_int(progress.state, ==, code == DR_OK ? DR_JOB_DONE : DR_JOB_CANCELLED);
        cancelled += code == DR_CANCELLED;
        /* Done though it was cancelled: then the last picture was decoded. */
        if (code == DR_OK && late.cancelled_ms < ended_ms)
            check_int(progress.last.stage, >=, DR_STAGE_DECODE);
        dr_job_destroy(&job);
    }
    check_int(cancelled, >, CANCELS / 4);
    fprintf(stderr, "     %d of %d were stopped\n", cancelled, CANCELS);
    job = create(engine, &options);
    check_int(run(job), ==, DR_OK);
    check(same_file("random.png", "plain.png"));
    dr_job_destroy(&job);
    dr_engine_close(&engine);
}

/* ---- watching ---------------------------------------------------------------------------- */

struct observer {
    struct dr_engine *engine;
    struct dr_job *job;
    atomic_bool stop;
    struct dr_job_progress before;
    int looks, steps_seen, wrong, statuses;
    unsigned stages; /* a bit for each that was seen */
};

/* One snapshot against the one before. */
static void compare(struct observer *it, const struct dr_job_progress *now)
{
    const struct dr_job_progress *const before = &it->before;
    const struct dr_progress *const last = &now->last;
    it->wrong += now->state < before->state;
    it->wrong += now->share < before->share || now->share > 1.0;
    it->wrong += now->elapsed_ms < before->elapsed_ms;
    it->wrong += now->planned_private_bytes < before->planned_private_bytes;
    it->wrong +=
        now->planned_private_bytes && now->private_bytes > now->planned_private_bytes;
    it->wrong += last->share < 0.0 || last->share > 1.0;
    it->wrong += last->step > last->step_count || last->image > last->image_count;
    it->wrong += last->total_share < before->last.total_share;
    /* Parts of one report: a snapshot of two would not fit together. */
    if (last->stage == DR_STAGE_UNET && last->step_count > 0)
        it->wrong += last->share != (double)last->step / last->step_count;
    it->wrong += now->state == DR_JOB_DONE && now->share != 1.0;
    it->stages |= 1U << last->stage;
    it->steps_seen += last->step > before->last.step;
    it->before = *now;
}

static void *observe(void *cookie)
{
    struct observer *const it = cookie;
    while (!atomic_load(&it->stop)) {
        struct dr_status status;
        const struct dr_job_progress now = progress_of(it->job);
        compare(it, &now);
        dr_engine_status(it->engine, &status);
        if (status.has_job) {
            ++it->statuses;
            compare(it, &status.job);
            it->wrong += !status.is_running || strcmp(status.call, "generate") != 0;
        }
        it->wrong += strcmp(status.family, "sd15") != 0;
        ++it->looks;
        sched_yield();
    }
    return NULL;
}

static void progress_is_of_one_moment_and_goes_forward(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("watched.png");
    options.steps = 12;
    options.prompt = "watched";
    struct observer observer = {.engine = engine, .job = create(engine, &options)};
    pthread_t thread;
    if (pthread_create(&thread, NULL, observe, &observer) != 0) exit(1);
    check_int(run(observer.job), ==, DR_OK);
    atomic_store(&observer.stop, true);
    (void)pthread_join(thread, NULL);
    check_int(observer.wrong, ==, 0);
    check_int(observer.looks, >, 10);
    check_int(observer.statuses, >, 2);
    check_int(observer.steps_seen, >, 1);
    check(observer.stages & 1U << DR_STAGE_UNET);
    fprintf(stderr, "     %d looks, %d new steps\n", observer.looks,
            observer.steps_seen);
    dr_job_destroy(&observer.job);
    dr_engine_close(&engine);
}

/* What the callback is told goes from 0 to 1. */
struct shares {
    double last, at_sampling, at_decoding; /* of the last picture */
    int falls;
};

static void note_share(void *cookie, const struct dr_progress *progress)
{
    struct shares *const shares = cookie;
    shares->falls += progress->total_share < shares->last;
    shares->last = progress->total_share;
    if (progress->stage == DR_STAGE_UNET) shares->at_sampling = shares->last;
    if (progress->stage == DR_STAGE_DECODE) shares->at_decoding = shares->last;
}

static void the_whole_jobs_share_is_its_arithmetic(void)
{
    struct dr_engine *engine = open_engine();
    struct shares shares = {0};
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("shares.png");
    options.progress = note_share;
    options.progress_cookie = &shares;
    struct dr_job *job = create(engine, &options);
    check_int(run(job), ==, DR_OK);
    dr_job_destroy(&job);
    check_int(shares.falls, ==, 0);
    struct dr_forecast forecast;
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    const double unet = 4 * forecast.unet_flop, decode = forecast.vae_flop;
    const double before = unet + decode; /* the first picture of two */
    dr_forecast_free(&forecast);
    check_real(shares.at_sampling, >, 0.99 * (before + unet) / (2 * before));
    check_real(shares.at_sampling, <, 1.01 * (before + unet) / (2 * before));
    check_real(shares.at_decoding, >, 0.999);
    check_real(shares.last, <=, 1.0);
    dr_engine_close(&engine);
}

static void status_names_what_runs(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_status status = status_of(engine);
    check_str(status.call, "");
    check_int(status.is_running, ==, 0);
    check_int(status.has_job, ==, 0);
    check_str(status.model, "");
    load(engine, "a.safetensors");
    check_int(engine_enter(engine, "load", &problem), ==, DR_OK);
    status = status_of(engine);
    check_str(status.call, "load");
    check_int(status.is_running, ==, 1);
    check_has(status.model, "a.safetensors");
    check_int(status.budget_bytes, >, 1 << 20);
    engine_leave(engine);
    check_int(status_of(engine).is_running, ==, 0);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(a_job_is_the_plain_call);
    check_run(codecs_are_jobs_too);
    check_run(options_are_checked_when_they_can_be);
    check_run(a_second_job_is_busy_and_runs_later);
    check_run(cancelled_before_it_runs);
    check_run(cancelled_at_a_step);
    check_run(no_cancel_is_lost);
    check_run(progress_is_of_one_moment_and_goes_forward);
    check_run(the_whole_jobs_share_is_its_arithmetic);
    check_run(status_names_what_runs);
    return check_done();
}
