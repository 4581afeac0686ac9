#define _XOPEN_SOURCE 700 /* realpath */

#include "service/service.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/access_log.h"
#include "service/extra_networks.h"
#include "service/failure.h"
#include "service/http_server.h"
#include "service/listen_address.h"
#include "service/metrics.h"
#include "service/service_events.h"
#include "service/service_manager.h"
#include "service/service_memory.h"

enum {
    /* Of the connections, those that do not wait: lists, progress and interrupt. A half, where there are few. */
    FREE_CONNECTIONS = 32,
    /* glibc gives each thread a heap of its own to keep them from waiting for each other; here each would hold what
     * one request needed. */
    HEAP_COUNT = 2,
    MAPPED_BYTES = 256 * 1024
};

struct service_options service_options_default(void)
{
    return (struct service_options){
        .keep_alive_s = 300,
        .most_body_bytes = 64u << 20,
        .body_memory_bytes = 128u << 20,
        .most_pixels = 4 << 20,
        .most_batch = 16,
        .most_steps = 200,
        .most_queued = 64,
        .most_connections = 160,
        .grace_s = 30.0,
        .preview_interval_ms = 1000,
        .engine = dr_engine_options_default(),
    };
}

const char *service_viewer(const struct service *service,
                           const struct http_request *request)
{
    return service->parts_users ? request->user : NULL;
}

/* Where jobs and pictures are, into path [DR_PATH_BYTES]. */
static enum dr_code data_folder(const struct service_options *options, char *path,
                                struct dr_error *err)
{
    const char *const data = getenv("XDG_DATA_HOME"), *const home = getenv("HOME");
    int length;
    if (options->data_folder)
        length = snprintf(path, DR_PATH_BYTES, "%s", options->data_folder);
    else if (data && data[0] == '/')
        length = snprintf(path, DR_PATH_BYTES, "%s/darkroom/service", data);
    else if (home && home[0] == '/')
        length =
            snprintf(path, DR_PATH_BYTES, "%s/.local/share/darkroom/service", home);
    else
        return failure(err, DR_NOT_FOUND,
                       "there is no home directory to keep jobs in: give --data DIR");
    if (length > 0 && length < DR_PATH_BYTES) return DR_OK;
    return failure(err, DR_BAD_INPUT, "the data directory's path is too long");
}

/* What service_run has, in the order in which it comes up. */
struct run {
    const struct service_options *options;
    struct service_events events;
    struct credentials *credentials;
    struct access_log *access_log;
    struct listener listener;
    char *model_path; /* of a model that is given as a file; NULL */
    struct gate_policy policy;
    struct service service;
    struct http_server *server;
};

/* ---- start --------------------------------------------------------------------------------- */

/* Whoever can connect can use the machine: beyond this machine somebody has to be asked for. */
static enum dr_code check_reach(const struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    if (run->listener.is_local || run->credentials) return DR_OK;
    if (!options->insecure_no_auth)
        return failure(
            err, DR_BAD_INPUT,
            "%.150s can be reached from other machines: give --auth-file FILE, "
            "or --insecure-no-auth if everybody there may use this service",
            run->listener.text);
    fprintf(stderr,
            "darkroom serve: warning: everybody who can reach %s can use this service "
            "(--insecure-no-auth)\n",
            run->listener.text);
    return DR_OK;
}

/* The file of users: systemd's credential "users" where the command line names none. NULL: there is none. One that cannot
 * be looked at is named, so that its reading fails: the service must not run without the users that somebody gave it. */
static const char *auth_file(const struct service_options *options,
                             char path[DR_PATH_BYTES])
{
    const char *const folder = getenv("CREDENTIALS_DIRECTORY");
    if (options->auth_file || !folder) return options->auth_file;
    (void)snprintf(path, DR_PATH_BYTES, "%s/users", folder);
    if (access(path, F_OK) == 0 || errno != ENOENT) return path;
    fprintf(stderr,
            "darkroom serve: warning: %s is not there, so nobody has to log in: the "
            "credential with users and keys is called \"users\"\n",
            path);
    return NULL;
}

static enum dr_code open_door(struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    char path[DR_PATH_BYTES];
    const char *const users = auth_file(options, path);
    enum dr_code code = DR_OK;
    if (users) code = credentials_read(users, &run->credentials, err);
    if (code == DR_OK && options->access_log)
        code = access_log_open(&run->access_log, options->access_log, err);
    if (code == DR_OK) code = listen_address_open(&run->listener, options->listen, err);
    if (code == DR_OK) code = check_reach(run, err);
    run->policy = (struct gate_policy){.allowed_hosts = options->allowed_hosts,
                                       .cors_origins = options->cors_origins,
                                       .credentials = run->credentials,
                                       .most_body_bytes = options->most_body_bytes};
    run->service.parts_users =
        run->credentials && credentials_count(run->credentials) > 1;
    return code;
}

