/* A reading can be watched and stopped: loads, choices of a VAE, inspections. */
#include "engine/engine_fixture.h"
#include "pipeline/load_progress.h"

struct watch {
    uint64_t done_bytes, total_bytes, first_total_bytes;
    double elapsed_ms;
    int reports,
        stop_at; /* stop_at: the report that is answered with a stop; 0: none */
    int names[ROLE_COUNT];
    struct dr_engine *cancel; /* stopped by this call instead of by the answer */
};

static int note(void *cookie, const struct dr_load_progress *progress)
{
    struct watch *const watch = cookie;
    ++watch->reports;
    check_int(progress->done_bytes, >=, watch->done_bytes);
    check_int(progress->done_bytes, <=, progress->total_bytes);
    check(progress->elapsed_ms >= watch->elapsed_ms);
    if (watch->reports == 1) {
        check_int(progress->done_bytes, ==, 0);
        watch->first_total_bytes = progress->total_bytes;
    }
    watch->done_bytes = progress->done_bytes;
    watch->total_bytes = progress->total_bytes;
    watch->elapsed_ms = progress->elapsed_ms;
    for (int role = 0; role < ROLE_COUNT; ++role)
        watch->names[role] +=
            strcmp(progress->component,
                   component_role_name((enum component_role)role)) == 0;
    if (!watch->stop_at || watch->reports < watch->stop_at) return 0;
    if (!watch->cancel) return 1;
    dr_engine_cancel(watch->cancel);
    return 0;
}

static struct dr_engine *open_watched(struct watch *watch)
{
    struct dr_engine *engine;
    struct dr_engine_options options = dr_engine_options_default();
    options.vae_folder = in_root("vae");
    options.thread_count = 1;
    options.load_progress = note;
    options.load_cookie = watch;
    check_int(dr_engine_open(&engine, &options, &problem), ==, DR_OK);
    return engine;
}

static uint64_t stored_bytes(const struct dr_model_info *model,
                             enum component_role role)
{
    for (int32_t i = 0; i < model->component_count; ++i)
        if (strcmp(model->components[i].name, component_role_name(role)) == 0)
            return model->components[i].stored_bytes;
    return 0;
}

static void check_complete(const struct watch *watch, uint64_t bytes)
{
    check_int(watch->reports, >, 1);
    check_int(watch->first_total_bytes, ==, bytes);
    check_int(watch->total_bytes, ==, bytes);
    check_int(watch->done_bytes, ==, bytes);
}

static void a_load_is_told_to_its_end(void)
{
    struct watch watch = {0};
    struct dr_engine *engine = open_watched(&watch);
    struct dr_load_result result;
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, &result,
                             &problem),
              ==, DR_OK);
    uint64_t bytes = 0;
    for (int32_t i = 0; i < result.model.component_count; ++i)
        bytes += result.model.components[i].stored_bytes;
    check_complete(&watch, bytes);
    check(watch.names[ROLE_TEXT] && watch.names[ROLE_UNET] && watch.names[ROLE_VAE]);

    /* What is there already is not read, and not told. */
    watch = (struct watch){0};
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_OK);
    check_int(watch.reports, ==, 0);

    /* A VAE: its own bytes; the original's digest is known from its load. */
    watch = (struct watch){0};
    check_int(dr_engine_choose_vae(engine, "sharp", 0, NULL, NULL, &problem), ==,
              DR_OK);
    check_complete(&watch, stored_bytes(&result.model, ROLE_VAE));
    watch = (struct watch){0};
    check_int(dr_engine_choose_vae(engine, "none", 0, NULL, NULL, &problem), ==, DR_OK);
    check_complete(&watch, stored_bytes(&result.model, ROLE_VAE));

    /* With a VAE set before the load the original is read too, to be saved. */
    watch = (struct watch){0};
    check_int(dr_engine_choose_vae(engine, "sharp", 0, NULL, NULL, &problem), ==,
              DR_OK);
    watch = (struct watch){0};
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_OK);
    check_complete(&watch, bytes + stored_bytes(&result.model, ROLE_VAE));
    dr_load_result_free(&result);
    dr_engine_close(&engine);
}

