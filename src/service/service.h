/* service — `darkroom serve`: everything that runs, in one place, and what it was started with.
 *
 *     http_server   sockets and the HTTP library: a thread for each connection
 *     gate          who and what is let in
 *     route         which handler
 *     handlers      *_routes.c, a1111_*.c, openai_images.c: read the request, ask the worker, write the reply
 *     worker        the engine's thread; job_store, gallery, option_store keep what must survive
 *
 * service_run returns when the service has stopped.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/darkroom.h>

#include "service/event_log.h"
#include "service/gate.h"
#include "service/option_list.h"
#include "service/store.h"
#include "service/worker.h"

/* As the command line says it. Strings are borrowed until service_run returns. */
struct service_options {
    const char *
        listen; /* "127.0.0.1:7860", "unix:PATH"; NULL: the default, or systemd's socket */
    const char *const *model_folders,
        *const *vae_folders; /* NULL-terminated; NULL: the default */
    const char *const *lora_folders,
        *const *embedding_folders, *const *control_folders, *const *upscaler_folders;
    const char *styles_file;     /* --styles; NULL: the default */
    const char *wildcard_folder; /* --wildcard-dir; NULL: none */
    const char *model;           /* -m; NULL: the last one */
    bool preloads;
    const char *data_folder; /* NULL: the default */
    int32_t keep_alive_s, exit_idle_s;
    const char *auth_file;
    bool insecure_no_auth;
    const char *const *cors_origins,
        *const *allowed_hosts; /* NULL-terminated; NULL: none */
    uint64_t most_body_bytes, body_memory_bytes;
    int64_t most_pixels;
    int32_t most_batch, most_steps, most_queued, most_connections;
    bool has_metrics;
    const char *access_log; /* NULL: none; "-": standard error */
    double grace_s;
    bool openai_gives_url;           /* response_format where a request leaves it out */
    int32_t preview_interval_ms;     /* 0: no previews */
    struct dr_engine_options engine; /* budget, precision, threads, packs, tokenizer */
    const char *vae; /* --vae: the choice at the start; NULL: the last one */
};
struct service_options service_options_default(void);

/* What a handler has. */
struct service {
    const struct service_options *options;
    struct store *store;
    struct event_log *events;
    struct option_list *option_list;
    struct worker *worker;
    struct metrics *metrics;
    struct model_folders
        *models; /* model_folders.h: what is in the directories, by A1111's names */
    struct extra_networks *networks; /* extra_networks.h: what prompts can name */
    double start_ms;                 /* dr_clock_ms */
    /* Whose jobs and pictures a user may see: its own where there are several users, else everybody's. */
    bool parts_users;
};
/* The user to ask the stores with: NULL for everybody's. */
const char *service_viewer(const struct service *service,
                           const struct http_request *request);

/* Runs the service until SIGTERM or SIGINT. Prints `listening on http://...` to standard output when it is ready. */
enum dr_code service_run(const struct service_options *options,
                         struct dr_error *err) DR_MUST_CHECK;

#endif
