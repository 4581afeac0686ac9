#include "generate_command.h"

#include <stdlib.h>
#include <string.h>

#include "again_command.h"
#include "front/answer.h"
#include "front/job_json.h"
#include "interrupt.h"
#include "loras_command.h"
#include "output_names.h"
#include "picture_commands.h"
#include "picture_jobs.h"
#include "prompt_list.h"
#include "stdout_picture.h"
#include "switch_commands.h"

enum {
    MOST_PICTURES = 10000 /* of one command */
};

/* One `generate`, while it runs. */
struct work {
    struct session *session;
    const struct options *options;
    struct prompt_list prompts;
    uint64_t *seeds; /* of each prompt's first picture */
    struct output_names names;
    struct picture_jobs jobs;
    struct stdout_picture standard_output;
    struct dr_generate_options job;
    struct loras_named loras;
    struct dr_generate_result *result;
};

static bool writes_to_stdout(const struct options *options)
{
    return options->output && strcmp(options->output, "-") == 0;
}

/* ---- before the first step --------------------------------------------------------------- */

static enum dr_code check_prompt(const struct options *options, struct dr_error *err)
{
    if (options->prompt_given || options->prompt_is_plain) return DR_OK;
    return command_fail(
        err, DR_BAD_INPUT,
        "no prompt was given: give one with -p TEXT; -p \"\" is the empty "
        "prompt");
}

static enum dr_code check_streams(const struct work *work, struct dr_error *err)
{
    const struct options *const options = work->options;
    const bool is_shell = work->session->kind == SESSION_SHELL;
    if (options->overwrite && options->no_clobber)
        return command_fail(err, DR_BAD_INPUT,
                            "--overwrite and --no-clobber exclude each other");
    if (is_shell && !options->prompt_is_plain && strcmp(options->prompt, "-") == 0)
        return command_fail(err, DR_BAD_INPUT,
                            "-p -: in the shell, standard input has the commands; name "
                            "a file of prompts with -p @FILE");
    if (is_shell && writes_to_stdout(options))
        return command_fail(err, DR_BAD_INPUT,
                            "-o -: in the shell, standard output has the answers; name "
                            "a file");
    return DR_OK;
}

/* A seed that was given is that of each prompt; else each has its own. */
static enum dr_code choose_seeds(struct work *work, struct dr_error *err)
{
    const int32_t count = work->prompts.count;
    const int32_t batch = work->options->batch;
    if (batch >= 1 && count > MOST_PICTURES / batch)
        return command_fail(err, DR_BAD_INPUT,
                            "%d prompts with %d pictures each: a command makes at most "
                            "%d pictures",
                            (int)count, (int)batch, MOST_PICTURES);
    work->seeds = calloc((size_t)count, sizeof *work->seeds);
    if (!work->seeds) return command_fail(err, DR_NOMEM, "out of memory for the seeds");
    for (int32_t i = 0; i < count; ++i)
        work->seeds[i] = i == 0 || work->options->seed_given ? work->options->seed
                                                             : dr_random_seed();
    return DR_OK;
}

/* What the names are made from beside the options: the model's path, where the output has {model}, and the
 * settings' directory, where no output is named. */
static enum dr_code find_parts(const struct work *work,
                               char model[static DR_PATH_BYTES],
                               char folder[static DR_PATH_BYTES], struct dr_error *err)
{
    const char *const output = work->options->output;
    model[0] = folder[0] = '\0';
    if (output && strstr(output, "{model}"))
        return command_find_model(work->session, work->options, model, err);
    if (output) return DR_OK;
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    if (!settings) return command_fail(err, DR_NOMEM, "out of memory for the settings");
    const enum dr_code code = dr_settings_read(NULL, settings, err);
    (void)snprintf(folder, DR_PATH_BYTES, "%s", settings->output_folder);
    dr_settings_free(settings);
    free(settings);
    return code;
}

