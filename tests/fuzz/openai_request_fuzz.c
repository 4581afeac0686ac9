/* openai_request_fuzz — any bytes as the body of an images request, and as what the database kept of a job.
 *
 * Read or refused with a sentence, and with the field where one is wrong. What is read is within its limits, can be kept,
 * and is the same when it comes back; so can any other value be that reads as a kept request.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/json_body.h"
#include "service/openai_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_kept(const struct picture_request *request)
{
    struct picture_request back;
    json_t *const value = picture_request_json(request);
    const enum dr_code code = picture_request_from_json(&back, value, NULL);
    assert(code == DR_OK);
    json_t *const again = picture_request_json(&back);
    assert(value && json_equal(value, again));
    assert(back.seed == request->seed);
    json_decref(again);
    json_decref(value);
    picture_request_finish(&back);
}

static struct extra_networks *no_networks(void)
{
    static const char *const nowhere[] = {"/nonexistent", NULL};
    static struct extra_networks *networks;
    const struct extra_networks_options options = {
        .folders = {nowhere, nowhere},
          .clock_ms = dr_clock_ms
    };
    if (!networks && extra_networks_create(&networks, &options, NULL) != DR_OK) abort();
    return networks;
}

static void check_read(const json_t *body)
{
    struct openai_request request;
    struct dr_error err = {.message = ""};
    const char *field = NULL;
    const struct openai_reading how = {.networks = no_networks()};
    const enum dr_code code = openai_request_read(&request, body, &how, &field, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    if (code == DR_OK) {
        const struct picture_request *const picture = &request.picture;
        assert(!field && picture->prompt[0] && picture->model && request.model);
        assert(picture->batch_size >= 1 && picture->batch_size <= OPENAI_MOST_PICTURES);
        assert((picture->width > 0) == (picture->height > 0) && picture->width >= 0);
        assert(picture->quality >= 1 && picture->quality <= 100 && picture->steps >= 0);
        assert(request.partial_count >= 0 &&
               request.partial_count <= OPENAI_MOST_PARTIAL);
        check_kept(picture);
    } else {
        assert(code == DR_BAD_INPUT || code == DR_UNSUPPORTED || code == DR_NOT_FOUND);
        assert(!request.picture.prompt && (field || !json_is_object(body)));
    }
    openai_request_finish(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct json_body body;
    char *const text = malloc(bytes ? bytes : 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    if (json_body_parse(&body, text, bytes, NULL) == DR_OK) {
        struct picture_request kept;
        check_read(body.value);
        if (picture_request_from_json(&kept, body.value, NULL) == DR_OK) {
            check_kept(&kept);
            picture_request_finish(&kept);
        }
    }
    json_body_finish(&body);
    free(text);
    return 0;
}
