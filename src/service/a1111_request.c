/* The body is read in the order of its parts; the first that is wrong ends it (body_reader.h). */
#include "service/a1111_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/failure.h"
#include "service/keep_alive.h"
#include "service/loose_field.h"
#include "service/picture_header.h"
#include "service/prompt_fields.h"
#include "service/sampler_fields.h"

enum {
    STATUS_NOT_FOUND = 404,
    STATUS_WRONG = 422,
    STATUS_NOT_BUILT = 501
};

struct reader {
    struct body_reader fields;
    const struct a1111_reading *how;
    struct a1111_request *out;
};

void a1111_request_finish(struct a1111_request *request)
{
    if (!request) return;
    picture_request_finish(&request->picture);
    option_changes_free(request->changes, request->change_count);
    *request = (struct a1111_request){0};
}

static void set_text(struct reader *reader, char **out, const char *text)
{
    if (reader->fields.code != DR_OK) return;
    char *const copy = strdup(text);
    if (!copy) {
        body_take(&reader->fields, NULL,
                  failure_memory(&reader->fields.refusal->err, "a request"));
        return;
    }
    free(*out);
    *out = copy;
}

/* ---- what is not built ------------------------------------------------------------------- */

static void refuse_unbuilt(struct reader *reader, const char *field, const char *what)
{
    body_refuse(&reader->fields, STATUS_NOT_BUILT, DR_UNSUPPORTED, field,
                "%s: %s is not built yet; leave it out", field, what);
}

static bool is_named(const char *text)
{
    return *text && strcasecmp(text, "none") != 0;
}

static void read_unbuilt(struct reader *reader)
{
    if (body_flag(&reader->fields, "enable_hr", false))
        refuse_unbuilt(reader, "enable_hr", "a second pass in a larger size");
    if (body_flag(&reader->fields, "tiling", false))
        refuse_unbuilt(reader, "tiling", "a picture that can be tiled");
    if (is_named(body_text(&reader->fields, "refiner_checkpoint")))
        refuse_unbuilt(reader, "refiner_checkpoint", "a refiner");
    const json_t *const mask = body_member(&reader->fields, "mask");
    if (reader->how->kind == PICTURE_IMG2IMG && mask &&
        !(json_is_string(mask) && json_string_length(mask) == 0))
        refuse_unbuilt(reader, "mask", "inpainting");
}

/* A script that is off is there in what some clients always send: no arguments, or false in all. */
static bool is_off(const json_t *script)
{
    const json_t *const arguments = json_object_get(script, "args");
    const size_t count = json_array_size(arguments);
    for (size_t i = 0; i < count; ++i) {
        const json_t *const value = json_array_get(arguments, i);
        if (!json_is_false(value) && !json_is_null(value)) return false;
    }
    return true;
}

static void read_scripts(struct reader *reader)
{
    const char *const script = body_text(&reader->fields, "script_name");
    if (is_named(script))
        body_refuse(&reader->fields, STATUS_WRONG, DR_UNSUPPORTED, "script_name",
                    "script_name is \"%.60s\"; this service has no scripts", script);
    json_t *const all = json_object_get(reader->fields.body, "alwayson_scripts");
    const char *name;
    json_t *value;
    if (!json_is_object(all)) return;
    json_object_foreach(all, name, value)
    {
        if (!is_off(value))
            body_refuse(&reader->fields, STATUS_WRONG, DR_UNSUPPORTED,
                        "alwayson_scripts",
                        "alwayson_scripts has \"%.60s\"; this service has no scripts",
                        name);
    }
}

/* Matters of taste. */
static void read_left_out(struct reader *reader)
{
    if (body_flag(&reader->fields, "restore_faces", false))
        body_warn(&reader->fields, "restore_faces was left out: it is not built");
    double multiplier = 1;
    body_real(&reader->fields, "initial_noise_multiplier", -1e9, 1e9, &multiplier);
    if (multiplier != 1)
        body_warn(&reader->fields, "initial_noise_multiplier %g was left out: it is 1",
                  multiplier);
}

/* ---- settings ---------------------------------------------------------------------------- */

static enum dr_emphasis emphasis_of(const char *value)
{
    if (strcmp(value, "No norm") == 0) return DR_EMPHASIS_NO_NORM;
    return strcmp(value, "Ignore") == 0 ? DR_EMPHASIS_IGNORE : DR_EMPHASIS_ORIGINAL;
}

