#include "soak.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/member.h"
#include "interrupt.h"
#include "soak_work.h"

enum {
    MOST_OPERATIONS = 100000000,
    POINTS = 40, /* of the slope, spread over the operations */
    LEAST_STRIDE =
        5, /* operations between two points, so that states have time to mix */
};

/* What was active before, to be brought back. */
struct origin {
    char model[DR_PATH_BYTES], vae[DR_PATH_BYTES];
    bool was_resident;
    bool is_base;      /* the checkpoint's own VAE is the active one */
    bool lost_setting; /* it could not be chosen again */
};

struct soak {
    struct session *session;
    uint64_t seed;
    uint64_t count, done;
    struct soak_work work;
    struct soak_slope slope;
    double started_ms;
};

/* ---- before and after -------------------------------------------------------------------- */

static enum dr_code remember(struct dr_engine *engine, struct origin *origin,
                             struct dr_error *err)
{
    struct dr_model_info model;
    struct dr_vae_info vae;
    struct dr_memory memory;
    enum dr_code code = dr_engine_model(engine, &model, err);
    if (code == DR_NOT_FOUND)
        return command_fail(err, code,
                            "soak works on the loaded model: load one first");
    if (code == DR_OK) code = dr_engine_vae(engine, &vae, err);
    if (code == DR_OK) code = dr_engine_memory(engine, &memory, err);
    if (code != DR_OK) return code;
    (void)snprintf(origin->model, sizeof origin->model, "%s", model.path);
    (void)snprintf(origin->vae, sizeof origin->vae, "%s", vae.choice);
    origin->is_base = !vae.override_active;
    for (int32_t i = 0; i < memory.component_count; ++i)
        origin->was_resident |= memory.components[i].state == DR_SLOT_RESIDENT;
    dr_memory_free(&memory);
    return DR_OK;
}

/* A setting that did not fit the model is refused as a request: then the model's own VAE, which
 * was the active one, is chosen, and that is said. */
static enum dr_code bring_back(struct dr_engine *engine, struct origin *origin,
                               struct dr_error *err)
{
    enum dr_code code = dr_engine_load(engine, origin->model, DR_LOAD_EAGER, NULL, err);
    if (code == DR_OK)
        code = dr_engine_choose_vae(engine, origin->vae, 0, NULL, NULL, err);
    if (code != DR_OK && origin->is_base) {
        origin->lost_setting = true;
        code = dr_engine_choose_vae(engine, "none", 0, NULL, NULL, err);
    }
    if (code == DR_OK && !origin->was_resident)
        code = dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, err);
    return code;
}

/* ---- the operations ---------------------------------------------------------------------- */

static enum dr_code report_finding(const struct soak *soak, struct dr_error *err)
{
    return command_fail(
        err, DR_FAILED,
        "operation %llu of %llu (%s), seed %llu: expected %.300s; seen %.400s",
        (unsigned long long)soak->done + 1, (unsigned long long)soak->count,
        soak_kind_name(soak->work.kind), (unsigned long long)soak->seed,
        soak->work.finding.expected, soak->work.finding.seen);
}

static enum dr_code cancelled(const struct soak *soak, struct dr_error *err)
{
    return command_fail(err, DR_CANCELLED, "cancelled after %llu of %llu operations",
                        (unsigned long long)soak->done,
                        (unsigned long long)soak->count);
}

static enum dr_code add_point(struct soak *soak, struct dr_error *err)
{
    uint64_t bytes = 0;
    const enum dr_code code = soak_work_settle(&soak->work, &bytes, err);
    if (code == DR_OK && bytes != DR_UNKNOWN_BYTES)
        soak_slope_add(&soak->slope, soak->done, bytes);
    return code;
}

/* The bar is the soak's; what the engine says meanwhile is not shown: refusals are wanted. */
static void show(struct soak *soak, bool quiet)
{
    struct talk *const talk = &soak->session->talk;
    talk->quiet = quiet;
    talk_count(talk, "soak", soak->done, soak->count, dr_clock_ms() - soak->started_ms);
    talk->quiet = true;
}

static enum dr_code operate(struct soak *soak, bool quiet, struct dr_error *err)
{
    const uint64_t spread = soak->count / POINTS;
    const uint64_t stride = spread > LEAST_STRIDE ? spread : LEAST_STRIDE;
    enum dr_code code = soak_work_open(&soak->work, err);
    if (code == DR_OK) code = add_point(soak, err);
    while (code == DR_OK && soak->done < soak->count) {
        show(soak, quiet);
        const bool is_good = soak_work_run(&soak->work);
        if (interrupt_seen()) return cancelled(soak, err);
        if (!is_good) return report_finding(soak, err);
        ++soak->done;
        if (soak->done % stride == 0 || soak->done == soak->count)
            code = add_point(soak, err);
    }
    return code != DR_OK && interrupt_seen() ? cancelled(soak, err) : code;
}

