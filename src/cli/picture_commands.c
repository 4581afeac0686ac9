#include "picture_commands.h"

#include <stdlib.h>
#include <string.h>

#include "front/forecast_json.h"
#include "front/job_json.h"
#include "front/profile_json.h"
#include "loras_command.h"
#include "profile_table.h"
#include "stdout_picture.h"
#include "switch_commands.h"

void picture_commands_answer_profile(struct session *session,
                                     const struct options *options,
                                     const struct dr_profile *profile, json_t *fields)
{
    if (!profile) return;
    if (options->json) {
        profile_json_add(fields, profile);
    } else {
        talk_end(&session->talk); /* the bar would stand in the table */
        profile_table_print(profile, session->talk.stream);
    }
}

/* ---- a job's options ---------------------------------------------------------------------------- */

static enum dr_existing existing_of(const struct options *options)
{
    return options->overwrite    ? DR_EXISTING_ANY
           : options->no_clobber ? DR_EXISTING_NONE
                                 : DR_EXISTING_PICTURES;
}

struct dr_generate_options picture_commands_job(struct session *session,
                                                const struct options *options)
{
    struct dr_generate_options job = dr_generate_options_default();
    job.prompt = options->prompt;
    job.negative = options->negative;
    job.output = options->output;
    job.width = options->width;
    job.height = options->height;
    job.cut_width = options->cut_width;
    job.cut_height = options->cut_height;
    job.original_width = options->original[0];
    job.original_height = options->original[1];
    job.crop_left = options->crop[0];
    job.crop_top = options->crop[1];
    job.target_width = options->target[0];
    job.target_height = options->target[1];
    job.seed = options->seed;
    job.sampling = options->sampling;
    job.steps = options->steps;
    job.cfg = options->cfg;
    job.sampler = options->sampler;
    job.scheduler = options->scheduler;
    job.prediction = (enum dr_prediction)options->prediction;
    job.clip_skip = options->clip_skip;
    job.prompt_syntax = (enum dr_prompt_syntax)options->prompt_syntax;
    job.emphasis = (enum dr_emphasis)options->emphasis;
    job.pad_prompts = options->pad_prompts;
    job.rng = (enum dr_rng)options->rng;
    job.vae = options->vae;
    job.lora_directory = options->lora_dir;
    job.embedding_directory = options->embedding_dir;
    job.vae_flags = options->force ? DR_VAE_FORCE : 0;
    job.init = options->init;
    job.strength = options->strength;
    job.batch = options->batch;
    job.existing = existing_of(options);
    job.bits = options->bits;
    job.quality = options->quality;
    job.profile = options->profile;
    job.progress = talk_progress;
    job.progress_cookie = &session->talk;
    job.written = talk_written;
    job.written_cookie = &session->talk;
    job.warned = talk_warned;
    job.warned_cookie = &session->talk;
    return job;
}

/* ---- encode and decode ------------------------------------------------------------------- */

typedef enum dr_code codec_run(struct dr_engine *engine,
                               const struct dr_codec_options *options,
                               struct dr_codec_result *result, struct dr_error *err);

/* One encode or decode, while it runs. */
struct codec_work {
    struct session *session;
    const struct options *options;
    bool encodes;
    struct stdout_picture standard_output; /* open where the picture goes there */
    struct dr_codec_result *result;
};

static bool writes_to_stdout(const struct codec_work *work)
{
    return !work->encodes && strcmp(work->options->output, "-") == 0;
}

/* Only one picture can go to standard output. What is wrong with the file is said when it is decoded. */
static enum dr_code check_one_picture(const struct codec_work *work,
                                      struct dr_error *err)
{
    const char *const path = work->options->operands[0];
    struct dr_error why;
    if (work->session->kind == SESSION_SHELL)
        return command_fail(err, DR_BAD_INPUT,
                            "-o -: in the shell, standard output has the answers; name "
                            "a file");
    struct dr_inspection *const inspection = calloc(1, sizeof *inspection);
    if (!inspection)
        return command_fail(err, DR_NOMEM, "out of memory for %.400s", path);
    const enum dr_code code = dr_inspect(path, NULL, inspection, &why);
    const int count = code == DR_OK ? (int)inspection->latent_count : 1;
    dr_inspection_free(inspection);
    free(inspection);
    return count <= 1
               ? DR_OK
               : command_fail(err, DR_BAD_INPUT,
                              "-o - takes one picture, and %.400s has %d: name a "
                              "file",
                              path, count);
}

