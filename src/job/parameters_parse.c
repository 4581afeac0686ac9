/* The reader of a picture's text: parameters.h. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "job/parameters.h"
#include "job/sampling_tuning.h"

enum {
    VALUE_BYTES = 4096, /* "Lora hashes" of many */
    MOST_HASHES = 128
};

/* ---- one field --------------------------------------------------------------------------- */

static enum dr_code refuse(const char *key, const char *value, const char *takes,
                           struct dr_error *err)
{
    return error_set(err, DR_BAD_INPUT,
                     "the parameters have %.60s \"%.100s\"; it takes %s", key, value,
                     takes);
}

static bool parse_whole(const char *text, int64_t low, int64_t high, int32_t *out)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < low || value > high) return false;
    *out = (int32_t)value;
    return true;
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value)) return false;
    *out = value;
    return true;
}

static bool parse_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9') return false;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*end || errno) return false;
    *out = value;
    return true;
}

/* "512x768" */
static bool parse_size(const char *text, int32_t *width, int32_t *height)
{
    char first[16];
    const size_t length = strcspn(text, "x");
    if (text[length] != 'x' || length >= sizeof first) return false;
    memcpy(first, text, length);
    first[length] = '\0';
    return parse_whole(first, 0, INT32_MAX, width) &&
           parse_whole(text + length + 1, 0, INT32_MAX, height);
}

static bool find_sampler(const char *label, size_t length, struct dr_parameters *p)
{
    for (int i = 0; i < SAMPLER_COUNT; ++i) {
        const char *const ours = parameters_sampler_label((enum sampler_kind)i);
        if (strlen(ours) != length || strncmp(ours, label, length) != 0) continue;
        (void)snprintf(p->sampler, sizeof p->sampler, "%s",
                       sampler_name((enum sampler_kind)i));
        return true;
    }
    return false;
}

/* A1111 has two names for some: "Uniform" is Normal, "DDIM" is Leading. */
static bool find_schedule(const char *label, struct dr_parameters *p)
{
    const char *const said = strcmp(label, "Uniform") == 0 ? "Normal"
                             : strcmp(label, "DDIM") == 0  ? "Leading"
                                                           : label;
    for (int i = SCHEDULE_AUTOMATIC; i < SCHEDULE_COUNT; ++i) {
        const enum schedule_kind kind = (enum schedule_kind)i;
        if (strcmp(parameters_schedule_label(kind), said) != 0) continue;
        (void)snprintf(p->scheduler, sizeof p->scheduler, "%s", schedule_name(kind));
        return true;
    }
    return false;
}

/* Older texts have both in one: "DPM++ 2M Karras". */
static bool take_sampler(const char *label, struct dr_parameters *p)
{
    if (find_sampler(label, strlen(label), p)) return true;
    const char *const space = strrchr(label, ' ');
    return space && find_schedule(space + 1, p) &&
           find_sampler(label, (size_t)(space - label), p);
}

/* Copy a text, cut if it is too long. */
#define TAKE_TEXT(field, value) (void)snprintf(field, sizeof(field), "%s", value)

static enum dr_code take_text(struct dr_parameters *p, const char *key,
                              const char *value)
{
    if (strcmp(key, "Model hash") == 0)
        TAKE_TEXT(p->model_hash, value);
    else if (strcmp(key, "Model") == 0)
        TAKE_TEXT(p->model, value);
    else if (strcmp(key, "Unet digest") == 0)
        TAKE_TEXT(p->unet_digest, value);
    else if (strcmp(key, "VAE hash") == 0)
        TAKE_TEXT(p->vae_hash, value);
    else if (strcmp(key, "VAE") == 0)
        TAKE_TEXT(p->vae, strcmp(value, "built-in") == 0 ? "none" : value);
    else if (strcmp(key, "Precision") == 0)
        TAKE_TEXT(p->precision, value);
    else if (strcmp(key, "Base model") == 0)
        TAKE_TEXT(p->base, value);
    else if (strcmp(key, "Base hash") == 0)
        TAKE_TEXT(p->base_hash, value);
    else if (strcmp(key, "Version") == 0)
        TAKE_TEXT(p->version, value);
    else
        return DR_NOT_FOUND;
    return DR_OK;
}

