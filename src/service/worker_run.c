/* A queued job runs to its end, by the worker's thread (worker_state.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/event_json.h"
#include "front/job_json.h"
#include "front/member.h"
#include "service/failure.h"
#include "service/gallery.h"
#include "service/metrics.h"
#include "service/worker_state.h"

enum {
    PROGRESS_MS = 250, /* between two events of a stage */
    ENTRY_TRIES = 10,  /* to enter a picture, while the disk does not take it */
    SIDE_STEP = 8      /* the engine makes sides that are multiples of it */
};

/* A job while it runs. */
struct run {
    struct worker *worker;
    struct job_record record;
    char (*paths)[DR_PATH_BYTES]; /* of its pictures' files */
    const char **outputs;
    int32_t count;
    /* Of the engine's job under way, which makes all pictures, or one where each has prompts of its own. */
    struct dr_expanded text;
    int32_t first;
    json_t *images;                     /* of all that made some */
    uint64_t planned_bytes, peak_bytes; /* the most of them */
    enum dr_stage stage;
    double start_ms;
    bool learns; /* the map of previews is not known for its VAE */
    struct preview_fit fit;
    struct dr_generate_result result;
    enum dr_code code;
    struct dr_error error;
};

/* ---- what it tells while it runs --------------------------------------------------------- */

static void tell_progress(void *cookie, const struct dr_progress *of_part)
{
    struct run *const run = cookie;
    struct worker *const worker = run->worker;
    const double now = dr_clock_ms();
    struct dr_progress all = *of_part;
    const struct dr_progress *const progress = &all;
    pthread_mutex_lock(&worker->lock);
    worker_progress_of_all(&worker->running, &all);
    worker->running.image = progress->image;
    const int32_t step = worker->running.step, steps = worker->running.step_count;
    pthread_mutex_unlock(&worker->lock);
    if (progress->stage == run->stage && now - worker->progress_ms < PROGRESS_MS)
        return;
    run->stage = progress->stage;
    worker->progress_ms = now;
    json_t *const data = json_object();
    member_set_text(data, "id", run->record.id);
    member_set_text(data, "stage", dr_stage_name(progress->stage));
    member_set_real(data, "progress", progress->total_share);
    member_set_integer(data, "image", progress->image);
    member_set_integer(data, "images", run->count);
    member_set_integer(data, "step", step);
    member_set_integer(data, "steps", steps);
    if (progress->left_ms >= 0)
        member_set_real(data, "eta_seconds", progress->left_ms / 1e3);
    event_log_add(worker->options.events, "progress", run->record.id, run->record.user,
                  data);
}

/* Keeps a preview as a PNG, for worker_preview. */
static void keep_preview(struct worker *worker, const struct dr_preview *preview)
{
    size_t bytes = 0;
    unsigned char *const png = preview_map_png(&worker->map, preview, &bytes);
    if (!png) return;
    pthread_mutex_lock(&worker->lock);
    free(worker->preview);
    worker->preview = png;
    worker->preview_bytes = bytes;
    pthread_mutex_unlock(&worker->lock);
}

static void take_step(void *cookie, const struct dr_preview *preview)
{
    struct run *const run = cookie;
    struct worker *const worker = run->worker;
    const double now = dr_clock_ms();
    pthread_mutex_lock(&worker->lock);
    worker->running.step = preview->step;
    worker->running.step_count = preview->step_count;
    worker->running.image = run->first + preview->image;
    pthread_mutex_unlock(&worker->lock);
    if (run->learns) preview_fit_take_latents(&run->fit, preview);
    const int32_t interval_ms = worker->options.preview_interval_ms;
    if (interval_ms <= 0 || now - worker->preview_ms < interval_ms) return;
    worker->preview_ms = now;
    keep_preview(worker, preview);
    char url[80];
    snprintf(url, sizeof url, "/api/v1/jobs/%s/preview", run->record.id);
    json_t *const data = json_object();
    member_set_text(data, "id", run->record.id);
    member_set_integer(data, "image", run->first + preview->image);
    member_set_integer(data, "step", preview->step);
    member_set_integer(data, "steps", preview->step_count);
    member_set_text(data, "url", url);
    event_log_add(worker->options.events, "preview", run->record.id, run->record.user,
                  data);
}

