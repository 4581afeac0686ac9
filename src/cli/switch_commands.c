#include "switch_commands.h"

#include <stdlib.h>
#include <string.h>

#include "front/member.h"
#include "front/memory_json.h"
#include "front/model_json.h"
#include "front/receipt_json.h"
#include "front/vae_json.h"
#include "interrupt.h"
#include "models_command.h"

/* ---- what several commands begin with ---------------------------------------------------- */

static enum dr_code check_interrupt(struct dr_error *err)
{
    return interrupt_seen()
               ? command_fail(err, DR_CANCELLED, "cancelled before it started")
               : DR_OK;
}

/* A picture is no model, but says which one made it. */
static void name_again(const char *path, struct dr_error *err)
{
    char *text = NULL;
    struct dr_error why;
    const size_t used = strlen(err->message);
    if (err->code != DR_UNSUPPORTED || dr_read_parameters(path, &text, &why) != DR_OK)
        return;
    if (text)
        (void)snprintf(err->message + used, sizeof err->message - used,
                       ", not a model; darkroom again makes it again, with the model "
                       "that it names");
    free(text);
}

/* name: NULL for the settings' model; result may be NULL. */
static enum dr_code load(struct session *session, const struct options *options,
                         const char *name, struct dr_load_result *result,
                         struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    const struct dr_models_options models = models_options(options);
    enum dr_code code = dr_find_model(name, &models, path, err);
    if (code != DR_OK) return code;
    if (options->base) code = dr_engine_set_base(session->engine, options->base, err);
    if (code != DR_OK) return code;
    const unsigned mode =
        (session->kind == SESSION_SHELL ? DR_LOAD_EAGER : DR_LOAD_LAZY) |
        (options->force ? DR_LOAD_FORCE : 0U);
    code = dr_engine_load(session->engine, path, mode, result, err);
    if (code != DR_OK) name_again(path, err);
    return code;
}

/* The model of a shell that a job's option, or a picture, has changed: it stays. */
static void tell_switch(struct session *session, const char *before)
{
    struct dr_status status;
    char line[2 * DR_PATH_BYTES + 160];
    dr_engine_status(session->engine, &status);
    if (!before[0] || strcmp(before, status.model) == 0) return;
    (void)snprintf(line, sizeof line,
                   "the model is now %s, also for later commands; model %s switches "
                   "back",
                   status.model, before);
    talk_log(&session->talk, DR_LOG_NOTICE, line);
}

/* In the shell the answer says what was loaded. */
static enum dr_code load_first(struct session *session, const struct options *options,
                               json_t *fields, struct dr_error *err)
{
    if (session->kind != SESSION_SHELL)
        return load(session, options, options->model, NULL, err);
    struct dr_load_result *const result = calloc(1, sizeof *result);
    struct dr_status before;
    if (!result) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    dr_engine_status(session->engine, &before);
    const enum dr_code code = load(session, options, options->model, result, err);
    if (code == DR_OK) {
        tell_switch(session, before.model);
        member_set(fields, "model", model_json(&result->model));
        member_set(fields, "model_receipt", receipt_json(&result->receipt));
    }
    dr_load_result_free(result);
    free(result);
    return code;
}

static bool has_model(const struct session *session)
{
    struct dr_status status;
    dr_engine_status(session->engine, &status);
    return status.model[0] != '\0';
}

enum dr_code command_find_model(struct session *session, const struct options *options,
                                char path[static DR_PATH_BYTES], struct dr_error *err)
{
    const struct dr_models_options models = models_options(options);
    struct dr_status status;
    if (options->model || !has_model(session))
        return dr_find_model(options->model, &models, path, err);
    dr_engine_status(session->engine, &status);
    (void)snprintf(path, DR_PATH_BYTES, "%s", status.model);
    return DR_OK;
}

bool command_has_default_model(void)
{
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    struct dr_error why;
    /* Settings that are damaged are an error of whoever loads by them. */
    const bool has_one = !settings || dr_settings_read(NULL, settings, &why) != DR_OK ||
                         settings->model[0];
    dr_settings_free(settings);
    free(settings);
    return has_one;
}

enum dr_code command_prepare(struct session *session, const struct options *options,
                             json_t *fields, struct dr_error *err)
{
    const bool is_shell = session->kind == SESSION_SHELL;
    enum dr_code code = DR_OK;
    if (is_shell && options->budget_given)
        code = dr_engine_set_budget(session->engine, options->budget, err);
    if (code == DR_OK) code = check_interrupt(err);
    if (code != DR_OK || (!options->model && has_model(session))) return code;
    if (is_shell && !options->model && !command_has_default_model())
        return DR_OK; /* the engine says that there is none */
    code = load_first(session, options, fields, err);
    return code == DR_OK ? check_interrupt(err) : code;
}

