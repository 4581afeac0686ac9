/* output_names — the files of a command's pictures, all known before the first step.
 *
 *     -o x.png              x.png, x-2.png, x-3.png, ... over all jobs of the command
 *     -o "{date}/{seed}.png"   a pattern: {seed} of the picture, {index} of all pictures of the command from
 *                           1 on, {model} without directory and extension, {date} of today as 2026-11-30.
 *                           Numbers have zeros in front, so that names sort. {{ is one brace
 *     -o DIR/               DIR/00001-SEED.png, counting on from the largest number there
 *     none                  darkroom-SEED.png
 *
 * A name that comes again gets a number as in the first line. Latents are one file for each job, with the
 * seed of its first picture. A directory that ends in a slash, or that a pattern names, is made.
 */
#ifndef CLI_OUTPUT_NAMES_H
#define CLI_OUTPUT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/darkroom.h>

struct output_naming {
    const char *output;    /* as typed; NULL: the default */
    const char *folder;    /* of the default; "": here */
    const char *model;     /* path, for {model} */
    const char *extension; /* of a directory's pictures: ".png" */
    const uint64_t *seeds; /* of the first picture of each job */
    int32_t job_count, batch;
    bool is_literal; /* braces are braces, and it is no directory */
};

struct output_names {
    char **paths;         /* owned */
    int32_t count, batch; /* batch: for each job; 1 for a file of latents */
    bool is_latent;
};

/* Does the text have a word in braces that stands for something else? */
bool output_names_is_pattern(const char *output);

/* Errors: DR_BAD_INPUT names a word in braces that nothing is known of; DR_NOMEM. */
enum dr_code output_names_make(struct output_names *names,
                               const struct output_naming *naming,
                               struct dr_error *err) DR_MUST_CHECK;
/* Make the directories that may be missing. Errors: DR_IO. */
enum dr_code output_names_make_folders(const struct output_names *names,
                                       const char *output,
                                       struct dr_error *err) DR_MUST_CHECK;
/* Those of a job. */
const char *const *output_names_of(const struct output_names *names, int32_t job_idx);
/* Zeroed names are fine. */
void output_names_finish(struct output_names *names);

#endif
