#include "commands.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "answer.h"
#include "interrupt.h"

static enum dr_code fail(struct dr_error *err, enum dr_code code, const char *format,
                         ...) __attribute__((format(printf, 3, 4)));
static enum dr_code fail(struct dr_error *err, enum dr_code code, const char *format,
                         ...)
{
    va_list arguments;
    va_start(arguments, format);
    err->code = code;
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return code;
}

static void set(json_t *fields, const char *key, json_t *value)
{
    (void)json_object_set_new(fields, key, value);
}

/* ---- what several commands begin with ---------------------------------------------------- */

static enum dr_code check_interrupt(struct dr_error *err)
{
    return interrupt_seen() ? fail(err, DR_CANCELLED, "cancelled before it began")
                            : DR_OK;
}

static enum dr_code load(struct session *session, const char *path, json_t *fields,
                         const char *receipt_key, struct dr_error *err)
{
    struct dr_load_result *const result = calloc(1, sizeof *result);
    if (!result) return fail(err, DR_NOMEM, "no memory to load %.400s", path);
    const enum dr_load_mode mode =
        session->kind == SESSION_SHELL ? DR_LOAD_EAGER : DR_LOAD_LAZY;
    const enum dr_code code = dr_engine_load(session->engine, path, mode, result, err);
    if (code == DR_OK) {
        set(fields, "model", answer_model(&result->model));
        set(fields, receipt_key, answer_receipt(&result->receipt));
    }
    free(result);
    return code;
}

/* `-m` and `--budget` come before the work of any command that has them. A one-shot command's
 * switch is no news: its receipt is that of the job. */
static enum dr_code prepare(struct session *session, const struct options *options,
                            json_t *fields, struct dr_error *err)
{
    const bool is_shell = session->kind == SESSION_SHELL;
    enum dr_code code = DR_OK;
    if (!options->model && !is_shell)
        return fail(err, DR_BAD_INPUT, "no model was given: say which with -m FILE");
    if (is_shell && options->budget_said)
        code = dr_engine_set_budget(session->engine, options->budget, err);
    if (code == DR_OK) code = check_interrupt(err);
    if (code != DR_OK || !options->model) return code;
    json_t *const unshown = is_shell ? NULL : json_object();
    code = load(session, options->model, is_shell ? fields : unshown, "model_receipt",
                err);
    json_decref(unshown);
    return code == DR_OK ? check_interrupt(err) : code;
}

static enum dr_code add_active_vae(struct session *session, json_t *fields,
                                   struct dr_error *err)
{
    struct dr_vae_info *const info = calloc(1, sizeof *info);
    if (!info) return fail(err, DR_NOMEM, "no memory for the answer");
    const enum dr_code code = dr_engine_vae(session->engine, info, err);
    if (code == DR_OK) set(fields, "vae", answer_vae(info));
    free(info);
    return code;
}

/* ---- model, vae, unload, budget ---------------------------------------------------------- */

static enum dr_code run_model(struct session *session, const struct options *options,
                              json_t *fields, struct dr_error *err)
{
    const enum dr_code code =
        load(session, options->operands[0], fields, "receipt", err);
    if (code != DR_OK) return code;
    json_t *const receipt = json_incref(json_object_get(fields, "receipt"));
    (void)json_object_del(fields, "receipt");
    const enum dr_code vae_code = add_active_vae(session, fields, err);
    set(fields, "receipt", receipt); /* last, as in the other answers */
    return vae_code;
}

/* `vae` alone: what is. Before a model is loaded that is a setting only. */
static enum dr_code show_vae(struct session *session, json_t *fields,
                             struct dr_error *err)
{
    const enum dr_code code = add_active_vae(session, fields, err);
    if (code != DR_NOT_FOUND) return code;
    struct dr_vae_info setting = {.reason =
                                      "no model is loaded: looked at when one is"};
    const bool was_said = session->vae_choice[0] != '\0';
    (void)snprintf(setting.choice, sizeof setting.choice, "%s",
                   was_said ? session->vae_choice : "automatic");
    (void)snprintf(setting.source, sizeof setting.source,
                   was_said ? "setting" : "default");
    set(fields, "vae", answer_vae(&setting));
    return DR_OK;
}

