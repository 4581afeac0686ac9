#include "job/write_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "job/model_hash.h"
#include "job/output.h"
#include "job/parameters.h"
#include "job/step_run.h"
#include "model/latent_space.h"
#include "sampling/latent.h"

/* ---- latent files ------------------------------------------------------------------------ */

static struct latent_head head_of(const struct step *step, int32_t count)
{
    return (struct latent_head){count, step->height / LATENT_FACTOR,
                                step->width / LATENT_FACTOR};
}

/* The first pictures of the batch are in a file now: record them and inform the caller. */
static void note_written(struct job *job, int32_t idx)
{
    const struct job_request *const want = &job->request;
    if (job->written_count <= idx) job->written_count = idx + 1;
    if (want->written) want->written(want->written_cookie, idx, &job->images[idx]);
}

enum dr_code step_run_read_latents(struct job *job, const struct step *step,
                                   struct dr_error *err)
{
    const char *const path = job->request.latent_input;
    const struct latent_head head = head_of(step, job->request.batch);
    float *const latents = step_value_of(job, step->latents);
    const enum dr_code code = latent_file_read(path, &head, latents, err);
    if (code != DR_OK) return code;
    if (!latent_is_finite(latents,
                          step_latent_count(step) * (size_t)job->request.batch))
        return error_set(err, DR_NOT_FINITE,
                         "the latents in %.800s hold NaN or infinity", path);
    return DR_OK;
}

enum dr_code step_run_write_latents(struct job *job, const struct step *step,
                                    struct dr_error *err)
{
    const char *const path = job->request.files.path;
    const int32_t count =
        job->request.kind == JOB_GENERATE ? job->sampled_count : job->request.batch;
    const struct latent_head head = head_of(step, count);
    const bool replaces = output_exists(path);
    job->stage = DR_STAGE_WRITE;
    job_report(job, 0, 0, 0.0);
    const enum dr_code code = latent_file_write(path, step_value_of(job, step->latents),
                                                head.n, head.height, head.width, err);
    for (int32_t i = 0; code == DR_OK && i < count; ++i) {
        (void)snprintf(job->images[i].path, sizeof job->images[i].path, "%s", path);
        job->images[i].replaced = replaces;
        note_written(job, i);
    }
    return code;
}

/* ---- the text in a picture ----------------------------------------------------------------- */

static void digest_text(const struct source *source, char out[static DIGEST_HEX])
{
    out[0] = '\0';
    if (source && source->digest_known) digest_hex(source->digest, out);
}

/* Each hexadecimal, at least ten digits. */
struct digests {
    char loras[PIPELINE_ADAPTERS][ADAPTER_HASH_BYTES];
    char model[MODEL_HASH_BYTES], unet[DIGEST_HEX], vae[DIGEST_HEX];
    char base[DIGEST_HEX]; /* of the base's text encoder; "": it is not used */
};

/* What weights that the picture was made with were rounded to; NULL: none were. */
static const char *rounded_to(const struct pipeline *pipeline, const struct source *vae)
{
    for (int32_t i = 0; i < pipeline->slot_count; ++i) {
        const struct slot *const slot = &pipeline->slots[i];
        const struct source *const source =
            slot == pipeline->vae_slot ? vae : slot->base;
        if (source && source->spec->rounded_to != STORAGE_FILE)
            return component_storage_name(source->spec->rounded_to);
    }
    return NULL;
}

/* The first text encoder, where it is the base's; else NULL. */
static const struct source *base_text(const struct pipeline *pipeline)
{
    const struct slot *const text = pipeline_slot(pipeline, DR_COMPONENT_TEXT, 0);
    const bool is_of_base =
        text && text->base && text->base->spec->index->file == &pipeline->base.file;
    return is_of_base ? text->base : NULL;
}

/* The LoRAs and embeddings of a job, as its text names them. */
struct named_files {
    struct parameters_lora given[DR_MAX_LORAS];
    struct parameters_hash loras[PIPELINE_ADAPTERS], embeddings[EMBEDDING_SET_MOST];
    char embedding_hashes[EMBEDDING_SET_MOST][EMBEDDING_HASH_BYTES];
};

