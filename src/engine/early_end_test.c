/* A batch that ends early loses nothing that is finished: cancelled at each picture, in a budget that holds
 * all networks and in one that holds one at a time; cancelled again; with a file that cannot be written. */
#include "engine/engine_fixture.h"

#include "job/job.h"
#include "job/request.h"
#include "sampling/latent.h"

enum {
    BATCH = 3,
    STEPS = 3,
    LATENT_COUNT = LATENT_CHANNELS * 8 * 8
};

static struct dr_generate_options options_for(const char *name)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = STEPS;
    options.seed = 7;
    options.batch = BATCH;
    return options;
}

static const char *name_of(const char *stem, int32_t idx)
{
    static char names[4][40];
    static int next;
    char *const name = names[next++ % 4];
    (void)snprintf(name, sizeof names[0], idx > 0 ? "%s-%d.png" : "%s.png", stem,
                   (int)idx + 1);
    return name;
}

/* What is to happen, and what was seen. */
struct watch {
    struct dr_job *job;
    enum dr_stage stage;
    int32_t image;
    int insists_at_finishing; /* cancel again once it saves what is finished */
    const char *blocked; /* a directory that takes this name after the second file */
    bool has_fired;
    int32_t written, order_faults, most_finishing, samples_after;
    int32_t seed_faults, left_known;
};

static void on_progress(void *cookie, const struct dr_progress *now)
{
    struct watch *const it = cookie;
    if (now->finishing_count > it->most_finishing)
        it->most_finishing = now->finishing_count;
    it->samples_after +=
        it->has_fired && now->stage == DR_STAGE_UNET && now->finishing_count > 0;
    it->seed_faults += !now->has_seed || now->seed != 7 + (uint64_t)now->image;
    it->left_known += now->left_ms >= 0.0;
    if (it->insists_at_finishing && now->finishing_count > 0)
        dr_job_cancel_now(it->job);
    if (it->has_fired || it->image < 0 || now->stage != it->stage ||
        now->image != it->image || now->step != (now->stage == DR_STAGE_UNET))
        return;
    it->has_fired = true;
    dr_job_cancel(it->job);
}

static void on_written(void *cookie, int32_t index, const struct dr_image_info *image)
{
    struct watch *const it = cookie;
    it->order_faults += index != it->written || image->seed != 7 + (uint64_t)index ||
                        access(image->path, F_OK) != 0;
    ++it->written;
    if (index == 1 && it->blocked) (void)mkdir(in_root(it->blocked), 0700);
}

static enum dr_code run(struct dr_engine *engine, struct dr_generate_options *options,
                        struct watch *watch, struct dr_generate_result *result)
{
    struct dr_job_progress progress;
    options->progress = on_progress;
    options->written = on_written;
    options->progress_cookie = options->written_cookie = watch;
    problem = (struct dr_error){0};
    if (dr_job_create_generate(engine, options, &watch->job, &problem) != DR_OK)
        exit(1);
    const enum dr_code code = dr_job_run(watch->job, result, &problem);
    dr_job_progress(watch->job, &progress);
    check_int(progress.written_count, ==, watch->written);
    check_int(result->image_count, ==, watch->written);
    for (int32_t i = 0; i < result->image_count; ++i)
        check(result->images[i].seed == 7 + (uint64_t)i && result->images[i].path[0]);
    check_int(watch->order_faults, ==, 0);
    check_int(watch->seed_faults, ==, 0);
    check_int(watch->samples_after, ==, 0);
    dr_job_destroy(&watch->job);
    (void)check_memory(engine);
    return code;
}

/* The first `count` files are the pictures of the whole batch, and there are no others. */
static void check_files(const char *stem, int32_t count)
{
    for (int32_t i = 0; i < BATCH; ++i) {
        const char *const name = name_of(stem, i);
        check_int(access(in_root(name), F_OK) == 0, ==, i < count);
        if (i < count) check(same_file(name, name_of("whole", i)));
        (void)unlink(in_root(name));
    }
}

enum way {
    TOGETHER,
    ONE_AT_A_TIME
};

