/* A1111's lists: samplers, schedules, models, VAEs, LoRAs, embeddings, styles, and what this service has none of. */
#include <stdio.h>
#include <string.h>

#include "front/member.h"
#include "service/extra_networks.h"
#include "service/model_choice.h"
#include "service/route.h"
#include "service/sampler_names.h"
#include "service/service.h"

static json_t *texts_of(const char *const *texts)
{
    json_t *const list = json_array();
    for (; *texts; ++texts)
        (void)json_array_append_new(list, json_string(*texts));
    return list;
}

/* ---- samplers and schedules -------------------------------------------------------------- */

static void list_samplers(struct service *service, const struct http_request *request,
                          struct http_reply *reply)
{
    json_t *const list = json_array();
    const struct sampler_entry *sampler;
    (void)service;
    (void)request;
    for (size_t i = 0; (sampler = sampler_names_at(i)) != NULL; ++i) {
        json_t *const entry = json_object(), *const options = json_object();
        json_t *const aliases = texts_of(sampler->aliases);
        (void)json_array_append_new(aliases, json_string(sampler->name));
        member_set_text(options, "scheduler",
                        schedule_names_of(dr_sampler_automatic(sampler->name))->key);
        member_set_text(entry, "name", sampler->label);
        member_set(entry, "aliases", aliases);
        member_set(entry, "options", options);
        (void)json_array_append_new(list, entry);
    }
    http_reply_json(reply, 200, list);
}

static void list_schedulers(struct service *service, const struct http_request *request,
                            struct http_reply *reply)
{
    json_t *const list = json_array();
    const struct schedule_entry *schedule;
    (void)service;
    (void)request;
    for (size_t i = 0; (schedule = schedule_names_at(i)) != NULL; ++i) {
        json_t *const entry = json_object();
        member_set_text(entry, "name", schedule->key);
        member_set_text(entry, "label", schedule->label);
        member_set(entry, "aliases", texts_of(schedule->aliases));
        member_set_real(entry, "default_rho",
                        strcmp(schedule->name, "karras") == 0 ? 7.0 : -1.0);
        member_set_flag(entry, "need_inner_model", 0);
        (void)json_array_append_new(list, entry);
    }
    http_reply_json(reply, 200, list);
}

/* ---- models and VAEs --------------------------------------------------------------------- */

/* filename is the path below the models' directory: no more of the disk is shown. */
static json_t *model_json(const struct listed_checkpoint *model)
{
    json_t *const entry = json_object();
    const bool has_hash = model->sha256[0] != '\0';
    member_set_text(entry, "title", model->title);
    member_set_text(entry, "model_name", model->name);
    member_set(entry, "hash",
               has_hash ? json_stringn(model->sha256, MODEL_HASH_CHARS - 1)
                        : json_null());
    member_set(entry, "sha256", has_hash ? json_string(model->sha256) : json_null());
    member_set_text(entry, "filename", model->file);
    member_set(entry, "config", json_null());
    return entry;
}

static void list_models(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    json_t *const list = json_array();
    (void)request;
    const struct model_snapshot *const snapshot = model_folders_hold(service->models);
    for (size_t i = 0; i < snapshot->model_count; ++i)
        if (!snapshot->models[i].problem[0])
            (void)json_array_append_new(list, model_json(&snapshot->models[i]));
    model_folders_drop(service->models, snapshot);
    http_reply_json(reply, 200, list);
}

static void list_vaes(struct service *service, const struct http_request *request,
                      struct http_reply *reply)
{
    json_t *const list = json_array();
    (void)request;
    const struct model_snapshot *const snapshot = model_folders_hold(service->models);
    for (size_t i = 0; i < snapshot->vae_count; ++i) {
        json_t *const entry = json_object();
        member_set_text(entry, "model_name", snapshot->vaes[i].name);
        member_set_text(entry, "filename", snapshot->vaes[i].name);
        (void)json_array_append_new(list, entry);
    }
    model_folders_drop(service->models, snapshot);
    http_reply_json(reply, 200, list);
}

static void refresh(struct service *service, const struct http_request *request,
                    struct http_reply *reply)
{
    struct dr_error err = {0};
    (void)request;
    if (model_folders_refresh(service->models, &err) == DR_OK)
        http_reply_json(reply, 200, json_object());
    else
        http_reply_failure(reply, API_A1111, &err);
}

