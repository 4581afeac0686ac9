/* again_json — what differs between a picture and one that was made from what it says.
 *
 *     "again":"star.png", "identical":false, "differences":[{"what":"model hash", "was":"...", "is":"..."}, ...]
 *
 * identical: the two files have the same bytes.
 */
#ifndef FRONT_AGAIN_JSON_H
#define FRONT_AGAIN_JSON_H

#include <stdbool.h>

#include <darkroom/darkroom.h>
#include <jansson.h>

struct again_answer {
    const char *picture;
    const struct dr_difference *differences;
    size_t count;
    bool identical;
};

/* The path of the first picture of an answer; NULL: there is none. Borrowed. */
const char *again_json_made(const json_t *answer);

void again_json_add(json_t *answer, const struct again_answer *again);

#endif
