#include "service/openai_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/failure.h"
#include "service/loose_field.h"
#include "service/prompt_fields.h"
#include "service/sampler_fields.h"

enum {
    MOST_SIDE = 1 << 20, /* the limits of the service say what is allowed */
    MOST_STEPS = 1 << 20
};

void openai_request_finish(struct openai_request *request)
{
    picture_request_finish(&request->picture);
}

/* A reading of one body: the first field that is wrong ends it. */
struct reading {
    const json_t *body;
    const char **field;
    struct dr_error *err;
    enum dr_code code;
};

static bool may_read(struct reading *reading, const char *field)
{
    if (reading->code != DR_OK) return false;
    *reading->field = field;
    return true;
}

static const char *read_text(struct reading *reading, const char *field)
{
    const char *text = NULL;
    if (may_read(reading, field))
        reading->code = loose_text(reading->body, field, &text, reading->err);
    return reading->code == DR_OK ? text : NULL;
}

static int32_t read_integer(struct reading *reading, const char *field, int64_t least,
                            int64_t most, int64_t value)
{
    if (may_read(reading, field))
        reading->code =
            loose_integer(reading->body, field, least, most, &value, reading->err);
    return (int32_t)value;
}

static bool read_flag(struct reading *reading, const char *field)
{
    bool flag = false;
    if (may_read(reading, field))
        reading->code = loose_flag(reading->body, field, &flag, reading->err);
    return flag;
}

/* ---- fields of their own kinds --------------------------------------------------------------- */

static void read_prompt(struct reading *reading)
{
    const char *const prompt = read_text(reading, "prompt");
    if (reading->code == DR_OK && !prompt)
        reading->code = failure(reading->err, DR_BAD_INPUT, "prompt is missing");
}

/* What both APIs have, in A1111's words. */
static void read_shared(struct reading *reading, struct extra_networks *networks,
                        struct picture_request *picture)
{
    struct a1111_refusal refusal;
    struct body_reader fields = body_reader_init(reading->body, picture->warnings,
                                                 sizeof picture->warnings, &refusal);
    if (reading->code != DR_OK) return;
    prompt_fields_read(&fields, networks, picture);
    sampler_fields_read(&fields, picture);
    if (fields.code == DR_OK) return;
    *reading->field = refusal.field;
    reading->code = failure(reading->err, fields.code, "%s", refusal.err.message);
}

/* Digits, and where they end; 0 where there are none, or too many. */
static int32_t read_side(const char *text, const char **end)
{
    int32_t side = 0;
    for (*end = text; **end >= '0' && **end <= '9'; ++*end) {
        if (side > MOST_SIDE) return 0;
        side = side * 10 + (**end - '0');
    }
    return side;
}

static void read_size(struct reading *reading, struct picture_request *picture)
{
    const char *const size = read_text(reading, "size"), *end = NULL;
    if (!size || strcasecmp(size, "auto") == 0) return;
    const int32_t width = read_side(size, &end);
    const bool has_mark = *end == 'x' || *end == 'X';
    const int32_t height = has_mark ? read_side(end + 1, &end) : 0;
    if (width > 0 && height > 0 && *end == '\0') {
        picture->width = width;
        picture->height = height;
        return;
    }
    reading->code = failure(reading->err, DR_BAD_INPUT,
                            "size is \"%.40s\"; it takes WIDTHxHEIGHT, such as "
                            "\"512x512\", or \"auto\"",
                            size);
}

static void read_seed(struct reading *reading, struct picture_request *picture)
{
    bool is_given = false;
    picture->seed = dr_random_seed();
    if (may_read(reading, "seed"))
        reading->code =
            loose_seed(reading->body, "seed", &is_given, &picture->seed, reading->err);
}

static void read_cfg(struct reading *reading, struct picture_request *picture)
{
    if (may_read(reading, "cfg_scale"))
        reading->code = loose_real(reading->body, "cfg_scale", 0.0, 1000.0,
                                   &picture->cfg, reading->err);
}

static bool is_word(const char *text, const char *word)
{
    return strcasecmp(text, word) == 0;
}

