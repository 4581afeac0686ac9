/* parameters_fuzz — any bytes as what is said of a picture, in all encodings of the text.
 *
 * The bytes are the text of a file: they are decoded in each way that a picture may hold them. And
 * they are what a command line gave: prompt, negative prompt and names (each ends at a line break
 * or zero) are formatted, and written into EXIF's structure, from which the text comes back; where the
 * last byte has the bit PICTURES, which costs most, into a PNG and a JPEG too.
 */
#include <assert.h>
#include <math.h>

#include "image/exif.h"
#include "image/image.h"
#include "image/parameters_text.h"
#include "input_file.h"
#include "job/parameters.h"
#include "scratch_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
    PICTURES = 64
};

/* UTF-8 that needs no cleaning. */
static void check_clean(const char *text)
{
    assert(text);
    char *const again = parameters_text_clean(text, strlen(text));
    assert(again && strcmp(again, text) == 0);
    free(again);
}

static void check_encodings(const uint8_t *data, size_t bytes)
{
    bool fits = false;
    char *const latin1 = parameters_text_from_latin1((const char *)data, bytes);
    check_clean(latin1);
    char *const back = parameters_text_to_latin1(latin1, &fits);
    assert(fits && back && strncmp(back, (const char *)data, strlen(back)) == 0);
    free(back);
    free(latin1);

    char *const clean = parameters_text_clean((const char *)data, bytes);
    check_clean(clean);
    const size_t utf16_bytes = parameters_text_utf16_bytes(clean);
    uint8_t *const utf16 = malloc(utf16_bytes ? utf16_bytes : 1);
    if (!utf16) abort();
    parameters_text_to_utf16_into(clean, utf16);
    char *const same = parameters_text_from_utf16(utf16, utf16_bytes, BIG_ENDIAN_UNITS);
    assert(same && strcmp(same, clean) == 0);
    free(same);
    free(utf16);
    free(clean);

    for (int order = BIG_ENDIAN_UNITS; order <= LITTLE_ENDIAN_UNITS; ++order) {
        char *const text =
            parameters_text_from_utf16(data, bytes, (enum byte_order)order);
        check_clean(text);
        free(text);
    }
}

static void check_exif(const uint8_t *data, size_t bytes)
{
    char *text = NULL;
    const int32_t orientation = exif_orientation(data, bytes);
    assert(orientation >= 1 && orientation <= 8);
    if (exif_comment(data, bytes, &text, NULL) != DR_OK) abort();
    if (text) check_clean(text);
    free(text);
}

/* A line of the input, terminated; advances. */
static char *take_line(const uint8_t **data, size_t *bytes)
{
    size_t length = 0;
    while (length < *bytes && (*data)[length] != '\n' && (*data)[length] != '\0')
        ++length;
    char *const line = malloc(length + 1);
    if (!line) abort();
    memcpy(line, *data, length);
    line[length] = '\0';
    if (length < *bytes) ++length;
    *data += length;
    *bytes -= length;
    return line;
}

static void check_picture(const char *name, const char *text)
{
    static const float rgb[3 * 4] = {0.5F};
    const char *const path = scratch_path(name);
    struct image_write_options options = {
        .width = 2, .height = 2, .bits = 8, .parameters = text};
    struct dr_error err = {.message = ""};
    char *read = NULL;
    assert(image_format_from_path(name, &options.format));
    enum dr_code code = image_write(path, &options, rgb, &err);
    if (code == DR_BAD_INPUT && options.format == IMAGE_JPEG) return; /* too long */
    assert(code == DR_OK);
    code = image_read_parameters(path, &read, &err);
    assert(code == DR_OK && read);
    char *const clean = parameters_text_clean(text, strlen(text));
    assert(clean && strcmp(read, clean) == 0);
    free(clean);
    free(read);
}

static void check_comment(const char *text)
{
    const size_t bytes = exif_comment_bytes(text);
    uint8_t *const data = malloc(bytes);
    char *read = NULL, *const clean = parameters_text_clean(text, strlen(text));
    if (!data || !clean) abort();
    exif_comment_into(text, data);
    const enum dr_code code = exif_comment(data, bytes, &read, NULL);
    assert(code == DR_OK && read && strcmp(read, clean) == 0);
    free(read);
    free(clean);
    free(data);
}

