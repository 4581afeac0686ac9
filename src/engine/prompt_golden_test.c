/* What the UNet is given for a prompt is what A1111's rules give, restated with PyTorch (tools/golden/prompts.py): for more than two
 * hundred prompts, at the first evaluation and, where the prompt changes, at the last; within 1e-4 of the context. And the same
 * with embeddings (tools/golden/embeddings.py). */
#include "network.h"

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "golden_case.h"
#include "job/request.h"

enum {
    SIDE = 64,
    STEPS = 10,
    PROBES = 4
};
static const double bound = 1e-4;

/* ---- products with vectors of signs ------------------------------------------------------------ */

static double sign_of(uint32_t i, uint32_t probe)
{
    uint32_t x = i * 2654435761U + (probe + 1) * 2246822519U;
    x ^= x >> 15;
    x *= 2246822519U;
    x ^= x >> 13;
    return x & 1 ? -1.0 : 1.0;
}

/* How far values are from those that were measured, relative to their norm: an estimate. */
static double distance(const float *values, size_t count, const json_t *measured)
{
    const json_t *const products = json_object_get(measured, "products");
    double sum = 0.0;
    for (uint32_t k = 0; k < PROBES; ++k) {
        double product = 0.0;
        for (size_t i = 0; i < count; ++i)
            product += sign_of((uint32_t)i, k) * (double)values[i];
        const double apart = product - json_number_value(json_array_get(products, k));
        sum += apart * apart;
    }
    return sqrt(sum / PROBES) / json_number_value(json_object_get(measured, "norm"));
}

/* ---- a prompt ------------------------------------------------------------------------------------ */

struct seen {
    const struct job *job;
    const json_t *expected; /* of each evaluation */
    const json_t *pooled;   /* NULL: there is none */
    struct cancel *cancel;
    double worst;
    int compared;
};

static const struct unet_plan *unet_of(const struct job *job)
{
    const struct network *network = job->list.networks;
    while (network->kind != NETWORK_UNET)
        ++network;
    return &network->unet;
}

static void compare(struct seen *seen, const float *values, size_t count,
                    const json_t *measured)
{
    const double apart = distance(values, count, measured);
    if (!(apart <= seen->worst)) seen->worst = apart;
    ++seen->compared;
}

static void see(void *cookie, const struct dr_progress *progress)
{
    struct seen *const seen = cookie;
    char evaluation[16];
    if (progress->stage != DR_STAGE_UNET || progress->step < 1) return;
    (void)snprintf(evaluation, sizeof evaluation, "%d", (int)progress->step - 1);
    const json_t *const measured = json_object_get(seen->expected, evaluation);
    if (measured) {
        const struct unet_plan *const unet = unet_of(seen->job);
        const struct shape shape = plan_shape(unet->plan, unet->context);
        float *const context = network_read(unet->plan, unet->context);
        check_int(shape.w, ==, json_integer_value(json_object_get(measured, "tokens")));
        compare(seen, context, network_count(shape), measured);
        free(context);
        if (seen->pooled) {
            float *const vector = network_read(unet->plan, unet->vector);
            const struct clip_text_info info =
                clip_text_info(seen->job->context.pipeline->text[1]);
            compare(seen, vector, (size_t)info.pooled, seen->pooled);
            free(vector);
        }
    }
    if (seen->compared >= (int)json_object_size(seen->expected))
        cancel_request(seen->cancel);
}

static double run_case(struct dr_engine *engine, const json_t *it, const char *family,
                       const char *directory)
{
    struct cancel cancel = {0};
    struct dr_generate_options options = dr_generate_options_default();
    struct job_request want;
    struct dr_image_info image = {.seed = 7};
    options.prompt = json_string_value(json_object_get(it, "prompt"));
    options.output = in_root("latents.safetensors");
    options.width = options.height = SIDE;
    options.steps = STEPS;
    options.sampler = "euler";
    options.cfg = 1.0;
    options.embedding_directory = directory;
    network_require(generate_request(&engine->model, &options, &want, &problem) ==
                        DR_OK,
                    "%s: %s", options.prompt, problem.message);
    struct job job = {.context = engine_job_context(engine),
                      .request = want,
                      .images = &image};
    struct seen seen = {&job, json_object_get(it, family), NULL, &cancel, 0.0, 0};
    if (strcmp(family, "sdxl") == 0) seen.pooled = json_object_get(it, "pooled");
    job.context.cancel = &cancel;
    job.request.progress = see;
    job.request.progress_cookie = &seen;
    enum dr_code code = job_prepare(&job, &problem);
    if (code == DR_OK) code = job_admit(&job, &problem);
    if (code == DR_OK) code = job_run(&job, &problem);
    if (code != DR_OK && code != DR_CANCELLED)
        check_fail_at("%s: %s", options.prompt, problem.message);
    job_finish(&job);
    job_request_finish(&want);
    check_int(seen.compared, >=, (int)json_object_size(seen.expected));
    return seen.worst;
}

static void family_is_right(const json_t *golden, const char *family, const char *model,
                            const char *directory)
{
    const json_t *const cases = json_object_get(golden, "cases");
    struct dr_engine *engine = open_engine_with(0, DR_PRECISION_F32);
    double worst = 0.0;
    load(engine, model);
    for (size_t i = 0; i < json_array_size(cases); ++i) {
        const json_t *const it = json_array_get(cases, i);
        const double apart = run_case(engine, it, family, directory);
        if (!(apart <= bound))
            check_fail_at("%s: %.3g from the reference: %s", family, apart,
                          json_string_value(json_object_get(it, "prompt")));
        if (apart > worst) worst = apart;
    }
    printf("%s: %zu prompts, at most %.2g apart\n", family, json_array_size(cases),
           worst);
    dr_engine_close(&engine);
}

static json_t *prompts, *with_embeddings;

static void contexts_of_sd15(void)
{
    check_int(json_array_size(json_object_get(prompts, "cases")), >=, 200);
    family_is_right(prompts, "sd15", "a.safetensors", "none");
}

static void contexts_of_sdxl(void)
{
    family_is_right(prompts, "sdxl", "x.safetensors", "none");
}

static void embeddings_of(const char *family, const char *model)
{
    char directory[4096];
    const char *const source = getenv("DARKROOM_SOURCE");
    (void)snprintf(directory, sizeof directory, "%s/tests/golden/embeddings/%s",
                   source ? source : ".", family);
    check_int(json_array_size(json_object_get(with_embeddings, "cases")), >=, 50);
    family_is_right(with_embeddings, family, model, directory);
}

static void embeddings_of_sd15(void)
{
    embeddings_of("sd15", "a.safetensors");
}

static void embeddings_of_sdxl(void)
{
    embeddings_of("sdxl", "x.safetensors");
}

int main(void)
{
    prompts = golden_load("tests/golden/prompts.json");
    with_embeddings = golden_load("tests/golden/embeddings.json");
    if (!prompts || !with_embeddings) return 1;
    fixture_folder();
    make_checkpoint("a.safetensors",
                    json_string_value(json_object_get(prompts, "sd15")));
    make_checkpoint("x.safetensors",
                    json_string_value(json_object_get(prompts, "sdxl")));
    check_run(contexts_of_sd15);
    check_run(contexts_of_sdxl);
    check_run(embeddings_of_sd15);
    check_run(embeddings_of_sdxl);
    json_decref(prompts);
    json_decref(with_embeddings);
    return check_done();
}
