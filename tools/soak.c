/* soak — N random operations, valid and invalid, and what must hold after each (soak_check.h).
 *
 *     soak N --models a.safetensors,b.safetensors [--vaes sharp,soft.safetensors] [--seed S] ...
 *
 * One engine, used by the public header alone: models and VAEs are switched, pictures made, encoded and
 * decoded, jobs cancelled, weights unloaded, damaged and missing files tried. The same seed does the
 * same operations. Files are made in a directory of its own below TMPDIR, which is removed afterwards.
 *
 * The result is one JSON object on standard output, as the shell's answers are (front/answer.h). Progress goes to standard error, a JSON object a line.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/answer.h"
#include "front/member.h"
#include "soak_work.h"
#include "start_settings.h"

enum {
    MOST_OPERATIONS = 100000000,
    POINTS = 40, /* of the slope, spread over the operations */
    LEAST_STRIDE =
        5, /* operations between two points, so that states have time to mix */
};

struct soak {
    uint64_t seed;
    uint64_t count, done;
    struct soak_work work;
    struct soak_slope slope;
};

/* ---- cancelling -------------------------------------------------------------------------- */

static struct dr_engine
    *_Atomic watched; /* a pointer: atomic without a lock, so signal-safe */
static volatile sig_atomic_t is_cancelled;

static void on_signal(int number)
{
    struct dr_engine *const engine = atomic_load(&watched);
    (void)number;
    is_cancelled = 1;
    if (engine) dr_engine_cancel(engine);
}

static enum dr_code cancelled(const struct soak *soak, struct dr_error *err)
{
    return soak_fail(err, DR_CANCELLED, "cancelled after %llu of %llu operations",
                     (unsigned long long)soak->done, (unsigned long long)soak->count);
}

/* ---- the operations ---------------------------------------------------------------------- */

static enum dr_code report_finding(const struct soak *soak, struct dr_error *err)
{
    return soak_fail(
        err, DR_FAILED,
        "operation %llu of %llu (%s), seed %llu: expected %.300s; seen %.400s",
        (unsigned long long)soak->done + 1, (unsigned long long)soak->count,
        soak_kind_name(soak->work.kind), (unsigned long long)soak->seed,
        soak->work.finding.expected, soak->work.finding.seen);
}

static enum dr_code add_point(struct soak *soak, struct dr_error *err)
{
    uint64_t bytes = 0;
    const enum dr_code code = soak_work_settle(&soak->work, &bytes, err);
    if (code == DR_OK && bytes != DR_UNKNOWN_BYTES)
        soak_slope_add(&soak->slope, soak->done, bytes);
    return code;
}

static enum dr_code operate(struct soak *soak, struct dr_error *err)
{
    const uint64_t spread = soak->count / POINTS;
    const uint64_t stride = spread > LEAST_STRIDE ? spread : LEAST_STRIDE;
    enum dr_code code = soak_work_open(&soak->work, err);
    if (code == DR_OK) code = add_point(soak, err);
    while (code == DR_OK && soak->done < soak->count) {
        fprintf(stderr, "{\"stage\": \"soak\", \"done\": %llu, \"total\": %llu}\n",
                (unsigned long long)soak->done, (unsigned long long)soak->count);
        const bool is_good = soak_work_run(&soak->work);
        if (is_cancelled) return cancelled(soak, err);
        if (!is_good) return report_finding(soak, err);
        ++soak->done;
        if (soak->done % stride == 0 || soak->done == soak->count)
            code = add_point(soak, err);
    }
    return code != DR_OK && is_cancelled ? cancelled(soak, err) : code;
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
    const struct soak_work *const work = &soak->work;
    const struct soak_slope *const slope = &soak->slope;
    if (slope->count > 0)
        (void)snprintf(process, sizeof process,
                       "with nothing loaded the process went from %llu to %llu private "
                       "bytes, %.1f bytes an operation",
                       (unsigned long long)slope->first_bytes,
                       (unsigned long long)slope->last_bytes, soak_slope_value(slope));
    else
        (void)snprintf(process, sizeof process,
                       "the process's private memory is unknown: the kernel does not "
                       "report it");
    (void)snprintf(verdict, sizeof verdict,
                   "all %llu checks held after %llu operations; %s",
                   (unsigned long long)work->check_count,
                   (unsigned long long)soak->done, process);
    member_set_seed(fields, soak->seed);
    member_set_bytes(fields, "operations", soak->done);
    member_set_bytes(fields, "checks", work->check_count);
    member_set_bytes(fields, "pictures", (uint64_t)work->pictures.count);
    member_set_bytes(fields, "pictures_compared", work->pictures.compared_count);
    member_set(fields, "counts", answer_counts(work));
    member_set(fields, "memory", answer_slope(slope));
    member_set_text(fields, "verdict", verdict);
}

/* True where it was written. err: NULL for success. */
static bool print_answer(const struct soak *soak, double ms, const struct dr_error *err)
{
    json_t *const fields = answer_fields();
    if (!err) answer_soak(soak, fields);
    json_t *const answer = answer_create("soak", ms, err, fields);
    const bool is_written = answer_print(answer, stdout);
    answer_free(answer);
    answer_free(fields);
    return is_written;
}

/* ---- options ----------------------------------------------------------------------------- */

