#include "job/stage.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/random.h"
#include "base/size.h"
#include "image/resize.h"
#include "job/parameters.h"
#include "mem/arena_plan.h"
#include "sampling/guidance.h"
#include "sampling/latent.h"

enum {
    IMAGE_CHANNELS = 3
};

/* ---- what the plans' progress goes to ---------------------------------------------------- */

struct stage_progress {
    const struct job *job;
    int32_t image;
};

static void report_share(void *cookie, double share)
{
    const struct stage_progress *const progress = cookie;
    job_report(progress->job, progress->image, 0, share);
}

static struct plan_progress plan_progress_of(struct stage_progress *cookie)
{
    return (struct plan_progress){report_share, cookie, cookie->job->context.cancel};
}

/* The plan reads the weights of one slot. */
static enum dr_code bind(const struct job *job, struct plan *plan,
                         const struct slot *slot, struct dr_error *err)
{
    const void *const weights = slot->weights.data;
    return plan_bind(plan, job->arena.data, &weights, 1, err);
}

/* ---- what the plans are of ------------------------------------------------------------------- */

/* A stage writes inputs and reads outputs by the job's sizes; the plan's are the network's. */
static void expect(const struct plan *plan, struct value value, struct shape shape)
{
    plan_expect(plan, value, shape, DTYPE_F32);
}

static struct shape latent_shape(const struct job *job, int32_t n, int32_t channels)
{
    return (struct shape){n, job->latent_height, job->latent_width, channels};
}

static struct shape image_shape(const struct job *job)
{
    return (struct shape){1, job->request.height, job->request.width, IMAGE_CHANNELS};
}

static void check_text_plan(const struct clip_text_plan *text,
                            const struct clip_text_info *info)
{
    plan_expect(text->plan, text->ids, (struct shape){1, 1, TOKENIZER_POSITIONS, 1},
                DTYPE_I32);
    expect(text->plan, text->context,
           (struct shape){1, 1, TOKENIZER_POSITIONS, info->width});
    if (info->pooled)
        expect(text->plan, text->projected,
               (struct shape){1, 1, TOKENIZER_POSITIONS, info->pooled});
}

static void check_unet_plan(const struct job *job)
{
    const struct unet_plan *const unet = &job->unet_plan;
    const struct shape shape =
        latent_shape(job, job->request.guided ? 2 : 1, LATENT_CHANNELS);
    assert(job->request.sampler.count == job->count);
    expect(unet->plan, unet->latent, shape);
    expect(unet->plan, unet->result, shape);
}

/* ---- text -------------------------------------------------------------------------------- */

static struct prompt_cache_key chunk_key(const struct job *job,
                                         const struct source *encoder,
                                         const struct prompt_chunk *chunk)
{
    struct prompt_cache_key key = {.chunk = *chunk,
                                   .clip_skip = job->request.clip_skip,
                                   .dtype = job->context.dtype};
    memcpy(key.encoder, encoder->digest, sizeof key.encoder);
    return key;
}

/* The row of a chunk as the encoder in this slot makes it, or NULL. One whose digest is not known was never
 * read, and has none. */
static const float *find_row(const struct job *job, const struct slot *slot,
                             const struct prompt_chunk *chunk)
{
    const struct source *const encoder = slot_active(slot);
    if (!encoder || !encoder->digest_known) return NULL;
    const struct prompt_cache_key key = chunk_key(job, encoder, chunk);
    return prompt_cache_find(&job->context.pipeline->prompts, slot->kind_idx, &key);
}

static bool encodes_negative(const struct job *job)
{
    return job->request.guided && !job->request.negative_is_zero;
}

/* Looks at every chunk, also after one that is missing: what is found is not replaced by what this job
 * adds. */
static bool chunks_are_cached(const struct job *job, const struct slot *slot,
                              const struct prompt_chunks *list)
{
    bool are_cached = list->count > 0;
    for (int32_t i = 0; i < list->count; ++i)
        if (!find_row(job, slot, &list->chunks[i])) are_cached = false;
    return are_cached;
}

bool stage_text_is_cached(const struct job *job, const struct slot *slot)
{
    const struct job_request *const want = &job->request;
    const int32_t idx = slot->kind_idx;
    const bool prompt = chunks_are_cached(job, slot, &want->prompt_chunks[idx]);
    const bool negative = !encodes_negative(job) ||
                          chunks_are_cached(job, slot, &want->negative_chunks[idx]);
    return prompt && negative;
}

