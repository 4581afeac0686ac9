#include "job/parameters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/sampling_tuning.h"

/* A1111's names of samplers and schedules. */
static const char *const sampler_labels[SAMPLER_COUNT] = {
    [SAMPLER_EULER] = "Euler",
    [SAMPLER_EULER_A] = "Euler a",
    [SAMPLER_HEUN] = "Heun",
    [SAMPLER_DPMPP_2M] = "DPM++ 2M",
    [SAMPLER_DPMPP_2M_SDE] = "DPM++ 2M SDE",
    [SAMPLER_UNIPC] = "UniPC",
    [SAMPLER_DDIM] = "DDIM",
    [SAMPLER_LCM] = "LCM",
    [SAMPLER_DPMPP_SDE] = "DPM++ SDE",
    [SAMPLER_DPMPP_2M_SDE_HEUN] = "DPM++ 2M SDE Heun",
    [SAMPLER_DPMPP_2S_A] = "DPM++ 2S a",
    [SAMPLER_DPMPP_3M_SDE] = "DPM++ 3M SDE",
    [SAMPLER_DPM2] = "DPM2",
    [SAMPLER_DPM2_A] = "DPM2 a",
    [SAMPLER_LMS] = "LMS",
    [SAMPLER_RESTART] = "Restart",
    [SAMPLER_PLMS] = "PLMS",
    [SAMPLER_DEIS] = "DEIS",
    [SAMPLER_DDPM] = "DDPM",
    [SAMPLER_TCD] = "TCD",
};
static const char *const schedule_labels[SCHEDULE_COUNT] = {
    [SCHEDULE_DEFAULT] = "Default",
    [SCHEDULE_AUTOMATIC] = "Automatic",
    [SCHEDULE_NORMAL] = "Normal",
    [SCHEDULE_KARRAS] = "Karras",
    [SCHEDULE_EXPONENTIAL] = "Exponential",
    [SCHEDULE_POLYEXPONENTIAL] = "Polyexponential",
    [SCHEDULE_SGM_UNIFORM] = "SGM Uniform",
    [SCHEDULE_SIMPLE] = "Simple",
    [SCHEDULE_BETA] = "Beta",
    [SCHEDULE_KL_OPTIMAL] = "KL Optimal",
    [SCHEDULE_ALIGN_YOUR_STEPS] = "Align Your Steps",
    [SCHEDULE_LEADING] = "Leading",
    [SCHEDULE_TRAILING] = "Trailing",
    [SCHEDULE_LCM] = "LCM",
};

const char *parameters_sampler_label(enum sampler_kind kind)
{
    return sampler_labels[kind];
}

const char *parameters_schedule_label(enum schedule_kind kind)
{
    return schedule_labels[kind];
}

const char *parameters_emphasis_label(enum dr_emphasis emphasis)
{
    switch (emphasis) {
    case DR_EMPHASIS_NO_NORM: return "No norm";
    case DR_EMPHASIS_IGNORE: return "Ignore";
    case DR_EMPHASIS_ORIGINAL: break;
    }
    return "Original";
}

/* Append with snprintf; used grows by the length of the complete text, even if it does not fit. */
struct appender {
    char *text;
    size_t bytes, used;
};
#define APPEND(out, ...)                                                          \
    do {                                                                          \
        const size_t room =                                                       \
            (out)->used < (out)->bytes ? (out)->bytes - (out)->used : 0;          \
        const int wrote =                                                         \
            snprintf(room ? (out)->text + (out)->used : NULL, room, __VA_ARGS__); \
        if (wrote > 0) (out)->used += (size_t)wrote;                              \
    } while (0)

/* A value with a comma, colon or line break is quoted as a JSON string, as A1111 does. */
static void append_value(struct appender *out, const char *value)
{
    if (!strpbrk(value, ",:\n\"")) {
        APPEND(out, "%s", value);
        return;
    }
    APPEND(out, "\"");
    for (; *value; ++value) {
        if (*value == '\n')
            APPEND(out, "\\n");
        else if (*value == '"' || *value == '\\')
            APPEND(out, "\\%c", *value);
        else
            APPEND(out, "%c", *value);
    }
    APPEND(out, "\"");
}

/* The shortest text that gives the same float when it is read, so that the picture can be reproduced. */
static void append_real(struct appender *out, double value)
{
    char text[40];
    for (int digits = 6; digits <= 9; ++digits) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if ((float)strtod(text, NULL) == (float)value) break;
    }
    APPEND(out, "%s", text);
}

/* What changes the picture, by A1111's names. */
static void append_sampling(struct appender *out, const struct dr_sampling *sampling)
{
    const struct dr_sampling_field *field;
    if (sampling->variation_strength > 0)
        APPEND(out, ", Variation seed: %llu",
               (unsigned long long)sampling->variation_seed);
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        const double value = sampling_field_value(sampling, field);
        if (value == field->usual) continue;
        APPEND(out, ", %s: ", field->label);
        append_real(out, value);
    }
    if (sampling->seed_resize_width > 0)
        APPEND(out, ", Seed resize from: %dx%d", (int)sampling->seed_resize_width,
               (int)sampling->seed_resize_height);
    if (sampling->eta_seed_delta != 0)
        APPEND(out, ", ENSD: %d", (int)sampling->eta_seed_delta);
}