static void read_response_format(struct reading *reading, bool *gives_url)
{
    const char *const format = read_text(reading, "response_format");
    if (!format) return;
    *gives_url = is_word(format, "url");
    if (*gives_url || is_word(format, "b64_json")) return;
    reading->code = failure(reading->err, DR_BAD_INPUT,
                            "response_format is \"%.40s\"; it takes \"b64_json\" or "
                            "\"url\"",
                            format);
}

static void read_output_format(struct reading *reading, struct picture_request *picture)
{
    const char *const format = read_text(reading, "output_format");
    const int32_t quality =
        read_integer(reading, "output_compression", 0, 100, picture->quality);
    picture->quality = quality > 0 ? quality : 1;
    if (!format || !may_read(reading, "output_format") || is_word(format, "png"))
        return;
    picture->format = PICTURE_JPEG;
    if (is_word(format, "jpeg") || is_word(format, "jpg")) return;
    reading->code =
        failure(reading->err, is_word(format, "webp") ? DR_UNSUPPORTED : DR_BAD_INPUT,
                "output_format is \"%.40s\"; it takes \"png\" or \"jpeg\"", format);
}

/* Names that this API's clients have built in stand for the current model. */
static const char *read_model(struct reading *reading)
{
    static const char *const current[] = {"dall-e-2", "dall-e-3",
                                          "chatgpt-image-latest"};
    static const char family[] = "gpt-image-";
    const char *const model = read_text(reading, "model");
    if (!model || strncasecmp(model, family, sizeof family - 1) == 0) return "";
    for (size_t i = 0; i < sizeof current / sizeof *current; ++i)
        if (is_word(model, current[i])) return "";
    return model;
}

/* ------------------------------------------------------------------------------------------ */

enum dr_code openai_request_read(struct openai_request *request, const json_t *body,
                                 const struct openai_reading *how, const char **field,
                                 struct dr_error *err)
{
    struct reading reading = {.body = body, .field = field, .err = err};
    *request = (struct openai_request){.gives_url = how->gives_url, .model = ""};
    *field = NULL;
    if (!json_is_object(body))
        return failure(err, DR_BAD_INPUT, "the request's body is not a JSON object");
    struct picture_request *const picture = &request->picture;
    *picture = picture_request_default();
    if (!picture->prompt || !picture->negative || !picture->model || !picture->vae)
        reading.code = failure_memory(err, "the request");
    read_prompt(&reading);
    request->model = read_model(&reading);
    picture->batch_size = read_integer(&reading, "n", 1, OPENAI_MOST_PICTURES, 1);
    read_size(&reading, picture);
    read_response_format(&reading, &request->gives_url);
    read_output_format(&reading, picture);
    read_seed(&reading, picture);
    picture->steps = read_integer(&reading, "steps", 1, MOST_STEPS, 0);
    read_cfg(&reading, picture);
    read_shared(&reading, how->networks, picture);
    request->streams = read_flag(&reading, "stream");
    request->partial_count =
        read_integer(&reading, "partial_images", 0, OPENAI_MOST_PARTIAL, 0);
    request->keeps_on_disconnect = read_flag(&reading, "keep_on_disconnect");
    if (reading.code == DR_OK)
        *field = NULL;
    else
        openai_request_finish(request);
    return reading.code;
}

enum dr_code openai_request_fields(const struct multipart *form, json_t **fields,
                                   struct dr_error *err)
{
    json_t *const made = json_object();
    enum dr_code code = made ? DR_OK : failure_memory(err, "the request");
    for (size_t i = 0; code == DR_OK && i < form->part_count; ++i) {
        const struct multipart_part *const part = &form->parts[i];
        if (part->is_file) continue;
        /* NULL for what is no UTF-8. */
        json_t *const text = json_stringn((const char *)part->bytes, part->byte_count);
        const bool has_zero = memchr(part->bytes, '\0', part->byte_count) != NULL;
        if (has_zero || !text || json_object_set(made, part->name, text) != 0)
            code = failure(err, DR_BAD_INPUT, "the field %.40s is not UTF-8 text",
                           part->name);
        json_decref(text);
    }
    if (code == DR_OK)
        *fields = made;
    else
        json_decref(made);
    return code;
}
