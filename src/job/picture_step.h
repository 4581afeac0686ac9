/* picture_step — the init picture of a job, from its file to the VAE's moments (STEP_READ, STEP_RESIZE,
 * STEP_ENCODE).
 */
#ifndef JOB_PICTURE_STEP_H
#define JOB_PICTURE_STEP_H

#include "job/init_frame.h"
#include "job/job.h"

/* Open the init picture and read its head: job->head, and what its decoder takes beside regions.
 * Errors: image_reader_open's. */
enum dr_code picture_step_open(struct job *job, struct dr_error *err) DR_MUST_CHECK;
void picture_step_close(struct job *job);
/* The part of it that becomes the new picture; its head is read. */
struct init_frame picture_step_frame(const struct job *job);

/* Bytes of its pixels, and of the frame's. */
size_t picture_step_init_bytes(const struct job *job);
/* Bytes of a picture's pixels, and of the scratch that resizing them takes. */
size_t picture_step_pixels_bytes(int32_t width, int32_t height);
size_t picture_step_scratch_bytes(const struct step *resize);

#endif
