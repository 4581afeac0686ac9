/* What pictures say of how they were made: darkroom.h's words for parameters.h's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "image/image.h"
#include "job/parameters.h"

enum dr_code dr_read_parameters(const char *path, char **text, struct dr_error *err)
{
    return image_read_parameters(path, text, err);
}

enum dr_code dr_read_parameters_memory(const void *data, size_t bytes, char **text,
                                       struct dr_error *err)
{
    return image_read_parameters_memory(data, bytes, text, err);
}

enum dr_code dr_parse_parameters(const char *text, struct dr_parameters *parameters,
                                 struct dr_error *err)
{
    return parameters_parse(parameters, text, err);
}

static enum dr_code read_bits(const char *path, int32_t *bits, struct dr_error *err)
{
    struct image_reader *reader = NULL;
    struct image_head head;
    const enum dr_code code = image_reader_open(&reader, &head, path, err);
    if (code == DR_OK) *bits = head.bits;
    image_reader_close(&reader);
    return code;
}

enum dr_code dr_read_picture(const char *path, struct dr_parameters *parameters,
                             struct dr_error *err)
{
    char *text = NULL;
    struct dr_error why;
    *parameters = (struct dr_parameters){0};
    enum dr_code code = image_read_parameters(path, &text, err);
    if (code == DR_OK && !text)
        code = error_set(err, DR_BAD_INPUT,
                         "%.600s does not say how it was made: it has no generation "
                         "parameters",
                         path);
    if (code == DR_OK && parameters_parse(parameters, text, &why) != DR_OK)
        code = error_set(err, why.code, "%.400s: %.500s", path, why.message);
    free(text);
    if (code != DR_OK) return code;
    code = read_bits(path, &parameters->bits, err);
    if (code != DR_OK) dr_parameters_free(parameters);
    return code;
}

/* ---- differences ------------------------------------------------------------------------- */

struct comparison {
    struct dr_difference *differences;
    size_t count;
};

static void compare_texts(struct comparison *all, const char *what, const char *was,
                          const char *is)
{
    if (strcmp(was, is) == 0 || all->count == DR_MAX_DIFFERENCES) return;
    struct dr_difference *const one = &all->differences[all->count++];
    one->what = what;
    (void)snprintf(one->was, sizeof one->was, "%.127s", *was ? was : "none");
    (void)snprintf(one->is, sizeof one->is, "%.127s", *is ? is : "none");
}

static void compare_reals(struct comparison *all, const char *what, double was,
                          double is)
{
    char texts[2][32];
    (void)snprintf(texts[0], sizeof texts[0], "%.9g", was);
    (void)snprintf(texts[1], sizeof texts[1], "%.9g", is);
    compare_texts(all, what, texts[0], texts[1]);
}

static void compare_pairs(struct comparison *all, const char *what,
                          const int32_t was[2], const int32_t is[2])
{
    char texts[2][32];
    (void)snprintf(texts[0], sizeof texts[0], "%dx%d", (int)was[0], (int)was[1]);
    (void)snprintf(texts[1], sizeof texts[1], "%dx%d", (int)is[0], (int)is[1]);
    compare_texts(all, what, texts[0], texts[1]);
}

static void compare_seeds(struct comparison *all, uint64_t was, uint64_t is)
{
    char texts[2][32];
    (void)snprintf(texts[0], sizeof texts[0], "%llu", (unsigned long long)was);
    (void)snprintf(texts[1], sizeof texts[1], "%llu", (unsigned long long)is);
    compare_texts(all, "seed", texts[0], texts[1]);
}

/* Files of one name whose hashes differ. */
static void compare_hashes(struct comparison *all, const char *what,
                           const struct dr_named_hash *was, size_t was_count,
                           const struct dr_named_hash *is, size_t is_count)
{
    char texts[2][sizeof was->name + sizeof was->hash];
    for (size_t i = 0; i < was_count; ++i)
        for (size_t k = 0; k < is_count; ++k) {
            if (strcmp(was[i].name, is[k].name) != 0) continue;
            (void)snprintf(texts[0], sizeof texts[0], "%s %s", was[i].name,
                           was[i].hash);
            (void)snprintf(texts[1], sizeof texts[1], "%s %s", is[k].name, is[k].hash);
            compare_texts(all, what, texts[0], texts[1]);
        }
}

