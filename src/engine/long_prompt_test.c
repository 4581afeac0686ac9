/* Prompts of several chunks, as a job's request gives them: the UNet's context is the chunks' own
 * contexts one after the other, planned memory is exact, and encoded chunks are kept as long as the
 * job needs them. Weights scale their tokens. What another text encoder encoded is never used. */
#include "network.h"

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "job/request.h"
#include "sampling/latent.h"

enum {
    SIDE = 64,
    LATENT_COUNT = LATENT_CHANNELS * (SIDE / 8) * (SIDE / 8)
};

/* ---- one job --------------------------------------------------------------------------------- */

/* What the UNet was given, and what came of it. */
struct seen {
    const struct job *job;
    float *context, *vector; /* malloc'ed; vector NULL: SD1.5 */
    struct shape shape;      /* of the context */
    size_t vector_bytes;
    float latents[LATENT_COUNT];
    double text_ms;
    size_t planned_bytes;
};

static void seen_finish(struct seen *seen)
{
    free(seen->context);
    free(seen->vector);
    *seen = (struct seen){0};
}

static const struct unet_plan *unet_of(const struct job *job)
{
    const struct network *network = job->list.networks;
    while (network->kind != NETWORK_UNET)
        ++network;
    return &network->unet;
}

/* After the first evaluation; a plan's inputs stay. */
static void see(void *cookie, const struct dr_progress *progress)
{
    struct seen *const seen = cookie;
    if (progress->stage != DR_STAGE_UNET || progress->step < 1 || seen->context) return;
    const struct unet_plan *const unet = unet_of(seen->job);
    seen->shape = plan_shape(unet->plan, unet->context);
    seen->context = network_read(unet->plan, unet->context);
    if (unet->vector.id == 0) return;
    seen->vector = network_read(unet->plan, unet->vector);
    seen->vector_bytes =
        sizeof(float) * network_count(plan_shape(unet->plan, unet->vector));
}

static void join(char *prompt, size_t bytes, const char *const texts[])
{
    prompt[0] = '\0';
    for (int i = 0; texts[i]; ++i)
        (void)snprintf(prompt + strlen(prompt), bytes - strlen(prompt), "%s%s",
                       i ? " BREAK " : "", texts[i]);
}

static struct job_request request_with(struct dr_engine *engine,
                                       const struct dr_generate_options *with)
{
    struct job_request want;
    struct dr_generate_options options = *with;
    options.output = in_root("latents.safetensors");
    options.width = options.height = SIDE;
    options.steps = 2;
    options.seed = 7;
    network_require(generate_request(&engine->model, &options, &want, &problem) ==
                        DR_OK,
                    "%s", problem.message);
    return want;
}

/* A request for latents whose prompt has these chunks, as many as there are texts before NULL; the
 * negative prompt is "fog", padded to the same length. */
static struct job_request request_of(struct dr_engine *engine,
                                     const char *const texts[])
{
    static char prompt[4000];
    struct dr_generate_options options = dr_generate_options_default();
    join(prompt, sizeof prompt, texts);
    options.prompt = prompt;
    options.negative = "fog";
    options.pad_prompts = 1;
    return request_with(engine, &options);
}

/* Plan and run a request. */
static enum dr_code try_request(struct dr_engine *engine,
                                const struct job_request *want, struct seen *seen)
{
    struct dr_image_info image = {.seed = want->seed};
    struct ledger *const ledger = &engine->resources.ledger;
    struct job job = {.context = engine_job_context(engine),
                      .request = *want,
                      .images = &image};
    seen_finish(seen);
    seen->job = &job;
    job.request.progress = see;
    job.request.progress_cookie = seen;
    problem = (struct dr_error){0};
    enum dr_code code = job_prepare(&job, &problem);
    if (code == DR_OK) code = job_admit(&job, &problem);
    ledger_reset_peak(ledger);
    if (code == DR_OK) code = job_run(&job, &problem);
    if (code == DR_OK) check_int(job.planned_bytes, ==, ledger->peak_private_bytes);
    seen->planned_bytes = job.planned_bytes;
    seen->text_ms = job.text_ms;
    job_finish(&job);
    (void)check_memory(engine);
    return code;
}

