/* Looking while a call runs: memory, model, VAE and lists are asked without a pause from other threads,
 * while models are loaded, VAEs switched and pictures made. Each answer is of one moment, and the
 * pictures are those of an engine that nobody looks at. */
#include "engine/engine_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "base/clock.h"

enum {
    WATCHERS = 2,
    ROUNDS = 3,
    PICTURES = 5,
    CONTROL_MS = 120000, /* by then something was seen; mostly at once */
};

/* A thread that looks; what it finds wrong is told by the main thread. */
struct watcher {
    pthread_t thread;
    struct dr_engine *engine;
    atomic_bool stop;
    atomic_int wrong;
    int looks, found_models, found_overrides, found_working;
    char first[1024];
};

static void note_wrong(struct watcher *watcher, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note_wrong(struct watcher *watcher, const char *format, ...)
{
    va_list arguments;
    if (atomic_fetch_add(&watcher->wrong, 1) > 0) return;
    va_start(arguments, format);
    (void)vsnprintf(watcher->first, sizeof watcher->first, format, arguments);
    va_end(arguments);
}

static void look_at_memory(struct watcher *watcher)
{
    struct dr_memory memory;
    struct dr_error err = {0};
    uint64_t regions = 0, components = 0;
    if (dr_engine_memory(watcher->engine, &memory, &err) != DR_OK) {
        note_wrong(watcher, "memory: %s", err.message);
        return;
    }
    for (size_t i = 0; i < memory.region_count; ++i) {
        regions += memory.regions[i].bytes;
        if (strcmp(memory.regions[i].component, "job") == 0) ++watcher->found_working;
    }
    for (int32_t i = 0; i < memory.component_count; ++i) {
        const struct dr_component_memory *const part = &memory.components[i];
        const uint64_t bytes = part->private_bytes + part->mapped_bytes;
        components += bytes;
        if ((part->state == DR_SLOT_RESIDENT) != (bytes > 0))
            note_wrong(watcher, "%s is %s with %llu bytes", part->name,
                       dr_slot_state_name(part->state), (unsigned long long)bytes);
    }
    if (regions != memory.ledger.private_bytes + memory.ledger.mapped_bytes)
        note_wrong(watcher, "regions of %llu bytes, a ledger of %llu",
                   (unsigned long long)regions,
                   (unsigned long long)(memory.ledger.private_bytes +
                                        memory.ledger.mapped_bytes));
    if (components > regions)
        note_wrong(watcher, "components of %llu bytes in regions of %llu",
                   (unsigned long long)components, (unsigned long long)regions);
    if (kernel_is_measured && memory.regions_agree == 0)
        note_wrong(watcher, "the kernel does not agree: %s", memory.disagreement);
    dr_memory_free(&memory);
}

static void look_at_model(struct watcher *watcher)
{
    struct dr_model_info model;
    struct dr_error err = {0};
    const enum dr_code code = dr_engine_model(watcher->engine, &model, &err);
    if (code == DR_NOT_FOUND) return;
    if (code != DR_OK)
        note_wrong(watcher, "model: %s", err.message);
    else if (model.component_count < 3 || strcmp(model.family, "sd15") != 0)
        note_wrong(watcher, "a model of family %s with %d components", model.family,
                   (int)model.component_count);
    else
        ++watcher->found_models;
    dr_model_info_free(&model);
}

/* The choice and what it came to are of one moment. */
static void look_at_vae(struct watcher *watcher)
{
    struct dr_vae_info vae;
    struct dr_error err = {0};
    if (dr_engine_vae(watcher->engine, &vae, &err) != DR_OK) {
        note_wrong(watcher, "vae: %s", err.message);
        return;
    }
    const bool is_named =
        strcmp(vae.choice, "sharp") == 0 || strcmp(vae.choice, "soft") == 0;
    watcher->found_overrides += vae.override_active;
    if (vae.path[0] && is_named != (vae.override_active != 0))
        note_wrong(watcher, "the choice is %s, the override %s", vae.choice,
                   vae.override_active ? "active" : "not active");
    if (vae.override_active && !strstr(vae.path, vae.choice))
        note_wrong(watcher, "the choice is %s, the file %s", vae.choice, vae.path);
}

static void look_at_list(struct watcher *watcher)
{
    struct dr_vae_list list;
    struct dr_error err = {0};
    int active = 0;
    const enum dr_code code =
        dr_engine_list_vaes(watcher->engine, 0, NULL, NULL, &list, &err);
    if (code == DR_NOT_FOUND) return;
    if (code != DR_OK) {
        note_wrong(watcher, "vaes: %s", err.message);
        return;
    }
    for (size_t i = 0; i < list.vae_count; ++i)
        active += list.vaes[i].active;
    if (list.vae_count != 3 || active != 1)
        note_wrong(watcher, "%zu VAEs, of which %d are active", list.vae_count, active);
    dr_vae_list_free(&list);
}

/* A job is there while it runs, and then only. */
static void look_at_status(struct watcher *watcher)
{
    struct dr_status status;
    dr_engine_status(watcher->engine, &status);
    if (status.is_running != (status.call[0] != '\0'))
        note_wrong(watcher, "%d calls run: %s", (int)status.is_running, status.call);
    if (status.has_job &&
        (strcmp(status.call, "generate") != 0 || status.job.state != DR_JOB_RUNNING))
        note_wrong(watcher, "a job that is %s in the call %s",
                   dr_job_state_name(status.job.state), status.call);
}

static void *watch(void *cookie)
{
    struct watcher *const watcher = cookie;
    while (!atomic_load(&watcher->stop)) {
        look_at_memory(watcher);
        look_at_model(watcher);
        look_at_vae(watcher);
        look_at_list(watcher);
        look_at_status(watcher);
        ++watcher->looks;
    }
    return NULL;
}

static void start(struct watcher *watchers, struct dr_engine *engine)
{
    for (int i = 0; i < WATCHERS; ++i) {
        watchers[i] = (struct watcher){.engine = engine};
        if (pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]) != 0)
            exit(1);
    }
}