int32_t stage_chunk_count(const struct job *job)
{
    const int32_t count = job->request.prompt_chunks[0].count;
    return count > 0 ? count : 1;
}

struct prompt_cache_shape stage_cache_shape(const struct job *job)
{
    const int32_t prompts = encodes_negative(job) ? 2 : 1;
    return conditioning_cache_shape(job->context.pipeline,
                                    prompts * stage_chunk_count(job));
}

/* What a network's run ended in, unless its weights' file lost a page meanwhile: that explains any
 * result, and takes its place. */
static enum dr_code with_whole_weights(struct slot *slot, enum dr_code code,
                                       struct dr_error *err)
{
    const enum dr_code lost = slot_check_pages(slot, err);
    return lost != DR_OK ? lost : code;
}

/* What else may help against a result that is not finite; "" in float32 already. */
static const char *more_precision(const struct job *job)
{
    return job->context.dtype == DTYPE_BF16 ? "; --precision f32 may help" : "";
}

static enum dr_code check_text(const struct job *job, const struct clip_text_plan *text,
                               const struct clip_text_info *info, int32_t eos_idx,
                               struct dr_error *err)
{
    const size_t pooled = (size_t)info->pooled;
    if (latent_is_finite_in(text->plan, text->context, 0,
                            TOKENIZER_POSITIONS * (size_t)info->width) &&
        (!pooled || latent_is_finite_in(text->plan, text->projected,
                                        (size_t)eos_idx * pooled, pooled)))
        return DR_OK;
    return error_set(
        err, DR_NOT_FINITE,
        "the text encoder's result is not finite (NaN or infinity): its weights "
        "in %.400s may be damaged%s",
        job->context.pipeline->path, more_precision(job));
}

static enum dr_code encode_chunk(struct job *job, struct slot *slot,
                                 const struct prompt_chunk *chunk, struct dr_error *err)
{
    struct pipeline *const pipeline = job->context.pipeline;
    const struct clip_text_plan *const text = &job->text_plans[slot->kind_idx];
    const struct clip_text_info info = clip_text_info(pipeline->text[slot->kind_idx]);
    if (find_row(job, slot, chunk)) return DR_OK;
    enum dr_code code = bind(job, text->plan, slot, err);
    if (code != DR_OK) return code;
    check_text_plan(text, &info);
    plan_write(text->plan, text->ids, 0, TOKENIZER_POSITIONS, chunk->ids);
    struct stage_progress cookie = {job, 0};
    const struct plan_progress progress = plan_progress_of(&cookie);
    const double started = clock_ms();
    code = with_whole_weights(slot, plan_run(text->plan, &progress, err), err);
    if (code != DR_OK) return code;
    job->text_ms += clock_ms() - started;
    code = check_text(job, text, &info, chunk->eos_idx, err);
    if (code != DR_OK) return code;
    const struct source *const encoder = slot_active(slot);
    assert(encoder == slot->resident && encoder->digest_known);
    const struct prompt_cache_key key = chunk_key(job, encoder, chunk);
    conditioning_store(text, &info, chunk,
                       prompt_cache_add(&pipeline->prompts, slot->kind_idx, &key));
    return DR_OK;
}

static enum dr_code encode_chunks(struct job *job, struct slot *slot,
                                  const struct prompt_chunks *list,
                                  struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < list->count; ++i)
        code = encode_chunk(job, slot, &list->chunks[i], err);
    return code;
}

enum dr_code stage_text(struct job *job, struct slot *slot, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    job->stage = DR_STAGE_TEXT;
    enum dr_code code =
        encode_chunks(job, slot, &want->prompt_chunks[slot->kind_idx], err);
    if (code == DR_OK && encodes_negative(job))
        code = encode_chunks(job, slot, &want->negative_chunks[slot->kind_idx], err);
    return code;
}

/* ---- init picture ------------------------------------------------------------------------ */

static struct resize_shape resize_of(const struct job *job)
{
    return (struct resize_shape){.source_width = job->head.width,
                                 .source_height = job->head.height,
                                 .target_width = job->request.width,
                                 .target_height = job->request.height};
}

