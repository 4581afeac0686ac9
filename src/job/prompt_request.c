#include "job/prompt_request.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/prompt_parts.h"

/* Evaluations of the UNet that a prompt's schedule is laid over: as the reference counts, all of the
 * steps, whatever the strength is. */
static int32_t evaluation_count(const struct sampler_options *sampler)
{
    return sampler->steps * sampler_calls_per_step(sampler->kind);
}

/* What the prompt names beside text: LoRAs, which are the job's. */
static enum dr_code take_networks(const struct prompt_parts *prompt,
                                  struct job_request *want, struct dr_error *err)
{
    for (int32_t i = 0; i < prompt->network_count; ++i) {
        const struct prompt_network *const network = &prompt->networks[i];
        if (strcmp(network->kind, "lora") != 0)
            return error_set(
                err, DR_UNSUPPORTED,
                "the prompt has <%.40s:%.200s>: such networks are not supported yet; "
                "take it out, or give --prompt-syntax plain to encode it as text",
                network->kind, network->name);
        if (want->lora_count == DR_MAX_LORAS)
            return error_set(err, DR_BAD_INPUT,
                             "the prompt names more than %d LoRAs: use fewer",
                             DR_MAX_LORAS);
        struct prompt_lora *const lora = &want->loras[want->lora_count];
        const size_t bytes = strlen(network->name);
        if (bytes >= sizeof lora->name)
            return error_set(
                err, DR_BAD_INPUT,
                "the name of a LoRA in the prompt has %zu bytes, more than "
                "%zu: %.100s...",
                bytes, sizeof lora->name - 1, network->name);
        memcpy(lora->name, network->name, bytes + 1);
        lora->unet = network->unet_weight;
        lora->text = network->text_weight;
        ++want->lora_count;
    }
    return DR_OK;
}

/* The prompts' parts, for which no model is needed; evaluations: of the UNet. Finish both, also after an error. */
static enum dr_code parse_prompts(const struct dr_generate_options *options,
                                  int32_t evaluations, struct job_request *want,
                                  struct prompt_parts *prompt,
                                  struct prompt_parts *negative, struct dr_error *err)
{
    struct prompt_parts_options how = {.is_plain =
                                           options->prompt_syntax == DR_PROMPT_PLAIN,
                                       .steps = evaluations};
    *negative = (struct prompt_parts){0};
    enum dr_code code =
        prompt_parts_parse(prompt, options->prompt ? options->prompt : "", &how, err);
    if (code == DR_OK) code = take_networks(prompt, want, err);
    how.is_negative = true;
    if (code == DR_OK)
        code = prompt_parts_parse(negative, options->negative ? options->negative : "",
                                  &how, err);
    return code;
}

/* Without a text encoder nothing is tokenized; job_prepare then reports that it is missing. A forecast needs no
 * vocabulary: without one it counts each text as one chunk. */
static enum dr_code open_tokenizers(struct current_model *model, bool only_looks,
                                    bool *has_any, struct dr_error *err)
{
    struct dr_error ignored;
    *has_any = pipeline_has_text(model->pipeline);
    if (!*has_any) return DR_OK;
    const enum dr_code code =
        current_model_open_tokenizers(model, only_looks ? &ignored : err);
    *has_any = code == DR_OK;
    return only_looks && code != DR_NOMEM ? DR_OK : code;
}

/* What a warning has beside what it says already. */
static void add_warning(struct job_request *want, const char *sentences)
{
    const size_t used = strlen(want->warning);
    (void)snprintf(want->warning + used, sizeof want->warning - used, "%s%s",
                   used && *sentences ? " " : "", sentences);
}

static enum dr_code open_embeddings(const struct current_model *model,
                                    const struct dr_generate_options *options,
                                    const struct prompt_parts *prompt,
                                    const struct prompt_parts *negative,
                                    struct job_request *want, struct dr_error *err)
{
    const struct pipeline *const pipeline = model->pipeline;
    struct embedding_set_options how = {
        .directory = options->embedding_directory,
        .tokenizers = &model->tokenizers,
        .text_count = pipeline->text_count,
        .family = pipeline->checkpoint.family,
        .model = pipeline->path,
        .cancel = model->resources->cancel,
        .prompts = {prompt, negative}
    };
    if (options->prompt_syntax == DR_PROMPT_PLAIN) return DR_OK;
    for (int32_t i = 0; i < pipeline->text_count; ++i)
        how.widths[i] = clip_text_info(pipeline->text[i]).width;
    const enum dr_code code = embedding_set_open(&want->embeddings, &how, err);
    if (code == DR_OK) add_warning(want, want->embeddings.warning);
    return code;
}

enum dr_code prompt_request_make(struct current_model *model,
                                 const struct dr_generate_options *options,
                                 bool only_looks, struct job_request *want,
                                 struct dr_error *err)
{
    const struct pipeline *const pipeline = model->pipeline;
    struct prompt_parts prompt, negative;
    bool has_tokenizers = false;
    enum dr_code code = parse_prompts(options, evaluation_count(&want->sampler), want,
                                      &prompt, &negative, err);
    if (code == DR_OK) code = open_tokenizers(model, only_looks, &has_tokenizers, err);
    if (code == DR_OK && has_tokenizers)
        code = open_embeddings(model, options, &prompt, &negative, want, err);
    if (code == DR_OK) {
        struct prompt_contexts_options how = {
            .tokenizers = has_tokenizers ? &model->tokenizers : NULL,
            .text_count = pipeline->text_count,
            .name_count = want->embeddings.count,
            .emphasis = options->emphasis,
            .pads = options->pad_prompts != 0,
            .has_zero_negative = want->negative_is_zero};
        for (int32_t i = 0; has_tokenizers && i < pipeline->text_count; ++i) {
            how.rows[i] = clip_text_info(pipeline->text[i]).vocabulary;
            how.names[i] = want->embeddings.words[i];
        }
        code = prompt_contexts_make(&want->prompts, &how, &prompt, &negative, err);
    }
    if (code == DR_OK && (prompt.part_count > 1 || prompt.parts[0].weight != 1.0))
        want->guided = true;
    want->pads = options->pad_prompts != 0;
    want->prompt_syntax = options->prompt_syntax;
    prompt_parts_finish(&prompt);
    prompt_parts_finish(&negative);
    return code;
}

/* What is wrong with a prompt does not depend on the steps. */
enum dr_code prompt_request_check(const struct dr_generate_options *options,
                                  struct job_request *want, struct dr_error *err)
{
    struct prompt_parts prompt, negative;
    *want = (struct job_request){0};
    const enum dr_code code = parse_prompts(options, 1, want, &prompt, &negative, err);
    prompt_parts_finish(&prompt);
    prompt_parts_finish(&negative);
    return code;
}