static enum dr_code add_active_vae(struct session *session, json_t *fields,
                                   struct dr_error *err)
{
    struct dr_vae_info *const info = calloc(1, sizeof *info);
    if (!info) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    const enum dr_code code = dr_engine_vae(session->engine, info, err);
    if (code == DR_OK) member_set(fields, "vae", vae_json(info));
    free(info);
    return code;
}

/* ---- model, vae, unload, budget ---------------------------------------------------------- */

static enum dr_code add_active_model(struct session *session, json_t *fields,
                                     struct dr_error *err)
{
    struct dr_model_info model;
    const enum dr_code code = dr_engine_model(session->engine, &model, err);
    if (code != DR_OK) return code;
    member_set(fields, "model", model_json(&model));
    dr_model_info_free(&model);
    return add_active_vae(session, fields, err);
}

enum dr_code run_model(struct session *session, const struct options *options,
                       json_t *fields, struct dr_error *err)
{
    if (options->operand_count == 0) return add_active_model(session, fields, err);
    struct dr_load_result *const result = calloc(1, sizeof *result);
    if (!result) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    enum dr_code code = load(session, options, options->operands[0], result, err);
    if (code == DR_OK) {
        member_set(fields, "model", model_json(&result->model));
        code = add_active_vae(session, fields, err);
    }
    if (code == DR_OK) member_set(fields, "receipt", receipt_json(&result->receipt));
    dr_load_result_free(result);
    free(result);
    return code;
}

enum dr_code run_vae(struct session *session, const struct options *options,
                     json_t *fields, struct dr_error *err)
{
    struct dr_receipt receipt = {0};
    if (options->operand_count == 0) return add_active_vae(session, fields, err);
    const char *const choice = options->operands[0];
    struct dr_vae_info *const info = calloc(1, sizeof *info);
    if (!info) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    const enum dr_code code =
        dr_engine_choose_vae(session->engine, choice, options->force ? DR_VAE_FORCE : 0,
                             info, &receipt, err);
    if (code == DR_OK) {
        member_set(fields, "vae", vae_json(info));
        member_set(fields, "receipt", receipt_json(&receipt));
    }
    free(info);
    return code;
}

enum dr_code run_unload(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    const char *const what = options->operand_count ? options->operands[0] : "model";
    const bool is_vae = strcmp(what, "vae") == 0;
    struct dr_receipt receipt = {0};
    if (!is_vae && strcmp(what, "model") != 0)
        return command_fail(err, DR_BAD_INPUT,
                            "unload takes vae or model, not \"%.80s\"", what);
    const unsigned which = is_vae ? DR_UNLOAD_VAE : DR_UNLOAD_MODEL;
    const enum dr_code code =
        dr_engine_unload(session->engine,
                         which | (options->drop_cache ? DR_UNLOAD_DROP_CACHE : 0),
                         &receipt, err);
    if (code == DR_OK) member_set(fields, "receipt", receipt_json(&receipt));
    return code;
}

enum dr_code command_add_budget(struct session *session, json_t *fields,
                                struct dr_error *err)
{
    struct dr_memory *const memory = calloc(1, sizeof *memory);
    if (!memory) return command_fail(err, DR_NOMEM, "out of memory for the answer");
    const enum dr_code code = dr_engine_memory(session->engine, memory, err);
    if (code == DR_OK)
        member_set(fields, "budget",
                   memory_json_budget(memory->budget_bytes, memory->budget_reason));
    dr_memory_free(memory);
    free(memory);
    return code;
}

enum dr_code run_budget(struct session *session, const struct options *options,
                        json_t *fields, struct dr_error *err)
{
    uint64_t bytes = 0;
    if (options->operand_count == 0) return command_add_budget(session, fields, err);
    enum dr_code code = DR_OK;
    if (strcmp(options->operands[0], "default") != 0)
        code = dr_parse_bytes(options->operands[0], &bytes, err);
    if (code == DR_OK) code = dr_engine_set_budget(session->engine, bytes, err);
    if (code != DR_OK)
        budget_text_complete(err->message, sizeof err->message, options->operands[0]);
    if (code == DR_OK) session_note_budget(session, bytes ? options->operands[0] : "");
    return code == DR_OK ? command_add_budget(session, fields, err) : code;
}