static void read_latents(float *latents)
{
    struct latent_head head = {0};
    const char *const path = in_root("latents.safetensors");
    network_require(latent_file_head(path, &head, &problem) == DR_OK &&
                        latent_file_read(path, &head, latents, &problem) == DR_OK,
                    "%s", problem.message);
    check(latent_is_finite(latents, LATENT_COUNT));
}

static void run_request(struct dr_engine *engine, const struct job_request *want,
                        struct seen *seen)
{
    const enum dr_code code = try_request(engine, want, seen);
    network_require(code == DR_OK, "%s", problem.message);
    read_latents(seen->latents);
}

static void run_texts(struct dr_engine *engine, const char *const texts[],
                      struct seen *seen)
{
    struct job_request want = request_of(engine, texts);
    run_request(engine, &want, seen);
    job_request_finish(&want);
}

/* ---- the context ----------------------------------------------------------------------------- */

static const char *const first_text[] = {"a red circle", NULL};
static const char *const second_text[] = {"a blue square", NULL};
static const char *const empty_text[] = {"", NULL};
static const char *const both_texts[] = {"a red circle", "a blue square", NULL};

/* One chunk of one image of the batch: the negative prompt is image 0. */
static const float *chunk_at(const struct seen *seen, int32_t image_idx,
                             int32_t chunk_idx)
{
    const int32_t chunk_count = seen->shape.w / TOKENIZER_POSITIONS;
    const size_t chunk_floats = TOKENIZER_POSITIONS * (size_t)seen->shape.c;
    return seen->context + (size_t)(image_idx * chunk_count + chunk_idx) * chunk_floats;
}

static size_t chunk_bytes(const struct seen *seen)
{
    return sizeof(float) * TOKENIZER_POSITIONS * (size_t)seen->shape.c;
}

static void check_two_chunks(const struct seen *both, const struct seen *first,
                             const struct seen *second, const struct seen *empty)
{
    check_int(both->shape.n, ==, 2);
    check_int(both->shape.w, ==, 154);
    check_bytes(chunk_at(both, 1, 0), chunk_at(first, 1, 0), chunk_bytes(both));
    check_bytes(chunk_at(both, 1, 1), chunk_at(second, 1, 0), chunk_bytes(both));
    check_bytes(chunk_at(both, 0, 0), chunk_at(first, 0, 0), chunk_bytes(both));
    check_bytes(chunk_at(both, 0, 1), chunk_at(empty, 1, 0), chunk_bytes(both));
    check(memcmp(chunk_at(first, 1, 0), chunk_at(second, 1, 0), chunk_bytes(both)) !=
          0);
    if (!both->vector) return;
    /* The pooled part is the first chunk's. */
    check_bytes(both->vector, first->vector, first->vector_bytes);
    check(memcmp(both->vector, second->vector, second->vector_bytes) != 0);
}

static void the_context_is_the_chunks(const char *name)
{
    static struct seen first, second, empty, both, again, fresh;
    struct dr_engine *engine = open_engine();
    load(engine, name);
    run_texts(engine, first_text, &first);
    check_int(first.shape.w, ==, 77);
    run_texts(engine, second_text, &second);
    run_texts(engine, empty_text, &empty);
    /* Every chunk is there. */
    run_texts(engine, both_texts, &both);
    check_real(both.text_ms, ==, 0.0);
    check_two_chunks(&both, &first, &second, &empty);
    run_texts(engine, both_texts, &again);
    check_bytes(again.latents, both.latents, sizeof both.latents);
    check(memcmp(first.latents, both.latents, sizeof both.latents) != 0);
    dr_engine_close(&engine);
    /* None is. */
    engine = open_engine();
    load(engine, name);
    run_texts(engine, both_texts, &fresh);
    check_real(fresh.text_ms, >, 0.0);
    check_two_chunks(&fresh, &first, &second, &empty);
    check_bytes(fresh.latents, both.latents, sizeof both.latents);
    dr_engine_close(&engine);
    struct seen *const all[] = {&first, &second, &empty, &both, &again, &fresh};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
        seen_finish(all[i]);
}