static enum dr_code take_size_field(struct dr_parameters *p, const char *key,
                                    const char *value, struct dr_error *err)
{
    bool is_taken = true;
    if (strcmp(key, "Size") == 0)
        is_taken = parse_size(value, &p->width, &p->height);
    else if (strcmp(key, "Original size") == 0)
        is_taken = parse_size(value, &p->original_width, &p->original_height);
    else if (strcmp(key, "Target size") == 0)
        is_taken = parse_size(value, &p->target_width, &p->target_height);
    else if (strcmp(key, "Crop left") == 0)
        is_taken = parse_whole(value, 0, INT32_MAX, &p->crop_left);
    else if (strcmp(key, "Crop top") == 0)
        is_taken = parse_whole(value, 0, INT32_MAX, &p->crop_top);
    else
        return DR_NOT_FOUND;
    return is_taken ? DR_OK : refuse(key, value, "sizes such as 512x768", err);
}

static enum dr_code take_number(struct dr_parameters *p, const char *key,
                                const char *value, struct dr_error *err)
{
    if (strcmp(key, "Steps") == 0)
        return parse_whole(value, 1, SAMPLER_MAX_STEPS, &p->steps)
                   ? DR_OK
                   : refuse(key, value, "1 to 1000", err);
    if (strcmp(key, "CFG scale") == 0)
        return parse_real(value, &p->cfg) ? DR_OK : refuse(key, value, "a number", err);
    if (strcmp(key, "Seed") == 0)
        return parse_seed(value, &p->seed) ? DR_OK
                                           : refuse(key, value, "a whole number", err);
    if (strcmp(key, "Clip skip") == 0)
        return parse_whole(value, 1, 100, &p->clip_skip)
                   ? DR_OK
                   : refuse(key, value, "1 to 100", err);
    if (strcmp(key, "Denoising strength") != 0) return DR_NOT_FOUND;
    p->image_to_image = 1;
    return parse_real(value, &p->strength) ? DR_OK
                                           : refuse(key, value, "a number", err);
}

static bool take_emphasis(struct dr_parameters *p, const char *value)
{
    for (int i = DR_EMPHASIS_ORIGINAL; i <= DR_EMPHASIS_IGNORE; ++i)
        if (strcmp(value, parameters_emphasis_label((enum dr_emphasis)i)) == 0) {
            p->emphasis = (enum dr_emphasis)i;
            return true;
        }
    return false;
}

/* How the prompts were read. A1111's emphasis "None" leaves weights as text, which darkroom does for plain prompts
 * alone: it is among the unknown fields. */
static enum dr_code take_prompt_field(struct dr_parameters *p, const char *key,
                                      const char *value)
{
    bool is_taken = false;
    if (strcmp(key, "Emphasis") == 0) is_taken = take_emphasis(p, value);
    if (strcmp(key, "Pad conds") == 0) {
        p->pad_prompts = strcmp(value, "True") == 0;
        is_taken = true;
    }
    if (strcmp(key, "Prompt syntax") == 0 && strcmp(value, "plain") == 0) {
        p->prompt_syntax = DR_PROMPT_PLAIN;
        is_taken = true;
    }
    return is_taken ? DR_OK : DR_NOT_FOUND;
}

