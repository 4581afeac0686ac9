/* a1111_request — the body of txt2img and img2img, as A1111's clients and the own API's send it, read into what the worker
 * runs: every field with the types that clients use, names of samplers, overrides of settings, pictures.
 *
 * What is not built is refused with 501 where the picture would be another one (enable_hr, mask, tiling, a refiner, a
 * variation seed); where it is a matter of taste (restore_faces, eta, styles) it is left out, and the request's warnings
 * say so. Fields that nobody knows are not looked at.
 * A path, a command or an address in a request is never used: pictures come as bytes, models and VAEs by name.
 */
#ifndef SERVICE_A1111_REQUEST_H
#define SERVICE_A1111_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <darkroom/error.h>

#include "service/body_reader.h"
#include "service/json_body.h"
#include "service/option_list.h"
#include "service/picture_request.h"
#include "service/service.h"

struct a1111_request {
    struct picture_request picture; /* init is not set: the worker names it */
    const unsigned char
        *init; /* the picture to begin with, in the body's memory; NULL: none */
    size_t init_byte_count;
    bool sends_images;  /* send_images */
    bool includes_init; /* include_init_images */
    bool keeps_on_disconnect;
    /* What override_settings changes for good: override_settings_restore_afterwards is false. NULL: nothing. */
    struct option_change *changes;
    size_t change_count;
};
void a1111_request_finish(struct a1111_request *request);

struct a1111_reading {
    const struct service *service; /* its options, option_list and models */
    const struct json_body *body;
    enum picture_kind kind; /* PICTURE_TXT2IMG or PICTURE_IMG2IMG */
    bool keeps;             /* where the body does not say save_images */
};
/* Model and VAE stay open where the body does not choose; a seed that is not given is drawn. On error *request is empty,
 * and *refusal says why. */
enum dr_code a1111_request_read(struct a1111_request *request,
                                const struct a1111_reading *reading,
                                struct a1111_refusal *refusal) DR_MUST_CHECK;

#endif