static void take_image(void *cookie, int32_t index, uint64_t seed, const float *rgb,
                       int32_t width, int32_t height)
{
    struct run *const run = cookie;
    (void)seed;
    preview_fit_take_image(&run->fit, index, rgb, width, height);
}

/* The map of the model's family, until that of this VAE is learned. */
static void choose_map(struct run *run)
{
    struct worker *const worker = run->worker;
    const struct picture_request *const request = &run->record.request;
    char map_of[sizeof worker->map_of];
    snprintf(map_of, sizeof map_of, "%s\n%s", request->model, request->vae);
    run->learns =
        worker->options.preview_interval_ms > 0 && strcmp(map_of, worker->map_of) != 0;
    if (!run->learns) return;
    struct dr_status status;
    dr_engine_status(worker->engine, &status);
    worker->map = preview_map_of_family(status.family);
    *worker->map_of = '\0';
}

/* After a job that was done: now the VAE is known. */
static void learn_map(const struct run *run)
{
    struct worker *const worker = run->worker;
    const struct picture_request *const request = &run->record.request;
    const char *const digest = run->result.vae.digest;
    if (!run->learns) return;
    if (!preview_fit_recall(worker->options.store, digest, &worker->map)) {
        if (!run->fit.is_fitted) return;
        worker->map = run->fit.map;
        preview_fit_keep(worker->options.store, digest, &worker->map);
    }
    snprintf(worker->map_of, sizeof worker->map_of, "%s\n%s", request->model,
             request->vae);
}

/* ---- its pictures ------------------------------------------------------------------------ */

/* What the gallery shows is read from the picture itself. */
static void describe(struct gallery_picture *picture, const char *path)
{
    struct dr_parameters parameters;
    if (dr_read_parameters(path, &picture->parameters, NULL) != DR_OK ||
        !picture->parameters ||
        dr_parse_parameters(picture->parameters, &parameters, NULL) != DR_OK)
        return;
    picture->width = parameters.width;
    picture->height = parameters.height;
    picture->model = strdup(parameters.model);
    picture->vae = strdup(parameters.vae);
    dr_parameters_free(&parameters);
}

static enum dr_code add_to_gallery(struct run *run, int32_t index, uint64_t seed,
                                   struct dr_error *err)
{
    const struct picture_request *const request = &run->record.request;
    struct gallery_picture picture = {.index = index,
                                      .is_kept = request->keeps,
                                      .is_jpeg = request->format == PICTURE_JPEG,
                                      .seed = seed,
                                      .prompt = strdup(run->text.prompt)};
    memcpy(picture.job, run->record.id, sizeof picture.job);
    snprintf(picture.user, sizeof picture.user, "%s", run->record.user);
    describe(&picture, run->paths[index]);
    const enum dr_code code = gallery_add(run->worker->options.store, &picture, err);
    if (code == DR_OK) {
        json_t *const data = json_object();
        member_set_text(data, "id", picture.id);
        member_set_text(data, "job", run->record.id);
        member_set_integer(data, "index", index);
        member_set(data, "seed", picture_seed_json(seed));
        member_set_integer(data, "width", picture.width);
        member_set_integer(data, "height", picture.height);
        event_log_add(run->worker->options.events, "image", run->record.id,
                      run->record.user, data);
    }
    gallery_picture_finish(&picture);
    return code;
}

/* A picture's file is there. Where it cannot be entered, the rest of the job is of no use. */
static void note_written(void *cookie, int32_t index, const struct dr_image_info *image)
{
    struct run *const run = cookie;
    const int32_t place = run->first + index;
    if (run->code != DR_OK) return;
    int tries = ENTRY_TRIES;
    do
        run->code = add_to_gallery(run, place, image->seed, &run->error);
    while (run->code == DR_IO && --tries > 0 && worker_pause(run->worker));
    if (run->code == DR_OK) return;
    pthread_mutex_lock(&run->worker->lock);
    if (run->worker->running.handle) dr_job_cancel_now(run->worker->running.handle);
    pthread_mutex_unlock(&run->worker->lock);
}

/* ---- running ----------------------------------------------------------------------------- */

static int32_t made_side(int32_t pixels)
{
    return (pixels + SIDE_STEP - 1) / SIDE_STEP * SIDE_STEP;
}

static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