static void two_chunks_of_sd15(void)
{
    the_context_is_the_chunks("a.safetensors");
}

static void two_chunks_of_sdxl(void)
{
    the_context_is_the_chunks("x.safetensors");
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void rows_are_those_that_the_job_needs(void)
{
    static const char *const long_text[] = {"one",  "two", "three", "four",
                                            "five", "six", NULL};
    static const char *const last_text[] = {"six", NULL};
    static struct seen seen;
    struct dr_engine *engine = open_engine();
    load(engine, "x.safetensors");
    const struct prompt_cache *const cache = &engine->model.pipeline->prompts;
    run_texts(engine, first_text, &seen);
    check_int(cache->shape.row_count, ==, PROMPT_CACHE_ROWS);
    const size_t usual_bytes = cache->rows.bytes;
    /* Six chunks, the negative prompt, and the empty one; none is encoded twice. */
    run_texts(engine, long_text, &seen);
    check_int(cache->shape.row_count, ==, PROMPT_CACHE_ROWS);
    check_int(seen.shape.w, ==, 6 * 77);
    run_texts(engine, long_text, &seen);
    check_real(seen.text_ms, ==, 0.0);
    /* A short prompt takes no more than it did, and loses nothing that it needs. */
    run_texts(engine, last_text, &seen);
    check_real(seen.text_ms, ==, 0.0);
    check_int(cache->rows.bytes, ==, usual_bytes);
    check_int(cache->shape.row_count, ==, PROMPT_CACHE_ROWS);
    seen_finish(&seen);
    dr_engine_close(&engine);
}

/* With exactly the planned memory the pictures are the same; with a page less there is a refusal. */
static void a_long_prompt_fits_its_budget(void)
{
    static struct seen free_run, seen;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    struct job_request want = request_of(engine, both_texts);
    run_request(engine, &want, &free_run);
    size_t least = free_run.planned_bytes;
    enum dr_code code = DR_OK;
    /* Down to the least that any residency takes. */
    for (int i = 0; code == DR_OK && i < 20; ++i) {
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
        engine->resources.ledger.limit_bytes = least;
        code = try_request(engine, &want, &seen);
        if (code != DR_OK) break;
        read_latents(seen.latents);
        check_int(seen.planned_bytes, <=, least);
        check_bytes(seen.latents, free_run.latents, sizeof seen.latents);
        least = seen.planned_bytes - region_page_bytes();
    }
    check_int(code, ==, DR_OVER_BUDGET);
    engine->resources.ledger.limit_bytes = 0;
    job_request_finish(&want);
    seen_finish(&free_run);
    seen_finish(&seen);
    dr_engine_close(&engine);
}

/* ---- weights --------------------------------------------------------------------------------- */

/* The vectors of the prompt's second chunk are multiplied, not those of any other, nor the pooled one. */
static void check_weighed(const struct seen *weighed, const struct seen *plain,
                          float scale)
{
    const int32_t width = plain->shape.c;
    int different = 0;
    for (int32_t i = 0; i < 2 * 154 * width; ++i) {
        const int32_t token = i / width;
        const float weight = token == 3 * 77 + 2   ? 1.5F
                             : token == 3 * 77 + 3 ? 0.25F
                                                   : 1.0F;
        const float second = token >= 3 * 77 ? scale : 1.0F;
        different += weighed->context[i] != plain->context[i] * weight * second;
    }
    check_int(different, ==, 0);
    check_bytes(weighed->vector, plain->vector, plain->vector_bytes);
}

static void weights_scale_their_tokens(void)
{
    static struct seen plain, weighed, again;
    static const char *const unweighed[] = {"a red circle", "1 2 3", NULL};
    struct dr_engine *engine = open_engine();
    load(engine, "x.safetensors");
    run_texts(engine, unweighed, &plain);
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle BREAK 1 (2:1.5) (3:0.25)";
    options.negative = "fog";
    options.pad_prompts = 1;
    options.emphasis = DR_EMPHASIS_NO_NORM;
    struct job_request want = request_with(engine, &options);
    run_request(engine, &want, &weighed);
    /* No row depends on weights. */
    check_real(weighed.text_ms, ==, 0.0);
    check_weighed(&weighed, &plain, 1.0F);
    check(memcmp(weighed.latents, plain.latents, sizeof plain.latents) != 0);
    job_request_finish(&want);
    options.emphasis = DR_EMPHASIS_IGNORE;
    want = request_with(engine, &options);
    run_request(engine, &want, &again);
    check_bytes(again.latents, plain.latents, sizeof again.latents);
    job_request_finish(&want);
    options.prompt_syntax = DR_PROMPT_PLAIN;
    want = request_with(engine, &options);
    run_request(engine, &want, &again);
    check(memcmp(again.latents, plain.latents, sizeof plain.latents) != 0);
    job_request_finish(&want);
    seen_finish(&plain);
    seen_finish(&weighed);
    seen_finish(&again);
    dr_engine_close(&engine);
}

/* ---- two lengths ------------------------------------------------------------------------------- */

/* The picture and its memory, also with exactly that much of it. */
static void run_prompt(struct dr_engine *engine, const char *prompt,
                       const char *negative, int32_t pads, struct seen *seen)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = prompt;
    options.negative = negative;
    options.pad_prompts = pads;
    struct job_request want = request_with(engine, &options);
    run_request(engine, &want, seen);
    job_request_finish(&want);
}