static enum dr_code run_vae(struct session *session, const struct options *options,
                            json_t *fields, struct dr_error *err)
{
    struct dr_receipt receipt = {0};
    if (options->operand_count == 0) return show_vae(session, fields, err);
    const char *const choice = options->operands[0];
    struct dr_vae_info *const info = calloc(1, sizeof *info);
    if (!info) return fail(err, DR_NOMEM, "no memory for the answer");
    const enum dr_code code =
        dr_engine_choose_vae(session->engine, choice, options->force ? DR_VAE_FORCE : 0,
                             info, &receipt, err);
    if (code == DR_OK) {
        (void)snprintf(session->vae_choice, sizeof session->vae_choice, "%s", choice);
        set(fields, "vae", answer_vae(info));
        set(fields, "receipt", answer_receipt(&receipt));
    }
    free(info);
    return code;
}

static enum dr_code run_unload(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    const char *const what = options->operand_count ? options->operands[0] : "model";
    const bool is_vae = strcmp(what, "vae") == 0;
    struct dr_receipt receipt = {0};
    if (!is_vae && strcmp(what, "model") != 0)
        return fail(err, DR_BAD_INPUT, "unload takes vae or model, not \"%.80s\"",
                    what);
    const enum dr_code code =
        dr_engine_unload(session->engine, is_vae ? DR_UNLOAD_VAE : DR_UNLOAD_MODEL,
                         &receipt, err);
    if (code == DR_OK) set(fields, "receipt", answer_receipt(&receipt));
    return code;
}

static enum dr_code add_budget(struct session *session, json_t *fields,
                               struct dr_error *err)
{
    struct dr_memory *const memory = calloc(1, sizeof *memory);
    if (!memory) return fail(err, DR_NOMEM, "no memory for the answer");
    const enum dr_code code = dr_engine_memory(session->engine, memory, err);
    if (code == DR_OK)
        set(fields, "budget",
            answer_budget(memory->budget_bytes, memory->budget_reason));
    dr_memory_free(memory);
    free(memory);
    return code;
}

static enum dr_code run_budget(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    uint64_t bytes = 0;
    if (options->operand_count == 0) return add_budget(session, fields, err);
    enum dr_code code = DR_OK;
    if (strcmp(options->operands[0], "default") != 0)
        code = dr_parse_bytes(options->operands[0], &bytes, err);
    if (code == DR_OK) code = dr_engine_set_budget(session->engine, bytes, err);
    return code == DR_OK ? add_budget(session, fields, err) : code;
}

/* ---- generate ---------------------------------------------------------------------------- */

static struct dr_generate_options job_of(struct session *session,
                                         const struct options *options)
{
    struct dr_generate_options job = dr_generate_options_default();
    job.prompt = options->prompt;
    job.negative = options->negative;
    job.output = options->output;
    job.width = options->width;
    job.height = options->height;
    job.seed = options->seed;
    job.steps = options->steps;
    job.cfg = options->cfg;
    job.sampler = options->sampler;
    job.scheduler = options->scheduler;
    job.prediction = (enum dr_prediction)options->prediction;
    job.clip_skip = options->clip_skip;
    job.rng = (enum dr_rng)options->rng;
    job.vae = options->vae;
    job.vae_flags = options->force ? DR_VAE_FORCE : 0;
    job.init = options->init;
    job.strength = options->strength;
    job.batch = options->batch;
    job.bits = options->bits;
    job.quality = options->quality;
    job.progress = talk_progress;
    job.progress_cookie = &session->talk;
    return job;
}

/* 32 bits, as other programs draw them. */
static int64_t random_seed(void)
{
    uint32_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint32_t)time(NULL);
    return (int64_t)seed;
}

static void add_warning(struct session *session, json_t *warnings, const char *sentence)
{
    (void)json_array_append_new(warnings, answer_text(sentence));
    talk_log(&session->talk, DR_LOG_WARNING, sentence);
}