/* An engine whose budget holds all networks, or one at a time. */
static struct dr_engine *open_way(enum way way)
{
    struct dr_engine *engine = open_engine();
    struct dr_forecast forecast;
    const struct dr_generate_options options = options_for("x.png");
    load(engine, "a.safetensors");
    if (way == TOGETHER) return engine;
    check_int(dr_engine_forecast(engine, &options, &forecast, &problem), ==, DR_OK);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    limit_regions(engine, forecast.phased_peak_bytes + region_page_bytes());
    check_int(forecast.phased_peak_bytes, <, forecast.resident_peak_bytes);
    dr_forecast_free(&forecast);
    return engine;
}

static void make_whole(void)
{
    struct dr_engine *engine = open_way(TOGETHER);
    struct dr_generate_options options = options_for("whole.png");
    struct watch watch = {.image = -1};
    struct dr_generate_result result;
    check_int(run(engine, &options, &watch, &result), ==, DR_OK);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    check_int(watch.written, ==, BATCH);
    check_int(watch.left_known, >, BATCH * STEPS);
    dr_generate_result_free(&result);
    dr_engine_close(&engine);
}

static void a_whole_batch_is_the_same_in_both_ways(void)
{
    struct dr_engine *engine = open_way(ONE_AT_A_TIME);
    struct dr_generate_options options = options_for("phased.png");
    struct watch watch = {.image = -1};
    struct dr_generate_result result;
    check_int(run(engine, &options, &watch, &result), ==, DR_OK);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    check_has(result.receipt.reason, "one component loaded at a time");
    dr_generate_result_free(&result);
    check_files("phased", BATCH);
    dr_engine_close(&engine);
}

/* While picture k is sampled: those before it are there, to the byte. Where all are sampled first they are
 * decoded after the cancel, and whoever watches is told how many. */
static void cancelled_while_sampling(enum way way)
{
    struct dr_engine *engine = open_way(way);
    for (int32_t k = 0; k < BATCH; ++k) {
        struct dr_generate_options options = options_for("cut.png");
        struct watch watch = {.stage = DR_STAGE_UNET, .image = k};
        struct dr_generate_result result;
        check_int(run(engine, &options, &watch, &result), ==, DR_CANCELLED);
        check_int(watch.written, ==, k);
        check_int(watch.most_finishing, ==, way == TOGETHER ? 0 : k);
        if (k > 0) check_has(problem.message, "pictures were written");
        dr_generate_result_free(&result);
        check_files("cut", k);
    }
    dr_engine_close(&engine);
}

/* What is being decoded is finished; with the last picture so is the job. */
static void cancelled_while_decoding(enum way way)
{
    struct dr_engine *engine = open_way(way);
    for (int32_t k = 0; k < BATCH; ++k) {
        struct dr_generate_options options = options_for("late.png");
        struct watch watch = {.stage = DR_STAGE_DECODE, .image = k};
        struct dr_generate_result result;
        const int32_t count = way == TOGETHER ? k + 1 : BATCH;
        check_int(run(engine, &options, &watch, &result), ==,
                  count == BATCH ? DR_OK : DR_CANCELLED);
        check(watch.has_fired);
        check_int(watch.written, ==, count);
        dr_generate_result_free(&result);
        check_files("late", count);
    }
    dr_engine_close(&engine);
}

/* The second request stops all: what was sampled is lost then, and the next job is whole. */
static void cancelled_again(void)
{
    struct dr_engine *engine = open_way(ONE_AT_A_TIME);
    struct dr_generate_options options = options_for("again.png");
    struct watch watch = {.stage = DR_STAGE_UNET,
                          .image = 2,
                          .insists_at_finishing = 1};
    struct dr_generate_result result;
    check_int(run(engine, &options, &watch, &result), ==, DR_CANCELLED);
    check_int(watch.most_finishing, ==, 2);
    check_int(watch.written, ==, 0);
    dr_generate_result_free(&result);
    check_files("again", 0);
    watch = (struct watch){.image = -1};
    check_int(run(engine, &options, &watch, &result), ==, DR_OK);
    dr_generate_result_free(&result);
    check_files("again", BATCH);
    dr_engine_close(&engine);
}