static size_t picture_pixels_bytes(const struct job *job)
{
    return sizeof(float) * IMAGE_CHANNELS * (size_t)job->head.width *
           (size_t)job->head.height;
}

enum dr_code stage_open_picture(struct job *job, size_t *bytes, struct dr_error *err)
{
    const enum dr_code code =
        image_reader_open(&job->reader, &job->head, job->request.init, err);
    if (code != DR_OK) return code;
    const struct resize_shape shape = resize_of(job);
    job->decoder_bytes = job->head.decoder_bytes;
    *bytes = size_align(picture_pixels_bytes(job), ARENA_ALIGN) +
             resize_scratch_bytes(&shape);
    return DR_OK;
}

void stage_close_picture(struct job *job)
{
    image_reader_close(&job->reader);
}

/* Samples in 0..1, and beyond where the resize overshoots, to the encoder's -1..1. */
static void put_samples(void *cookie, size_t first, size_t count, float *samples)
{
    const struct vae_encode_plan *const encode = cookie;
    for (size_t i = 0; i < count; ++i) {
        const float clamped = samples[i] < 0.0F   ? 0.0F
                              : samples[i] > 1.0F ? 1.0F
                                                  : samples[i];
        samples[i] = 2.0F * clamped - 1.0F;
    }
    plan_write(encode->plan, encode->image, first, count, samples);
}

/* An encode job wants the mean of the distribution, scaled. */
static void take_mean(struct job *job)
{
    float mean[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    const struct vae_info info = vae_info(job_vae_spec(job));
    const size_t cells = job->count / LATENT_CHANNELS;
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        vae_sample((int64_t)count, job->moments + 2 * LATENT_CHANNELS * first, NULL,
                   mean);
        vae_scale(&info, mean, LATENT_CHANNELS * count);
        latent_block_to_channels_first(mean, job->results, cells, first, count);
    }
}

enum dr_code stage_encode(struct job *job, struct dr_error *err)
{
    struct vae_encode_plan *const encode = &job->encode_plan;
    struct slot *const slot = job->context.pipeline->vae_slot;
    const struct resize_shape shape = resize_of(job);
    float *const pixels = (void *)job->picture.data;
    void *const scratch =
        job->picture.data + size_align(picture_pixels_bytes(job), ARENA_ALIGN);
    job->stage = DR_STAGE_ENCODE;
    enum dr_code code = image_reader_pixels(job->reader, pixels, err);
    stage_close_picture(job); /* what its decoder holds is not for the whole job */
    if (code == DR_OK) code = bind(job, encode->plan, slot, err);
    if (code != DR_OK) return code;
    expect(encode->plan, encode->image, image_shape(job));
    expect(encode->plan, encode->moments, latent_shape(job, 1, 2 * LATENT_CHANNELS));
    const struct resize_target target = {put_samples, encode};
    resize_run(&shape, pixels, &target, scratch);
    struct stage_progress cookie = {job, 0};
    const struct plan_progress progress = plan_progress_of(&cookie);
    const double started = clock_ms();
    code = with_whole_weights(slot, plan_run(encode->plan, &progress, err), err);
    if (code != DR_OK) return code;
    if (!job->request.wants_sample) job->vae_ms += clock_ms() - started;
    plan_read(encode->plan, encode->moments, 0, 2 * job->count, job->moments);
    if (!latent_is_finite(job->moments, 2 * job->count))
        return error_set(
            err, DR_NOT_FINITE,
            "the VAE encoder's result is not finite (NaN or infinity) for %.600s",
            job->request.init);
    if (!job->request.wants_sample) take_mean(job);
    return DR_OK;
}

/* ---- sampling ---------------------------------------------------------------------------- */

/* The start of one picture: noise, or the init picture's latent with noise mixed in. */
static void start_image(struct job *job, struct sampler *sampler,
                        struct random_source *random, float *result)
{
    const size_t cells = job->count / LATENT_CHANNELS;
    if (!job->request.wants_encode) {
        random_normal(random, sampler->latent, job->count);
        sampler_start(sampler, NULL);
        return;
    }
    const struct vae_info info = vae_info(job_vae_spec(job));
    random_normal(random, job->noise, job->count);
    latent_to_channels_last(job->noise, job->prediction, cells);
    vae_sample((int64_t)cells, job->moments, job->prediction, result);
    vae_scale(&info, result, job->count);
    latent_to_channels_first(result, sampler->latent, cells);
    random_normal(random, job->noise, job->count);
    sampler_start(sampler, job->noise);
}