static enum dr_code name_files(struct work *work, struct dr_error *err)
{
    char model[DR_PATH_BYTES], folder[DR_PATH_BYTES];
    const struct options *const options = work->options;
    const bool is_stdout = writes_to_stdout(options);
    /* A batch that is not one is refused by the check that follows. */
    const int32_t batch = options->batch >= 1 ? options->batch : 1;
    if (is_stdout && (work->prompts.count > 1 || batch > 1))
        return command_fail(err, DR_BAD_INPUT,
                            "-o - writes one picture, not %d; name a file or a "
                            "directory (-o DIR/)",
                            (int)(work->prompts.count * batch));
    enum dr_code code = is_stdout ? stdout_picture_open(&work->standard_output, err)
                                  : find_parts(work, model, folder, err);
    if (code != DR_OK) return code;
    const struct output_naming naming = {.output = is_stdout
                                                       ? work->standard_output.path
                                                       : options->output,
                                         .model = is_stdout ? "" : model,
                                         .folder = is_stdout ? "" : folder,
                                         .extension = ".png",
                                         .seeds = work->seeds,
                                         .job_count = work->prompts.count,
                                         .batch = batch,
                                         .is_literal = is_stdout};
    code = output_names_make(&work->names, &naming, err);
    if (code == DR_OK)
        code = output_names_make_folders(&work->names, options->output, err);
    return code;
}

/* A file of latents has all pictures of a batch. */
static enum dr_code make_jobs(struct work *work, struct dr_error *err)
{
    const enum dr_code code =
        picture_jobs_make(&work->jobs, work->options, &work->prompts, work->seeds, err);
    if (code != DR_OK || !work->names.is_latent ||
        work->jobs.count == work->prompts.count)
        return code;
    return command_fail(
        err, DR_BAD_INPUT,
        "with wildcards each picture of a batch has a prompt of its own, "
        "and %.400s would hold them all: write pictures, or one with "
        "--batch 1",
        work->options->output);
}

/* The options of one job. */
static void set_job(struct work *work, int32_t idx)
{
    const struct picture_job *const what = &work->jobs.items[idx];
    const char *const *const names = output_names_of(&work->names, what->prompt_idx);
    struct dr_generate_options *const job = &work->job;
    job->prompt = what->text.prompt;
    job->negative = what->text.negative;
    job->seed = what->seed;
    job->batch = what->count;
    job->sampling.variation_seed =
        work->options->sampling.variation_seed + (uint64_t)what->first;
    job->output = work->names.is_latent ? names[0] : NULL;
    job->outputs = work->names.is_latent ? NULL : names + what->first;
}

static enum dr_code check_files(struct work *work, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < work->jobs.count; ++i) {
        set_job(work, i);
        const struct dr_output output = {.path = work->job.output,
                                         .paths = work->job.outputs,
                                         .batch = work->job.batch,
                                         .bits = work->job.bits,
                                         .existing = work->job.existing};
        code = work->job.batch >= 1 ? dr_check_output(&output, err) : DR_OK;
    }
    return code;
}

static enum dr_code begin(struct work *work, struct dr_error *err)
{
    enum dr_code code = check_prompt(work->options, err);
    if (code == DR_OK) code = check_streams(work, err);
    if (code == DR_OK)
        code = work->options->prompt_is_plain
                   ? prompt_list_make_one(&work->prompts, work->options->prompt, err)
                   : prompt_list_make(&work->prompts, work->options->prompt, err);
    if (code == DR_OK) code = choose_seeds(work, err);
    if (code == DR_OK) code = name_files(work, err);
    if (code == DR_OK) code = make_jobs(work, err);
    if (code != DR_OK) return code;
    code = loras_named_find(&work->loras, work->options, err);
    if (code != DR_OK) return code;
    work->job = picture_commands_job(work->session, work->options);
    work->job.loras = work->loras.loras;
    work->job.lora_count = work->loras.count;
    if (writes_to_stdout(work->options)) work->job.written = NULL; /* not there yet */
    work->result = calloc(1, sizeof *work->result);
    if (!work->result)
        return command_fail(err, DR_NOMEM, "out of memory for the answer");
    return check_files(work, err);
}