/* What the picture was made of. */
static void compare_sources(struct comparison *all, const struct dr_parameters *was,
                            const struct dr_parameters *is)
{
    compare_texts(all, "model", was->model, is->model);
    /* A text that says nothing of a digest is of another program, or the model is a directory. */
    if (was->model_hash[0])
        compare_texts(all, "model hash", was->model_hash, is->model_hash);
    if (was->unet_digest[0])
        compare_texts(all, "UNet digest", was->unet_digest, is->unet_digest);
    compare_texts(all, "VAE", was->vae, is->vae);
    if (was->vae_hash[0]) compare_texts(all, "VAE hash", was->vae_hash, is->vae_hash);
    compare_hashes(all, "LoRA hash", was->loras, was->lora_count, is->loras,
                   is->lora_count);
    compare_hashes(all, "embedding hash", was->embeddings, was->embedding_count,
                   is->embeddings, is->embedding_count);
    compare_texts(all, "version", was->version, is->version);
    compare_texts(all, "precision", was->precision, is->precision);
    compare_texts(all, "weights", was->weights, is->weights);
    compare_texts(all, "exact convolutions", was->exact_convolutions ? "yes" : "no",
                  is->exact_convolutions ? "yes" : "no");
    compare_texts(all, "base model", was->base, is->base);
    if (was->base_hash[0])
        compare_texts(all, "base hash", was->base_hash, is->base_hash);
}

static const char *prediction_name(enum dr_prediction prediction)
{
    switch (prediction) {
    case DR_PREDICTION_V: return "v";
    case DR_PREDICTION_EPS: return "eps";
    case DR_PREDICTION_AUTO: break;
    }
    return "";
}

static void compare_sampling(struct comparison *all, const struct dr_sampling *was,
                             const struct dr_sampling *is)
{
    const struct dr_sampling_field *field;
    for (int32_t i = 0; (field = dr_sampling_field(i)) != NULL; ++i) {
        double before, after;
        memcpy(&before, (const char *)was + field->offset, sizeof before);
        memcpy(&after, (const char *)is + field->offset, sizeof after);
        compare_reals(all, field->key, before, after);
    }
    compare_pairs(all, "seed resize",
                  (const int32_t[]){was->seed_resize_width, was->seed_resize_height},
                  (const int32_t[]){is->seed_resize_width, is->seed_resize_height});
    compare_reals(all, "eta noise seed delta", was->eta_seed_delta, is->eta_seed_delta);
}

static void compare_options(struct comparison *all, const struct dr_parameters *was,
                            const struct dr_parameters *is)
{
    compare_texts(all, "prompt", was->prompt, is->prompt);
    compare_texts(all, "negative prompt", was->negative ? was->negative : "",
                  is->negative ? is->negative : "");
    compare_seeds(all, was->seed, is->seed);
    compare_pairs(all, "size", (const int32_t[]){was->width, was->height},
                  (const int32_t[]){is->width, is->height});
    compare_reals(all, "steps", was->steps, is->steps);
    compare_reals(all, "cfg", was->cfg, is->cfg);
    compare_texts(all, "sampler", was->sampler, is->sampler);
    compare_sampling(all, &was->sampling, &is->sampling);
    if (was->scheduler[0] && strcmp(was->scheduler, "automatic") != 0)
        compare_texts(all, "scheduler", was->scheduler, is->scheduler);
    compare_reals(all, "clip skip", was->clip_skip, is->clip_skip);
    compare_texts(all, "prompt syntax",
                  dr_prompt_syntax_name((int32_t)was->prompt_syntax),
                  dr_prompt_syntax_name((int32_t)is->prompt_syntax));
    compare_texts(all, "emphasis", dr_emphasis_name((int32_t)was->emphasis),
                  dr_emphasis_name((int32_t)is->emphasis));
    compare_reals(all, "padded prompts", was->pad_prompts, is->pad_prompts);
    if (was->prediction != DR_PREDICTION_AUTO)
        compare_texts(all, "prediction", prediction_name(was->prediction),
                      prediction_name(is->prediction));
    compare_texts(all, "rng", was->rng == DR_RNG_CPU ? "cpu" : "cuda",
                  is->rng == DR_RNG_CPU ? "cpu" : "cuda");
    if (was->image_to_image != is->image_to_image)
        compare_texts(all, "init", was->image_to_image ? "a picture" : "none",
                      is->image_to_image ? "a picture" : "none");
    else
        compare_reals(all, "strength", was->strength, is->strength);
    compare_pairs(all, "original size",
                  (const int32_t[]){was->original_width, was->original_height},
                  (const int32_t[]){is->original_width, is->original_height});
    compare_pairs(all, "crop", (const int32_t[]){was->crop_left, was->crop_top},
                  (const int32_t[]){is->crop_left, is->crop_top});
    compare_pairs(all, "target size",
                  (const int32_t[]){was->target_width, was->target_height},
                  (const int32_t[]){is->target_width, is->target_height});
}

size_t dr_parameters_compare(const struct dr_parameters *was,
                             const struct dr_parameters *is,
                             struct dr_difference differences[DR_MAX_DIFFERENCES])
{
    struct comparison all = {.differences = differences};
    compare_sources(&all, was, is);
    compare_options(&all, was, is);
    return all.count;
}
