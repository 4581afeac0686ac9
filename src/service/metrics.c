#include "service/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum phase {
    PHASE_JOB,
    PHASE_TEXT,
    PHASE_STEP,
    PHASE_DECODE,
    PHASE_COUNT
};
static const char *const phase_names[] = {"job", "text", "step", "decode"};

/* Upper bounds: from a step of a small picture to a batch on a slow machine. */
static const double bounds[] = {0.01, 0.03, 0.1, 0.3, 1,    3,
                                10,   30,   100, 300, 1000, 3000};
enum {
    BOUND_COUNT = sizeof bounds / sizeof *bounds
};

struct histogram {
    uint64_t counts[BOUND_COUNT + 1]; /* each of its own range; the last: above all */
    double sum;
};

struct request_count {
    const char *route;
    int status;
    uint64_t count;
};

struct metrics {
    pthread_mutex_t lock;
    struct request_count requests[METRICS_ROUTES];
    size_t request_kinds;
    uint64_t other_requests;
    uint64_t jobs[JOB_CANCELLED + 1];
    uint64_t images;
    struct histogram phases[PHASE_COUNT];
};

struct metrics *metrics_create(void)
{
    struct metrics *const metrics = calloc(1, sizeof *metrics);
    if (!metrics) return NULL;
    if (pthread_mutex_init(&metrics->lock, NULL) == 0) return metrics;
    free(metrics);
    return NULL;
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics) return;
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* ---- counting ---------------------------------------------------------------------------- */

void metrics_add_request(struct metrics *metrics, const char *route, int status)
{
    if (!metrics) return;
    pthread_mutex_lock(&metrics->lock);
    size_t i = 0;
    while (i < metrics->request_kinds && (metrics->requests[i].route != route ||
                                          metrics->requests[i].status != status))
        ++i;
    if (i == METRICS_ROUTES) {
        ++metrics->other_requests;
    } else {
        if (i == metrics->request_kinds)
            metrics->requests[metrics->request_kinds++] =
                (struct request_count){.route = route, .status = status};
        ++metrics->requests[i].count;
    }
    pthread_mutex_unlock(&metrics->lock);
}

static void observe(struct histogram *histogram, double seconds)
{
    size_t i = 0;
    while (i < BOUND_COUNT && seconds > bounds[i])
        ++i;
    ++histogram->counts[i];
    histogram->sum += seconds;
}

void metrics_add_job(struct metrics *metrics, enum job_phase phase, double seconds,
                     int32_t image_count, const struct dr_generate_result *result)
{
    if (!metrics) return;
    pthread_mutex_lock(&metrics->lock);
    ++metrics->jobs[phase];
    metrics->images += (uint64_t)image_count;
    observe(&metrics->phases[PHASE_JOB], seconds);
    /* 0: the phase did not run, or its result was there before. */
    if (result->text_ms > 0)
        observe(&metrics->phases[PHASE_TEXT], result->text_ms / 1e3);
    if (result->unet_per_step_ms > 0)
        observe(&metrics->phases[PHASE_STEP], result->unet_per_step_ms / 1e3);
    if (result->vae_ms > 0)
        observe(&metrics->phases[PHASE_DECODE], result->vae_ms / 1e3);
    pthread_mutex_unlock(&metrics->lock);
}

/* ---- printing ---------------------------------------------------------------------------- */

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP darkroom_%s %s\n# TYPE darkroom_%s %s\n", name, help, name,
            type);
}

static void print_gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
    if (value == DR_UNKNOWN_BYTES) return;
    print_head(out, name, "gauge", help);
    fprintf(out, "darkroom_%s %" PRIu64 "\n", name, value);
}

