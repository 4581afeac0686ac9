/* openai_answer — a job's pictures and errors as the OpenAI images API shows them.
 *
 * A picture is base64, or the address of a file: /v1/images/files/ID, whose id cannot be guessed, and which answers for
 * OPENAI_URL_S after the picture was made.
 */
#ifndef SERVICE_OPENAI_ANSWER_H
#define SERVICE_OPENAI_ANSWER_H

#include <stdbool.h>

#include "service/gallery.h"
#include "service/http_reply.h"
#include "service/http_request.h"
#include "service/job_store.h"

enum {
    OPENAI_URL_S = 60 * 60, /* as long as the API's own addresses are good for */
    OPENAI_BASE_BYTES = 320
};

/* The pictures of a job, in order. */
struct openai_pictures {
    struct gallery_picture *list;
    int32_t count;
};
enum dr_code openai_pictures_read(struct openai_pictures *pictures, struct store *store,
                                  const char *job, struct dr_error *err) DR_MUST_CHECK;
void openai_pictures_finish(struct openai_pictures *pictures);

/* Where the client has reached this service, "http://127.0.0.1:7860": from the Host that the gate has checked. */
void openai_base(const struct http_request *request, char base[OPENAI_BASE_BYTES]);

/* Adds b64_json, or url where base is not NULL, to an object. */
enum dr_code openai_answer_add_picture(json_t *object, struct store *store,
                                       const struct gallery_picture *picture,
                                       const char *base,
                                       struct dr_error *err) DR_MUST_CHECK;
/* Adds created_at or created (name), size and output_format. */
void openai_answer_describe(json_t *object, const char *name,
                            const struct gallery_picture *picture);

/* How a job ended that has no pictures to show: DR_OK for one that is done. */
enum dr_code openai_answer_error(const struct job_record *record,
                                 struct dr_error *err) DR_MUST_CHECK;

#endif