/* A range is the engine's to check, as for what a user gives. */
static enum dr_code take_sampling(struct dr_parameters *p, const char *key,
                                  const char *value, struct dr_error *err)
{
    struct dr_sampling *const sampling = &p->sampling;
    const struct dr_sampling_field *field;
    double number;
    if (strcmp(key, "Variation seed") == 0)
        return parse_seed(value, &sampling->variation_seed)
                   ? DR_OK
                   : refuse(key, value, "a whole number", err);
    if (strcmp(key, "Seed resize from") == 0)
        return parse_size(value, &sampling->seed_resize_width,
                          &sampling->seed_resize_height)
                   ? DR_OK
                   : refuse(key, value, "sizes such as 512x768", err);
    if (strcmp(key, "ENSD") == 0)
        return parse_whole(value, INT32_MIN, INT32_MAX, &sampling->eta_seed_delta)
                   ? DR_OK
                   : refuse(key, value, "a whole number", err);
    /* The older name, and that of ddim's own. */
    if (strcmp(key, "Negative Guidance minimum sigma") == 0) key = "NGMS";
    if (strcmp(key, "Eta DDIM") == 0) key = "Eta";
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        if (strcmp(key, field->label) != 0) continue;
        if (!parse_real(value, &number)) return refuse(key, value, "a number", err);
        memcpy((char *)sampling + field->offset, &number, sizeof number);
        return DR_OK;
    }
    return DR_NOT_FOUND;
}

/* What is not done here, by name; value NULL: the name says enough. */
static void note_unknown(struct dr_parameters *p, const char *key, const char *value)
{
    const size_t used = strlen(p->unknown);
    (void)snprintf(p->unknown + used, sizeof p->unknown - used, "%s%.60s%s%.60s",
                   used ? ", " : "", key, value ? " " : "", value ? value : "");
}

static bool is_weights(const char *value)
{
    return strcmp(value, "f16") == 0 || strcmp(value, "q8") == 0 ||
           strcmp(value, "q4") == 0;
}

static enum dr_code take_choice(struct dr_parameters *p, const char *key,
                                const char *value, struct dr_error *err)
{
    if (strcmp(key, "Sampler") == 0) {
        if (!take_sampler(value, p)) note_unknown(p, key, value);
        return DR_OK;
    }
    if (strcmp(key, "Schedule type") == 0) {
        if (!find_schedule(value, p)) note_unknown(p, key, value);
        return DR_OK;
    }
    if (strcmp(key, "Weights") == 0) {
        if (!is_weights(value))
            return refuse(key, value, "f16, q8 or q4; give one with --weights", err);
        (void)snprintf(p->weights, sizeof p->weights, "%.3s", value);
        return DR_OK;
    }
    if (strcmp(key, "Exact convolutions") == 0) {
        p->exact_convolutions = strcmp(value, "True") == 0;
        return DR_OK;
    }
    if (strcmp(key, "RNG") == 0) {
        p->rng = strcmp(value, "CPU") == 0 ? DR_RNG_CPU : DR_RNG_CUDA;
        return DR_OK;
    }
    if (strcmp(key, "Prediction") != 0) return DR_NOT_FOUND;
    p->prediction = strcmp(value, "v") == 0 ? DR_PREDICTION_V : DR_PREDICTION_EPS;
    return DR_OK;
}

/* "name: hash, name: hash" */
static enum dr_code take_hashes(struct dr_named_hash **list, size_t *count,
                                const char *value, struct dr_error *err)
{
    while (*value && *count < MOST_HASHES) {
        const size_t bytes = strcspn(value, ",");
        const char *const colon = memchr(value, ':', bytes);
        if (colon) {
            struct dr_named_hash *const grown =
                realloc(*list, (*count + 1) * sizeof **list);
            if (!grown)
                return error_set(err, DR_NOMEM, "no memory for a picture's hashes");
            *list = grown;
            struct dr_named_hash *const hash = &grown[(*count)++];
            const char *const digits = colon + 1 + strspn(colon + 1, " ");
            (void)snprintf(hash->name, sizeof hash->name, "%.*s", (int)(colon - value),
                           value);
            (void)snprintf(hash->hash, sizeof hash->hash, "%.*s",
                           (int)(value + bytes - digits), digits);
        }
        value += bytes;
        value += strspn(value, ", ");
    }
    return DR_OK;
}