/* NULL where the engine's setting is what the job has. */
static const char *own_vae(const struct worker *worker, const char *vae)
{
    const char *const setting = *worker->vae ? worker->vae : "automatic";
    return !*vae || strcmp(vae, setting) == 0 ? NULL : vae;
}

struct dr_generate_options worker_options_of(const struct worker *worker,
                                             const struct picture_request *request)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = request->prompt;
    options.negative = text_or_null(request->negative);
    options.existing = DR_EXISTING_ANY;
    options.width = made_side(request->width);
    options.height = made_side(request->height);
    options.cut_width = options.width != request->width ? request->width : 0;
    options.cut_height = options.height != request->height ? request->height : 0;
    options.seed = request->seed;
    options.steps = request->steps;
    options.cfg = request->cfg;
    options.sampling = request->sampling;
    options.sampler = text_or_null(request->sampler);
    options.scheduler = text_or_null(request->scheduler);
    options.clip_skip = request->clip_skip;
    options.emphasis = request->emphasis;
    options.pad_prompts = request->pads;
    options.lora_directory =
        extra_networks_directory(worker->options.networks, EXTRA_LORAS);
    options.embedding_directory =
        extra_networks_directory(worker->options.networks, EXTRA_EMBEDDINGS);
    options.vae = own_vae(worker, request->vae);
    options.strength = request->strength;
    options.takes_a_step = 1; /* as A1111 does */
    options.init_fit = request->resize == PICTURE_CROP   ? DR_FIT_CROP
                       : request->resize == PICTURE_FILL ? DR_FIT_PAD
                                                         : DR_FIT_STRETCH;
    options.batch = request->batch_size * request->batch_count;
    options.quality = request->quality;
    return options;
}

static enum dr_code name_outputs(struct run *run)
{
    const struct picture_request *const request = &run->record.request;
    run->count = request->batch_size * request->batch_count;
    run->paths = calloc((size_t)run->count, sizeof *run->paths);
    run->outputs = calloc((size_t)run->count, sizeof *run->outputs);
    if (!run->paths || !run->outputs)
        return failure_memory(&run->error, "the names of pictures");
    for (int32_t i = 0; i < run->count; ++i) {
        char id[STORE_ID_BYTES];
        gallery_id(run->record.id, i, id);
        gallery_path(run->worker->options.store, id, request->format == PICTURE_JPEG,
                     run->paths[i], sizeof run->paths[i]);
        run->outputs[i] = run->paths[i];
    }
    return DR_OK;
}

/* As a batch counts: with a variation all pictures have the first one's seed. */
static uint64_t seed_of(const struct picture_request *request, int32_t picture)
{
    return request->sampling.variation_strength > 0 ? request->seed
                                                    : request->seed + (uint64_t)picture;
}

/* Of the pictures from run->first on; count: how many. */
static struct dr_generate_options job_options(struct run *run, const char *init,
                                              int32_t count)
{
    const struct picture_request *const request = &run->record.request;
    struct dr_generate_options options = worker_options_of(run->worker, request);
    options.prompt = run->text.prompt;
    options.negative = text_or_null(run->text.negative ? run->text.negative : "");
    options.seed = seed_of(request, run->first);
    options.sampling.variation_seed += (uint64_t)run->first;
    options.batch = count;
    options.outputs = run->outputs + run->first;
    options.init = init;
    options.most_pixels = run->worker->options.limits.most_pixels;
    options.progress = tell_progress;
    options.preview_every = 1;
    options.preview = take_step;
    options.written = note_written;
    if (run->learns) options.image = take_image;
    options.image_cookie = run;
    options.progress_cookie = options.preview_cookie = options.written_cookie = run;
    return options;
}

/* From now on it can be cancelled by its handle; a request that came before counts. */
static void publish(struct worker *worker, struct dr_job *handle)
{
    pthread_mutex_lock(&worker->lock);
    if (!handle) dr_job_progress(worker->running.handle, &worker->last_progress);
    worker->running.handle = handle;
    if (handle && worker->running.is_requeued)
        dr_job_cancel_now(handle);
    else if (handle && worker->running.is_cancelled)
        dr_job_cancel(handle);
    pthread_mutex_unlock(&worker->lock);
}

