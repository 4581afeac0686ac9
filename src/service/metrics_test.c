#include "service/metrics.h"

#include "check.h"

/* The value of a sample; -1 where there is none, or more than one. */
static double sample(const char *text, const char *name)
{
    char line[160];
    (void)snprintf(line, sizeof line, "\n%s ", name);
    const char *const at = strstr(text, line);
    if (!at || strstr(at + 1, line)) return -1;
    return strtod(at + strlen(line), NULL);
}

static char *print(struct metrics *metrics, const struct dr_memory *memory)
{
    const struct metrics_gauges gauges = {.queued = 3, .running = 1, .memory = memory};
    char *const text = metrics_text(metrics, &gauges);
    if (!text) abort();
    return text;
}

static void requests_are_counted_by_route_and_status(void)
{
    static const char one[] = "/v1/models", other[] = "/api/v1/jobs/{id}";
    struct metrics *const metrics = metrics_create();
    metrics_add_request(metrics, one, 200);
    metrics_add_request(metrics, one, 200);
    metrics_add_request(metrics, one, 404);
    metrics_add_request(metrics, other, 200);
    metrics_add_request(metrics, NULL, 403);
    char *const text = print(metrics, NULL);
    check_real(sample(text, "darkroom_http_requests_total{route=\"/v1/models\","
                            "status=\"200\"}"),
               ==, 2);
    check_real(sample(text, "darkroom_http_requests_total{route=\"/v1/models\","
                            "status=\"404\"}"),
               ==, 1);
    check_real(sample(text, "darkroom_http_requests_total{route=\"/api/v1/jobs/{id}\","
                            "status=\"200\"}"),
               ==, 1);
    check_real(sample(text, "darkroom_http_requests_total{route=\"\",status=\"403\"}"),
               ==, 1);
    free(text);
    for (int status = 1000; status < 1000 + METRICS_ROUTES; ++status)
        metrics_add_request(metrics, one, status);
    char *const full = print(metrics, NULL);
    check_real(sample(full,
                      "darkroom_http_requests_total{route=\"other\",status=\"\"}"),
               ==, 4);
    free(full);
    metrics_destroy(metrics);
}

static void histograms_add_up(void)
{
    struct metrics *const metrics = metrics_create();
    struct dr_generate_result result = {
        .image_count = 1, .text_ms = 20, .unet_per_step_ms = 4000, .vae_ms = 0};
    metrics_add_job(metrics, JOB_DONE, 9.0, 2, &result);
    result = (struct dr_generate_result){0};
    metrics_add_job(metrics, JOB_FAILED, 5000.0, 0, &result);
    metrics_add_job(metrics, JOB_DONE, 10.0, 0, &result);
    char *const text = print(metrics, NULL);
    check_real(sample(text, "darkroom_jobs_total{result=\"done\"}"), ==, 2);
    check_real(sample(text, "darkroom_jobs_total{result=\"failed\"}"), ==, 1);
    check_real(sample(text, "darkroom_jobs_total{result=\"cancelled\"}"), ==, 0);
    check_real(sample(text, "darkroom_images_total"), ==, 2);
    static const struct {
        const char *name;
        double value;
    } samples[] = {
        {"bucket{phase=\"job\",le=\"3\"}",     0   },
        {"bucket{phase=\"job\",le=\"10\"}",    2   },
        {"bucket{phase=\"job\",le=\"3000\"}",  2   },
        {"bucket{phase=\"job\",le=\"+Inf\"}",  3   },
        {"sum{phase=\"job\"}",                 5019},
        {"count{phase=\"job\"}",               3   },
        {"bucket{phase=\"text\",le=\"0.01\"}", 0   },
        {"bucket{phase=\"text\",le=\"0.03\"}", 1   },
        {"sum{phase=\"step\"}",                4   },
        {"count{phase=\"decode\"}",            0   }
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; ++i) {
        char name[96];
        (void)snprintf(name, sizeof name, "darkroom_phase_seconds_%s", samples[i].name);
        check_real(sample(text, name), ==, samples[i].value);
    }
    free(text);
    metrics_destroy(metrics);
}

static void memory_is_what_the_engine_says(void)
{
    struct dr_component_memory unet = {.slot = "unet", .private_bytes = 7};
    struct dr_memory memory = {.component_count = 1,
                               .components = &unet,
                               .budget_bytes = 100};
    memory.ledger.peak_private_bytes = 9;
    memory.kernel.private_bytes = DR_UNKNOWN_BYTES;
    char *const text = print(NULL, &memory);
    check_real(sample(text, "darkroom_queue_depth"), ==, 3);
    check_real(sample(text, "darkroom_running_jobs"), ==, 1);
    check_real(sample(text, "darkroom_budget_bytes"), ==, 100);
    check_real(sample(text, "darkroom_peak_bytes"), ==, 9);
    check_real(sample(text, "darkroom_component_bytes{component=\"unet\"}"), ==, 7);
    check(strstr(text, "kernel_bytes") == NULL);
    free(text);
}

static void each_metric_has_one_type_and_ends_its_line(void)
{
    struct metrics *const metrics = metrics_create();
    char *const text = print(metrics, NULL);
    int heads = 0;
    for (const char *at = text; (at = strstr(at, "# TYPE ")); ++at)
        ++heads;
    check_int(heads, ==, 6);
    check(text[strlen(text) - 1] == '\n');
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        check(strncmp(line, "# HELP darkroom_", 16) == 0 ||
              strncmp(line, "# TYPE darkroom_", 16) == 0 ||
              strncmp(line, "darkroom_", 9) == 0);
    free(text);
    metrics_destroy(metrics);
}

int main(void)
{
    check_run(requests_are_counted_by_route_and_status);
    check_run(histograms_add_up);
    check_run(memory_is_what_the_engine_says);
    check_run(each_metric_has_one_type_and_ends_its_line);
    return check_done();
}