/* A model that is given as a file, by its whole path; NULL: it is a name, or none was given. Frees with free. */
static char *model_file(const struct service_options *options)
{
    return options->model && access(options->model, F_OK) == 0
               ? realpath(options->model, NULL)
               : NULL;
}

/* What the command line says of model and VAE goes before what was set in the last run. */
static enum dr_code set_start(struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    struct service *const service = &run->service;
    char model[DR_PATH_BYTES], vae[DR_PATH_BYTES];
    struct option_change changes[2];
    size_t count = 0;
    enum dr_code code = DR_OK;
    if (run->model_path)
        (void)snprintf(model, sizeof model, "%s", run->model_path);
    else if (options->model)
        code = model_folders_find(service->models, options->model, model, err);
    if (code == DR_OK && options->model)
        changes[count++] =
            (struct option_change){.name = "sd_model_checkpoint", .value = model};
    if (code == DR_OK && options->vae && access(options->vae, F_OK) == 0)
        (void)snprintf(vae, sizeof vae, "%s", options->vae);
    else if (code == DR_OK && options->vae)
        code = model_folders_find_vae(service->models, options->vae, vae, err);
    if (code == DR_OK && options->vae)
        changes[count++] = (struct option_change){.name = "sd_vae", .value = vae};
    if (code != DR_OK || count == 0) return code;
    return option_list_set(service->option_list, changes, count, err);
}

/* Directories may come and go while the service runs, but one that is not there at the start is mostly a slip. */
static void warn_of_missing(const char *option, const char *const *folders)
{
    for (size_t i = 0; folders && folders[i]; ++i)
        if (access(folders[i], R_OK | X_OK) != 0)
            fprintf(stderr, "darkroom serve: warning: %s %s: %s\n", option, folders[i],
                    strerror(errno));
}

/* What must survive, and what handlers share. */
static enum dr_code open_stores(struct run *run, struct dr_error *err)
{
    struct service *const service = &run->service;
    const struct service_options *const options = run->options;
    char folder[DR_PATH_BYTES];
    warn_of_missing("--models", options->model_folders);
    warn_of_missing("--vae-dir", options->vae_folders);
    warn_of_missing("--lora-dir", options->lora_folders);
    warn_of_missing("--embedding-dir", options->embedding_folders);
    run->model_path = model_file(options);
    const struct model_folders_options folders = {.models = options->model_folders,
                                                  .vaes = options->vae_folders,
                                                  .model = run->model_path,
                                                  .pack_folder =
                                                      options->engine.pack_folder,
                                                  .settings_path =
                                                      options->engine.settings_path};
    enum dr_code code = data_folder(options, folder, err);
    if (code == DR_OK) code = store_open(&service->store, folder, err);
    if (code == DR_OK) code = model_folders_create(&service->models, &folders, err);
    const struct extra_networks_options networks = {
        .folders = {options->lora_folders, options->embedding_folders},
        .styles_file = options->styles_file,
        .wildcard_folder = options->wildcard_folder,
        .clock_ms = dr_clock_ms
    };
    if (code == DR_OK) code = extra_networks_create(&service->networks, &networks, err);
    if (code == DR_OK)
        code = option_list_create(&service->option_list, service->store,
                                  service->models, err);
    if (code == DR_OK) code = set_start(run, err);
    if (code != DR_OK) return code;
    if (options->has_metrics && !(service->metrics = metrics_create()))
        return failure_memory(err, "metrics");
    service->events = event_log_create();
    return service->events ? DR_OK : failure_memory(err, "the log of events");
}

/* The worker's thread: it has been idle for --exit-idle. */
static void say_idle(void *cookie)
{
    service_events_idle(cookie);
}

static enum dr_code start_worker(struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    struct dr_engine_options engine = options->engine;
    /* Where automatic looks for the VAE of a model. */
    if (options->vae_folders) engine.vae_folder = options->vae_folders[0];
    engine.set_aside_bytes = service_memory_bytes(options);
    const struct worker_options worker = {
        .engine = engine,
        .store = run->service.store,
        .events = run->service.events,
        .options = run->service.option_list,
        .models = run->service.models,
        .networks = run->service.networks,
        .metrics = run->service.metrics,
        .most_queued = options->most_queued,
        .keep_alive_s = options->keep_alive_s,
        .exit_idle_s = options->exit_idle_s,
        .preloads = options->preloads,
        .preview_interval_ms = options->preview_interval_ms,
        .limits = {.most_pixels = options->most_pixels,
                   .most_batch = options->most_batch,
                   .most_steps = options->most_steps},
        .idle = say_idle,
        .idle_cookie = &run->events
    };
    return worker_start(&run->service.worker, &worker, err);
}

