/* image_codec — the interface of a picture format, internal to this layer.
 *
 * PNG and JPEG are each a decoder and an encoder: tables of functions over libpng and
 * libjpeg-turbo. Both libraries report an error by calling a function that must not return.
 * For each library one small function (png_try, jpeg_try, ...) uses setjmp. It runs a step
 * with all state in one heap structure, so that no local variable is used across the jump,
 * and everything is freed by the ordinary close. No jump leaves this layer.
 *
 * Threads: a decoder's state belongs to one thread at a time. No globals.
 */
#ifndef IMAGE_IMAGE_CODEC_H
#define IMAGE_IMAGE_CODEC_H

#include "image/image.h"
#include "image/image_sink.h"
#include "image/image_source.h"
#include "image/pixel_row.h"

enum image_want {
    IMAGE_WANT_PIXELS,
    IMAGE_WANT_TEXT
};

struct image_decoder {
    /* Read the head, from the source's begin on. *state is set also on error, or NULL; head has
     * the size as stored. The source lives until close. */
    enum dr_code (*open)(void **state, struct image_source *source,
                         enum image_want want, struct image_head *head,
                         struct dr_error *err);
    /* Read all pixels, once, each to its place. */
    enum dr_code (*pixels)(void *state, const struct pixel_place *place, float *rgb,
                           struct dr_error *err);
    /* The parameters text, malloc'ed, or NULL; after open with IMAGE_WANT_TEXT. */
    enum dr_code (*text)(void *state, char **text, struct dr_error *err);
    void (*close)(void *state); /* NULL is fine */
};

struct image_encoder {
    /* Checks the options as write would, without pixels or a file: a text that is too
     * long. */
    enum dr_code (*check)(const char *name, const struct image_write_options *options,
                          struct dr_error *err);
    enum dr_code (*write)(struct image_sink *sink,
                          const struct image_write_options *options,
                          const struct image_rows *rows, struct dr_error *err);
};

extern const struct image_decoder png_decoder, jpeg_decoder;
extern const struct image_encoder png_encoder, jpeg_encoder;

/* Refuses sizes that are larger than IMAGE_MAX_SIDE or IMAGE_MAX_PIXELS, or empty, with
 * figures. */
enum dr_code image_check_size(const char *name, uint32_t width, uint32_t height,
                              struct dr_error *err) DR_MUST_CHECK;

#endif