static void report_step(void *cookie, int32_t done, int32_t total)
{
    const struct stage_progress *const progress = cookie;
    job_report(progress->job, progress->image, done, (double)done / total);
}

static enum dr_code sample_image(struct job *job, int32_t idx, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    float *const result = job->results + (size_t)idx * job->count;
    struct random_source random;
    struct sampler sampler;
    random_init(&random, want->rng == DR_RNG_CPU ? RANDOM_CPU : RANDOM_CUDA,
                job->images[idx].seed);
    enum dr_code code =
        sampler_init(&sampler, &want->sampler, job->sampler_memory, &random, err);
    if (code != DR_OK) return code;
    start_image(job, &sampler, &random, result);
    job->calls_total = sampler_call_count(&sampler);
    struct stage_progress cookie = {job, idx};
    struct guidance guidance = {
        .unet = &job->unet_plan,
        .guided = want->guided,
        .cfg = want->cfg,
        .prediction = job->prediction,
        .report = report_step,
        .cookie = &cookie,
        .cancel = job->context.cancel,
    };
    code = guidance_run(&guidance, &sampler, job->count, err);
    job->unet_ms += guidance.ms;
    job->unet_calls += guidance.call_count;
    if (code != DR_OK) {
        if (want->batch > 1)
            error_prefix(err, "picture %d of %d", (int)idx + 1, (int)want->batch);
        return code;
    }
    memcpy(result, sampler.latent, sizeof(float) * job->count);
    return DR_OK;
}

/* The inputs of one image of the batch. lists: one for each text encoder; NULL: zeros. */
static void apply_prompt(struct job *job, int32_t image_idx,
                         const struct prompt_chunks *lists)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    const int32_t chunk_count = stage_chunk_count(job);
    for (int32_t text_idx = 0; text_idx < pipeline->text_count; ++text_idx) {
        const struct slot *const slot =
            pipeline_slot(pipeline, DR_COMPONENT_TEXT, text_idx);
        const struct prompt_chunks *const list = lists ? &lists[text_idx] : NULL;
        assert(!list || list->count == chunk_count);
        for (int32_t i = 0; i < chunk_count; ++i) {
            const struct conditioning_place place = {image_idx, i, text_idx};
            const float *const row =
                list ? find_row(job, slot, &list->chunks[i]) : NULL;
            assert(row || !list); /* one that is missing would pass for zeros */
            conditioning_apply(pipeline, &job->unet_plan, place, row);
        }
    }
    conditioning_apply_sizes(pipeline, &job->unet_plan, image_idx, &job->request.sizes);
}

/* The batch is [negative, prompt], as everywhere in this field. */
static void copy_conditioning(struct job *job)
{
    const struct job_request *const want = &job->request;
    if (want->guided)
        apply_prompt(job, 0, encodes_negative(job) ? want->negative_chunks : NULL);
    apply_prompt(job, want->guided ? 1 : 0, want->prompt_chunks);
}

enum dr_code stage_sample(struct job *job, struct dr_error *err)
{
    job->stage = DR_STAGE_UNET;
    struct slot *const slot =
        pipeline_slot(job->context.pipeline, DR_COMPONENT_UNET, 0);
    enum dr_code code = bind(job, job->unet_plan.plan, slot, err);
    if (code != DR_OK) return code;
    check_unet_plan(job);
    copy_conditioning(job);
    for (int32_t i = 0; code == DR_OK && i < job->request.batch; ++i)
        code = with_whole_weights(slot, sample_image(job, i, err), err);
    return code;
}

/* ---- latent files ------------------------------------------------------------------------ */

