/* metrics — figures for a monitoring system, as Prometheus reads them (text format 0.0.4):
 *
 *     darkroom_http_requests_total{route,status}    the table's route; "" for what was refused before one was found
 *     darkroom_jobs_total{result}                   done, failed, cancelled
 *     darkroom_images_total
 *     darkroom_phase_seconds{phase}                 histograms: job; text, step (one UNet evaluation) and decode (one
 *                                                   picture), which are means of a job
 *     darkroom_queue_depth, darkroom_running_jobs
 *     darkroom_budget_bytes, darkroom_private_bytes, darkroom_mapped_bytes, darkroom_peak_bytes, darkroom_kernel_bytes
 *     darkroom_component_bytes{component}           private memory of each slot
 *
 * Counters are kept here; the rest is asked for when it is printed. Nothing of a request is in it but its route.
 * All memory is fixed. Threads: any. Calls with metrics == NULL do nothing.
 */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include <stdint.h>

#include <darkroom/darkroom.h>

#include "service/job_store.h"

enum {
    METRICS_ROUTES = 512 /* pairs of route and status; more are counted together */
};

struct metrics; /* opaque */

struct metrics *metrics_create(void); /* NULL: no memory */
void metrics_destroy(struct metrics *metrics);

/* A request was answered. route: of the table, static; NULL: none. */
void metrics_add_request(struct metrics *metrics, const char *route, int status);
/* A job has ended, with so many pictures. result: of the last work of the engine for it, before an error too. */
void metrics_add_job(struct metrics *metrics, enum job_phase phase, double seconds,
                     int32_t image_count, const struct dr_generate_result *result);

/* What is asked for when figures are printed. */
struct metrics_gauges {
    int32_t queued, running;
    const struct dr_memory *memory; /* NULL: the engine is not open */
};
/* The text: malloc'ed, terminated; NULL where memory runs out. */
char *metrics_text(struct metrics *metrics, const struct metrics_gauges *gauges);

#endif