static enum dr_code start_server(struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    const int32_t connections = options->most_connections;
    const int32_t free_count =
        connections / 2 < FREE_CONNECTIONS ? connections / 2 : FREE_CONNECTIONS;
    const struct http_server_options server = {.socket = run->listener.socket,
                                               .policy = &run->policy,
                                               .service = &run->service,
                                               .access_log = run->access_log,
                                               .metrics = run->service.metrics,
                                               .body_memory_bytes =
                                                   options->body_memory_bytes,
                                               .most_connections = connections,
                                               .most_waiting =
                                                   connections - free_count};
    const enum dr_code code = http_server_start(&run->server, &server, err);
    if (code == DR_OK) run->listener.socket = -1;
    return code;
}

static enum dr_code start(struct run *run, struct dr_error *err)
{
    enum dr_code code = service_events_begin(&run->events, err);
    if (code == DR_OK) code = open_door(run, err);
    if (code == DR_OK) code = open_stores(run, err);
    if (code == DR_OK) code = start_worker(run, err);
    if (code == DR_OK) code = start_server(run, err);
    if (code != DR_OK) return code;
    printf("listening on %s\n", run->listener.text);
    if (fflush(stdout) != 0)
        return failure(err, DR_IO, "standard output could not be written");
    service_manager_status("READY=1\n", "listening on %s", run->listener.text);
    return DR_OK;
}

/* ---- until it has to end ------------------------------------------------------------------- */

static bool is_busy(const struct run *run)
{
    struct worker_progress progress;
    worker_progress(run->service.worker, &progress);
    return progress.is_running || progress.queued > 0;
}

/* An idle service leaves when nobody is connected: whoever watches the page would see it fall and rise. */
static void wait_for_end(struct run *run)
{
    bool is_idle = false;
    for (;;) {
        if (is_idle && is_busy(run)) is_idle = false;
        if (is_idle && http_server_connection_count(run->server) == 0) return;
        switch (service_events_next(&run->events, is_idle ? 1000.0 : -1.0)) {
        case SERVICE_EVENT_STOP:
        case SERVICE_EVENT_END: return;
        case SERVICE_EVENT_REOPEN:
            /* Without a log it is what it is to other programs: the terminal was closed. */
            if (!access_log_reopen(run->access_log)) return;
            break;
        case SERVICE_EVENT_IDLE: is_idle = true; break;
        case SERVICE_EVENT_TIME: break;
        }
    }
}

/* ---- stop ---------------------------------------------------------------------------------- */

/* While the main thread waits for the running job: a second signal ends that at once, a third one the process. */
static void *watch_stop(void *cookie)
{
    struct run *const run = cookie;
    for (;;) {
        const enum service_event event = service_events_next(&run->events, -1.0);
        if (event == SERVICE_EVENT_END) return NULL;
        if (event != SERVICE_EVENT_STOP) continue;
        worker_hurry(run->service.worker);
        service_events_unblock(&run->events);
    }
}

static void stop_worker(struct run *run)
{
    pthread_t watcher;
    const double grace_s = run->options->grace_s;
    if (!run->service.worker) return;
    char state[80];
    (void)snprintf(state, sizeof state, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%.0f\n",
                   (grace_s + 30.0) * 1e6);
    service_manager_status(state, "stopping; the running job has %.0f s", grace_s);
    const bool is_watched = pthread_create(&watcher, NULL, watch_stop, run) == 0;
    worker_stop(run->service.worker, grace_s);
    if (!is_watched) return;
    service_events_end(&run->events);
    (void)pthread_join(watcher, NULL);
}

/* The running job ends or goes back into the queue; whoever waits for it or for events has an answer then, before the
 * connections are ended. Handlers may ask a worker that has stopped, until there is none of them. */
static void stop(struct run *run)
{
    struct service *const service = &run->service;
    if (run->server) http_server_quiesce(run->server);
    stop_worker(run);
    if (service->events) event_log_close(service->events);
    http_server_stop(run->server);
    worker_destroy(service->worker);
    event_log_destroy(service->events);
    metrics_destroy(service->metrics);
    option_list_destroy(service->option_list);
    extra_networks_destroy(service->networks);
    model_folders_destroy(service->models);
    store_close(service->store);
    free(run->model_path);
    if (run->listener.socket >= 0) (void)close(run->listener.socket);
    listen_address_forget(&run->listener);
    access_log_close(run->access_log);
    credentials_destroy(run->credentials);
    service_events_finish(&run->events);
}

enum dr_code service_run(const struct service_options *options, struct dr_error *err)
{
    struct run run = {
        .options = options,
        .listener = {.socket = -1              },
        .service = { .options = options, .start_ms = dr_clock_ms()}
    };
    (void)mallopt(M_ARENA_MAX, HEAP_COUNT);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    const enum dr_code code = start(&run, err);
    if (code == DR_OK) wait_for_end(&run);
    stop(&run);
    return code;
}