static const char usage[] =
    "usage: soak N --models FILE,... [--vaes CHOICE,...] [--seed S] [--threads N]\n"
    "            [--precision auto|bf16|f32] [--tokenizer DIR] [--vae-dir DIR] [--packs DIR]\n"
    "\n"
    "Run N random operations, and check memory against the kernel after each.\n";

static enum dr_code parse_number(const char *what, const char *text, long long least,
                                 long long most, long long *number,
                                 struct dr_error *err)
{
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    if (end == text || *end || errno || *number < least || *number > most)
        return soak_fail(err, DR_BAD_INPUT,
                         "%s is a number, %lld to %lld, not \"%.80s\"", what, least,
                         most, text);
    return DR_OK;
}

static enum dr_code parse_precision(const char *text, enum dr_precision *precision,
                                    struct dr_error *err)
{
    static const char *const names[] = {[DR_PRECISION_AUTO] = "auto",
                                        [DR_PRECISION_BF16] = "bf16",
                                        [DR_PRECISION_F32] = "f32"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        if (strcmp(text, names[i]) != 0) continue;
        *precision = (enum dr_precision)i;
        return DR_OK;
    }
    return soak_fail(err, DR_BAD_INPUT,
                     "--precision takes auto, bf16 or f32, not \"%.80s\"", text);
}

static enum dr_code take_option(int option, struct soak *soak,
                                struct dr_engine_options *engine, struct dr_error *err)
{
    long long number;
    enum dr_code code = DR_OK;
    switch (option) {
    case 'm': return soak_names_split(&soak->work.models, "models", optarg, err);
    case 'v': return soak_names_split(&soak->work.vaes, "vaes", optarg, err);
    case 's':
        code = parse_number("--seed", optarg, 0, INT64_MAX, &number, err);
        soak->seed = (uint64_t)number;
        return code;
    case 't':
        code = parse_number("--threads", optarg, 1, 1024, &number, err);
        engine->thread_count = (int32_t)number;
        return code;
    case 'p': return parse_precision(optarg, &engine->precision, err);
    case 'T': engine->tokenizer_folder = optarg; return DR_OK;
    case 'V': engine->vae_folder = optarg; return DR_OK;
    case 'P': engine->pack_folder = optarg; return DR_OK;
    default:
        return soak_fail(err, DR_BAD_INPUT,
                         "an option that is unknown or lacks its value; see --help");
    }
}

static enum dr_code parse(struct soak *soak, struct dr_engine_options *engine,
                          int count, char **words, struct dr_error *err)
{
    static const struct option options[] = {
        {"models",    required_argument, NULL, 'm'},
        {"vaes",      required_argument, NULL, 'v'},
        {"seed",      required_argument, NULL, 's'},
        {"threads",   required_argument, NULL, 't'},
        {"precision", required_argument, NULL, 'p'},
        {"tokenizer", required_argument, NULL, 'T'},
        {"vae-dir",   required_argument, NULL, 'V'},
        {"packs",     required_argument, NULL, 'P'},
        {NULL,        0,                 NULL, 0  },
    };
    long long number;
    enum dr_code code = DR_OK;
    opterr = 0;
    for (int option; code == DR_OK &&
                     (option = getopt_long(count, words, "", options, NULL)) != -1;)
        code = take_option(option, soak, engine, err);
    if (code != DR_OK) return code;
    if (optind + 1 != count)
        return soak_fail(err, DR_BAD_INPUT,
                         "one number of operations is needed; see --help");
    code = parse_number("the number of operations", words[optind], 1, MOST_OPERATIONS,
                        &number, err);
    soak->count = (uint64_t)number;
    if (code == DR_OK && soak->work.models.count == 0)
        return soak_fail(err, DR_BAD_INPUT, "no model: give --models FILE,...");
    return code;
}

static enum dr_code run(struct soak *soak, int count, char **words,
                        struct dr_error *err)
{
    struct dr_engine_options options = dr_engine_options_default();
    enum dr_code code = parse(soak, &options, count, words, err);
    if (code == DR_OK) code = dr_engine_open(&soak->work.engine, &options, err);
    if (code != DR_OK) return code;
    atomic_store(&watched, soak->work.engine);
    soak->work.random = soak->seed;
    code = operate(soak, err);
    soak_work_close(&soak->work);
    atomic_store(&watched, NULL);
    dr_engine_close(&soak->work.engine);
    return code;
}

int main(int count, char **words)
{
    struct dr_error err = {0};
    const double started_ms = dr_clock_ms();
    if (count == 2 && strcmp(words[1], "--help") == 0)
        return fputs(usage, stdout) < 0 || fflush(stdout) != 0;
    start_settings_apply(words); /* the slope is the program's own */
    const struct sigaction action = {.sa_handler = on_signal};
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
        return dr_code_exit(DR_IO);
    struct soak *const soak = calloc(1, sizeof *soak);
    if (!soak) return dr_code_exit(DR_NOMEM);
    soak->seed = dr_random_seed();
    const enum dr_code code = run(soak, count, words, &err);
    const bool is_written =
        print_answer(soak, dr_clock_ms() - started_ms, code == DR_OK ? NULL : &err);
    free(soak);
    return dr_code_exit(code == DR_OK && !is_written ? DR_IO : code);
}