/* "Hashes" has those of the other two once more. */
static enum dr_code take_networks(struct dr_parameters *p, const char *key,
                                  const char *value, struct dr_error *err)
{
    if (strcmp(key, "Lora hashes") == 0)
        return take_hashes(&p->loras, &p->lora_count, value, err);
    if (strcmp(key, "TI hashes") == 0)
        return take_hashes(&p->embeddings, &p->embedding_count, value, err);
    return strcmp(key, "Hashes") == 0 ? DR_OK : DR_NOT_FOUND;
}

static enum dr_code take_field(struct dr_parameters *p, const char *key,
                               const char *value, struct dr_error *err)
{
    enum dr_code code = take_text(p, key, value);
    if (code == DR_NOT_FOUND) code = take_number(p, key, value, err);
    if (code == DR_NOT_FOUND) code = take_prompt_field(p, key, value);
    if (code == DR_NOT_FOUND) code = take_size_field(p, key, value, err);
    if (code == DR_NOT_FOUND) code = take_sampling(p, key, value, err);
    if (code == DR_NOT_FOUND) code = take_choice(p, key, value, err);
    if (code == DR_NOT_FOUND) code = take_networks(p, key, value, err);
    if (code != DR_NOT_FOUND) return code;
    note_unknown(p, key, NULL);
    return DR_OK;
}

/* ---- the line of fields ------------------------------------------------------------------ */

/* Append a character to value if it fits. */
static void put(char value[static VALUE_BYTES], size_t *used, char c)
{
    if (*used + 1 < VALUE_BYTES) value[(*used)++] = c;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Append the character of the four digits of \uXXXX as UTF-8; a surrogate becomes U+FFFD. */
static const char *put_escaped(char value[static VALUE_BYTES], size_t *used,
                               const char *text)
{
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
        const int digit = hex_digit(text[i]);
        if (digit < 0) return text + i;
        code = code * 16 + (unsigned)digit;
    }
    if (code == 0 || (code >= 0xD800 && code < 0xE000)) code = 0xFFFD;
    if (code < 0x80) {
        put(value, used, (char)code);
    } else if (code < 0x800) {
        put(value, used, (char)(0xC0 | code >> 6));
        put(value, used, (char)(0x80 | (code & 0x3F)));
    } else {
        put(value, used, (char)(0xE0 | code >> 12));
        put(value, used, (char)(0x80 | (code >> 6 & 0x3F)));
        put(value, used, (char)(0x80 | (code & 0x3F)));
    }
    return text + 4;
}

/* Read a quoted text, from after the opening quote; returns the position after it. */
static const char *take_quoted(const char *text, char value[static VALUE_BYTES])
{
    size_t used = 0;
    while (*text && *text != '"') {
        if (*text != '\\' || !text[1]) {
            put(value, &used, *text++);
            continue;
        }
        const char escaped = text[1];
        text += 2;
        if (escaped == 'u')
            text = put_escaped(value, &used, text);
        else
            put(value, &used,
                escaped == 'n'   ? '\n'
                : escaped == 't' ? '\t'
                : escaped == 'r' ? '\r'
                                 : escaped);
    }
    value[used] = '\0';
    return *text ? text + 1 : text;
}

/* JSON, as Civitai has it in "Hashes": to its end, without a look into it. */
static const char *take_table(const char *text, char value[static VALUE_BYTES])
{
    value[0] = '\0';
    text += strcspn(text, "}");
    return *text ? text + 1 : text;
}

/* Up to the next ", ". */
static const char *take_plain(const char *text, char value[static VALUE_BYTES])
{
    const char *const end = strstr(text, ", ");
    const size_t length = end ? (size_t)(end - text) : strlen(text);
    (void)snprintf(value, VALUE_BYTES, "%.*s",
                   (int)(length < VALUE_BYTES ? length : VALUE_BYTES - 1), text);
    return text + length;
}

