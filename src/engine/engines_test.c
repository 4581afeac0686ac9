/* Several engines in one process: each has its own model, VAE, budget and ledger, and knows
 * nothing of the other. The compute library's threads are the process's. */
#include "engine/engine_fixture.h"

#include <pthread.h>

static void wants(const char *model, const char *vae, const char *name)
{
    struct dr_engine *engine = open_engine();
    load(engine, model);
    check_int(choose(engine, vae), ==, DR_OK);
    picture(engine, name);
    dr_engine_close(&engine);
}

static void two_engines_share_nothing(void)
{
    wants("a.safetensors", "sharp", "want-1.png");
    wants("b.safetensors", "none", "want-2.png");
    struct dr_engine *one = open_engine(), *two = open_engine();
    load(one, "a.safetensors");
    check_int(choose(one, "sharp"), ==, DR_OK);
    const uint64_t held = check_memory(one);
    check_int(check_memory(two), ==, 0);
    load(two, "b.safetensors");
    check(!vae_state(two).override_active);
    check_int(check_memory(one), ==, held);
    for (int i = 0; i < 2; ++i) {
        picture(one, "1.png");
        picture(two, "2.png");
        check(same_file("1.png", "want-1.png"));
        check(same_file("2.png", "want-2.png"));
    }
    /* a release, a limit, a failure and an end are one engine's affair */
    const uint64_t other = check_memory(two);
    check_int(dr_engine_unload(one, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    check_int(check_memory(one), ==, 0);
    check_int(check_memory(two), ==, other);
    check_int(choose(one, "missing"), !=, DR_OK);
    dr_engine_cancel(one);
    picture(two, "2.png");
    check(same_file("2.png", "want-2.png"));
    limit_regions(one, 1 << 20);
    check_int(picture_with(one, "1.png", NULL, NULL), ==, DR_OVER_BUDGET);
    check_int(check_memory(two), ==, other);
    dr_engine_close(&one);
    check_int(check_memory(two), ==, other);
    picture(two, "2.png");
    check(same_file("2.png", "want-2.png"));
    dr_engine_close(&two);
}

struct worker {
    const char *model, *output;
    enum dr_code code;
    uint64_t planned_bytes;
};

static void *work(void *cookie)
{
    struct worker *const worker = cookie;
    struct dr_engine *engine = NULL;
    struct dr_error err;
    struct dr_engine_options options = dr_engine_options_default();
    char tokenizer[600];
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/data/tiny-tokenizer",
                   getenv("DARKROOM_SOURCE"));
    options.tokenizer_folder = tokenizer;
    options.thread_count = 1;
    worker->planned_bytes = 0;
    worker->code = dr_engine_open(&engine, &options, &err);
    for (int i = 0; i < 3 && worker->code == DR_OK; ++i) {
        struct dr_generate_result result;
        struct dr_generate_options job = dr_generate_options_default();
        job.prompt = "a red circle";
        job.negative = "fog";
        job.output = worker->output;
        job.width = job.height = 64;
        job.steps = 2;
        job.seed = 7;
        worker->code = dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &err);
        if (worker->code == DR_OK)
            worker->code =
                dr_engine_load(engine, worker->model, DR_LOAD_EAGER, NULL, &err);
        if (worker->code == DR_OK)
            worker->code = dr_engine_generate(engine, &job, &result, &err);
        if (worker->code != DR_OK) break;
        worker->planned_bytes = result.planned_private_bytes;
        dr_generate_result_free(&result);
    }
    dr_engine_close(&engine);
    return NULL;
}

/* Two engines at work at the same time make the pictures that each makes alone. */
static void two_engines_work_at_once(void)
{
    wants("a.safetensors", "none", "want-1.png");
    wants("b.safetensors", "none", "want-2.png");
    char paths[4][600];
    static const char *const names[] = {"a.safetensors", "b.safetensors", "1.png",
                                        "2.png"};
    for (int i = 0; i < 4; ++i)
        (void)snprintf(paths[i], sizeof paths[i], "%s", in_root(names[i]));
    struct worker workers[2] = {
        {.model = paths[0], .output = paths[2]},
        {.model = paths[1], .output = paths[3]}
    };
    pthread_t threads[2];
    for (int i = 0; i < 2; ++i)
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) exit(1);
    for (int i = 0; i < 2; ++i) {
        (void)pthread_join(threads[i], NULL);
        check_int(workers[i].code, ==, DR_OK);
    }
    /* and plan the same bytes as on the main thread */
    const uint64_t planned = workers[0].planned_bytes;
    check_int(planned, >, 0);
    (void)work(&workers[0]);
    check_int(workers[0].planned_bytes, ==, planned);
    check(same_file("1.png", "want-1.png"));
    check(same_file("2.png", "want-2.png"));
}

/* ---- threads ------------------------------------------------------------------------------- */

static enum dr_code open_with_threads(struct dr_engine **engine, int32_t count)
{
    struct dr_engine_options options = dr_engine_options_default();
    options.thread_count = count;
    problem = (struct dr_error){0};
    return dr_engine_open(engine, &options, &problem);
}

struct opener {
    int count;
};

static void open_in_between(void *cookie, const struct dr_progress *progress)
{
    struct opener *const opener = cookie;
    struct dr_engine *other = NULL;
    if (progress->stage != DR_STAGE_UNET) return;
    ++opener->count;
    check_int(open_with_threads(&other, 2), ==, DR_BUSY);
    check_has(problem.message, "1 thread");
    check(other == NULL);
    check_int(open_with_threads(&other, 1), ==, DR_OK);
    dr_engine_close(&other);
}

/* The number of threads is laid into the plans of a running job: it is not changed under it. */
static void threads_do_not_change_under_a_job(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    struct opener opener = {0};
    load(engine, "a.safetensors");
    picture(engine, "want.png");
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root("out.png");
    options.width = options.height = 64;
    options.steps = 2;
    options.seed = 7;
    options.progress = open_in_between;
    options.progress_cookie = &opener;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    dr_generate_result_free(&result);
    check_int(opener.count, >, 1);
    check(same_file("out.png", "want.png"));
    /* between jobs it may change, and the pictures do not */
    struct dr_engine *other = NULL;
    check_int(open_with_threads(&other, 2), ==, DR_OK);
    picture(engine, "out.png");
    check(same_file("out.png", "want.png"));
    dr_engine_close(&other);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(two_engines_share_nothing);
    check_run(two_engines_work_at_once);
    check_run(threads_do_not_change_under_a_job);
    return check_done();
}