enum dr_code stage_latents(struct job *job, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    const struct latent_head head = {want->batch, job->latent_height,
                                     job->latent_width};
    if (want->latent_input) {
        const enum dr_code code =
            latent_file_read(want->latent_input, &head, job->results, err);
        if (code != DR_OK) return code;
        if (!latent_is_finite(job->results, job->count * (size_t)want->batch))
            return error_set(err, DR_NOT_FINITE,
                             "the latents in %.800s hold NaN or infinity",
                             want->latent_input);
        return DR_OK;
    }
    job->stage = DR_STAGE_WRITE;
    job_report(job, 0, 0, 0.0);
    const enum dr_code code = latent_file_write(want->output, job->results, head.n,
                                                head.height, head.width, err);
    for (int32_t i = 0; code == DR_OK && i < want->batch; ++i)
        (void)snprintf(job->images[i].path, sizeof job->images[i].path, "%s",
                       want->output);
    return code;
}

/* ---- decoding ---------------------------------------------------------------------------- */

static const char *digest_text(const struct source *source, char out[static DIGEST_HEX])
{
    out[0] = '\0';
    if (source && source->digest_known) digest_hex(source->digest, out);
    return out;
}

/* A1111's text, malloc'ed (its length is the prompt's). vae: the one that decodes. */
static char *parameters_text(const struct job *job, int32_t idx,
                             const struct source *vae, const char *model_digest,
                             const char *vae_digest)
{
    const struct job_request *const want = &job->request;
    const struct pipeline *const pipeline = job->context.pipeline;
    const bool own = vae == job->context.pipeline->vae_slot->base;
    const struct parameters parameters = {
        .prompt = want->prompt,
        .negative = want->negative,
        .steps = want->sampler.steps,
        .width = want->width,
        .height = want->height,
        .clip_skip = want->clip_skip,
        .sampler = want->sampler.kind,
        .schedule = want->sampler.schedule,
        .cfg = (double)want->cfg,
        .seed = job->images[idx].seed,
        .model_name = pipeline->name,
        .model_digest = model_digest,
        .vae_name = own ? "built-in" : path_name(vae->path),
        .vae_digest = vae_digest,
        .prediction = want->sampler.prediction,
        .rng = want->rng,
        .image_to_image = want->wants_encode,
        .strength = want->strength,
        .sizes = want->sizes_said ? &want->sizes : NULL,
        .precision = job->context.dtype == DTYPE_BF16 ? "bf16" : "f32",
    };
    const size_t bytes = parameters_format(&parameters, NULL, 0) + 1;
    char *const text = malloc(bytes);
    if (text) (void)parameters_format(&parameters, text, bytes);
    return text;
}

static struct image_write_options write_options(const struct job *job, int32_t idx,
                                                const char *text)
{
    const struct job_request *const want = &job->request;
    struct image_write_options options = {.width = want->width,
                                          .height = want->height,
                                          .bits = want->bits,
                                          .quality = want->quality,
                                          .parameters = text};
    (void)image_format_from_path(job->images[idx].path, &options.format);
    return options;
}

/* Digests are not known yet; all have one length. */
enum dr_code stage_check_text(const struct job *job, struct dr_error *err)
{
    static const char digest[] = "0000000000";
    const struct job_request *const want = &job->request;
    const struct source *const vae = slot_active(job->context.pipeline->vae_slot);
    enum dr_code code = DR_OK;
    if (!job->images || !want->wants_sample || !want->wants_decode ||
        want->output_is_latent)
        return DR_OK;
    for (int32_t i = 0; code == DR_OK && i < want->batch; ++i) {
        if (!job->images[i].path[0]) continue;
        char *const text = parameters_text(job, i, vae, digest, digest);
        const struct image_write_options options = write_options(job, i, text);
        code = image_check_write(job->images[i].path, &options, err);
        free(text);
    }
    return code;
}

/* The decoder's nominal -1..1 to 0..1, clamped. */
static void to_unit(float *samples, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        const float value = samples[i] * 0.5F + 0.5F;
        samples[i] = value < 0.0F ? 0.0F : value > 1.0F ? 1.0F : value;
    }
}

/* The caller's image callback takes the whole picture in one piece, 0..1. It stays so. */
static void show_picture(struct job *job, int32_t idx)
{
    const struct job_request *const want = &job->request;
    struct vae_decode_plan *const decode = &job->decode_plan;
    float *const rgb = plan_borrow(decode->plan, decode->image);
    to_unit(rgb, IMAGE_CHANNELS * (size_t)want->width * (size_t)want->height);
    want->image(want->image_cookie, idx, job->images[idx].seed, rgb, want->width,
                want->height);
    plan_return(decode->plan);
}

