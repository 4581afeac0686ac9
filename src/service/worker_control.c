/* What changes the engine between jobs: options, load, unload, forecast (worker.h). Other threads queue an action and
 * wait until the worker's thread has done it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/failure.h"
#include "service/model_choice.h"
#include "service/worker_state.h"

/* Has the worker's thread do it, and waits. */
static enum dr_code perform_if(struct worker *worker, struct worker_action *action,
                               enum worker_patience patience, struct dr_error *err)
{
    pthread_mutex_lock(&worker->lock);
    const bool stops = worker->is_stopping || worker->has_ended;
    const bool is_late = patience == WORKER_DOES_NOT_WAIT &&
                         (worker->is_at_work || worker->has_news || worker->actions);
    if (stops || is_late) {
        pthread_mutex_unlock(&worker->lock);
        return failure(err, DR_BUSY,
                       stops ? "the service is stopping" : "a job is running");
    }
    *worker->last_action = action;
    worker->last_action = &action->next;
    pthread_cond_signal(&worker->wake);
    while (!action->is_done)
        pthread_cond_wait(&worker->changed, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
    if (action->code != DR_OK && err) *err = action->error;
    return action->code;
}

static enum dr_code perform(struct worker *worker, struct worker_action *action,
                            struct dr_error *err)
{
    return perform_if(worker, action, WORKER_WAITS, err);
}

/* ---- by the worker's thread -------------------------------------------------------------- */

enum dr_code worker_open_model(struct worker *worker, const char *path,
                               struct dr_error *err)
{
    struct dr_load_result result;
    char before[DR_PATH_BYTES];
    struct dr_status status;
    dr_engine_status(worker->engine, &status);
    memcpy(before, status.model, sizeof before);
    const enum dr_code code =
        dr_engine_load(worker->engine, path, DR_LOAD_LAZY, &result, err);
    if (code != DR_OK) return code;
    if (strcmp(before, path) != 0)
        worker_note_receipt(worker, "load", "", &result.receipt);
    dr_load_result_free(&result);
    return DR_OK;
}

void worker_keep_alive(struct worker *worker, int32_t keep_alive_s)
{
    pthread_mutex_lock(&worker->lock);
    const int32_t seconds = keep_alive_s == KEEP_ALIVE_DEFAULT
                                ? worker->options.keep_alive_s
                                : keep_alive_s;
    worker->is_resident = true;
    worker->expires_ms = seconds > 0 ? dr_clock_ms() + 1e3 * seconds : 0;
    pthread_mutex_unlock(&worker->lock);
    if (seconds == 0)
        (void)!worker_release(worker, "keep_alive", DR_UNLOAD_MODEL, NULL, NULL);
}

enum dr_code worker_release(struct worker *worker, const char *what, unsigned which,
                            struct dr_receipt *receipt, struct dr_error *err)
{
    struct dr_receipt own;
    struct dr_receipt *const filled = receipt ? receipt : &own;
    const enum dr_code code = dr_engine_unload(worker->engine, which, filled, err);
    memory_look_drop(&worker->look);
    if (code != DR_OK) return code;
    worker_note_receipt(worker, what, "", filled);
    if ((which & ~(unsigned)DR_UNLOAD_DROP_CACHE) != DR_UNLOAD_MODEL) return DR_OK;
    pthread_mutex_lock(&worker->lock);
    worker->is_resident = false;
    worker->expires_ms = 0;
    pthread_mutex_unlock(&worker->lock);
    return DR_OK;
}

static enum dr_code choose_vae(struct worker *worker, const char *choice,
                               struct dr_receipt *receipt, struct dr_error *err)
{
    struct dr_receipt own;
    struct dr_receipt *const filled = receipt ? receipt : &own;
    const enum dr_code code =
        dr_engine_choose_vae(worker->engine, choice, 0, NULL, filled, err);
    if (code != DR_OK) return code;
    snprintf(worker->vae, sizeof worker->vae, "%s", choice);
    worker_note_receipt(worker, "vae", "", filled);
    return DR_OK;
}

static void log_warning(const struct worker *worker, const struct dr_error *why)
{
    if (worker->options.engine.log)
        worker->options.engine.log(worker->options.engine.log_cookie, DR_LOG_WARNING,
                                   why->message);
}

static enum dr_code load_now(struct worker *worker, const char *path,
                             struct dr_receipt *receipt, struct dr_error *err)
{
    struct dr_load_result result;
    const enum dr_code code =
        dr_engine_load(worker->engine, path, DR_LOAD_EAGER, &result, err);
    if (code != DR_OK) return code;
    worker_note_receipt(worker, "load", "", &result.receipt);
    if (receipt) *receipt = result.receipt;
    dr_load_result_free(&result);
    worker_keep_alive(worker, KEEP_ALIVE_DEFAULT);
    return DR_OK;
}

/* The setting of the settings file stays where nobody chose a VAE. */
void worker_begin(struct worker *worker)
{
    char text[DR_PATH_BYTES];
    struct dr_error why;
    option_list_get(worker->options.options, "sd_vae", text, sizeof text);
    if (*text && strcmp(text, "automatic") != 0 &&
        choose_vae(worker, text, NULL, &why) != DR_OK)
        log_warning(worker, &why);
    if (!worker->options.preloads) return;
    enum dr_code code =
        model_choice_path(worker->options.options, worker->options.models, text, &why);
    if (code == DR_OK) code = load_now(worker, text, NULL, &why);
    if (code != DR_OK) log_warning(worker, &why);
}

/* ---- options ----------------------------------------------------------------------------- */

static const struct option_change *find_change(const struct worker_action *action,
                                               const char *name)
{
    const struct option_change *const changes = action->input;
    for (size_t i = 0; i < action->count; ++i)
        if (strcmp(changes[i].name, name) == 0) return &changes[i];
    return NULL;
}

/* What the engine had, to go back to. */
struct engine_choice {
    char model[DR_PATH_BYTES]; /* "": none */
    char vae[DR_PATH_BYTES];   /* "": that of the settings file */
    uint64_t budget_bytes;     /* as it was given; 0: the default */
};

static void go_back(struct worker *worker, const struct engine_choice *before)
{
    struct dr_error why;
    if (worker->options.engine.budget_bytes != before->budget_bytes &&
        dr_engine_set_budget(worker->engine, before->budget_bytes, &why) != DR_OK)
        log_warning(worker, &why);
    worker->options.engine.budget_bytes = before->budget_bytes;
    if (strcmp(worker->vae, before->vae) != 0) {
        const char *const vae = *before->vae ? before->vae : "automatic";
        if (choose_vae(worker, vae, NULL, &why) != DR_OK) log_warning(worker, &why);
    }
    if (*before->model && worker_open_model(worker, before->model, &why) != DR_OK)
        log_warning(worker, &why);
}

/* Budget, model and VAE change together or not at all. The model comes before the VAE: whether that fits is asked of the
 * new one. */
static enum dr_code change_engine(struct worker *worker,
                                  const struct worker_action *action,
                                  struct dr_error *err)
{
    const struct option_change *const to_model =
        find_change(action, "sd_model_checkpoint");
    const struct option_change *const to_vae = find_change(action, "sd_vae");
    const bool has_model = to_model && *to_model->value;
    enum dr_code code = DR_OK;
    if (action->budget)
        code = dr_engine_set_budget(worker->engine, *action->budget, err);
    if (code == DR_OK && action->budget)
        worker->options.engine.budget_bytes = *action->budget;
    if (code == DR_OK && has_model)
        code = worker_open_model(worker, to_model->value, err);
    if (code == DR_OK && to_vae)
        code = choose_vae(worker, *to_vae->value ? to_vae->value : "automatic",
                          action->receipt, err);
    if (code == DR_OK && has_model && action->flags)
        code = load_now(worker, to_model->value, action->receipt, err);
    return code;
}

static enum dr_code apply(struct worker *worker, struct worker_action *action,
                          struct dr_error *err)
{
    struct engine_choice before;
    struct dr_status status;
    dr_engine_status(worker->engine, &status);
    memcpy(before.model, status.model, sizeof before.model);
    memcpy(before.vae, worker->vae, sizeof before.vae);
    before.budget_bytes = worker->options.engine.budget_bytes;
    enum dr_code code = change_engine(worker, action, err);
    if (code == DR_OK && action->count > 0)
        code =
            option_list_set(worker->options.options, action->input, action->count, err);
    if (code != DR_OK) go_back(worker, &before);
    return code;
}

enum dr_code worker_apply(struct worker *worker, const struct option_change *changes,
                          size_t count, const uint64_t *budget, bool loads,
                          struct dr_receipt *receipt, struct dr_error *err)
{
    if (receipt) *receipt = (struct dr_receipt){0};
    if (count == 0 && !budget) return DR_OK;
    struct worker_action action = {.act = apply,
                                   .input = changes,
                                   .count = count,
                                   .budget = budget,
                                   .flags = loads,
                                   .receipt = receipt};
    if (budget || find_change(&action, "sd_model_checkpoint") ||
        find_change(&action, "sd_vae"))
        return perform(worker, &action, err);
    return option_list_set(worker->options.options, changes, count, err);
}

/* ---- unload, load, forecast -------------------------------------------------------------- */

static enum dr_code unload(struct worker *worker, struct worker_action *action,
                           struct dr_error *err)
{
    return worker_release(worker, "unload", action->flags, action->receipt, err);
}

enum dr_code worker_unload(struct worker *worker, unsigned what,
                           struct dr_receipt *receipt, struct dr_error *err)
{
    struct worker_action action = {.act = unload, .flags = what, .receipt = receipt};
    return perform(worker, &action, err);
}

static enum dr_code load(struct worker *worker, struct worker_action *action,
                         struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    const enum dr_code code =
        model_choice_path(worker->options.options, worker->options.models, path, err);
    return code == DR_OK ? load_now(worker, path, action->receipt, err) : code;
}

enum dr_code worker_load(struct worker *worker, struct dr_receipt *receipt,
                         struct dr_error *err)
{
    struct worker_action action = {.act = load, .receipt = receipt};
    return perform(worker, &action, err);
}

static enum dr_code forecast(struct worker *worker, struct worker_action *action,
                             struct dr_error *err)
{
    const struct picture_request *const request = action->input;
    const struct dr_generate_options options = worker_options_of(worker, request);
    char path[DR_PATH_BYTES];
    enum dr_code code = DR_OK;
    if (*request->model)
        snprintf(path, sizeof path, "%s", request->model);
    else
        code = model_choice_path(worker->options.options, worker->options.models, path,
                                 err);
    if (code != DR_OK) return code;
    return dr_engine_forecast_model(worker->engine, path, &options, action->output,
                                    err);
}

enum dr_code worker_forecast(struct worker *worker,
                             const struct picture_request *request,
                             enum worker_patience patience,
                             struct dr_forecast *forecast_out, struct dr_error *err)
{
    struct worker_action action = {.act = forecast,
                                   .input = request,
                                   .output = forecast_out};
    *forecast_out = (struct dr_forecast){0};
    return perform_if(worker, &action, patience, err);
}

/* ---- keep-alive -------------------------------------------------------------------------- */

void worker_set_keep_alive(struct worker *worker, int32_t keep_alive_s)
{
    pthread_mutex_lock(&worker->lock);
    worker->options.keep_alive_s = keep_alive_s;
    pthread_mutex_unlock(&worker->lock);
}

int32_t worker_get_keep_alive(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    const int32_t seconds = worker->options.keep_alive_s;
    pthread_mutex_unlock(&worker->lock);
    return seconds;
}
