#include "serve_command.h"

#include "service/service.h"

/* NULL where nothing was given: then there is a default. */
static const char *const *words_of(const struct option_words *words)
{
    return words->list[0] ? words->list : NULL;
}

static void set_limits(struct service_options *service,
                       const struct serve_options *said)
{
    if (said->body_bytes) service->most_body_bytes = said->body_bytes;
    if (said->body_memory_bytes) service->body_memory_bytes = said->body_memory_bytes;
    if (said->pixels)
        service->most_pixels =
            said->pixels < INT64_MAX ? (int64_t)said->pixels : INT64_MAX;
    if (said->batch) service->most_batch = said->batch;
    if (said->steps) service->most_steps = said->steps;
    if (said->queue) service->most_queued = said->queue;
    if (said->connections) service->most_connections = said->connections;
    if (said->keep_alive_s >= -1) service->keep_alive_s = said->keep_alive_s;
    if (said->exit_idle_s >= 0) service->exit_idle_s = said->exit_idle_s;
    if (said->grace_s >= 0) service->grace_s = said->grace_s;
}

static void set_engine(struct dr_engine_options *engine, struct session *session,
                       const struct options *options)
{
    engine->precision = (enum dr_precision)options->precision;
    engine->weights = (enum dr_weights)options->weights;
    engine->thread_count = options->threads;
    engine->budget_bytes = options->budget;
    engine->tokenizer_folder = options->tokenizer;
    engine->pack_folder = options->packs;
    engine->base = options->base;
    engine->exact_convolutions = options->exact_convolutions;
    engine->log = talk_log;
    engine->log_cookie = &session->talk;
}

enum dr_code run_serve(struct session *session, const struct options *options,
                       json_t *fields, struct dr_error *err)
{
    const struct serve_options *const said = &options->serve;
    struct service_options service = service_options_default();
    (void)fields;
    service.listen = said->listen;
    service.model_folders = words_of(&said->models);
    service.vae_folders = words_of(&said->vae_dirs);
    service.lora_folders = words_of(&said->lora_dirs);
    service.embedding_folders = words_of(&said->embedding_dirs);
    service.control_folders = words_of(&said->control_dirs);
    service.upscaler_folders = words_of(&said->upscaler_dirs);
    service.cors_origins = words_of(&said->cors_origins);
    service.allowed_hosts = words_of(&said->allowed_hosts);
    service.styles_file = options->styles_file;
    service.wildcard_folder = options->wildcard_dir;
    service.model = options->model;
    service.vae = options->vae;
    service.preloads = said->preload;
    service.data_folder = said->data;
    service.auth_file = said->auth_file;
    service.insecure_no_auth = said->insecure_no_auth;
    service.has_metrics = said->metrics;
    service.access_log = said->access_log;
    service.openai_gives_url = said->url_format == 1;
    set_limits(&service, said);
    set_engine(&service.engine, session, options);
    return service_run(&service, err);
}