/* ---- what prompts can name --------------------------------------------------------------- */

/* A file's own texts can be megabytes: those that clients show are here, by the names that files have for them. */
static json_t *lora_metadata(const json_t *lora)
{
    static const char *const names[][2] = {
        {"trigger_words", "modelspec.trigger_phrase"},
        {"base_model",    "ss_sd_model_name"        }
    };
    json_t *const metadata = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        json_t *const value = json_object_get(lora, names[i][0]);
        if (json_string_length(value) > 0)
            (void)json_object_set(metadata, names[i][1], value);
    }
    return metadata;
}

/* path is below the LoRA directory: no more of the disk is shown. alias is what <lora:...> takes, as the name. */
static json_t *lora_entry(const json_t *lora)
{
    json_t *const entry = json_object(), *const name = json_object_get(lora, "name");
    (void)json_object_set(entry, "name", name);
    (void)json_object_set(entry, "alias", name);
    (void)json_object_set(entry, "path", json_object_get(lora, "file"));
    member_set(entry, "metadata", lora_metadata(lora));
    return entry;
}

static void list_loras(struct service *service, const struct http_request *request,
                       struct http_reply *reply)
{
    struct dr_error err = {0};
    json_t *answer;
    (void)request;
    if (extra_networks_list(service->networks, EXTRA_LORAS, &answer, &err) != DR_OK) {
        http_reply_failure(reply, API_A1111, &err);
        return;
    }
    const json_t *const loras = json_object_get(answer, "loras");
    json_t *const list = json_array();
    for (size_t i = 0; i < json_array_size(loras); ++i) {
        const json_t *const lora = json_array_get(loras, i);
        if (json_string_length(json_object_get(lora, "problem")) == 0)
            (void)json_array_append_new(list, lora_entry(lora));
    }
    json_decref(answer);
    http_reply_json(reply, 200, list);
}

static json_t *embedding_entry(const json_t *embedding)
{
    static const char *const copied[][2] = {
        {"step",       "step"              },
        {"base_hash",  "sd_checkpoint"     },
        {"base_model", "sd_checkpoint_name"}
    };
    json_t *const entry = json_object();
    for (size_t i = 0; i < 3; ++i) {
        json_t *const value = json_object_get(embedding, copied[i][0]);
        const bool is_open = json_is_string(value) && json_string_length(value) == 0;
        member_set(entry, copied[i][1], is_open ? json_null() : json_incref(value));
    }
    member_set_integer(entry, "shape",
                       json_integer_value(json_object_get(embedding, "width")) +
                           json_integer_value(json_object_get(embedding, "width2")));
    (void)json_object_set(entry, "vectors", json_object_get(embedding, "vector_count"));
    return entry;
}

/* The family of the model that jobs have; "": not known. */
static void current_family(struct service *service, char family[16])
{
    char path[DR_PATH_BYTES];
    struct dr_error ignored;
    *family = '\0';
    if (model_choice_path(service->option_list, service->models, path, &ignored) !=
        DR_OK)
        return;
    const struct model_snapshot *const list = model_folders_hold(service->models);
    for (size_t i = 0; i < list->model_count; ++i)
        if (strcmp(list->models[i].path, path) == 0)
            (void)snprintf(family, 16, "%s", list->models[i].family);
    model_folders_drop(service->models, list);
}

/* Skipped: those that are for another family than the current model's. */
static void list_embeddings(struct service *service, const struct http_request *request,
                            struct http_reply *reply)
{
    struct dr_error err = {0};
    char current[16];
    json_t *list;
    (void)request;
    if (extra_networks_list(service->networks, EXTRA_EMBEDDINGS, &list, &err) !=
        DR_OK) {
        http_reply_failure(reply, API_A1111, &err);
        return;
    }
    current_family(service, current);
    json_t *const loaded = json_object(), *const skipped = json_object();
    const json_t *const embeddings = json_object_get(list, "embeddings");
    for (size_t i = 0; i < json_array_size(embeddings); ++i) {
        const json_t *const one = json_array_get(embeddings, i);
        const char *const name = json_string_value(json_object_get(one, "name"));
        const char *const family = json_string_value(json_object_get(one, "family"));
        if (!name || !family || json_string_length(json_object_get(one, "problem")) > 0)
            continue;
        const bool is_other =
            *current && strcmp(family, "unknown") != 0 && strcmp(family, current) != 0;
        member_set(is_other ? skipped : loaded, name, embedding_entry(one));
    }
    json_decref(list);
    http_reply_json(reply, 200,
                    json_pack("{s:o, s:o}", "loaded", loaded, "skipped", skipped));
}

