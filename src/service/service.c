#define _GNU_SOURCE /* signalfd, eventfd */

#include "service/service.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "service/access_log.h"
#include "service/failure.h"
#include "service/http_server.h"
#include "service/listen_address.h"

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
    sigset_t signals_before;
    int signals; /* a signalfd; -1 */
    int idle;    /* an eventfd: the worker asks to leave; -1 */
    struct credentials *credentials;
    struct access_log *access_log;
    struct listener listener;
    char *model_path; /* of a model that is given as a file; NULL */
    struct gate_policy policy;
    struct service service;
    struct http_server *server;
};

/* ---- signals ------------------------------------------------------------------------------- */

/* They are blocked before there is another thread, so that none of them takes one, and read here. */
static enum dr_code take_signals(struct run *run, struct dr_error *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, &run->signals_before) != 0 ||
        (run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0 ||
        (run->idle = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return failure(err, DR_IO, "cannot set up signals: %s", strerror(errno));
    return DR_OK;
}

/* Waits for a signal or for the worker: true where the service has to end. */
static bool must_end(struct run *run)
{
    struct pollfd files[] = {
        {.fd = run->signals, .events = POLLIN},
        {.fd = run->idle,    .events = POLLIN}
    };
    if (poll(files, 2, -1) < 0) return errno != EINTR;
    if (files[1].revents & POLLIN) return true;
    struct signalfd_siginfo signal;
    if (read(run->signals, &signal, sizeof signal) != (ssize_t)sizeof signal)
        return false;
    if (signal.ssi_signo != SIGHUP) return true;
    access_log_reopen(run->access_log);
    return false;
}

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

static enum dr_code open_door(struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    enum dr_code code = DR_OK;
    if (options->auth_file)
        code = credentials_read(options->auth_file, &run->credentials, err);
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

/* What must survive, and what handlers share. */
static enum dr_code open_stores(struct run *run, struct dr_error *err)
{
    struct service *const service = &run->service;
    const struct service_options *const options = run->options;
    char folder[DR_PATH_BYTES];
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
    if (code == DR_OK)
        code = option_list_create(&service->option_list, service->store,
                                  service->models, err);
    if (code == DR_OK) code = set_start(run, err);
    if (code != DR_OK) return code;
    service->events = event_log_create();
    return service->events ? DR_OK : failure_memory(err, "the log of events");
}

/* The worker's thread: it has been idle for --exit-idle. */
static void leave(void *cookie)
{
    const struct run *const run = cookie;
    (void)eventfd_write(run->idle, 1);
}

static enum dr_code start_worker(struct run *run, struct dr_error *err)
{
    const struct service_options *const options = run->options;
    struct dr_engine_options engine = options->engine;
    /* Where automatic looks for the VAE of a model. */
    if (options->vae_folders) engine.vae_folder = options->vae_folders[0];
    const struct worker_options worker = {
        .engine = engine,
        .store = run->service.store,
        .events = run->service.events,
        .options = run->service.option_list,
        .models = run->service.models,
        .most_queued = options->most_queued,
        .keep_alive_s = options->keep_alive_s,
        .exit_idle_s = options->exit_idle_s,
        .preloads = options->preloads,
        .preview_interval_ms = options->preview_interval_ms,
        .limits = {.most_pixels = options->most_pixels,
                   .most_batch = options->most_batch,
                   .most_steps = options->most_steps},
        .idle = leave,
        .idle_cookie = run
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
    enum dr_code code = take_signals(run, err);
    if (code == DR_OK) code = open_door(run, err);
    if (code == DR_OK) code = open_stores(run, err);
    if (code == DR_OK) code = start_worker(run, err);
    if (code == DR_OK) code = start_server(run, err);
    if (code != DR_OK) return code;
    printf("listening on %s\n", run->listener.text);
    return fflush(stdout) == 0
               ? DR_OK
               : failure(err, DR_IO, "standard output could not be written");
}

/* ---- stop ---------------------------------------------------------------------------------- */

/* The running job ends or goes back into the queue; whoever waits for it or for events has an answer then, before the
 * connections are ended. Handlers may ask a worker that has stopped, until there is none of them. */
static void stop(struct run *run)
{
    struct service *const service = &run->service;
    if (run->server) http_server_quiesce(run->server);
    worker_stop(service->worker, run->options->grace_s);
    if (service->events) event_log_close(service->events);
    http_server_stop(run->server);
    worker_destroy(service->worker);
    event_log_destroy(service->events);
    option_list_destroy(service->option_list);
    model_folders_destroy(service->models);
    store_close(service->store);
    free(run->model_path);
    if (run->listener.socket >= 0) (void)close(run->listener.socket);
    listen_address_forget(&run->listener);
    access_log_close(run->access_log);
    credentials_destroy(run->credentials);
    if (run->idle >= 0) (void)close(run->idle);
    if (run->signals >= 0) (void)close(run->signals);
    (void)pthread_sigmask(SIG_SETMASK, &run->signals_before, NULL);
}

enum dr_code service_run(const struct service_options *options, struct dr_error *err)
{
    struct run run = {
        .options = options,
        .signals = -1,
        .idle = -1,
        .listener = {.socket = -1              },
        .service = { .options = options, .start_ms = dr_clock_ms()}
    };
    (void)pthread_sigmask(SIG_SETMASK, NULL, &run.signals_before);
    (void)mallopt(M_ARENA_MAX, HEAP_COUNT);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    const enum dr_code code = start(&run, err);
    while (code == DR_OK && !must_end(&run))
        continue;
    stop(&run);
    return code;
}
