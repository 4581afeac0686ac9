/* output — the files that a job writes, and checks before the work begins: names, directories,
 * permission, space on the disk.
 *
 * The checks cannot guarantee success: the disk may become full meanwhile. But what they refuse could not have been written.
 */
#ifndef JOB_OUTPUT_H
#define JOB_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "darkroom/darkroom.h"

/* Is it the name of a latent file (".safetensors")? */
bool output_is_latent(const char *path);

/* The file name of picture idx: "x.png", "x-2.png", "x-3.png", ... */
void output_path(const char *output, int32_t idx, char path[static DR_PATH_BYTES]);
/* The same, or the output's own name for it. */
void output_name(const struct dr_output *output, int32_t idx,
                 char path[static DR_PATH_BYTES]);

/* Is there a file of this name? */
bool output_exists(const char *path);

/* Check that the extension is supported, that the directory exists and a file can be created in it
 * (one is created and removed), and that existing files with these names may be replaced. Partial
 * files of killed writers are removed. Errors: DR_BAD_INPUT, DR_NOT_FOUND (no directory), DR_IO. */
enum dr_code output_check(const struct dr_output *output,
                          struct dr_error *err) DR_MUST_CHECK;

struct output_size {
    int32_t width, height; /* of the pictures */
    size_t latent_bytes;   /* of one picture's */
    size_t text_bytes;     /* that a picture carries */
};

/* The minimum and maximum size of one file: of a picture, or of all latents without a few bytes of
 * the header. A picture's minimum is the size of a nearly uniform one. */
struct output_range {
    uint64_t least, most;
};
struct output_range output_file_bytes(const struct dr_output *output,
                                      const struct output_size *size);

/* Check the space on the disk. Errors: DR_IO with need and have if the minimum does not fit (or
 * exceeds a limit on file sizes). *warning is "", or a message that the maximum does not fit. */
enum dr_code output_check_room(const struct dr_output *output,
                               const struct output_size *size,
                               char warning[static DR_TEXT_BYTES],
                               struct dr_error *err) DR_MUST_CHECK;

#endif