/* What the engine's job has made, beside those before it. */
static void collect(struct run *run)
{
    const struct dr_generate_result *const result = &run->result;
    json_t *const part = json_object();
    job_json_add_generated_part(part, result);
    if (!run->images) run->images = json_array();
    (void)json_array_extend(run->images, json_object_get(part, "images"));
    json_decref(part);
    if (result->planned_private_bytes > run->planned_bytes)
        run->planned_bytes = result->planned_private_bytes;
    if (result->peak_private_bytes > run->peak_bytes)
        run->peak_bytes = result->peak_private_bytes;
}

static enum dr_code run_part(struct run *run, const char *init, int32_t count)
{
    struct worker *const worker = run->worker;
    const struct dr_generate_options options = job_options(run, init, count);
    struct dr_job *job = NULL;
    enum dr_code code =
        dr_job_create_generate(worker->engine, &options, &job, &run->error);
    if (code != DR_OK) return code;
    dr_generate_result_free(&run->result);
    publish(worker, job);
    struct dr_error err = {0};
    code = dr_job_run(job, &run->result, &err);
    publish(worker, NULL);
    dr_job_destroy(&job);
    collect(run);
    /* An error of a picture's entry is why the job was cancelled. */
    if (run->code != DR_OK) return run->code;
    if (code != DR_OK) run->error = err;
    return code;
}

static enum dr_code expand(struct run *run, int32_t first)
{
    const struct picture_request *const request = &run->record.request;
    dr_expanded_free(&run->text);
    return extra_networks_expand(run->worker->options.networks, request->prompt,
                                 request->negative, seed_of(request, first), &run->text,
                                 &run->error);
}

/* Another of the engine's jobs begins. */
static void show_part(struct run *run, int32_t part_count)
{
    struct worker *const worker = run->worker;
    pthread_mutex_lock(&worker->lock);
    worker->running.part = run->first;
    worker->running.part_count = part_count;
    worker->last_progress = (struct dr_job_progress){0}; /* of the part before */
    pthread_mutex_unlock(&worker->lock);
}

/* In one job of the engine, or where the prompts have wildcards, in one for each picture. */
static enum dr_code run_parts(struct run *run, const char *init)
{
    enum dr_code code = expand(run, 0);
    const int32_t part_count =
        code == DR_OK && run->text.wildcard_count > 0 ? run->count : 1;
    for (int32_t i = 0; i < part_count && code == DR_OK; ++i) {
        if (i > 0) code = expand(run, i);
        if (code != DR_OK) break;
        run->first = i;
        show_part(run, part_count);
        code = run_part(run, init, part_count > 1 ? 1 : run->count);
    }
    return code;
}

static enum dr_code run_on_engine(struct run *run)
{
    struct worker *const worker = run->worker;
    const struct picture_request *const request = &run->record.request;
    char init[DR_PATH_BYTES];
    enum dr_code code = worker_open_model(worker, request->model, &run->error);
    if (code == DR_OK) code = name_outputs(run);
    if (code != DR_OK) return code;
    if (request->init)
        snprintf(init, sizeof init, "%s/%s", store_input_folder(worker->options.store),
                 request->init);
    choose_map(run);
    return run_parts(run, request->init ? init : NULL);
}

/* ---- its end ----------------------------------------------------------------------------- */

static char *answer_text(const struct run *run)
{
    json_t *const answer = json_object();
    if (run->code == DR_OK)
        job_json_add_generated(answer, &run->result);
    else
        job_json_add_generated_part(answer, &run->result);
    if (json_array_size(run->images) > 0)
        member_set(answer, "images", json_incref(run->images));
    if (run->code == DR_OK) {
        member_set_bytes(answer, "planned_private_bytes", run->planned_bytes);
        member_set_bytes(answer, "peak_private_bytes", run->peak_bytes);
    }
    member_set_text(answer, "model", run->record.request.model);
    if (*run->record.request.warnings)
        job_json_add_warning(answer, run->record.request.warnings);
    char *const text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return text;
}

