/* stdout_picture — a picture on standard output: made as a file in a directory of its own, then copied, so
 * that its bytes are those of any other picture and nothing is written of one that fails.
 *
 *     enum dr_code code = stdout_picture_open(&picture, err);
 *     ... a job writes picture.path ...
 *     if (code == DR_OK) code = stdout_picture_send(&picture, err);
 *     stdout_picture_close(&picture);
 */
#ifndef CLI_STDOUT_PICTURE_H
#define CLI_STDOUT_PICTURE_H

#include <darkroom/darkroom.h>

struct stdout_picture {
    char folder[DR_PATH_BYTES - 32];
    char path[DR_PATH_BYTES];
};

/* Errors: DR_BAD_INPUT, standard output is a terminal; DR_IO. */
enum dr_code stdout_picture_open(struct stdout_picture *picture,
                                 struct dr_error *err) DR_MUST_CHECK;
/* Errors: DR_IO. */
enum dr_code stdout_picture_send(const struct stdout_picture *picture,
                                 struct dr_error *err) DR_MUST_CHECK;
/* Zeroed is fine. */
void stdout_picture_close(struct stdout_picture *picture);

#endif