static enum dr_code run(struct soak *soak, struct origin *origin, struct dr_error *err)
{
    struct talk *const talk = &soak->session->talk;
    struct dr_engine *const engine = soak->session->engine;
    const bool quiet = talk->quiet;
    const enum dr_log_level level = talk->level;
    struct dr_error problem = {0};
    talk->quiet = true;
    talk->level = DR_LOG_ERROR;
    enum dr_code code = operate(soak, quiet, err);
    soak_work_close(&soak->work);
    /* A cancel was for the operations; the way back can have one of its own. */
    interrupt_begin(engine);
    const enum dr_code back = bring_back(engine, origin, &problem);
    talk->quiet = quiet;
    talk->level = level;
    if (origin->lost_setting)
        talk_log(talk, DR_LOG_WARNING,
                 "the VAE setting did not fit this model; it is none now, for this "
                 "session");
    if (code == DR_OK && back != DR_OK)
        code = command_fail(err, back,
                            "the soak is done, but not all is as before: %.700s",
                            problem.message);
    return code;
}

/* ---- the answer -------------------------------------------------------------------------- */

static json_t *answer_counts(const struct soak_work *work)
{
    json_t *const rows = json_array();
    for (int i = 0; i < SOAK_KIND_COUNT; ++i) {
        json_t *const row = json_object();
        member_set_text(row, "operation", soak_kind_name((enum soak_kind)i));
        member_set_bytes(row, "done", work->counts[i].done);
        member_set_bytes(row, "refused", work->counts[i].refused);
        (void)json_array_append_new(rows, row);
    }
    return rows;
}

/* What the process held with nothing loaded: one point a while, or none where the kernel does not
 * tell. */
static json_t *answer_slope(const struct soak_slope *slope)
{
    const bool is_known = slope->count > 0;
    json_t *const memory = json_object();
    member_set_bytes(memory, "points", (uint64_t)slope->count);
    member_set_bytes(memory, "first_private_bytes",
                     is_known ? slope->first_bytes : DR_UNKNOWN_BYTES);
    member_set_bytes(memory, "last_private_bytes",
                     is_known ? slope->last_bytes : DR_UNKNOWN_BYTES);
    member_set_bytes(memory, "max_private_bytes",
                     is_known ? slope->max_bytes : DR_UNKNOWN_BYTES);
    member_set(memory, "slope_bytes_per_operation",
               is_known ? json_real(soak_slope_value(slope)) : json_null());
    return memory;
}

static void answer_soak(const struct soak *soak, json_t *fields)
{
    char verdict[DR_TEXT_BYTES], process[160];
    const struct soak_slope *const slope = &soak->slope;
    member_set_seed(fields, soak->seed);
    member_set_bytes(fields, "operations", soak->done);
    member_set_bytes(fields, "checks", soak->work.check_count);
    member_set_bytes(fields, "pictures", (uint64_t)soak->work.pictures.count);
    member_set_bytes(fields, "pictures_compared", soak->work.pictures.compared_count);
    member_set(fields, "counts", answer_counts(&soak->work));
    member_set(fields, "memory", answer_slope(slope));
    if (slope->count > 0)
        (void)snprintf(process, sizeof process,
                       "with nothing loaded the process went from %llu to %llu private "
                       "bytes, %.1f bytes an operation",
                       (unsigned long long)slope->first_bytes,
                       (unsigned long long)slope->last_bytes, soak_slope_value(slope));
    else
        (void)snprintf(process, sizeof process,
                       "what the process holds is unknown: the kernel does not tell");
    (void)snprintf(verdict, sizeof verdict,
                   "all %llu checks held after %llu operations; %s",
                   (unsigned long long)soak->work.check_count,
                   (unsigned long long)soak->done, process);
    member_set_text(fields, "verdict", verdict);
}

static enum dr_code parse_count(const char *text, uint64_t *count, struct dr_error *err)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < 1 || value > MOST_OPERATIONS)
        return command_fail(err, DR_BAD_INPUT,
                            "soak takes a number of operations, 1 to %d, not \"%.80s\"",
                            MOST_OPERATIONS, text);
    *count = (uint64_t)value;
    return DR_OK;
}

enum dr_code run_soak(struct session *session, const struct options *options,
                      json_t *fields, struct dr_error *err)
{
    struct origin origin = {0};
    struct soak *const soak = calloc(1, sizeof *soak);
    if (!soak) return command_fail(err, DR_NOMEM, "no memory for a soak");
    soak->session = session;
    soak->started_ms = dr_clock_ms();
    soak->seed = options->seed;
    soak->work.engine = session->engine;
    soak->work.random = soak->seed;
    enum dr_code code = parse_count(options->operands[0], &soak->count, err);
    if (code == DR_OK)
        code = soak_names_split(&soak->work.models, "models", options->models, err);
    if (code == DR_OK)
        code = soak_names_split(&soak->work.vaes, "vaes", options->vaes, err);
    if (code == DR_OK) code = remember(session->engine, &origin, err);
    if (code == DR_OK && soak->work.models.count == 0)
        code = soak_names_split(&soak->work.models, "models", origin.model, err);
    if (code == DR_OK) code = run(soak, &origin, err);
    if (code == DR_OK) answer_soak(soak, fields);
    free(soak);
    return code;
}