/* Before the model is loaded, which can take minutes. */
static enum dr_code begin_codec(struct codec_work *work, struct dr_error *err)
{
    const struct options *const options = work->options;
    if (!options->output)
        return command_fail(err, DR_BAD_INPUT,
                            "no output file was given: give one with -o %s",
                            work->encodes ? "LATENT.safetensors" : "OUT.png");
    if (options->overwrite && options->no_clobber)
        return command_fail(err, DR_BAD_INPUT,
                            "--overwrite and --no-clobber exclude each other");
    work->result = calloc(1, sizeof *work->result);
    if (!work->result)
        return command_fail(err, DR_NOMEM, "out of memory for the answer");
    if (writes_to_stdout(work)) {
        const enum dr_code code = check_one_picture(work, err);
        return code == DR_OK ? stdout_picture_open(&work->standard_output, err) : code;
    }
    const struct dr_output output = {.path = options->output,
                                     .batch = 1,
                                     .kind = work->encodes ? DR_OUTPUT_LATENTS
                                                           : DR_OUTPUT_PICTURES,
                                     .bits = options->bits,
                                     .existing = existing_of(options)};
    return dr_check_output(&output, err);
}

static struct dr_codec_options codec_of(const struct codec_work *work)
{
    const struct options *const options = work->options;
    struct dr_codec_options codec = dr_codec_options_default();
    codec.input = options->operands[0];
    codec.output =
        writes_to_stdout(work) ? work->standard_output.path : options->output;
    codec.existing = existing_of(options);
    codec.width = options->width;
    codec.height = options->height;
    codec.vae = options->vae;
    codec.vae_flags = options->force ? DR_VAE_FORCE : 0;
    codec.bits = options->bits;
    codec.quality = options->quality;
    codec.profile = options->profile;
    codec.progress = talk_progress;
    codec.progress_cookie = &work->session->talk;
    return codec;
}

static enum dr_code run_codec_job(struct codec_work *work, json_t *fields,
                                  struct dr_error *err)
{
    codec_run *const run = work->encodes ? dr_engine_encode : dr_engine_decode;
    const struct dr_codec_options codec = codec_of(work);
    struct dr_codec_result *const result = work->result;
    enum dr_code code = run(work->session->engine, &codec, result, err);
    if (writes_to_stdout(work) && code == DR_OK) {
        code = stdout_picture_send(&work->standard_output, err);
        (void)snprintf(result->images[0].path, sizeof result->images[0].path, "-");
    }
    if (code == DR_OK && work->encodes) job_json_add_encoded(fields, result);
    if (code == DR_OK && !work->encodes) job_json_add_decoded(fields, result);
    if (code == DR_OK)
        picture_commands_answer_profile(work->session, work->options, result->profile,
                                        fields);
    else if (!work->encodes && !writes_to_stdout(work))
        job_json_add_decoded_part(fields, result);
    dr_codec_result_free(result);
    return code;
}

static enum dr_code run_codec(struct codec_work *work, json_t *fields,
                              struct dr_error *err)
{
    enum dr_code code = begin_codec(work, err);
    if (code == DR_OK)
        code = command_prepare(work->session, work->options, fields, err);
    if (code == DR_OK) code = run_codec_job(work, fields, err);
    stdout_picture_close(&work->standard_output);
    free(work->result);
    return code;
}

enum dr_code run_encode(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    struct codec_work work = {.session = session, .options = options, .encodes = true};
    return run_codec(&work, fields, err);
}

enum dr_code run_decode(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    struct codec_work work = {.session = session, .options = options};
    return run_codec(&work, fields, err);
}

/* ---- forecast ---------------------------------------------------------------------------- */

/* Without a model there is only the budget to tell. */
enum dr_code run_forecast(struct session *session, const struct options *options,
                          json_t *fields, struct dr_error *err)
{
    struct dr_generate_options job = picture_commands_job(session, options);
    struct loras_named loras;
    if (!options->model && session->kind == SESSION_ONE_SHOT &&
        !command_has_default_model())
        return command_add_budget(session, fields, err);
    enum dr_code code = command_prepare(session, options, fields, err);
    if (code != DR_OK) return code;
    struct dr_forecast *const forecast = calloc(1, sizeof *forecast);
    if (!forecast) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    code = loras_named_find(&loras, options, err);
    job.loras = loras.loras;
    job.lora_count = loras.count;
    if (code == DR_OK) code = dr_engine_forecast(session->engine, &job, forecast, err);
    loras_named_free(&loras);
    if (code == DR_OK) forecast_json_add(fields, forecast);
    dr_forecast_free(forecast);
    free(forecast);
    return code;
}
