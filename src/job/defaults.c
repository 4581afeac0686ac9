#include "job/defaults.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sampling/latent.h"
#include "sampling/sampler.h"
#include "weights/checkpoint.h"

#define KEY "darkroom.default."

struct job_defaults job_defaults_none(void)
{
    return (struct job_defaults){.cfg = DR_CFG_DEFAULT};
}

struct job_defaults job_defaults_of_family(enum family family)
{
    const int32_t side = family == FAMILY_SDXL ? 1024 : 512;
    return (struct job_defaults){
        .width = side, .height = side, .steps = 20, .cfg = 7.0, .sampler = "euler-a"};
}

struct job_defaults job_defaults_of_settings(const struct dr_defaults *settings)
{
    if (!settings) return job_defaults_none();
    return (struct job_defaults){
        .width = settings->width,
        .height = settings->height,
        .steps = settings->steps,
        .cfg = settings->cfg,
        .sampler = settings->sampler[0] ? settings->sampler : NULL,
        .scheduler = settings->scheduler[0] ? settings->scheduler : NULL,
    };
}

void job_defaults_fill(struct job_defaults *defaults, const struct job_defaults *lower)
{
    if (!defaults->width) defaults->width = lower->width;
    if (!defaults->height) defaults->height = lower->height;
    if (!defaults->steps) defaults->steps = lower->steps;
    if (defaults->cfg == DR_CFG_DEFAULT) defaults->cfg = lower->cfg;
    const bool takes_scheduler =
        !defaults->sampler ||
        (lower->sampler && strcmp(defaults->sampler, lower->sampler) == 0);
    if (!defaults->scheduler && takes_scheduler) defaults->scheduler = lower->scheduler;
    if (!defaults->sampler) defaults->sampler = lower->sampler;
}

/* ---- a file's ---------------------------------------------------------------------------- */

struct reading {
    const struct tensor_file *file;
    char *warning; /* [DR_TEXT_BYTES] */
};

static void warn(const struct reading *reading, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void warn(const struct reading *reading, const char *format, ...)
{
    const size_t used = strlen(reading->warning);
    char *const end = reading->warning + used;
    va_list arguments;
    va_start(arguments, format);
    if (used + 1 < DR_TEXT_BYTES) {
        if (used) *end = ' ';
        (void)vsnprintf(end + (used > 0), DR_TEXT_BYTES - used - (used > 0), format,
                        arguments);
    }
    va_end(arguments);
}

/* A value that is of no use. */
static void warn_of(const struct reading *reading, const char *key, const char *text,
                    const char *wanted)
{
    warn(reading, "The checkpoint's metadata has %s \"%.80s\", which is not used: %s.",
         key, text, wanted);
}

static bool is_side(int32_t pixels)
{
    return pixels >= JOB_LEAST_SIDE && pixels <= JOB_MAX_SIDE &&
           pixels % LATENT_FACTOR == 0;
}

/* "128x128": digits alone, at most four of them. */
static bool parse_size(const char *text, int32_t *width, int32_t *height)
{
    static const char digits[] = "0123456789";
    const size_t first = strspn(text, digits);
    if (first < 1 || first > 4 || text[first] != 'x') return false;
    const char *const rest = text + first + 1;
    const size_t second = strspn(rest, digits);
    if (second < 1 || second > 4 || rest[second]) return false;
    *width = *height = 0;
    for (size_t i = 0; i < first; ++i)
        *width = 10 * *width + (text[i] - '0');
    for (size_t i = 0; i < second; ++i)
        *height = 10 * *height + (rest[i] - '0');
    return is_side(*width) && is_side(*height);
}

static void read_size(const struct reading *reading, struct job_defaults *found)
{
    const char *const text = tensor_file_metadata(reading->file, KEY "size");
    int32_t width, height;
    if (!text) return;
    if (parse_size(text, &width, &height)) {
        found->width = width;
        found->height = height;
    } else {
        warn_of(reading, KEY "size", text,
                "it takes WIDTHxHEIGHT, each 64 to 8192 and a multiple of 8");
    }
}

static void read_steps(const struct reading *reading, struct job_defaults *found)
{
    const char *const text = tensor_file_metadata(reading->file, KEY "steps");
    int32_t steps;
    if (!text) return;
    if (checkpoint_metadata_int(reading->file, KEY "steps", &steps) &&
        steps <= SAMPLER_MAX_STEPS)
        found->steps = steps;
    else
        warn_of(reading, KEY "steps", text, "it takes 1 to 1000");
}

static void read_cfg(const struct reading *reading, struct job_defaults *found)
{
    const char *const text = tensor_file_metadata(reading->file, KEY "cfg");
    float cfg;
    if (!text) return;
    if (checkpoint_metadata_float(reading->file, KEY "cfg", &cfg) && cfg >= 0.0F &&
        cfg <= (float)JOB_MAX_CFG)
        found->cfg = (double)cfg;
    else
        warn_of(reading, KEY "cfg", text, "it takes 0 to 1000");
}

static void read_sampler(const struct reading *reading, struct job_defaults *found)
{
    const char *const text = tensor_file_metadata(reading->file, KEY "sampler");
    enum sampler_kind kind;
    if (!text) return;
    if (sampler_from_name(text, &kind))
        found->sampler = sampler_name(kind);
    else
        warn_of(reading, KEY "sampler", text, "there is no such sampler");
}

static void read_scheduler(const struct reading *reading, struct job_defaults *found)
{
    const char *const text = tensor_file_metadata(reading->file, KEY "scheduler");
    enum schedule_kind schedule = SCHEDULE_DEFAULT;
    enum sampler_kind kind;
    if (!text) return;
    if (!schedule_from_name(text, &schedule))
        warn_of(reading, KEY "scheduler", text, "there is no such scheduler");
    else if (found->sampler && sampler_from_name(found->sampler, &kind) &&
             !sampler_accepts(kind, schedule))
        warn_of(reading, KEY "scheduler", text, "it does not go with its sampler");
    else
        found->scheduler = schedule_name(schedule);
}

void job_defaults_fill_from_file(struct job_defaults *defaults,
                                 const struct tensor_file *file,
                                 char warning[static DR_TEXT_BYTES])
{
    const struct reading reading = {.file = file, .warning = warning};
    struct job_defaults found = job_defaults_none();
    warning[0] = '\0';
    if (!defaults->width || !defaults->height) read_size(&reading, &found);
    if (!defaults->steps) read_steps(&reading, &found);
    if (defaults->cfg == DR_CFG_DEFAULT) read_cfg(&reading, &found);
    if (!defaults->sampler || !defaults->scheduler) read_sampler(&reading, &found);
    if (!defaults->scheduler) read_scheduler(&reading, &found);
    job_defaults_fill(defaults, &found);
}