/* A negative prompt of another length has a run of its own, which changes the picture, and takes no more memory
 * than one batch of both would. */
static void lengths_may_differ(void)
{
    static struct seen padded, apart, same;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    run_prompt(engine, "a red circle BREAK a blue square", "fog", 1, &padded);
    run_prompt(engine, "a red circle BREAK a blue square", "fog", 0, &apart);
    check(memcmp(padded.latents, apart.latents, sizeof padded.latents) != 0);
    run_prompt(engine, "a red circle", "fog", 1, &padded);
    run_prompt(engine, "a red circle", "fog", 0, &same);
    check_bytes(same.latents, padded.latents, sizeof same.latents);
    seen_finish(&padded);
    seen_finish(&apart);
    seen_finish(&same);
    dr_engine_close(&engine);
}

/* ---- AND ---------------------------------------------------------------------------------------- */

/* cfg times the sum of weighted differences: two halves of the same part are the part, a part of weight 0 is
 * none, and the order of two parts changes no more than rounding. */
static void parts_are_added_up(void)
{
    static struct seen one, two, none, more;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    run_prompt(engine, "a red circle", "fog", 0, &one);
    run_prompt(engine, "a red circle :0.5 AND a red circle :0.5", "fog", 0, &two);
    check_real(network_relative_error(two.latents, one.latents, LATENT_COUNT), <, 1e-5);
    run_prompt(engine, "a red circle AND a blue square :0", "fog", 0, &none);
    check_real(network_relative_error(none.latents, one.latents, LATENT_COUNT), <,
               1e-5);
    run_prompt(engine, "a red circle AND a blue square", "fog", 0, &more);
    check_real(network_relative_error(more.latents, one.latents, LATENT_COUNT), >,
               1e-3);
    run_prompt(engine, "a blue square AND a red circle", "fog", 0, &two);
    check_real(network_relative_error(two.latents, more.latents, LATENT_COUNT), <,
               1e-5);
    struct seen *const all[] = {&one, &two, &none, &more};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
        seen_finish(all[i]);
    dr_engine_close(&engine);
}