static void use_option(struct reader *reader, const char *name, const char *value)
{
    struct picture_request *const picture = &reader->out->picture;
    if (strcmp(name, "sd_model_checkpoint") == 0)
        set_text(reader, &picture->model, value);
    else if (strcmp(name, "sd_vae") == 0)
        set_text(reader, &picture->vae, value);
    else if (strcmp(name, "CLIP_stop_at_last_layers") == 0)
        picture->clip_skip = (int32_t)strtol(value, NULL, 10);
    else if (strcmp(name, "samples_format") == 0)
        picture->format = strcmp(value, "jpg") == 0 ? PICTURE_JPEG : PICTURE_PNG;
    else if (strcmp(name, "jpeg_quality") == 0)
        picture->quality = (int32_t)strtol(value, NULL, 10);
    else if (strcmp(name, "emphasis") == 0)
        picture->emphasis = emphasis_of(value);
    else if (strcmp(name, "pad_cond_uncond") == 0)
        picture->pads = strcmp(value, "true") == 0;
    else if (strcmp(name, "eta_noise_seed_delta") == 0)
        picture->sampling.eta_seed_delta = (int32_t)strtol(value, NULL, 10);
    else if (strcmp(name, "samples_save") == 0)
        picture->keeps = picture->keeps && strcmp(value, "true") == 0;
}

/* Defaults of requests. Model and VAE stay open: they are fixed when the job is accepted. */
static void use_settings(struct reader *reader)
{
    static const char *const names[] = {
        "CLIP_stop_at_last_layers", "samples_format",  "jpeg_quality", "samples_save",
        "eta_noise_seed_delta",     "pad_cond_uncond", "emphasis"};
    char value[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        option_list_get(reader->how->service->option_list, names[i], value,
                        sizeof value);
        use_option(reader, names[i], value);
    }
}

static void warn_ignored(struct reader *reader, json_t *ignored)
{
    for (size_t i = 0; i < json_array_size(ignored); ++i)
        body_warn(&reader->fields,
                  "override_settings has \"%.40s\", which this service does not have",
                  json_string_value(json_array_get(ignored, i)));
}

/* Also model and VAE where the request itself names them. */
static void read_choices(struct reader *reader)
{
    static const char *const names[][2] = {
        {"sd_model_checkpoint", "sd_model_checkpoint"},
        {"model",               "sd_model_checkpoint"},
        {"sd_vae",              "sd_vae"             },
        {"vae",                 "sd_vae"             }
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        struct model_folders *const models = reader->how->service->models;
        char value[DR_PATH_BYTES];
        const char *const said = body_text(&reader->fields, names[i][0]);
        if (reader->fields.code != DR_OK || !*said) continue;
        body_take(&reader->fields, names[i][0],
                  i < 2 ? model_folders_find(models, said, value,
                                             &reader->fields.refusal->err)
                        : model_folders_find_vae(models, said, value,
                                                 &reader->fields.refusal->err));
        if (reader->fields.code == DR_OK) use_option(reader, names[i][1], value);
    }
}

static void read_overrides(struct reader *reader)
{
    json_t *const overrides = json_object_get(reader->fields.body, "override_settings");
    struct option_change *changes = NULL;
    size_t count = 0;
    if (overrides && !json_is_object(overrides) && !json_is_null(overrides))
        body_refuse(&reader->fields, STATUS_WRONG, DR_BAD_INPUT, "override_settings",
                    "override_settings is not an object of names and values");
    if (reader->fields.code != DR_OK || !overrides) return;
    json_t *const ignored = json_array();
    body_take(&reader->fields, "override_settings",
              option_list_read(reader->how->service->option_list, overrides, &changes,
                               &count, ignored, &reader->fields.refusal->err));
    for (size_t i = 0; i < count; ++i)
        use_option(reader, changes[i].name, changes[i].value);
    if (reader->fields.code == DR_OK) warn_ignored(reader, ignored);
    json_decref(ignored);
    if (reader->fields.code == DR_OK &&
        !body_flag(&reader->fields, "override_settings_restore_afterwards", true)) {
        reader->out->changes = changes;
        reader->out->change_count = count;
    } else {
        option_changes_free(changes, count);
    }
}

/* ---- pictures ---------------------------------------------------------------------------- */

/* The first; A1111 spreads several over a batch, which clients do not use. */
static const json_t *first_init(struct reader *reader)
{
    const json_t *const images = body_member(&reader->fields, "init_images");
    if (!json_is_array(images)) return images;
    if (json_array_size(images) > 1)
        body_warn(&reader->fields, "of %zu init_images the first was used",
                  json_array_size(images));
    return json_array_get(images, 0);
}

/* A side that is not given is the picture's. */
static void size_of_init(struct reader *reader, const struct picture_header *header)
{
    struct picture_request *const picture = &reader->out->picture;
    if (picture->width == 0) picture->width = header->width;
    if (picture->height == 0) picture->height = header->height;
}

