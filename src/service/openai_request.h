/* openai_request — the body of the OpenAI images API as a picture_request.
 *
 *     prompt           must be there
 *     model            a name of /v1/models; dall-e-2, dall-e-3, gpt-image-... and nothing mean the current one
 *     n                1 to 10
 *     size             "WIDTHxHEIGHT"; "auto" and nothing: the model's own
 *     response_format  b64_json or url
 *     output_format    png or jpeg, with output_compression 0 to 100 as the quality
 *     stream, partial_images (0 to 3)
 *     ours             negative_prompt, seed, steps, cfg_scale, keep_on_disconnect, and what sampler_fields.h and prompt_fields.h have
 *
 * Other fields (quality, style, user, background, ...) are ignored, as the API's clients expect.
 */
#ifndef SERVICE_OPENAI_REQUEST_H
#define SERVICE_OPENAI_REQUEST_H

#include <stdbool.h>

#include "service/extra_networks.h"
#include "service/multipart.h"
#include "service/picture_request.h"

enum {
    OPENAI_MOST_PICTURES = 10,
    OPENAI_MOST_PARTIAL = 3
};

struct openai_request {
    struct picture_request picture; /* its model is open */
    const char
        *model; /* to be looked up: borrowed from the body; "": the current one */
    bool gives_url;
    bool streams;
    int32_t partial_count;
    bool keeps_on_disconnect;
};
void openai_request_finish(struct openai_request *request);

struct openai_reading {
    struct extra_networks *networks; /* LoRAs and styles that the body may name */
    bool gives_url;                  /* what response_format is where it is left out */
};
/* Reads a body. *field: which one is wrong (static), or NULL. Errors: DR_BAD_INPUT, DR_UNSUPPORTED (webp), DR_NOT_FOUND (a
 * sampler, schedule or LoRA), DR_NOMEM. The request is then empty. */
enum dr_code openai_request_read(struct openai_request *request, const json_t *body,
                                 const struct openai_reading *how, const char **field,
                                 struct dr_error *err) DR_MUST_CHECK;

/* The fields of a form that are no files, as the JSON body would have them: a new object of strings. Errors:
 * DR_BAD_INPUT (no UTF-8), DR_NOMEM. */
enum dr_code openai_request_fields(const struct multipart *form, json_t **fields,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
