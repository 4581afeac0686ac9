/* output — the files that a job writes, and what can be known of writing them before minutes of
 * work: names, directories, permission, room on the disk.
 *
 * Nothing here makes a promise: a disk may fill meanwhile. What is refused could not have been written.
 */
#ifndef JOB_OUTPUT_H
#define JOB_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "darkroom/darkroom.h"

/* Is it a name of latents, ".safetensors"? */
bool output_is_latent(const char *path);

/* Where the idx-th picture of an output goes: "x.png", "x-2.png", "x-3.png", ... */
void output_path(const char *output, int32_t idx, char path[static DR_PATH_BYTES]);
/* The same, or the output's own name for it. */
void output_name(const struct dr_output *output, int32_t idx,
                 char path[static DR_PATH_BYTES]);

/* Is there a file of this name? */
bool output_exists(const char *path);

/* The extension is one that is written; the directory is there and takes a file (one is made and removed);
 * what has one of the names may be replaced. Parts that killed writers left there are removed.
 * Errors: DR_BAD_INPUT, DR_NOT_FOUND (no directory), DR_IO. */
enum dr_code output_check(const struct dr_output *output,
                          struct dr_error *err) DR_MUST_CHECK;

struct output_size {
    int32_t width, height; /* of the pictures */
    size_t latent_bytes;   /* of one picture's */
    size_t text_bytes;     /* that a picture carries */
};

/* What one file will have at the least and at the most: a picture, or all latents but for a few bytes of
 * the header. A picture's least is what a nearly flat one takes. */
struct output_range {
    uint64_t least, most;
};
struct output_range output_file_bytes(const struct dr_output *output,
                                      const struct output_size *size);

/* Is there room on the disk? Errors: DR_IO with need and have where the least does not fit (or a limit for
 * files is below it). *warning is "" or says that the most does not. */
enum dr_code output_check_room(const struct dr_output *output,
                               const struct output_size *size,
                               char warning[static DR_TEXT_BYTES],
                               struct dr_error *err) DR_MUST_CHECK;

#endif