static void answer_generate(struct session *session, const struct options *options,
                            const struct dr_generate_options *job,
                            struct dr_generate_result *result, json_t *fields)
{
    json_t *const warnings = json_array();
    const size_t length = strlen(job->output);
    const bool is_latent =
        length > 12 && strcmp(job->output + length - 12, ".safetensors") == 0;
    for (int32_t i = 0; i < result->image_count; ++i)
        if (!result->images[i].path[0])
            (void)snprintf(result->images[i].path, sizeof result->images[i].path, "%s",
                           job->output);
    set(fields, "images", answer_images(result->images, result->image_count));
    if (is_latent) answer_set_text(fields, "latents", job->output);
    set(fields, "width", json_integer(result->width));
    set(fields, "height", json_integer(result->height));
    set(fields, "vae", answer_vae(&result->vae));
    set(fields, "timings_ms", answer_timings(result));
    answer_set_bytes(fields, "planned_private_bytes", result->planned_private_bytes);
    answer_set_bytes(fields, "peak_private_bytes", result->peak_private_bytes);
    if (result->warnings[0]) add_warning(session, warnings, result->warnings);
    if (options->strength_said && !options->init)
        add_warning(session, warnings, "--strength does nothing without --init.");
    set(fields, "warnings", warnings);
    set(fields, "receipt", answer_receipt(&result->receipt));
}

static enum dr_code run_generate(struct session *session, const struct options *options,
                                 json_t *fields, struct dr_error *err)
{
    char name[40];
    struct dr_generate_options job = job_of(session, options);
    enum dr_code code = prepare(session, options, fields, err);
    if (code != DR_OK) return code;
    if (!job.output) {
        if (job.seed == -1) job.seed = random_seed();
        (void)snprintf(name, sizeof name, "darkroom-%lld.png", (long long)job.seed);
        job.output = name;
    }
    struct dr_generate_result *const result = calloc(1, sizeof *result);
    if (!result) return fail(err, DR_NOMEM, "no memory for the answer");
    code = dr_engine_generate(session->engine, &job, result, err);
    if (code == DR_OK) answer_generate(session, options, &job, result, fields);
    dr_generate_result_free(result);
    free(result);
    return code;
}

/* ---- encode and decode ------------------------------------------------------------------- */

typedef enum dr_code codec_run(struct dr_engine *engine,
                               const struct dr_codec_options *options,
                               struct dr_codec_result *result, struct dr_error *err);

static void answer_codec(const struct dr_codec_result *result, bool encodes,
                         json_t *fields)
{
    json_t *const timings = json_object();
    json_t *const images = json_array();
    for (int32_t i = 0; i < result->image_count; ++i) {
        json_t *const image = json_object();
        answer_set_text(image, "path", result->images[i].path);
        (void)json_array_append_new(images, image);
    }
    if (encodes && result->image_count > 0)
        answer_set_text(fields, "latents", result->images[0].path);
    if (encodes)
        json_decref(images);
    else
        set(fields, "images", images);
    set(fields, "width", json_integer(result->width));
    set(fields, "height", json_integer(result->height));
    set(fields, "vae", answer_vae(&result->vae));
    set(timings, "vae", json_real(result->vae_ms));
    set(fields, "timings_ms", timings);
    answer_set_bytes(fields, "planned_private_bytes", result->planned_private_bytes);
    answer_set_bytes(fields, "peak_private_bytes", result->peak_private_bytes);
    set(fields, "receipt", answer_receipt(&result->receipt));
}

static enum dr_code run_codec(struct session *session, const struct options *options,
                              bool encodes, json_t *fields, struct dr_error *err)
{
    codec_run *const run = encodes ? dr_engine_encode : dr_engine_decode;
    struct dr_codec_options codec = dr_codec_options_default();
    if (!options->output)
        return fail(err, DR_BAD_INPUT, "no output was given: say where with -o %s",
                    encodes ? "LATENT.safetensors" : "OUT.png");
    enum dr_code code = prepare(session, options, fields, err);
    if (code != DR_OK) return code;
    codec.input = options->operands[0];
    codec.output = options->output;
    codec.width = options->width;
    codec.height = options->height;
    codec.vae = options->vae;
    codec.vae_flags = options->force ? DR_VAE_FORCE : 0;
    codec.bits = options->bits;
    codec.quality = options->quality;
    codec.progress = talk_progress;
    codec.progress_cookie = &session->talk;
    struct dr_codec_result *const result = calloc(1, sizeof *result);
    if (!result) return fail(err, DR_NOMEM, "no memory for the answer");
    code = run(session->engine, &codec, result, err);
    if (code == DR_OK) answer_codec(result, encodes, fields);
    dr_codec_result_free(result);
    free(result);
    return code;
}

