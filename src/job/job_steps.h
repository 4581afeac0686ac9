/* job_steps — makes the list of steps for a request.
 *
 *     generate    TEXT each encoder; READ RESIZE ENCODE where there is an init picture; for each picture
 *                 NOISE SAMPLE; WRITE_LATENTS where that is the output; for each picture DECODE WRITE where
 *                 there is a picture's file or the caller wants to see it. In the order by picture, and
 *                 without WRITE_LATENTS, for each picture NOISE SAMPLE DECODE WRITE
 *     encode      READ RESIZE ENCODE WRITE_LATENTS
 *     decode      READ_LATENTS; for each picture DECODE WRITE
 *
 * Such a list is built by the functions below. Each appends steps to job->list; they take and return
 * values as indices in that list.
 */
#ifndef JOB_JOB_STEPS_H
#define JOB_JOB_STEPS_H

#include "job/job.h"

/* The whole list in job->order, for job->request and, where it has one, the head of its init picture. The
 * networks of a list that was there stay, with their plans. */
void job_steps_make(struct job *job);

/* ---- parts ---- */

/* One step for each text encoder. */
void job_steps_add_text(struct job *job);

/* The latents of all pictures of the batch at a size in pixels: a value. */
int32_t job_steps_add_latents(struct job *job, int32_t width, int32_t height);

/* Pixels (a value, source_width x source_height) to moments (returned) of a picture of the size. latents:
 * a value that takes the mean of them, scaled; or STEP_NONE. */
struct encode_part {
    int32_t pixels, source_width, source_height;
    int32_t width, height;
    int32_t latents;
};
int32_t job_steps_add_encode(struct job *job, const struct encode_part *part);

/* One picture from noise (moments STEP_NONE) or from moments, over a part of the schedule, to its
 * latents. continues: no noise, the latents go on from where another part left them. */
struct sample_part {
    int32_t image_idx, width, height;
    int32_t moments, latents;
    int32_t first_step, end_step; /* 0, 0: all steps */
    bool continues;
    struct slot *unet;
};
void job_steps_add_sample(struct job *job, const struct sample_part *part);

/* One picture's latents to its samples, and to pixels (a value, returned), for a second pass; or to its
 * file. */
int32_t job_steps_add_decode_to_pixels(struct job *job, int32_t image_idx,
                                       int32_t latents, int32_t width, int32_t height);
void job_steps_add_decode_to_file(struct job *job, int32_t image_idx, int32_t latents,
                                  int32_t width, int32_t height);

#endif