static void the_third_file_cannot_be_written(enum way way)
{
    struct dr_engine *engine = open_way(way);
    struct dr_generate_options options = options_for("full.png");
    struct watch watch = {.image = -1, .blocked = "full-3.png"};
    struct dr_generate_result result;
    check_int(run(engine, &options, &watch, &result), ==, DR_IO);
    check_has(problem.message, "after 2 of 3 pictures were written");
    check_has(problem.message, "full-3.png");
    dr_generate_result_free(&result);
    check_int(rmdir(in_root("full-3.png")), ==, 0);
    check_files("full", 2);
    dr_engine_close(&engine);
}

/* A file of latents has as many as were sampled. */
static void latents_that_are_finished_are_written(enum way way)
{
    static float all[BATCH * LATENT_COUNT], some[BATCH * LATENT_COUNT];
    struct dr_engine *engine = open_way(way);
    struct dr_generate_options options = options_for("all.safetensors");
    struct watch watch = {.image = -1};
    struct dr_generate_result result;
    struct latent_head head = {0};
    check_int(run(engine, &options, &watch, &result), ==, DR_OK);
    dr_generate_result_free(&result);
    options.output = in_root("some.safetensors");
    watch = (struct watch){.stage = DR_STAGE_UNET, .image = 2};
    check_int(run(engine, &options, &watch, &result), ==, DR_CANCELLED);
    check_int(watch.written, ==, 2);
    dr_generate_result_free(&result);
    check_int(latent_file_head(in_root("all.safetensors"), &head, &problem), ==, DR_OK);
    check_int(latent_file_read(in_root("all.safetensors"), &head, all, &problem), ==,
              DR_OK);
    check_int(latent_file_head(in_root("some.safetensors"), &head, &problem), ==,
              DR_OK);
    check_int(head.n, ==, 2);
    check_int(latent_file_read(in_root("some.safetensors"), &head, some, &problem), ==,
              DR_OK);
    check_bytes(some, all, sizeof(float) * 2 * LATENT_COUNT);
    dr_engine_close(&engine);
}

/* The order costs no memory: each region has the same bytes, for each kind of job. */
static void both_orders_take_the_same_bytes(void)
{
    struct dr_engine *engine = open_way(TOGETHER);
    for (int i = 0; i < 2; ++i) {
        struct dr_image_info images[BATCH] = {0};
        struct dr_generate_options options = options_for("size.png");
        struct job job = {.context = engine_job_context(engine), .images = images};
        size_t bytes[REGION_TAG_COUNT];
        if (i > 0) options.init = in_root("whole.png");
        check_int(generate_request(&engine->model, &options, &job.request, &problem),
                  ==, DR_OK);
        check_int(job_prepare(&job, &problem), ==, DR_OK);
        check_int(job_plan(&job, JOB_RESIDENT, &problem), ==, DR_OK);
        check_int(job.order, ==, JOB_BY_PICTURE);
        const int32_t steps = job.list.step_count;
        memcpy(bytes, job.region_bytes, sizeof bytes);
        check_int(job_plan(&job, JOB_PHASED, &problem), ==, DR_OK);
        check_int(job.order, ==, JOB_BY_NETWORK);
        check_int(job.list.step_count, ==, steps);
        check_bytes(job.region_bytes, bytes, sizeof bytes);
        job_request_finish(&job.request);
        job_finish(&job);
    }
    dr_engine_close(&engine);
}

static void cancelled_with_all_networks_there(void)
{
    cancelled_while_sampling(TOGETHER);
    cancelled_while_decoding(TOGETHER);
    the_third_file_cannot_be_written(TOGETHER);
    latents_that_are_finished_are_written(TOGETHER);
}

static void cancelled_with_one_at_a_time(void)
{
    cancelled_while_sampling(ONE_AT_A_TIME);
    cancelled_while_decoding(ONE_AT_A_TIME);
    the_third_file_cannot_be_written(ONE_AT_A_TIME);
    latents_that_are_finished_are_written(ONE_AT_A_TIME);
}

int main(void)
{
    fixture_begin();
    check_run(make_whole);
    check_run(a_whole_batch_is_the_same_in_both_ways);
    check_run(cancelled_with_all_networks_there);
    check_run(cancelled_with_one_at_a_time);
    check_run(cancelled_again);
    check_run(both_orders_take_the_same_bytes);
    return check_done();
}