static enum dr_code run_encode(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    return run_codec(session, options, true, fields, err);
}

static enum dr_code run_decode(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    return run_codec(session, options, false, fields, err);
}

/* ---- looking ----------------------------------------------------------------------------- */

static enum dr_code run_memory(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    (void)options;
    struct dr_memory *const memory = calloc(1, sizeof *memory);
    if (!memory) return fail(err, DR_NOMEM, "no memory for the answer");
    const enum dr_code code = dr_engine_memory(session->engine, memory, err);
    if (code == DR_OK) answer_add_memory(fields, memory);
    dr_memory_free(memory);
    free(memory);
    return code;
}

/* Without a model there is only the budget to tell. */
static enum dr_code run_forecast(struct session *session, const struct options *options,
                                 json_t *fields, struct dr_error *err)
{
    const struct dr_generate_options job = job_of(session, options);
    if (!options->model && session->kind == SESSION_ONE_SHOT)
        return add_budget(session, fields, err);
    enum dr_code code = prepare(session, options, fields, err);
    if (code != DR_OK) return code;
    struct dr_forecast *const forecast = calloc(1, sizeof *forecast);
    if (!forecast) return fail(err, DR_NOMEM, "no memory for the answer");
    code = dr_engine_forecast(session->engine, &job, forecast, err);
    if (code == DR_OK) {
        set(fields, "forecast", answer_forecast(forecast));
        set(fields, "budget",
            answer_budget(forecast->budget_bytes, forecast->budget_reason));
    }
    free(forecast);
    return code;
}

/* "png", "jpeg" by what the file begins with; NULL for anything else. */
static const char *picture_format(const char *path)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G'},
                               jpeg[] = {0xFF, 0xD8, 0xFF};
    unsigned char head[4] = {0};
    FILE *const file = fopen(path, "rb");
    if (!file) return NULL;
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    if (got == sizeof head && memcmp(head, png, sizeof png) == 0) return "png";
    if (got == sizeof head && memcmp(head, jpeg, sizeof jpeg) == 0) return "jpeg";
    return NULL;
}

static enum dr_code inspect_picture(const char *path, const char *format,
                                    json_t *fields, struct dr_error *err)
{
    char *text = NULL;
    const enum dr_code code = dr_read_parameters(path, &text, err);
    if (code != DR_OK) return code;
    answer_set_text(fields, "path", path);
    answer_set_text(fields, "format", format);
    set(fields, "parameters", text ? answer_text(text) : json_null());
    free(text);
    return DR_OK;
}

static enum dr_code run_inspect(struct session *session, const struct options *options,
                                json_t *fields, struct dr_error *err)
{
    (void)session;
    const char *const path = options->operands[0];
    const char *const format = picture_format(path);
    if (format) return inspect_picture(path, format, fields, err);
    struct dr_inspection *const inspection = calloc(1, sizeof *inspection);
    if (!inspection) return fail(err, DR_NOMEM, "no memory to look at %.400s", path);
    const unsigned flags = options->digests ? DR_INSPECT_DIGESTS : 0;
    const enum dr_code code =
        dr_inspect(path, options->vae_dir, flags, inspection, err);
    if (code == DR_OK) answer_add_inspection(fields, inspection);
    dr_inspection_free(inspection);
    free(inspection);
    return code;
}

/* ---- help and quit ----------------------------------------------------------------------- */

static enum dr_code run_help(struct session *session, const struct options *options,
                             json_t *fields, struct dr_error *err)
{
    const unsigned where =
        session->kind == SESSION_SHELL ? ON_SHELL_LINE : ON_COMMAND_LINE;
    const char *const name = options->operand_count ? options->operands[0] : NULL;
    const struct command *const command = name ? command_find(name, where) : NULL;
    char *text = NULL;
    size_t text_bytes = 0;
    if (name && !command)
        return fail(err, DR_BAD_INPUT, "there is no command \"%.80s\"", name);
    FILE *const stream = open_memstream(&text, &text_bytes);
    if (!stream) return fail(err, DR_NOMEM, "no memory for the help text");
    if (command)
        command_print_help(stream, command, where);
    else
        command_print_list(stream, where);
    if (fclose(stream) != 0) {
        free(text);
        return fail(err, DR_NOMEM, "no memory for the help text");
    }
    answer_set_text(fields, "help", text);
    free(text);
    return DR_OK;
}