/* A job's loads are one stage, whichever component is read. */
struct stage_watch {
    double share;
    int risen; /* how often the share rose */
};

static void note_stage(void *cookie, const struct dr_progress *progress)
{
    struct stage_watch *const watch = cookie;
    if (progress->stage != DR_STAGE_LOAD) return;
    check(progress->share >= watch->share && progress->share <= 1.0);
    watch->risen += progress->share > watch->share;
    watch->share = progress->share;
}

static void watch_job(struct dr_engine *engine, const char *vae)
{
    struct stage_watch watch = {0};
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "lake";
    options.width = options.height = 64;
    options.steps = 1;
    options.vae = vae;
    options.output = in_root("out.png");
    options.progress = note_stage;
    options.progress_cookie = &watch;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    check_real(watch.share, ==, 1.0);
    check_int(watch.risen, >=, 3);
    dr_generate_result_free(&result);
}

static void a_jobs_loads_never_go_back(void)
{
    struct dr_engine *engine = open_engine();
    check_int(dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    watch_job(engine, NULL);
    /* With another VAE, the original is digested first; and one component at a time. */
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    watch_job(engine, "sharp");
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    limit_regions(engine, 8 << 20);
    watch_job(engine, NULL);
    dr_engine_close(&engine);
}

struct state {
    char model[DR_PATH_BYTES], digest[DR_DIGEST_CHARS];
    uint64_t bytes;
    int32_t override_active;
};

static struct state state_of(struct dr_engine *engine)
{
    struct state state;
    struct dr_model_info model;
    memset(&state, 0, sizeof state);
    check_int(dr_engine_model(engine, &model, &problem), ==, DR_OK);
    (void)snprintf(state.model, sizeof state.model, "%s", model.path);
    dr_model_info_free(&model);
    const struct dr_vae_info vae = vae_state(engine);
    (void)snprintf(state.digest, sizeof state.digest, "%s", vae.digest);
    state.override_active = vae.override_active;
    state.bytes = check_memory(engine);
    return state;
}

static void check_same(const struct state *a, const struct state *b)
{
    check_str(a->model, b->model);
    check_str(a->digest, b->digest);
    check_int(a->override_active, ==, b->override_active);
    check_int(a->bytes, ==, b->bytes);
}

/* One call of the engine, watched. */
typedef enum dr_code attempt(struct dr_engine *engine);

static enum dr_code load_a(struct dr_engine *engine)
{
    return dr_engine_load(engine, in_root("a.safetensors"), DR_LOAD_EAGER, NULL,
                          &problem);
}

static enum dr_code load_b(struct dr_engine *engine)
{
    return dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, NULL,
                          &problem);
}

static enum dr_code choose_sharp(struct dr_engine *engine)
{
    return dr_engine_choose_vae(engine, "sharp", 0, NULL, NULL, &problem);
}

/* How many reports a call makes, told by an engine that makes it whole. */
static int count_reports(attempt *call)
{
    struct watch watch = {0};
    struct dr_engine *engine = open_watched(&watch);
    check_int(load_a(engine), ==, DR_OK);
    watch = (struct watch){0};
    check_int(call(engine), ==, DR_OK);
    dr_engine_close(&engine);
    return watch.reports;
}

/* Stop at the first report, here and there, and at the last: nothing remains of the attempts. */
static void stop_everywhere(struct dr_engine *engine, struct watch *watch,
                            struct dr_engine *by_call, attempt *call)
{
    const int count = count_reports(call);
    const int stops[] = {1, 2, count / 4, count / 2, count - count / 8, count};
    const struct state before = state_of(engine);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; ++i) {
        *watch = (struct watch){.stop_at = stops[i], .cancel = by_call};
        check_int(call(engine), ==, DR_CANCELLED);
        check_int(watch->reports, ==, stops[i]);
        const struct state after = state_of(engine);
        check_same(&before, &after);
    }
}

