/* a1111_info — what a job made, in A1111's words: the `info` text and the `parameters` of an answer.
 *
 * All is read from the pictures' own texts and from what the engine said of the job, not from the request: what was left
 * open there is known here. Nothing that a client sent beside the known fields is in it.
 */
#ifndef SERVICE_A1111_INFO_H
#define SERVICE_A1111_INFO_H

#include <jansson.h>

#include "service/gallery.h"
#include "service/job_store.h"
#include "service/model_folders.h"

struct a1111_made {
    const struct job_record *record;
    const struct gallery_picture
        *pictures; /* in order; may be none, of a job that was interrupted early */
    int32_t count;
    struct model_folders *models;
    bool sends_images;
};

/* A new value; NULL: no memory. */
json_t *a1111_info_json(const struct a1111_made *made);
json_t *a1111_info_parameters(const struct a1111_made *made);

#endif
