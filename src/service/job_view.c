#include "service/job_view.h"

#include <stdlib.h>
#include <string.h>

#include "front/answer.h"
#include "front/member.h"
#include "service/gallery.h"

static void add_progress(struct service *service, json_t *view, const char *id)
{
    struct worker_progress progress;
    worker_progress(service->worker, &progress);
    if (strcmp(progress.job, id) != 0) return;
    member_set_real(view, "progress", progress.job_progress.share);
    member_set_integer(view, "step", progress.step);
    member_set_integer(view, "steps", progress.step_count);
    member_set_integer(view, "image", progress.image);
    member_set_text(view, "stage", dr_stage_name(progress.job_progress.last.stage));
    if (progress.eta_s >= 0) member_set_real(view, "eta_seconds", progress.eta_s);
}

static void add_times(json_t *view, const struct job_record *record)
{
    member_set_real(view, "created", record->created_s);
    if (record->started_s > 0) member_set_real(view, "started", record->started_s);
    if (record->ended_s > 0) member_set_real(view, "ended", record->ended_s);
}

static void add_images(struct service *service, json_t *view, const char *id)
{
    struct gallery_picture *pictures = NULL;
    int32_t count = 0;
    json_t *const images = json_array();
    if (gallery_of_job(service->store, id, &pictures, &count, NULL) != DR_OK) count = 0;
    for (int32_t i = 0; i < count; ++i) {
        (void)json_array_append_new(images, member_text(pictures[i].id));
        gallery_picture_finish(&pictures[i]);
    }
    free(pictures);
    member_set(view, "images", images);
}

/* Of what the job made: the receipt and warnings, and the VAE that ran. */
static void add_answer(json_t *view, const char *answer)
{
    static const char *const names[] = {
        "receipt",           "warnings", "vae", "timings_ms", "planned_private_bytes",
        "peak_private_bytes"};
    json_t *const made = answer ? json_loads(answer, 0, NULL) : NULL;
    for (size_t i = 0; made && i < sizeof names / sizeof *names; ++i) {
        json_t *const member = json_object_get(made, names[i]);
        if (member) member_set(view, names[i], json_incref(member));
    }
    json_decref(made);
}

static void add_error(json_t *view, const struct job_record *record)
{
    json_t *const error = json_object();
    member_set_text(error, "code", dr_code_name(record->code));
    member_set_text(error, "message", record->error);
    member_set(view, "error", error);
}

json_t *job_view_json(struct service *service, const struct job_record *record,
                      struct worker_queue *queue)
{
    json_t *const view = json_object();
    member_set_text(view, "id", record->id);
    member_set_integer(view, "number", record->number);
    member_set_text(view, "kind", picture_kind_name(record->request.kind));
    member_set_text(view, "state", job_phase_name(record->phase));
    if (record->phase == JOB_QUEUED)
        member_set_integer(view, "position",
                           worker_position(service->worker, queue, record->id));
    if (record->phase == JOB_RUNNING) add_progress(service, view, record->id);
    add_times(view, record);
    add_images(service, view, record->id);
    if (record->error) add_error(view, record);
    add_answer(view, record->answer);
    member_set(view, "request", picture_request_json(&record->request));
    return view;
}
