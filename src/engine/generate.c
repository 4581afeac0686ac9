/* Jobs: a checked request is planned, run and answered (request.h, job.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "compute/yardstick.h"
#include "engine/engine.h"
#include "engine/job_handle.h"
#include "job/output.h"
#include "job/profile.h"
#include "job/request.h"
#include "job/seed_noise.h"
#include "switch/vae_choice.h"
#include "switch/vae_switch.h"

const char *dr_stage_name(enum dr_stage stage)
{
    switch (stage) {
    case DR_STAGE_LOAD: return "load";
    case DR_STAGE_TEXT: return "text";
    case DR_STAGE_ENCODE: return "encode";
    case DR_STAGE_UNET: return "unet";
    case DR_STAGE_DECODE: return "decode";
    case DR_STAGE_WRITE: return "write";
    }
    return "";
}

/* The VAE that developed a job's pictures: the choice's own, or the pipeline's. */
static void describe_job_vae(const struct dr_engine *engine, const char *said,
                             const struct vae_choice *choice, struct dr_vae_info *info)
{
    struct vae_file *const file =
        choice->is_present ? engine->model.pipeline->override : choice->file;
    if (!said) {
        engine_describe_setting(engine, info);
        return;
    }
    const struct vae_said by_job = vae_said_by(VAE_SAID_JOB, said);
    engine_describe_vae(engine, &by_job, &choice->resolution, file, info);
}

/* ---- running ----------------------------------------------------------------------------- */

static struct dr_image_info *make_images(const struct job_request *want)
{
    struct dr_image_info *const images = calloc((size_t)want->batch, sizeof *images);
    if (!images) return NULL;
    for (int32_t i = 0; i < want->batch; ++i) {
        images[i].seed = seed_noise_seed(&want->sampling, want->seed, i);
        if (want->files.path && !want->output_is_latent)
            output_name(&want->files, i, images[i].path);
    }
    return images;
}

/* What the three public calls share: from a request to a finished job. */
struct job_outcome {
    struct dr_image_info *images;
    int32_t image_count;
    struct dr_vae_info vae;
    uint64_t planned_bytes, peak_bytes;
    double text_ms, unet_ms, vae_ms;
    int32_t unet_calls, vae_runs;
    double library_flop_per_ms;
    struct dr_profile *profile;
    char warning[DR_TEXT_BYTES];
    char how[JOB_MANNER_BYTES];
};

/* Take the job's answers over. */
static void take_outcome(const struct job *job, struct job_outcome *outcome)
{
    const struct job_request *const want = &job->request;
    /* Where it ran it was verified; by now the job's own VAE is released again. */
    outcome->vae.verified =
        (want->init || job_request_decodes(want)) && outcome->vae.digest[0];
    outcome->images = job->images;
    outcome->image_count = want->batch;
    outcome->text_ms = job->text_ms;
    outcome->unet_ms = job->unet_ms;
    outcome->vae_ms = job->vae_ms;
    outcome->unet_calls = job->unet_calls;
    outcome->vae_runs = job->vae_runs;
    job_manner(job, outcome->how);
    if (want->profile)
        outcome->profile = profile_create(job, outcome->library_flop_per_ms);
    (void)snprintf(outcome->warning, sizeof outcome->warning, "%s", job->warning);
}