static void end(struct work *work)
{
    free(work->result);
    loras_named_free(&work->loras);
    stdout_picture_close(&work->standard_output);
    picture_jobs_free(&work->jobs);
    output_names_finish(&work->names);
    free(work->seeds);
    prompt_list_finish(&work->prompts);
}

/* ---- the jobs ---------------------------------------------------------------------------- */

static const char no_strength[] = "--strength has no effect without --init.";

static bool lacks_init(const struct options *options)
{
    return options->strength_given && !options->init;
}

static void answer_one(struct work *work, json_t *fields)
{
    const struct options *const options = work->options;
    job_json_add_generated(fields, work->result);
    if (lacks_init(options)) job_json_add_warning(fields, no_strength);
    picture_commands_answer_profile(work->session, options, work->result->profile,
                                    fields);
}

/* Run one job; its answer, or what it wrote before it failed, into fields. */
static enum dr_code run_one(struct work *work, int32_t idx, json_t *fields,
                            struct dr_error *err)
{
    set_job(work, idx);
    talk_begin_job(&work->session->talk);
    enum dr_code code =
        dr_engine_generate(work->session->engine, &work->job, work->result, err);
    if (code == DR_OK && writes_to_stdout(work->options)) {
        code = stdout_picture_send(&work->standard_output, err);
        (void)snprintf(work->result->images[0].path,
                       sizeof work->result->images[0].path, "-");
    }
    if (code == DR_OK)
        answer_one(work, fields);
    else if (!writes_to_stdout(work->options))
        job_json_add_generated_part(fields, work->result);
    dr_generate_result_free(work->result);
    return code;
}

/* "prompt 2 of 5: ..." before the message. */
static void name_prompt(const struct work *work, int32_t idx, struct dr_error *err)
{
    const struct dr_error why = *err;
    (void)snprintf(err->message, sizeof err->message, "prompt %d of %d: %.960s",
                   (int)idx + 1, (int)work->jobs.count, why.message);
}

static enum dr_code run_all(struct work *work, json_t *fields, struct dr_error *err)
{
    const int32_t count = work->jobs.count;
    enum dr_code code = DR_OK;
    job_json_begin_jobs(fields, work->options->json);
    for (int32_t i = 0; code == DR_OK && i < count; ++i) {
        char line[160];
        json_t *const one = answer_fields();
        (void)snprintf(line, sizeof line, "prompt %d of %d: %.100s", (int)i + 1,
                       (int)count, work->jobs.items[i].text.prompt);
        talk_log(&work->session->talk, DR_LOG_NOTICE, line);
        code = interrupt_seen() ? command_fail(err, DR_CANCELLED, "cancelled")
                                : run_one(work, i, one, err);
        job_json_add_job(fields, work->jobs.items[i].text.prompt, one);
        if (code != DR_OK) name_prompt(work, i, err);
    }
    return code;
}

enum dr_code run_generate(struct session *session, const struct options *options,
                          json_t *fields, struct dr_error *err)
{
    struct work work = {.session = session, .options = options};
    /* Before the model is loaded, which can take minutes. */
    enum dr_code code = begin(&work, err);
    if (code == DR_OK && lacks_init(options)) talk_warned(&session->talk, no_strength);
    if (code == DR_OK) again_warn_before(session, options);
    if (code == DR_OK) code = command_prepare(session, options, fields, err);
    if (code == DR_OK)
        code = work.jobs.count == 1 ? run_one(&work, 0, fields, err)
                                    : run_all(&work, fields, err);
    if (code == DR_OK) again_warn_after(session, options, fields);
    end(&work);
    return code;
}