/* ---- schedules ---------------------------------------------------------------------------------- */

/* Two steps: an entry that ends at step 1 serves both, one that ends before step 1 none. */
static void a_schedule_changes_the_context(void)
{
    static struct seen from, to, seen;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    run_prompt(engine, "a red circle", "fog", 0, &from);
    run_prompt(engine, "a blue square", "fog", 0, &to);
    run_prompt(engine, "[a red circle:a blue square:1]", "fog", 0, &seen);
    check_bytes(seen.latents, from.latents, sizeof seen.latents);
    check_real(seen.text_ms, ==, 0.0);
    run_prompt(engine, "[a red circle:a blue square:0]", "fog", 0, &seen);
    check_bytes(seen.latents, to.latents, sizeof seen.latents);
    seen_finish(&from);
    seen_finish(&to);
    seen_finish(&seen);
    dr_engine_close(&engine);
}

/* ---- what encoded it ------------------------------------------------------------------------- */

static struct pipeline *open_pipeline(struct dr_engine *engine, const char *name)
{
    struct pipeline *pipeline = NULL;
    const struct pipeline_options options = {.dtype = engine->resources.dtype};
    network_require(pipeline_open(&pipeline, in_root(name), &options, &problem) ==
                        DR_OK,
                    "%s", problem.message);
    return pipeline;
}

/* The text encoder of another file takes the slot: the same prompt is encoded anew. With the same weights from
 * another file it is not. */
static void another_encoder_gets_no_row_of_the_first(void)
{
    static struct seen own, other, same, expected;
    struct dr_engine *engine = open_engine();
    load(engine, "b.safetensors");
    run_texts(engine, both_texts, &expected);
    load(engine, "a.safetensors");
    run_texts(engine, both_texts, &own);
    struct slot *const slot = &engine->model.pipeline->slots[ROLE_TEXT];
    struct pipeline *b = open_pipeline(engine, "b.safetensors");
    struct pipeline *copy = open_pipeline(engine, "copy.safetensors");
    const size_t bytes = sizeof(float) * network_count(own.shape);

    slot->override = b->slots[ROLE_TEXT].base;
    run_texts(engine, both_texts, &other);
    check_real(other.text_ms, >, 0.0);
    check_bytes(other.context, expected.context, bytes);
    check(memcmp(other.context, own.context, bytes) != 0);
    check(memcmp(other.latents, own.latents, sizeof own.latents) != 0);

    slot->override = copy->slots[ROLE_TEXT].base;
    run_texts(engine, both_texts, &same);
    check_real(same.text_ms, ==, 0.0);
    check_bytes(same.context, own.context, bytes);

    slot->override = NULL;
    run_texts(engine, both_texts, &same);
    check_real(same.text_ms, ==, 0.0);
    check_bytes(same.context, own.context, bytes);
    check_bytes(same.latents, own.latents, sizeof own.latents);
    slot_release(slot);
    pipeline_close(&copy);
    pipeline_close(&b);
    seen_finish(&own);
    seen_finish(&other);
    seen_finish(&same);
    seen_finish(&expected);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_folder();
    make_checkpoint("a.safetensors", "--family sd15 --size least --seed 1");
    make_checkpoint("b.safetensors", "--family sd15 --size least --seed 2");
    make_checkpoint("x.safetensors", "--family sdxl --size least --seed 5");
    run_command("cp '%s' '%s'", in_root("a.safetensors"), in_root("copy.safetensors"));
    check_run(two_chunks_of_sd15);
    check_run(two_chunks_of_sdxl);
    check_run(rows_are_those_that_the_job_needs);
    check_run(a_long_prompt_fits_its_budget);
    check_run(weights_scale_their_tokens);
    check_run(lengths_may_differ);
    check_run(parts_are_added_up);
    check_run(a_schedule_changes_the_context);
    check_run(another_encoder_gets_no_row_of_the_first);
    return check_done();
}