static void read_init(struct reader *reader)
{
    struct picture_header header;
    int32_t resize = 0;
    body_integer(&reader->fields, "resize_mode", 0, 3, &resize);
    reader->out->picture.resize = resize == 1   ? PICTURE_CROP
                                  : resize == 2 ? PICTURE_FILL
                                                : PICTURE_STRETCH;
    const json_t *const value = first_init(reader);
    const struct json_body_blob *const blob = json_body_blob(reader->how->body, value);
    if (reader->fields.code != DR_OK) return;
    if (!value || json_is_null(value) ||
        (json_is_string(value) && json_string_length(value) == 0))
        body_refuse(&reader->fields, STATUS_NOT_FOUND, DR_NOT_FOUND, "init_images",
                    "Init image not found: init_images has no picture");
    else if (!blob)
        body_refuse(&reader->fields, STATUS_WRONG, DR_BAD_INPUT, "init_images",
                    "init_images takes pictures as base64 text");
    else if (blob->problem)
        body_refuse(&reader->fields, STATUS_WRONG, DR_BAD_INPUT, "init_images",
                    "init_images[0] %s", blob->problem);
    if (reader->fields.code != DR_OK) return;
    body_take(&reader->fields, "init_images",
              picture_header_read(blob->bytes, blob->byte_count, "init_images[0]",
                                  reader->how->service->options->most_pixels, &header,
                                  &reader->fields.refusal->err));
    if (reader->fields.code != DR_OK) return;
    reader->out->init = blob->bytes;
    reader->out->init_byte_count = blob->byte_count;
    size_of_init(reader, &header);
}

/* ---- all of it --------------------------------------------------------------------------- */

static void read_numbers(struct reader *reader)
{
    struct picture_request *const picture = &reader->out->picture;
    int32_t clip_skip = -1;
    body_integer(&reader->fields, "width", 1, INT32_MAX, &picture->width);
    body_integer(&reader->fields, "height", 1, INT32_MAX, &picture->height);
    body_integer(&reader->fields, "steps", 1, INT32_MAX, &picture->steps);
    body_integer(&reader->fields, "batch_size", 1, INT32_MAX, &picture->batch_size);
    body_integer(&reader->fields, "n_iter", 1, INT32_MAX, &picture->batch_count);
    body_integer(&reader->fields, "clip_skip", 0, 12, &clip_skip);
    if (clip_skip >= 0) picture->clip_skip = clip_skip > 1 ? clip_skip : 1;
    body_real(&reader->fields, "cfg_scale", 0, 1000, &picture->cfg);
    body_real(&reader->fields, "denoising_strength", 0, 1, &picture->strength);
}

static void read_seed(struct reader *reader)
{
    bool is_given = false;
    if (reader->fields.code != DR_OK) return;
    body_take(&reader->fields, "seed",
              loose_seed(reader->fields.body, "seed", &is_given,
                         &reader->out->picture.seed, &reader->fields.refusal->err));
    if (!is_given) reader->out->picture.seed = dr_random_seed();
}

static void read_keep_alive(struct reader *reader)
{
    static const char name[] = "keep_alive";
    struct dr_error err;
    if (body_member(&reader->fields, name) &&
        keep_alive_read(reader->how->body->value, name,
                        &reader->out->picture.keep_alive_s, &err) != DR_OK)
        body_refuse(&reader->fields, STATUS_WRONG, DR_BAD_INPUT, name, "%s",
                    err.message);
}

static void read_wishes(struct reader *reader)
{
    struct a1111_request *const out = reader->out;
    out->picture.keeps =
        body_flag(&reader->fields, "save_images", reader->how->keeps) &&
        !body_flag(&reader->fields, "do_not_save_samples", false);
    out->sends_images = body_flag(&reader->fields, "send_images", true);
    out->includes_init = body_flag(&reader->fields, "include_init_images", false);
    out->keeps_on_disconnect = body_flag(&reader->fields, "keep_on_disconnect", false);
    read_keep_alive(reader);
}

static void read_body(struct reader *reader)
{
    struct picture_request *const picture = &reader->out->picture;
    read_wishes(reader);
    use_settings(reader);
    read_overrides(reader);
    read_choices(reader);
    prompt_fields_read(&reader->fields, reader->how->service->networks, picture);
    read_numbers(reader);
    read_seed(reader);
    sampler_fields_read(&reader->fields, picture);
    read_unbuilt(reader);
    read_scripts(reader);
    read_left_out(reader);
    if (reader->how->kind == PICTURE_IMG2IMG) read_init(reader);
}

enum dr_code a1111_request_read(struct a1111_request *request,
                                const struct a1111_reading *reading,
                                struct a1111_refusal *refusal)
{
    struct reader reader = {.how = reading, .out = request};
    *request = (struct a1111_request){.picture = picture_request_default()};
    request->picture.kind = reading->kind;
    reader.fields = body_reader_init(reading->body->value, request->picture.warnings,
                                     sizeof request->picture.warnings, refusal);
    read_body(&reader);
    if (reader.fields.code != DR_OK) a1111_request_finish(request);
    return reader.fields.code;
}
