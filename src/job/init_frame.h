/* init_frame — which part of an init picture becomes the new picture: a rectangle that is stretched to its size.
 *
 * With crop the rectangle lies within the picture and has the new one's proportions; with pad it contains the picture, and
 * what lies beyond an edge repeats the edge. Where the new picture is cut (cut_width, cut_height), the rectangle goes on to the
 * right and below, so that what is cut off is not part of the init picture.
 */
#ifndef JOB_INIT_FRAME_H
#define JOB_INIT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "darkroom/darkroom.h"

struct init_frame {
    int32_t left, top; /* in the source; negative: beyond its edge */
    int32_t width, height;
};

/* The sizes are of the source, of the picture as it is made, and of the part of it that is kept. */
struct init_frame_sizes {
    int32_t source_width, source_height;
    int32_t width, height;
    int32_t cut_width, cut_height;
};
/* Sides are at least 1, and at most INT32_MAX. */
struct init_frame init_frame_make(const struct init_frame_sizes *sizes,
                                  enum dr_fit fit);

/* Pixels (3 floats each) of the room that init_frame_apply needs: for the source, and for the frame. */
size_t init_frame_room(const struct init_frame *frame, int32_t source_width,
                       int32_t source_height);
/* Moves the frame's pixels together, in place: [source_height, source_width, 3] becomes [height, width, 3]. */
void init_frame_apply(const struct init_frame *frame, int32_t source_width,
                      int32_t source_height, float *pixels);

#endif