static void print_requests(FILE *out, const struct metrics *metrics)
{
    print_head(out, "http_requests_total", "counter", "Requests that were answered.");
    for (size_t i = 0; i < metrics->request_kinds; ++i) {
        const struct request_count *const request = &metrics->requests[i];
        fprintf(out,
                "darkroom_http_requests_total{route=\"%s\",status=\"%d\"} %" PRIu64
                "\n",
                request->route ? request->route : "", request->status, request->count);
    }
    if (metrics->other_requests > 0)
        fprintf(out,
                "darkroom_http_requests_total{route=\"other\",status=\"\"} %" PRIu64
                "\n",
                metrics->other_requests);
}

static void print_jobs(FILE *out, const struct metrics *metrics)
{
    print_head(out, "jobs_total", "counter", "Jobs that have ended.");
    for (int phase = JOB_DONE; phase <= JOB_CANCELLED; ++phase)
        fprintf(out, "darkroom_jobs_total{result=\"%s\"} %" PRIu64 "\n",
                job_phase_name((enum job_phase)phase), metrics->jobs[phase]);
    print_head(out, "images_total", "counter", "Images that were written.");
    fprintf(out, "darkroom_images_total %" PRIu64 "\n", metrics->images);
}

static void print_phases(FILE *out, const struct metrics *metrics)
{
    print_head(
        out, "phase_seconds", "histogram",
        "Seconds of jobs, and of their text encoding, a step, and decoding an image.");
    for (int phase = 0; phase < PHASE_COUNT; ++phase) {
        const struct histogram *const histogram = &metrics->phases[phase];
        const char *const name = phase_names[phase];
        uint64_t count = 0;
        for (size_t i = 0; i < BOUND_COUNT; ++i) {
            count += histogram->counts[i];
            fprintf(out,
                    "darkroom_phase_seconds_bucket{phase=\"%s\",le=\"%g\"} %" PRIu64
                    "\n",
                    name, bounds[i], count);
        }
        count += histogram->counts[BOUND_COUNT];
        fprintf(out,
                "darkroom_phase_seconds_bucket{phase=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
                "darkroom_phase_seconds_sum{phase=\"%s\"} %.6f\n"
                "darkroom_phase_seconds_count{phase=\"%s\"} %" PRIu64 "\n",
                name, count, name, histogram->sum, name, count);
    }
}

static void print_memory(FILE *out, const struct dr_memory *memory)
{
    print_gauge(out, "budget_bytes", "Private memory that the engine may take.",
                memory->budget_bytes);
    print_gauge(out, "private_bytes", "Private memory in the engine's ledger.",
                memory->ledger.private_bytes);
    print_gauge(out, "mapped_bytes", "Mapped files in the engine's ledger.",
                memory->ledger.mapped_bytes);
    print_gauge(out, "peak_bytes", "The most private memory that the ledger had.",
                memory->ledger.peak_private_bytes);
    print_gauge(out, "kernel_bytes",
                "Private memory of the process by the kernel's count.",
                memory->kernel.private_bytes);
    print_head(out, "component_bytes", "gauge", "Private memory of a component.");
    for (int32_t i = 0; i < memory->component_count; ++i)
        fprintf(out, "darkroom_component_bytes{component=\"%s\"} %" PRIu64 "\n",
                memory->components[i].slot, memory->components[i].private_bytes);
}

char *metrics_text(struct metrics *metrics, const struct metrics_gauges *gauges)
{
    char *text = NULL;
    size_t byte_count = 0;
    FILE *const out = open_memstream(&text, &byte_count);
    if (!out) return NULL;
    if (metrics) {
        pthread_mutex_lock(&metrics->lock);
        print_requests(out, metrics);
        print_jobs(out, metrics);
        print_phases(out, metrics);
        pthread_mutex_unlock(&metrics->lock);
    }
    print_gauge(out, "queue_depth", "Jobs that wait.", (uint64_t)gauges->queued);
    print_gauge(out, "running_jobs", "Jobs that run.", (uint64_t)gauges->running);
    if (gauges->memory) print_memory(out, gauges->memory);
    const bool is_complete = ferror(out) == 0;
    if (fclose(out) == 0 && is_complete) return text;
    free(text);
    return NULL;
}