static enum job_phase phase_of(const struct run *run)
{
    if (run->code == DR_OK) return JOB_DONE;
    return run->code == DR_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

static void end_job(struct run *run, bool is_requeued)
{
    struct worker *const worker = run->worker;
    struct job_record *const record = &run->record;
    enum job_phase phase = phase_of(run);
    worker_hide(worker, run->error.message);
    worker_hide(worker, run->result.warnings);
    if (phase == JOB_CANCELLED && is_requeued && record->survives) {
        if (job_store_requeue(worker->options.store, record->id, NULL) == DR_OK)
            worker_tell_state(worker, record->id, record->user, JOB_QUEUED);
        return;
    }
    const struct job_ending ending = {.phase = phase,
                                      .error =
                                          phase == JOB_FAILED ? &run->error : NULL};
    worker_note_end(worker, record, &ending, answer_text(run));
    metrics_add_job(worker->options.metrics, phase,
                    (dr_clock_ms() - run->start_ms) / 1e3,
                    (int32_t)json_array_size(run->images), &run->result);
}

static void show_running(struct worker *worker, const struct job_record *record)
{
    pthread_mutex_lock(&worker->lock);
    worker->running = (struct running_job){.kind = record->request.kind,
                                           .created_s = record->created_s,
                                           .image_count = record->request.batch_size *
                                                          record->request.batch_count};
    memcpy(worker->running.id, record->id, sizeof worker->running.id);
    memcpy(worker->running.user, record->user, sizeof worker->running.user);
    worker->last_progress = (struct dr_job_progress){0};
    worker->expires_ms = 0;
    pthread_mutex_unlock(&worker->lock);
}

/* Returns whether it goes back into the queue. */
static bool hide_running(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    const bool is_requeued = worker->running.is_requeued;
    free(worker->preview);
    worker->preview = NULL;
    worker->preview_bytes = 0;
    pthread_mutex_unlock(&worker->lock);
    return is_requeued;
}

/* The job is the running one. DR_NOT_FOUND: it was cancelled before. Other errors are the disk's, and it still waits. */
static enum dr_code begin(struct worker *worker, const char *id,
                          struct job_record *record)
{
    struct dr_error err = {0};
    pthread_mutex_lock(&worker->submit_lock);
    enum dr_code code = job_store_get(worker->options.store, id, NULL, record, &err);
    if (code == DR_OK) {
        show_running(worker, record);
        code = job_store_start(worker->options.store, id, &err);
    } else if (code == DR_CORRUPT) { /* its request: nobody can run it */
        const struct job_ending ending = {.phase = JOB_FAILED, .error = &err};
        const struct job_record unread = {.phase = JOB_QUEUED};
        *record = unread;
        memcpy(record->id, id, sizeof record->id);
        worker_note_end(worker, record, &ending, NULL);
        code = worker_write_end(worker) ? DR_NOT_FOUND : DR_IO;
    }
    pthread_mutex_unlock(&worker->submit_lock);
    return code;
}

static void note_result(const struct run *run)
{
    struct worker *const worker = run->worker;
    worker_note_receipt(worker, "job", run->record.id, &run->result.receipt);
    learn_map(run);
    pthread_mutex_lock(&worker->lock);
    job_pace_note(&worker->pace, run->record.request.model, &run->result);
    pthread_mutex_unlock(&worker->lock);
}

static void clear_running(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->running = (struct running_job){0};
    pthread_mutex_unlock(&worker->lock);
}

bool worker_run_job(struct worker *worker, const char *id)
{
    struct run run = {.worker = worker,
                      .start_ms = dr_clock_ms(),
                      .stage = DR_STAGE_WRITE};
    const enum dr_code code = begin(worker, id, &run.record);
    bool is_written = code == DR_OK || code == DR_NOT_FOUND;
    if (code == DR_OK) {
        worker_tell_state(worker, id, run.record.user, JOB_RUNNING);
        run.code = run_on_engine(&run);
        memory_look_drop(&worker->look);
        const bool is_requeued = hide_running(worker);
        if (run.code == DR_OK) note_result(&run);
        /* With a keep_alive of 0 the memory is given back before anybody learns of the end. */
        worker_keep_alive(worker, run.record.request.keep_alive_s);
        end_job(&run, is_requeued);
        /* Before anybody learns of its end: who interrupts then means the next job. */
        clear_running(worker);
        is_written = worker_write_end(worker);
    }
    clear_running(worker);
    worker_tell_ended(worker);
    dr_generate_result_free(&run.result);
    dr_expanded_free(&run.text);
    json_decref(run.images);
    job_record_finish(&run.record);
    preview_fit_finish(&run.fit);
    free(run.outputs);
    free(run.paths);
    return is_written;
}