static enum dr_code run_with(struct dr_job *handle, const struct job_request *want,
                             const struct vae_choice_words *words,
                             const struct vae_choice *choice,
                             const struct adapter_set *adapters,
                             struct job_outcome *outcome, struct dr_error *err)
{
    struct dr_engine *const engine = handle->engine;
    struct job job = {.context = engine_job_context(engine),
                      .request = *want,
                      .vae = choice->file,
                      .vae_to_base =
                          vae_choice_leaves_override(choice, engine->model.pipeline),
                      .vae_forced = words->force,
                      .adapters = adapters};
    enum dr_code code = DR_OK;
    job.images = make_images(want);
    if (!job.images)
        code = error_set(err, DR_NOMEM, "no memory for the list of pictures");
    if (code == DR_OK) code = job_prepare(&job, err);
    if (code == DR_OK) code = job_admit(&job, err);
    if (code == DR_OK) job_handle_set_planned(handle, job.planned_bytes);
    engine_lock(engine);
    ledger_reset_peak(&engine->resources.ledger);
    engine_unlock(engine);
    if (code == DR_OK) code = job_run(&job, err);
    outcome->planned_bytes = job.planned_bytes;
    outcome->peak_bytes = engine->resources.ledger.peak_private_bytes;
    if (code == DR_OK) {
        describe_job_vae(engine, words->said, choice, &outcome->vae);
        take_outcome(&job, outcome);
    } else if (job.written_count > 0) {
        outcome->images = job.images;
        outcome->image_count = job.written_count;
    } else {
        free(job.images);
    }
    job_finish(&job);
    return code;
}

/* A VAE that turned out to be foreign and was not asked for by name gives way to the checkpoint's
 * own: a neighbour file, or a setting. False: it was asked for, and its error is the answer. */
static bool gives_way(struct dr_engine *engine, const struct vae_choice_words *words,
                      struct vae_choice *choice, const struct dr_error *why)
{
    if (choice->file) return vae_choice_gives_way(choice, &engine->model, why);
    if (words->said && choice->resolution.is_explicit) return false;
    vae_switch_fall_back(&engine->model, engine->model.pipeline, why);
    *choice = (struct vae_choice){.resolution = engine->model.pipeline->resolution};
    return true;
}

static enum dr_code run_request(struct dr_job *handle, const struct job_request *want,
                                const struct vae_choice_words *words,
                                const struct adapter_set *adapters,
                                struct job_outcome *outcome, struct dr_error *err)
{
    struct dr_engine *const engine = handle->engine;
    struct vae_choice choice;
    struct dr_error why;
    enum dr_code code =
        vae_choice_open(&choice, &engine->model, engine->model.pipeline, words, err);
    if (code != DR_OK) return code;
    code = request_check_sources(want, engine->model.pipeline, choice.file, err);
    if (code != DR_OK) {
        vae_choice_close(&choice);
        return code;
    }
    if (want->profile)
        outcome->library_flop_per_ms =
            yardstick_flop_per_ms(&engine->resources.ledger, engine->resources.dtype);
    code = run_with(handle, want, words, &choice, adapters, outcome, &why);
    if (code == DR_FOREIGN && gives_way(engine, words, &choice, &why))
        code = run_with(handle, want, words, &choice, adapters, outcome, &why);
    if (code != DR_OK && err) *err = why;
    if (code == DR_OK && choice.file)
        cache_drop_file(&engine->resources.cache, &choice.file->checkpoint.file,
                        engine->model.pipeline, CACHE_KEEP_NAMED);
    vae_choice_close(&choice);
    return code;
}

/* A receipt's words: how it went, with which VAE, and what went wrong after the pictures. */
static void describe_outcome(const struct job_outcome *outcome,
                             char reason[static DR_REASON_BYTES])
{
    const struct dr_vae_info *const vae = &outcome->vae;
    (void)snprintf(reason, DR_REASON_BYTES, "%.150s; VAE: %.1000s%s%.300s%s%.500s",
                   outcome->how, vae->reason, vae->probe[0] ? "; " : "", vae->probe,
                   outcome->warning[0] ? "; warning: " : "", outcome->warning);
}

/* A sentence more for the job's warnings, which the caller gets at once. */
static void warn(struct dr_job *job, char warnings[static DR_TEXT_BYTES],
                 const char *format, ...) __attribute__((format(printf, 3, 4)));
static void warn(struct dr_job *job, char warnings[static DR_TEXT_BYTES],
                 const char *format, ...)
{
    char sentence[DR_TEXT_BYTES];
    const size_t used = strlen(warnings);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    (void)snprintf(warnings + used, DR_TEXT_BYTES - used, "%s%s", used ? " " : "",
                   sentence);
    if (!job->is_codec && job->generate.warned)
        job->generate.warned(job->generate.warned_cookie, sentence);
}