static void list_styles(struct service *service, const struct http_request *request,
                        struct http_reply *reply)
{
    struct dr_style_list list;
    struct dr_error err = {0};
    (void)request;
    if (extra_networks_styles(service->networks, &list, &err) != DR_OK) {
        http_reply_failure(reply, API_A1111, &err);
        return;
    }
    json_t *const styles = json_array();
    for (size_t i = 0; i < list.count; ++i) {
        json_t *const style = json_object();
        member_set_text(style, "name", list.styles[i].name);
        member_set_text(style, "prompt", list.styles[i].prompt);
        member_set_text(style, "negative_prompt", list.styles[i].negative);
        (void)json_array_append_new(styles, style);
    }
    dr_style_list_free(&list);
    http_reply_json(reply, 200, styles);
}

static void refresh_networks(struct service *service,
                             const struct http_request *request,
                             struct http_reply *reply)
{
    (void)request;
    extra_networks_refresh(service->networks);
    http_reply_json(reply, 200, json_object());
}

/* ---- upscalers --------------------------------------------------------------------------- */

/* "None" comes first: clients put others behind it. */
static void list_upscalers(struct service *service, const struct http_request *request,
                           struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200,
                    json_pack("[{s:s, s:n, s:n, s:n, s:i}]", "name", "None",
                              "model_name", "model_path", "model_url", "scale", 4));
}

static void list_latent_upscalers(struct service *service,
                                  const struct http_request *request,
                                  struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200, json_pack("[{s:s}]", "name", "Latent"));
}

/* ---- what there is none of --------------------------------------------------------------- */

static void list_none(struct service *service, const struct http_request *request,
                      struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200, json_array());
}

static void list_scripts(struct service *service, const struct http_request *request,
                         struct http_reply *reply)
{
    (void)service;
    (void)request;
    http_reply_json(reply, 200, json_pack("{s:[], s:[]}", "txt2img", "img2img"));
}

#define GET(name, handler, summary)                                                   \
    {                                                                                 \
        HTTP_GET, "/sdapi/v1/" name, handler, ROUTE_BODY_NONE, 0, API_A1111, summary, \
            NULL, NULL                                                                \
    }
#define REFRESH(name, handler, summary)                                                \
    {                                                                                  \
        HTTP_POST, "/sdapi/v1/" name, handler, ROUTE_BODY_NONE, 0, API_A1111, summary, \
            NULL, NULL                                                                 \
    }

const struct route a1111_list_routes[] = {
    GET("samplers", list_samplers, "Samplers, with their other names"),
    GET("schedulers", list_schedulers, "Schedules of noise levels"),
    GET("sd-models", list_models, "Models"),
    GET("sd-vae", list_vaes,
        "VAEs that sd_vae can be set to, beside Automatic and None"),
    GET("sd-modules", list_vaes, "As sd-vae"),
    GET("upscalers", list_upscalers, "Upscalers: none yet"),
    GET("latent-upscale-modes", list_latent_upscalers, "Ways to enlarge latents"),
    GET("loras", list_loras, "LoRAs, as <lora:name:weight> in a prompt names them"),
    GET("embeddings", list_embeddings,
        "Embeddings: those for the current model, and the others"),
    GET("hypernetworks", list_none, "None"),
    GET("face-restorers", list_none, "None"),
    GET("realesrgan-models", list_none, "None"),
    GET("prompt-styles", list_styles, "Styles: words that are put around a prompt"),
    GET("extensions", list_none, "None"),
    GET("artists", list_none, "None"),
    GET("artist-categories", list_none, "None"),
    GET("scripts", list_scripts, "Scripts: none"),
    GET("script-info", list_none, "Scripts with their arguments: none"),
    REFRESH("refresh-checkpoints", refresh, "Read the models' directories again"),
    REFRESH("refresh-vae", refresh, "Read the VAEs' directories again"),
    REFRESH("refresh-loras", refresh_networks, "Read the LoRAs' directories again"),
    REFRESH("refresh-embeddings", refresh_networks,
            "Read the embeddings' directories again"),
    {.path = NULL},
};
