/* a1111_request_fuzz — any bytes as the body of txt2img and img2img, with a service that has no models.
 *
 * Read or refused with a status, a sentence, and mostly the field. What is read has a sampler and a schedule that go together
 * or are open, is within the types of a request, and can be kept: it is the same when it comes back.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/a1111_request.h"
#include "service/extra_networks.h"
#include "service/sampler_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const struct service *service_without_models(void)
{
    static const char *const nowhere[] = {"/nonexistent", NULL};
    static struct service_options options = {.most_pixels = 1 << 22};
    static struct service service;
    if (service.options) return &service;
    const struct model_folders_options folders = {
        .models = nowhere, .vaes = nowhere, .pack_folder = "", .settings_path = ""};
    service.options = &options;
    const struct extra_networks_options networks = {
        .folders = {nowhere, nowhere},
          .clock_ms = dr_clock_ms
    };
    if (model_folders_create(&service.models, &folders, NULL) != DR_OK ||
        extra_networks_create(&service.networks, &networks, NULL) != DR_OK ||
        option_list_create(&service.option_list, NULL, service.models, NULL) != DR_OK)
        abort();
    return &service;
}

static void check_kept(const struct picture_request *request)
{
    struct picture_request back;
    json_t *const value = picture_request_json(request);
    const enum dr_code code = picture_request_from_json(&back, value, NULL);
    assert(code == DR_OK);
    assert(back.seed == request->seed && strcmp(back.prompt, request->prompt) == 0);
    json_decref(value);
    picture_request_finish(&back);
}

static void check_picture(const struct a1111_request *request, enum picture_kind kind)
{
    const struct picture_request *const picture = &request->picture;
    assert(picture->kind == kind &&
           (kind == PICTURE_IMG2IMG) == (request->init != NULL));
    assert(!*picture->sampler == !*picture->scheduler);
    assert(!*picture->sampler ||
           sampler_names_accepts(picture->sampler, picture->scheduler));
    assert(picture->width >= 0 && picture->height >= 0 && picture->steps >= 0);
    assert(picture->batch_size >= 1 && picture->batch_count >= 1);
    assert(picture->clip_skip >= 1 && picture->clip_skip <= 12);
    assert(picture->strength >= 0 && picture->strength <= 1);
    assert(picture->quality >= 1 && picture->quality <= 100);
    assert(!*picture->model && strlen(picture->warnings) < sizeof picture->warnings);
    check_kept(picture);
}

static void check_read(const struct json_body *body, enum picture_kind kind)
{
    struct a1111_request request;
    struct a1111_refusal refusal;
    const struct a1111_reading reading = {
        .service = service_without_models(), .body = body, .kind = kind, .keeps = true};
    if (a1111_request_read(&request, &reading, &refusal) == DR_OK) {
        check_picture(&request, kind);
    } else {
        assert(refusal.status == 404 || refusal.status == 422 || refusal.status == 501);
        assert(refusal.err.message[0] && !request.picture.prompt);
        assert(refusal.field || !json_is_object(body->value));
    }
    a1111_request_finish(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct json_body body;
    char *const text = malloc(bytes ? bytes : 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    if (json_body_parse(&body, text, bytes, NULL) == DR_OK) {
        check_read(&body, PICTURE_TXT2IMG);
        check_read(&body, PICTURE_IMG2IMG);
    }
    json_body_finish(&body);
    free(text);
    return 0;
}