static void name_files(const struct job *job, const struct digests *digests,
                       struct named_files *files)
{
    const struct job_request *const want = &job->request;
    const struct adapter_set *const adapters = job_adapters(job);
    *files = (struct named_files){0};
    for (int32_t i = 0; i < want->given_lora_count && i < DR_MAX_LORAS; ++i) {
        struct parameters_lora *const given = &files->given[i];
        path_stem(want->given_loras[i].path, given->name, sizeof given->name);
        given->unet = want->given_loras[i].unet_weight;
        given->text = want->given_loras[i].text_weight;
    }
    for (int32_t i = 0; i < adapters->count; ++i)
        files->loras[i] =
            (struct parameters_hash){adapters->items[i]->name, digests->loras[i]};
    for (int32_t i = 0; i < want->embeddings.count; ++i)
        files->embeddings[i] = (struct parameters_hash){
            want->embeddings.items[i].name,
            embedding_file_hash(&want->embeddings.items[i].file,
                                files->embedding_hashes[i])};
}

/* A1111's text, malloc'ed (its length is the prompt's). vae: the one that decodes. */
static char *parameters_text(const struct job *job, int32_t idx,
                             const struct source *vae, const struct digests *digests)
{
    const struct job_request *const want = &job->request;
    const struct pipeline *const pipeline = job->context.pipeline;
    const bool own = vae == pipeline->vae_slot->base;
    struct dr_sampling sampling = want->sampling;
    struct named_files files;
    name_files(job, digests, &files);
    char base[sizeof pipeline->name] = "";
    if (pipeline->base.file.path)
        path_stem(pipeline->base.file.path, base, sizeof base);
    sampling.variation_seed += (uint64_t)idx;
    const struct parameters parameters = {
        .prompt = want->prompt,
        .negative = want->negative,
        .has_empty_negative = pipeline->checkpoint.family == FAMILY_SDXL &&
                              want->has_negative && !want->negative[0],
        .steps = want->sampler.steps,
        .width = want->cut_width,
        .height = want->cut_height,
        .clip_skip = want->clip_skip,
        .sampler = want->sampler.kind,
        .schedule = want->sampler.schedule,
        .cfg = (double)want->cfg,
        .seed = job->images[idx].seed,
        .sampling = &sampling,
        .model_name = pipeline->name,
        .model_hash = digests->model,
        .unet_digest = digests->unet,
        .vae_name = own ? "built-in" : path_name(vae->path),
        .vae_digest = digests->vae,
        .prediction = want->sampler.prediction,
        .rng = want->rng,
        .prompt_syntax = want->prompt_syntax,
        .emphasis = want->prompts.emphasis,
        .pads = want->pads,
        .image_to_image = want->init != NULL,
        .strength = want->strength,
        .sizes = want->sizes_said ? &want->sizes : NULL,
        .precision = job->context.dtype == DTYPE_BF16 ? "bf16" : "f32",
        .weights = rounded_to(pipeline, vae),
        .exact_convolutions = job->context.exact_convolutions,
        .base_name = base[0] ? base : NULL,
        .base_digest = digests->base,
        .given_loras = files.given,
        .given_lora_count = want->given_lora_count,
        .loras = files.loras,
        .lora_count = job_adapters(job)->count,
        .embeddings = files.embeddings,
        .embedding_count = want->embeddings.count,
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
    struct image_write_options options = {.width = want->cut_width,
                                          .height = want->cut_height,
                                          .bits = want->bits,
                                          .quality = want->quality,
                                          .parameters = text};
    (void)image_format_from_path(job->images[idx].path, &options.format);
    return options;
}

/* Digests are not known yet; all have one length. */
enum dr_code write_step_check_text(const struct job *job, struct dr_error *err)
{
    struct digests zeros = {.model = "0000000000",
                            .unet = "0000000000",
                            .vae = "0000000000",
                            .base = "0000000000"};
    const struct job_request *const want = &job->request;
    const struct source *const vae = slot_active(job->context.pipeline->vae_slot);
    enum dr_code code = DR_OK;
    if (!job->images || want->kind != JOB_GENERATE || want->output_is_latent)
        return DR_OK;
    for (int32_t i = 0; i < PIPELINE_ADAPTERS; ++i)
        (void)snprintf(zeros.loras[i], sizeof zeros.loras[i], "000000000000");
    for (int32_t i = 0; code == DR_OK && i < want->batch; ++i) {
        if (!job->images[i].path[0]) continue;
        char *const text = parameters_text(job, i, vae, &zeros);
        const struct image_write_options options = write_options(job, i, text);
        code = image_check_write(job->images[i].path, &options, err);
        free(text);
    }
    return code;
}

/* ---- pictures ------------------------------------------------------------------------------ */

/* A decoded picture, in its plan's arena. */
struct decoded {
    const struct vae_decode_plan *decode;
    int32_t width;     /* in the arena */
    int32_t cut_width; /* that is written */
    bool is_unit;      /* it is 0..1 already */
};

/* Moves the rows of the part that is kept together. */
static void cut_rows(float *rgb, int32_t width, int32_t cut_width, int32_t cut_height)
{
    const size_t from = (size_t)PICTURE_CHANNELS * (size_t)width;
    const size_t to = (size_t)PICTURE_CHANNELS * (size_t)cut_width;
    for (size_t y = 1; cut_width < width && y < (size_t)cut_height; ++y)
        memmove(rgb + y * to, rgb + y * from, to * sizeof *rgb);
}

/* The caller's image callback takes the complete image in one piece, with samples in 0..1. */
static void show_picture(const struct job *job, const struct step *step,
                         struct decoded *picture)
{
    const struct job_request *const want = &job->request;
    const int32_t idx = step->image_idx;
    float *const rgb = plan_borrow(picture->decode->plan, picture->decode->image);
    step_to_unit(rgb,
                 (size_t)PICTURE_CHANNELS * (size_t)step->width * (size_t)step->height);
    cut_rows(rgb, step->width, want->cut_width, want->cut_height);
    want->image(want->image_cookie, idx, job->images[idx].seed, rgb, want->cut_width,
                want->cut_height);
    plan_return(picture->decode->plan);
    picture->width = want->cut_width;
    picture->is_unit = true;
}

/* A row of the decoded picture for the file. */
static void get_row(void *cookie, int32_t y, float *rgb)
{
    const struct decoded *const picture = cookie;
    const size_t stride = (size_t)PICTURE_CHANNELS * (size_t)picture->width;
    const size_t samples = (size_t)PICTURE_CHANNELS * (size_t)picture->cut_width;
    plan_read(picture->decode->plan, picture->decode->image, (size_t)y * stride,
              samples, rgb);
    if (!picture->is_unit) step_to_unit(rgb, samples);
}

/* A picture does not need them: only a cancel is an error. */
static enum dr_code hash_loras(const struct job *job, struct digests *digests,
                               struct dr_error *err)
{
    const struct adapter_set *const adapters = job_adapters(job);
    struct dr_error why;
    for (int32_t i = 0; i < adapters->count; ++i) {
        digests->loras[i][0] = '\0';
        if (adapter_set_hash(adapters, i, job->context.cancel, digests->loras[i],
                             &why) != DR_CANCELLED)
            continue;
        *err = why;
        return DR_CANCELLED;
    }
    return DR_OK;
}

static enum dr_code write_file(struct job *job, int32_t idx, struct decoded *picture,
                               struct dr_error *err)
{
    const struct pipeline *const pipeline = job->context.pipeline;
    const struct source *const vae = pipeline->vae_slot->resident;
    struct digests digests;
    char *text = NULL;
    if (job->request.kind == JOB_GENERATE) {
        const struct slot *const unet = pipeline_slot(pipeline, DR_COMPONENT_UNET, 0);
        enum dr_code code = model_hash_get(job, digests.model, err);
        if (code != DR_OK) return code;
        digest_text(unet->base, digests.unet);
        digest_text(vae, digests.vae);
        digest_text(base_text(pipeline), digests.base);
        code = hash_loras(job, &digests, err);
        if (code != DR_OK) return code;
        text = parameters_text(job, idx, vae, &digests);
    }
    const struct image_write_options options = write_options(job, idx, text);
    const struct image_rows rows = {get_row, picture};
    const enum dr_code code =
        image_write_rows(job->images[idx].path, &options, &rows, err);
    free(text);
    return code;
}

enum dr_code step_run_write(struct job *job, const struct step *step,
                            struct dr_error *err)
{
    const struct job_request *const want = &job->request;
    const int32_t idx = step->image_idx;
    struct decoded picture = {.decode = &step_list_network_of(&job->list, step)->decode,
                              .width = step->width,
                              .cut_width = want->cut_width};
    if (want->image) show_picture(job, step, &picture);
    if (want->output_is_latent || !job->images[idx].path[0]) return DR_OK;
    job->stage = DR_STAGE_WRITE;
    job->images[idx].replaced = output_exists(job->images[idx].path);
    job_report(job, idx, 0, 0.0);
    const enum dr_code code = write_file(job, idx, &picture, err);
    if (code == DR_OK) note_written(job, idx);
    return code;
}