static void stop(struct watcher *watchers)
{
    for (int i = 0; i < WATCHERS; ++i) {
        atomic_store(&watchers[i].stop, true);
        (void)pthread_join(watchers[i].thread, NULL);
    }
}

/* Everything that changes what is looked at. */
static void work(struct dr_engine *engine, const char *prefix)
{
    char names[PICTURES][32];
    for (int i = 0; i < PICTURES; ++i)
        (void)snprintf(names[i], sizeof names[i], "%s-%d.png", prefix, i);
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, names[0]);
    check_int(choose(engine, "soft"), ==, DR_OK);
    check_int(picture_with(engine, names[1], "sharp", NULL), ==, DR_OK);
    load(engine, "b.safetensors");
    picture(engine, names[2]);
    check_int(choose(engine, "none"), ==, DR_OK);
    check_int(picture_with(engine, names[3], "soft", in_root(names[2])), ==, DR_OK);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    check_int(dr_engine_set_budget(engine, 0, &problem), ==, DR_OK);
    picture(engine, names[4]);
}

static void looks_see_one_moment_and_disturb_nothing(void)
{
    struct watcher watchers[WATCHERS];
    struct dr_engine *engine = open_engine();
    work(engine, "want");
    dr_engine_close(&engine);
    engine = open_engine();
    start(watchers, engine);
    for (int round = 0; round < ROUNDS; ++round) {
        work(engine, "seen");
        for (int i = 0; i < PICTURES; ++i) {
            char want[32], seen[32];
            (void)snprintf(want, sizeof want, "want-%d.png", i);
            (void)snprintf(seen, sizeof seen, "seen-%d.png", i);
            check(same_file(want, seen));
        }
    }
    stop(watchers);
    for (int i = 0; i < WATCHERS; ++i) {
        check_str(watchers[i].first, "");
        check_int(watchers[i].looks, >, 10);
        check_int(watchers[i].found_models, >, 5);
        check_int(watchers[i].found_overrides, >, 0);
        check_int(watchers[i].found_working, >, 0);
    }
    fprintf(stderr, "     %d and %d looks\n", watchers[0].looks, watchers[1].looks);
    dr_engine_close(&engine);
}

/* Digests are read, which is work; the answer says what to do. */
static void a_list_with_digests_waits_its_turn(void)
{
    struct dr_vae_list list;
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    check_int(engine_enter(engine, "test", &problem), ==, DR_OK);
    check_int(dr_engine_list_vaes(engine, DR_LIST_DIGESTS, NULL, NULL, &list, &problem),
              ==, DR_BUSY);
    check_has(problem.message, "list without digests");
    check_int(list.vae_count, ==, 0);
    check_int(dr_engine_list_vaes(engine, 0, NULL, NULL, &list, &problem), ==, DR_OK);
    check_int(list.vae_count, ==, 3);
    dr_vae_list_free(&list);
    engine_leave(engine);
    check_int(dr_engine_list_vaes(engine, DR_LIST_DIGESTS, NULL, NULL, &list, &problem),
              ==, DR_OK);
    check(list.vaes[1].digest[0] != '\0');
    dr_vae_list_free(&list);
    dr_engine_close(&engine);
}

/* The engine without its lock, in a process of its own: it ends with 3 where a look saw what never was,
 * or by what that did to it. */
static void run_without_a_lock(void)
{
    struct watcher watchers[WATCHERS];
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0) _exit(0);
    struct dr_engine *const engine = open_engine();
    engine->resources.ledger.lock = NULL;
    start(watchers, engine);
    for (const double end = clock_ms() + CONTROL_MS; clock_ms() < end;) {
        work(engine, "control");
        for (int i = 0; i < WATCHERS; ++i)
            if (atomic_load(&watchers[i].wrong) > 0) _exit(3);
    }
    _exit(0);
}

static void without_the_lock_a_look_sees_what_never_was(void)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) run_without_a_lock();
    check_int(child, >, 0);
    check_int(waitpid(child, &status, 0), ==, child);
    check(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
    fixture_begin();
    /* First: a process that has run OpenMP cannot be forked and run it. */
    check_run(without_the_lock_a_look_sees_what_never_was);
    check_run(a_list_with_digests_waits_its_turn);
    check_run(looks_see_one_moment_and_disturb_nothing);
    return check_done();
}
