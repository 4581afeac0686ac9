/* /api/v1/models, vaes, and the lists of what is not built yet: what there is in the directories. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "front/member.h"
#include "front/vae_list_json.h"
#include "service/model_choice.h"
#include "service/route.h"
#include "service/service.h"

static json_t *model_json(const struct listed_checkpoint *model)
{
    json_t *const value = json_object();
    member_set_text(value, "title", model->title);
    member_set_text(value, "name", model->name);
    member_set_text(value, "file", model->file);
    member_set_text(value, "path", model->path);
    member_set_bytes(value, "bytes", model->bytes);
    if (*model->family) member_set_text(value, "family", model->family);
    if (*model->sha256) member_set_text(value, "sha256", model->sha256);
    if (*model->vae) member_set_text(value, "vae", model->vae);
    if (*model->problem) member_set_text(value, "problem", model->problem);
    return value;
}

static void get_models(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    json_t *const models = json_array(), *const vaes = json_array();
    (void)request;
    const struct model_snapshot *const snapshot = model_folders_hold(service->models);
    for (size_t i = 0; i < snapshot->model_count; ++i)
        (void)json_array_append_new(models, model_json(&snapshot->models[i]));
    for (size_t i = 0; i < snapshot->vae_count; ++i) {
        json_t *const vae = json_object();
        member_set_text(vae, "name", snapshot->vaes[i].name);
        member_set_text(vae, "path", snapshot->vaes[i].path);
        member_set_bytes(vae, "bytes", snapshot->vaes[i].bytes);
        (void)json_array_append_new(vaes, vae);
    }
    json_t *const answer = json_object();
    member_set_text(answer, "model_dirs", snapshot->folders);
    member_set(answer, "models", models);
    member_set(answer, "vaes", vaes);
    model_folders_drop(service->models, snapshot);
    http_reply_json(reply, 200, answer);
}

/* ---- VAEs for a model -------------------------------------------------------------------- */

/* An engine that only looks at files, for a model that is not loaded. One at a time: it takes the memory of a file's
 * index. It has no pictures to make, so its budget is of no account. */
static enum dr_code list_with_another(const struct service_options *options,
                                      const char *path, struct dr_vae_list *list,
                                      struct dr_error *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct dr_engine_options how = options->engine;
    struct dr_engine *engine = NULL;
    how.thread_count = 0;
    how.budget_bytes = UINT64_MAX / 4;
    how.log = NULL;
    how.load_progress = NULL;
    if (options->vae_folders) how.vae_folder = options->vae_folders[0];
    pthread_mutex_lock(&lock);
    enum dr_code code = dr_engine_open(&engine, &how, err);
    if (code == DR_OK) code = dr_engine_load(engine, path, DR_LOAD_LAZY, NULL, err);
    if (code == DR_OK) code = dr_engine_list_vaes(engine, 0, NULL, NULL, list, err);
    dr_engine_close(&engine);
    pthread_mutex_unlock(&lock);
    return code;
}

static enum dr_code list_vaes(struct service *service, const char *path,
                              struct dr_vae_list *list, struct dr_error *err)
{
    struct dr_engine *const engine = worker_engine_hold(service->worker);
    struct dr_status status = {0};
    enum dr_code code = DR_NOT_FOUND;
    if (engine) {
        dr_engine_status(engine, &status);
        if (strcmp(status.model, path) == 0)
            code = dr_engine_list_vaes(engine, 0, NULL, NULL, list, err);
        worker_engine_drop(service->worker);
    }
    if (strcmp(status.model, path) == 0) return code;
    return list_with_another(service->options, path, list, err);
}

static void get_vaes(struct service *service, const struct http_request *request,
                     struct http_reply *reply)
{
    const char *const said = http_request_query(request, "model");
    struct dr_vae_list list = {0};
    struct dr_error err = {0};
    char path[DR_PATH_BYTES];
    enum dr_code code =
        said && *said
            ? model_folders_find(service->models, said, path, &err)
            : model_choice_path(service->option_list, service->models, path, &err);
    if (code == DR_OK) code = list_vaes(service, path, &list, &err);
    if (code != DR_OK) {
        http_reply_failure(reply, API_OWN, &err);
        return;
    }
    json_t *const answer = json_object();
    vae_list_json_add(answer, &list);
    dr_vae_list_free(&list);
    http_reply_json(reply, 200, answer);
}

/* Nothing of this kind can be used yet, so nothing is listed. */
static void get_nothing(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    const char *const name = strrchr(request->path, '/') + 1;
    (void)service;
    http_reply_json(reply, 200, json_pack("{s:[]}", name));
}

const struct route model_routes[] = {
    {HTTP_GET,                                       "/api/v1/models", get_models, ROUTE_BODY_NONE, 0, API_OWN,
     "Models and VAEs, with family, hash and bytes", NULL, "ModelList"},
    {HTTP_GET,                                    "/api/v1/vaes", get_vaes, ROUTE_BODY_NONE, 0, API_OWN,
     "The VAEs for a model (?model=), and what each choice would use", NULL, "VaeList"},
    {HTTP_GET,                                             "/api/v1/controls", get_nothing, ROUTE_BODY_NONE, 0, API_OWN,
     "Control networks: none, they are not built yet", NULL, NULL},
    {HTTP_GET, "/api/v1/upscalers", get_nothing, ROUTE_BODY_NONE, 0, API_OWN,
     "Upscalers: none, they are not built yet", NULL, NULL},
    {.path = NULL                                  },
};