static enum dr_code take_fields(struct dr_parameters *p, const char *text,
                                struct dr_error *err)
{
    char key[64], value[VALUE_BYTES];
    enum dr_code code = DR_OK;
    while (*text && code == DR_OK) {
        const char *const colon = strstr(text, ": ");
        if (!colon) break;
        const size_t length = (size_t)(colon - text);
        (void)snprintf(key, sizeof key, "%.*s",
                       (int)(length < sizeof key ? length : sizeof key - 1), text);
        text = colon + 2;
        text = *text == '"'   ? take_quoted(text + 1, value)
               : *text == '{' ? take_table(text, value)
                              : take_plain(text, value);
        code = take_field(p, key, value, err);
        text += strspn(text, ", ");
    }
    return code;
}

/* ---- the whole --------------------------------------------------------------------------- */

static const char last_mark[] = "\nSteps: ", negative_mark[] = "\nNegative prompt: ";

/* Where the last line of fields begins; NULL: there is none. A text may have nothing before it. */
static const char *find_fields(const char *text)
{
    const char *found = NULL;
    if (strncmp(text, last_mark + 1, strlen(last_mark) - 1) == 0) found = text;
    for (const char *at = strstr(text, last_mark); at; at = strstr(at + 1, last_mark))
        found = at + 1;
    return found;
}

static char *copy(const char *text, const char *end)
{
    const size_t bytes = (size_t)(end - text);
    char *const out = malloc(bytes + 1);
    if (!out) return NULL;
    memcpy(out, text, bytes);
    out[bytes] = '\0';
    return out;
}

static enum dr_code take_prompts(struct dr_parameters *p, const char *text,
                                 const char *fields, struct dr_error *err)
{
    const char *const end =
        fields > text ? fields - 1 : text; /* without the line break */
    const char *negative = strstr(text, negative_mark);
    if (negative && negative + strlen(negative_mark) > end) negative = NULL;
    p->prompt = copy(text, negative ? negative : end);
    if (negative) p->negative = copy(negative + strlen(negative_mark), end);
    return p->prompt && (!negative || p->negative)
               ? DR_OK
               : error_set(err, DR_NOMEM, "no memory for a picture's parameters");
}

enum dr_code parameters_parse(struct dr_parameters *parameters, const char *text,
                              struct dr_error *err)
{
    const char *const fields = find_fields(text);
    *parameters = (struct dr_parameters){.clip_skip = 1,
                                         .bits = 8,
                                         .cfg = DR_CFG_DEFAULT,
                                         .sampling = dr_sampling_default(),
                                         .prediction = DR_PREDICTION_AUTO,
                                         .rng = DR_RNG_CUDA};
    if (!fields)
        return error_set(err, DR_BAD_INPUT,
                         "the text has no line with the parameters (\"Steps: ...\")");
    enum dr_code code = take_fields(parameters, fields, err);
    if (code == DR_OK) code = take_prompts(parameters, text, fields, err);
    /* Then the strength is that of the second pass, which is not done here, and no other picture was there. */
    if (code == DR_OK && strstr(parameters->unknown, "Hires ") &&
        parameters->image_to_image) {
        parameters->image_to_image = 0;
        note_unknown(parameters, "Denoising strength", NULL);
    }
    /* This program says it of all others. */
    if (code == DR_OK && parameters->prediction == DR_PREDICTION_AUTO &&
        strncmp(parameters->version, "darkroom", 8) == 0)
        parameters->prediction = DR_PREDICTION_EPS;
    if (code != DR_OK) dr_parameters_free(parameters);
    return code;
}

void dr_parameters_free(struct dr_parameters *parameters)
{
    if (!parameters) return;
    free(parameters->prompt);
    free(parameters->negative);
    free(parameters->loras);
    free(parameters->embeddings);
    *parameters = (struct dr_parameters){0};
}
