/* a1111_request — the body of txt2img and img2img, which the own API's jobs have too, as a picture_request.
 *
 * Model and VAE come from override_settings (or `model`), else from the options: both are resolved here (model_folders.h),
 * so that what is wrong is said at once. A seed that is not given is drawn here. Threads: any.
 */
#ifndef SERVICE_A1111_REQUEST_H
#define SERVICE_A1111_REQUEST_H

#include <stdbool.h>

#include "service/json_body.h"
#include "service/picture_request.h"

struct service;

struct a1111_request {
    struct picture_request picture;
    /* The picture to begin with; NULL: none. Borrowed from the body: worker_submission takes a copy. */
    const struct json_body_blob *init;
    bool sends_images, keeps_on_disconnect,
        stays; /* stays: override_settings that are not restored afterwards */
};
void a1111_request_finish(struct a1111_request *request);

/* Reads the body of a request of this kind. *field: which one is wrong (static), or NULL. Errors: DR_BAD_INPUT,
 * DR_NOT_FOUND (model, VAE, sampler), DR_UNSUPPORTED (what is not built), DR_NOMEM. */
enum dr_code a1111_read_picture(struct service *service, const struct json_body *body,
                                enum picture_kind kind, struct a1111_request *request,
                                const char **field, struct dr_error *err) DR_MUST_CHECK;

#endif