/* What is known before the job runs. */
static void warn_of_request(struct dr_job *job, const struct job_request *want,
                            char warnings[static DR_TEXT_BYTES])
{
    if (want->warning[0]) warn(job, warnings, "%s", want->warning);
}

/* Layers that the model does not have. */
static void warn_of_adapters(struct dr_job *job, const struct adapter_set *adapters,
                             char warnings[static DR_TEXT_BYTES])
{
    for (int32_t i = 0; i < adapters->count; ++i) {
        const struct adapter_info *const info = adapter_info(adapters->items[i]->spec);
        if (info->unused.count == 0) continue;
        warn(
            job, warnings,
            "The model has no place for %zu of the names in LoRA %s, which are left out: "
            "%.200s%s.",
            info->unused.count, adapters->items[i]->name, info->unused.text,
            info->unused.count > COMPONENT_LISTED_PROBLEMS ? ", ..." : "");
    }
}

/* Run a request and answer with all that a result may hold. code: of the request, which is not run
 * where that is an error; there is a receipt only for a job that was done. */
static enum dr_code answer_request(struct dr_job *job, enum dr_code code,
                                   const struct job_request *want,
                                   const struct receipt_start *start,
                                   struct dr_generate_result *result,
                                   struct dr_error *err)
{
    struct dr_engine *const engine = job->engine;
    struct job_outcome outcome = {0};
    char reason[DR_REASON_BYTES] = "", warnings[DR_TEXT_BYTES] = "";
    const unsigned flags =
        job->is_codec ? job->codec.vae_flags : job->generate.vae_flags;
    const struct vae_choice_words words = {.said = job->is_codec ? job->codec.vae
                                                                 : job->generate.vae,
                                           .kind = VAE_REQUEST,
                                           .force = flags & DR_VAE_FORCE};
    struct adapter_set adapters = {0};
    if (code == DR_OK) warn_of_request(job, want, warnings);
    if (code == DR_OK && !job->is_codec)
        code = engine_open_adapters(engine->model.pipeline, &engine->resources.ledger,
                                    &job->generate, want, &adapters, err);
    if (code == DR_OK) warn_of_adapters(job, &adapters, warnings);
    if (code == DR_OK) code = run_request(job, want, &words, &adapters, &outcome, err);
    adapter_set_close(&adapters);
    if (code == DR_OK) {
        if (outcome.warning[0]) warn(job, warnings, "%s", outcome.warning);
        *result = (struct dr_generate_result){
            .images = outcome.images,
            .image_count = outcome.image_count,
            .width = want->cut_width,
            .height = want->cut_height,
            .vae = outcome.vae,
            .text_ms = outcome.text_ms,
            .unet_per_step_ms =
                outcome.unet_calls ? outcome.unet_ms / outcome.unet_calls : 0.0,
            .vae_ms =
                outcome.vae_runs ? outcome.vae_ms / outcome.vae_runs : outcome.vae_ms,
            .planned_private_bytes = outcome.planned_bytes,
            .peak_private_bytes = outcome.peak_bytes,
            .profile = outcome.profile,
        };
        (void)snprintf(result->warnings, sizeof result->warnings, "%s", warnings);
        describe_outcome(&outcome, reason);
    } else {
        result->images = outcome.images;
        result->image_count = outcome.image_count;
    }
    receipt_end(engine, start, reason, code == DR_OK ? &result->receipt : NULL);
    return code;
}

static const char *call_name(const struct dr_job *job)
{
    if (!job->is_codec) return "generate";
    return job->direction == CODEC_ENCODE ? "encode" : "decode";
}

/* The job that runs, for who looks; NULL: none does any more. */
static void set_job(struct dr_engine *engine, struct dr_job *job)
{
    engine_lock(engine);
    engine->resources.cancel = job ? &job->cancel : &engine->cancel;
    engine->job = job;
    engine_unlock(engine);
}