static enum dr_code run_quit(struct session *session, const struct options *options,
                             json_t *fields, struct dr_error *err)
{
    (void)options;
    (void)fields;
    (void)err;
    session->ended = true;
    return DR_OK;
}

/* ---- the table --------------------------------------------------------------------------- */

#define BOTH (ON_COMMAND_LINE | ON_SHELL_LINE)

/* A row a command, kept by hand. */
// clang-format off
static const struct command table[] = {
    {"model", ON_SHELL_LINE, FOR_PLAIN, 1, 1, "FILE", "switch to a checkpoint and load it", true,
     run_model},
    {"vae", ON_SHELL_LINE, FOR_VAE, 0, 1, "[automatic|none|NAME|FILE]",
     "choose the VAE, or show which it is", true, run_vae},
    {"generate", BOTH, FOR_GENERATE, 0, 0, "", "make pictures from words", true, run_generate},
    {"encode", BOTH, FOR_ENCODE, 1, 1, "IN.png", "a picture to a latent image", true,
     run_encode},
    {"decode", BOTH, FOR_DECODE, 1, 1, "LATENT.safetensors", "a latent image to pictures", true,
     run_decode},
    {"inspect", BOTH, FOR_INSPECT, 1, 1, "FILE",
     "what a checkpoint, a VAE or a picture is and holds", false, run_inspect},
    {"memory", ON_COMMAND_LINE, FOR_MEMORY, 0, 0, "",
     "what a picture would need, and what the budget is", true, run_forecast},
    {"memory", ON_SHELL_LINE, FOR_PLAIN, 0, 0, "",
     "every region that is held, beside what the kernel says", true, run_memory},
    {"forecast", ON_SHELL_LINE, FOR_MEMORY, 0, 0, "", "what a picture would need", true,
     run_forecast},
    {"unload", ON_SHELL_LINE, FOR_PLAIN, 0, 1, "[vae|model]",
     "release weights; a job that needs them reads them again", true, run_unload},
    {"budget", ON_SHELL_LINE, FOR_PLAIN, 0, 1, "[BYTES|default]",
     "set the most private memory, or show it", true, run_budget},
    {"shell", ON_COMMAND_LINE, FOR_SHELL, 0, 0, "",
     "one command a line from standard input, with one engine", true, NULL},
    {"help", BOTH, FOR_PLAIN, 0, 1, "[COMMAND]", "the commands, or one of them", false, run_help},
    {"quit", ON_SHELL_LINE, FOR_PLAIN, 0, 0, "", "end the shell", false, run_quit},
};
// clang-format on
enum {
    TABLE_COUNT = sizeof table / sizeof *table
};

const struct command *command_at(int idx)
{
    return idx >= 0 && idx < TABLE_COUNT ? &table[idx] : NULL;
}

const struct command *command_find(const char *name, unsigned where)
{
    for (int i = 0; i < TABLE_COUNT; ++i)
        if ((table[i].where & where) && strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

void command_print_help(FILE *stream, const struct command *command, unsigned where)
{
    const bool in_shell = where == ON_SHELL_LINE;
    fprintf(stream, "usage: %s%s [option...]%s%s\n\n%s.\n\n",
            in_shell ? "" : "darkroom ", command->name, command->operands[0] ? " " : "",
            command->operands, command->summary);
    options_print_help(stream, command->bit | (in_shell ? IN_SHELL : 0));
    if (!command->run) {
        fputs("\ncommands, one a line, split as a POSIX shell would:\n", stream);
        command_print_list(stream, ON_SHELL_LINE);
    }
}

void command_print_list(FILE *stream, unsigned where)
{
    for (int i = 0; i < TABLE_COUNT; ++i)
        if (table[i].where & where)
            fprintf(stream, "  %-9s %-26s %s\n", table[i].name, table[i].operands,
                    table[i].summary);
}