/* Any text is read or refused; what is read is in its ranges. */
static void check_parse(const uint8_t *data, size_t bytes)
{
    struct dr_parameters found;
    struct dr_error err = {.message = ""};
    char *const text = malloc(bytes + 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    const enum dr_code code = parameters_parse(&found, text, &err);
    assert(code == DR_OK || (code == DR_BAD_INPUT && err.message[0]));
    assert(!found.prompt == (code != DR_OK));
    if (code == DR_OK) {
        assert(strlen(found.prompt) <= bytes);
        assert(found.steps >= 0 && found.steps <= 1000);
        assert(found.width >= 0 && found.height >= 0 && found.clip_skip >= 1);
        assert(isfinite(found.cfg) && isfinite(found.strength));
    }
    dr_parameters_free(&found);
    free(text);
}

/* What was written is read: the prompts as they are, names as far as there is room. */
static void check_read_again(const struct parameters *wrote, const char *text)
{
    struct dr_parameters found;
    const enum dr_code code = parameters_parse(&found, text, NULL);
    assert(code == DR_OK);
    assert(strcmp(found.prompt, wrote->prompt) == 0);
    assert(strcmp(found.negative ? found.negative : "", wrote->negative) == 0);
    assert(found.seed == wrote->seed && found.steps == wrote->steps);
    assert((float)found.cfg == (float)wrote->cfg);
    assert(strncmp(found.model, wrote->model_name, sizeof found.model - 1) == 0);
    assert(strcmp(found.sampler, sampler_name(wrote->sampler)) == 0);
    assert(found.clip_skip == wrote->clip_skip);
    dr_parameters_free(&found);
}

static void check_format(const uint8_t *data, size_t bytes)
{
    const uint8_t kind = bytes ? data[bytes - 1] : 0;
    char *const prompt = take_line(&data, &bytes);
    char *const negative = take_line(&data, &bytes);
    char *const model = take_line(&data, &bytes);
    char *const vae = take_line(&data, &bytes);
    const struct size_conditioning sizes = {1, 2, 3, 4, 5, 6};
    const struct parameters parameters = {
        .prompt = prompt,
        .negative = negative,
        .steps = 20,
        .width = 512,
        .height = 512,
        .clip_skip = 1 + kind % 3,
        .sampler = (enum sampler_kind)(kind % SAMPLER_COUNT),
        /* SCHEDULE_DEFAULT is an option, not what a picture was made with. */
        .schedule = (enum schedule_kind)(1 + kind % (SCHEDULE_COUNT - 1)),
        .cfg = 7.5,
        .seed = UINT64_MAX,
        .model_name = model,
        .model_hash = "0123456789abcdef",
        .unet_digest = "0123456789abcdef",
        .vae_name = vae,
        .vae_digest = "0123456789abcdef",
        .prediction = kind & 8 ? PREDICTION_V : PREDICTION_EPSILON,
        .image_to_image = kind & 16,
        .strength = 0.75,
        .sizes = kind & 32 ? &sizes : NULL,
        .precision = "bf16",
    };
    const size_t text_bytes = parameters_format(&parameters, NULL, 0);
    char *const text = malloc(text_bytes + 1);
    if (!text) abort();
    const size_t again = parameters_format(&parameters, text, text_bytes + 1);
    assert(again == text_bytes && strlen(text) == text_bytes);
    assert(strncmp(text, prompt, strlen(prompt)) == 0);
    assert(strstr(text, "Steps: 20, Sampler: "));
    check_read_again(&parameters, text);
    check_comment(text);
    if (kind & PICTURES) {
        check_picture("a.png", text);
        check_picture("a.jpg", text);
    }
    free(text);
    free(vae);
    free(model);
    free(negative);
    free(prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    check_encodings(data, bytes);
    check_exif(data, bytes);
    check_format(data, bytes);
    check_parse(data, bytes);
    return 0;
}