/* A row of the decoded picture for the file. */
static void get_row(void *cookie, int32_t y, float *rgb)
{
    const struct job *const job = cookie;
    const struct vae_decode_plan *const decode = &job->decode_plan;
    const size_t samples = IMAGE_CHANNELS * (size_t)job->request.width;
    plan_read(decode->plan, decode->image, (size_t)y * samples, samples, rgb);
    if (!job->request.image) to_unit(rgb, samples);
}

static enum dr_code write_picture(struct job *job, int32_t idx, struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    if (want->image) show_picture(job, idx);
    if (want->output_is_latent || !job->images[idx].path[0]) return DR_OK;
    job->stage = DR_STAGE_WRITE;
    job_report(job, idx, 0, 0.0);
    const struct source *const model =
        pipeline_slot(job->context.pipeline, DR_COMPONENT_UNET, 0)->base;
    const struct source *const vae = job->context.pipeline->vae_slot->resident;
    char of_model[DIGEST_HEX], of_vae[DIGEST_HEX];
    char *const text =
        want->wants_sample
            ? parameters_text(job, idx, vae, digest_text(model, of_model),
                              digest_text(vae, of_vae))
            : NULL;
    const struct image_write_options options = write_options(job, idx, text);
    const struct image_rows rows = {get_row, job};
    const enum dr_code code =
        image_write_rows(job->images[idx].path, &options, &rows, err);
    free(text);
    return code;
}

/* A sampled latent to the decoder's input. */
static void write_decoder_input(struct job *job, int32_t idx)
{
    float block[LATENT_CHANNELS * LATENT_BLOCK_CELLS];
    const struct vae_info info = vae_info(job_vae_spec(job));
    const float *const latent = job->results + (size_t)idx * job->count;
    const size_t cells = job->count / LATENT_CHANNELS;
    for (size_t first = 0, count; first < cells; first += count) {
        count = latent_block_cells(first, cells);
        latent_block_to_channels_last(latent, block, cells, first, count);
        vae_unscale(&info, block, LATENT_CHANNELS * count);
        plan_write(job->decode_plan.plan, job->decode_plan.latent,
                   LATENT_CHANNELS * first, LATENT_CHANNELS * count, block);
    }
}

static enum dr_code decode_image(struct job *job, int32_t idx, struct dr_error *err)
{
    const struct vae_decode_plan *const decode = &job->decode_plan;
    struct slot *const slot = job->context.pipeline->vae_slot;
    struct stage_progress cookie = {job, idx};
    const struct plan_progress progress = plan_progress_of(&cookie);
    expect(decode->plan, decode->latent, latent_shape(job, 1, LATENT_CHANNELS));
    expect(decode->plan, decode->image, image_shape(job));
    const double started = clock_ms();
    job->stage = DR_STAGE_DECODE;
    write_decoder_input(job, idx);
    const enum dr_code code =
        with_whole_weights(slot, plan_run(decode->plan, &progress, err), err);
    if (code != DR_OK) return code;
    job->vae_ms += clock_ms() - started;
    ++job->vae_runs;
    const size_t samples =
        IMAGE_CHANNELS * (size_t)job->request.width * (size_t)job->request.height;
    if (!latent_is_finite_in(decode->plan, decode->image, 0, samples))
        return error_set(
            err, DR_NOT_FINITE,
            "the VAE decoder's result is not finite (NaN or infinity) for picture "
            "%d; another VAE may help%s",
            (int)idx + 1, more_precision(job));
    return write_picture(job, idx, err);
}

enum dr_code stage_decode(struct job *job, struct dr_error *err)
{
    const int32_t count = job->request.batch;
    int32_t done = 0;
    enum dr_code code =
        bind(job, job->decode_plan.plan, job->context.pipeline->vae_slot, err);
    while (code == DR_OK && done < count) {
        code = decode_image(job, done, err);
        if (code == DR_OK) ++done;
    }
    /* Whole pictures are kept: the time that they took was the user's. */
    if (code != DR_OK && done > 0 && job->images[0].path[0] &&
        !job->request.output_is_latent)
        error_prefix(err, "after %d of %d pictures were written", (int)done,
                     (int)count);
    return code;
}