static void a_stop_at_any_report_leaves_what_was(int by_call)
{
    struct watch watch = {0};
    struct dr_engine *engine = open_watched(&watch);
    check_int(load_a(engine), ==, DR_OK);
    stop_everywhere(engine, &watch, by_call ? engine : NULL, load_b);
    stop_everywhere(engine, &watch, by_call ? engine : NULL, choose_sharp);

    /* And nothing keeps a call from going through afterwards. */
    watch = (struct watch){0};
    check_int(choose_sharp(engine), ==, DR_OK);
    watch = (struct watch){0};
    check_int(load_b(engine), ==, DR_OK);
    const struct state state = state_of(engine);
    check_int(state.override_active, ==, 1);
    check_str(state.model, in_root("b.safetensors"));
    dr_engine_close(&engine);
}

static void the_answer_stops(void)
{
    a_stop_at_any_report_leaves_what_was(0);
}

static void a_cancel_from_the_report_stops(void)
{
    a_stop_at_any_report_leaves_what_was(1);
}

static void an_inspection_is_told_and_stopped(void)
{
    struct watch watch = {0};
    struct dr_inspection inspection;
    struct dr_inspect_options options = {.flags = DR_INSPECT_DIGESTS,
                                         .progress = note,
                                         .progress_cookie = &watch};
    check_int(dr_inspect(in_root("a.safetensors"), &options, &inspection, &problem), ==,
              DR_OK);
    uint64_t bytes = 0;
    for (int32_t i = 0; i < inspection.model.component_count; ++i)
        bytes += inspection.model.components[i].stored_bytes;
    check_complete(&watch, bytes);
    dr_inspection_free(&inspection);

    for (int stop = 1; stop <= 5; ++stop) {
        watch = (struct watch){.stop_at = stop};
        check_int(dr_inspect(in_root("a.safetensors"), &options, &inspection, &problem),
                  ==, DR_CANCELLED);
        check_int(watch.reports, ==, stop);
    }

    /* Nobody asks for digests: nothing is read, nothing told. */
    watch = (struct watch){0};
    options.flags = 0;
    check_int(dr_inspect(in_root("a.safetensors"), &options, &inspection, &problem), ==,
              DR_OK);
    check_int(watch.reports, ==, 0);
    dr_inspection_free(&inspection);
    check_int(dr_inspect(in_root("a.safetensors"), NULL, &inspection, &problem), ==,
              DR_OK);
    dr_inspection_free(&inspection);
}

/* A VAE that was whole when it was opened and is not when it is read: the setting gives way, and
 * so does what was to be read. */
static void what_gives_way_is_replaced(void)
{
    struct watch watch = {0};
    struct cancel cancel = {0};
    struct load_progress progress;
    const struct load_progress_sink sink = {note, &watch, &cancel};
    load_progress_begin(&progress, &sink, 1000);
    const struct component_progress *part = load_progress_part(&progress, "unet", 600);
    part->report(part->cookie, 0.0);
    part->report(part->cookie, 1.0);
    part = load_progress_part(&progress, "vae", 400);
    part->report(part->cookie, 0.25);
    check_int(watch.done_bytes, ==, 700);
    load_progress_replace(&progress, 50);
    part = load_progress_part(&progress, "vae", 50);
    part->report(part->cookie, 0.0);
    check_int(watch.done_bytes, ==, 700);
    part->report(part->cookie, 1.0);
    check_int(watch.done_bytes, ==, 750);
    check_int(watch.total_bytes, ==, 750);
    check(!cancel_requested(&cancel));
    watch.stop_at = 1;
    part->report(part->cookie, 1.0);
    check(cancel_requested(&cancel));
}

int main(void)
{
    fixture_begin();
    check_run(a_load_is_told_to_its_end);
    check_run(a_jobs_loads_never_go_back);
    check_run(the_answer_stops);
    check_run(a_cancel_from_the_report_stops);
    check_run(an_inspection_is_told_and_stopped);
    check_run(what_gives_way_is_replaced);
    return check_done();
}