/* As A1111: names lose what would part them. */
static void append_hashes(struct appender *out, const char *key,
                          const struct parameters_hash *hashes, int32_t count)
{
    bool is_first = true;
    for (int32_t i = 0; i < count; ++i) {
        if (!hashes[i].hash[0]) continue;
        if (is_first)
            APPEND(out, ", %s: \"", key);
        else
            APPEND(out, ", ");
        is_first = false;
        for (const char *c = hashes[i].name; *c; ++c)
            if (!strchr(":,\"\\\n", *c)) APPEND(out, "%c", *c);
        APPEND(out, ": %s", hashes[i].hash);
    }
    if (!is_first) APPEND(out, "\"");
}

/* A name that a prompt cannot have is left out; its hash stays. */
static void append_lora(struct appender *out, const struct parameters_lora *lora)
{
    if (!lora->name[0] || strpbrk(lora->name, ":<>\n")) return;
    APPEND(out, " <lora:%s:", lora->name);
    append_real(out, lora->text);
    if ((float)lora->unet != (float)lora->text) {
        APPEND(out, ":");
        append_real(out, lora->unet);
    }
    APPEND(out, ">");
}

size_t parameters_format(const struct parameters *parameters, char *text,
                         size_t text_bytes)
{
    struct appender out = {text, text_bytes, 0};
    const struct parameters *const p = parameters;
    APPEND(&out, "%s", p->prompt);
    for (int32_t i = 0; p->prompt_syntax != DR_PROMPT_PLAIN && i < p->given_lora_count;
         ++i)
        append_lora(&out, &p->given_loras[i]);
    APPEND(&out, "\n");
    if (p->negative[0] || p->has_empty_negative)
        APPEND(&out, "Negative prompt: %s\n", p->negative);
    APPEND(&out,
           "Steps: %d, Sampler: %s, Schedule type: %s, CFG scale: ", (int)p->steps,
           sampler_labels[p->sampler], schedule_labels[p->schedule]);
    append_real(&out, p->cfg);
    APPEND(&out, ", Seed: %llu, ", (unsigned long long)p->seed);
    APPEND(&out, "Size: %dx%d, ", (int)p->width, (int)p->height);
    if (p->model_hash[0]) APPEND(&out, "Model hash: %.10s, ", p->model_hash);
    APPEND(&out, "Model: ");
    append_value(&out, p->model_name);
    APPEND(&out, ", VAE hash: %.10s, VAE: ", p->vae_digest);
    append_value(&out, p->vae_name);
    if (p->image_to_image) {
        APPEND(&out, ", Denoising strength: ");
        append_real(&out, p->strength);
    }
    if (p->sampling) append_sampling(&out, p->sampling);
    if (p->clip_skip > 1) APPEND(&out, ", Clip skip: %d", (int)p->clip_skip);
    /* The reference has it only where the prompt has brackets. */
    if (p->emphasis != DR_EMPHASIS_ORIGINAL)
        APPEND(&out, ", Emphasis: %s", parameters_emphasis_label(p->emphasis));
    if (p->pads) APPEND(&out, ", Pad conds: True");
    if (p->prompt_syntax == DR_PROMPT_PLAIN) APPEND(&out, ", Prompt syntax: plain");
    if (p->prediction == PREDICTION_V) APPEND(&out, ", Prediction: v");
    if (p->sizes)
        APPEND(
            &out,
            ", Original size: %dx%d, Crop left: %d, Crop top: %d, Target size: %dx%d",
            (int)p->sizes->original_width, (int)p->sizes->original_height,
            (int)p->sizes->crop_left, (int)p->sizes->crop_top,
            (int)p->sizes->target_width, (int)p->sizes->target_height);
    append_hashes(&out, "Lora hashes", p->loras, p->lora_count);
    append_hashes(&out, "TI hashes", p->embeddings, p->embedding_count);
    if (p->base_name) {
        APPEND(&out, ", Base model: ");
        append_value(&out, p->base_name);
        if (p->base_digest[0]) APPEND(&out, ", Base hash: %.10s", p->base_digest);
    }
    if (p->weights) APPEND(&out, ", Weights: %s", p->weights);
    if (p->exact_convolutions) APPEND(&out, ", Exact convolutions: True");
    APPEND(&out, ", Unet digest: %.10s, RNG: %s, Precision: %s, Version: darkroom %s",
           p->unet_digest, p->rng == DR_RNG_CPU ? "CPU" : "GPU", p->precision,
           DARKROOM_VERSION);
    return out.used;
}