/* The engine is entered, and the job begun. */
static enum dr_code run_begun(struct dr_job *job, struct dr_generate_result *result,
                              struct dr_error *err)
{
    struct dr_engine *const engine = job->engine;
    struct job_request want;
    set_job(engine, job);
    const struct receipt_start start = receipt_begin(engine);
    enum dr_code code =
        job->is_codec
            ? codec_request(&engine->model, &job->codec, job->direction, &want, err)
            : generate_request(&engine->model, &job->generate, &want, err);
    want.progress = job_handle_report;
    want.written = job_handle_written;
    want.progress_cookie = want.written_cookie = job;
    code = answer_request(job, code, &want, &start, result, err);
    job_request_finish(&want);
    set_job(engine, NULL);
    return code;
}

/* One that was cancelled before it ran: no engine is needed for that. */
static enum dr_code end_cancelled(struct dr_job *job, struct dr_error *err)
{
    const enum dr_code code = job_handle_begin(job, err);
    if (code != DR_OK) return code;
    job_handle_end(job, DR_CANCELLED);
    return error_set(err, DR_CANCELLED, "cancelled before it began");
}

enum dr_code dr_job_run(struct dr_job *job, struct dr_generate_result *result,
                        struct dr_error *err)
{
    *result = (struct dr_generate_result){0};
    if (cancel_requested(&job->cancel)) return end_cancelled(job, err);
    enum dr_code code = engine_enter(job->engine, call_name(job), err);
    if (code != DR_OK) return code;
    code = job_handle_begin(job, err);
    if (code == DR_OK) {
        code = run_begun(job, result, err);
        job_handle_end(job, code);
    }
    engine_leave(job->engine);
    return code;
}

int32_t dr_output_is_latent(const char *path)
{
    return output_is_latent(path);
}

enum dr_code dr_engine_generate(struct dr_engine *engine,
                                const struct dr_generate_options *options,
                                struct dr_generate_result *result, struct dr_error *err)
{
    struct dr_job *job = NULL;
    *result = (struct dr_generate_result){0};
    enum dr_code code = job_handle_create_generate(engine, options, &job, err);
    if (code == DR_OK) code = dr_job_run(job, result, err);
    dr_job_destroy(&job);
    return code;
}

void dr_generate_result_free(struct dr_generate_result *result)
{
    if (!result) return;
    free(result->images);
    profile_destroy(&result->profile);
    *result = (struct dr_generate_result){0};
}

/* ---- encode and decode ------------------------------------------------------------------- */

static enum dr_code run_codec(struct dr_engine *engine,
                              const struct dr_codec_options *options,
                              enum codec_direction direction,
                              struct dr_codec_result *result, struct dr_error *err)
{
    struct dr_generate_result whole = {0};
    struct dr_job *job = NULL;
    *result = (struct dr_codec_result){0};
    enum dr_code code = job_handle_create_codec(engine, direction, options, &job, err);
    if (code == DR_OK) code = dr_job_run(job, &whole, err);
    dr_job_destroy(&job);
    *result = (struct dr_codec_result){
        .images = whole.images,
        .image_count = whole.image_count,
        .width = whole.width,
        .height = whole.height,
        .vae = whole.vae,
        .vae_ms = whole.vae_ms,
        .planned_private_bytes = whole.planned_private_bytes,
        .peak_private_bytes = whole.peak_private_bytes,
        .profile = whole.profile,
        .receipt = whole.receipt,
    };
    return code;
}

enum dr_code dr_engine_encode(struct dr_engine *engine,
                              const struct dr_codec_options *options,
                              struct dr_codec_result *result, struct dr_error *err)
{
    return run_codec(engine, options, CODEC_ENCODE, result, err);
}

enum dr_code dr_engine_decode(struct dr_engine *engine,
                              const struct dr_codec_options *options,
                              struct dr_codec_result *result, struct dr_error *err)
{
    return run_codec(engine, options, CODEC_DECODE, result, err);
}

void dr_codec_result_free(struct dr_codec_result *result)
{
    if (!result) return;
    free(result->images);
    profile_destroy(&result->profile);
    *result = (struct dr_codec_result){0};
}
