/* dr_describe_prompt: what a prompt means, for who looks. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xdg.h"
#include "job/embedding_set.h"
#include "model/prompt_parts.h"
#include "pipeline/tokenizers.h"

enum {
    DEFAULT_STEPS = 20
};

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory to describe a prompt");
}

/* Takes the words of a text, in order. */
struct collector {
    struct dr_prompt_text *text;
    size_t capacity, *left; /* words that may still come, of all texts */
    bool has_no_memory, has_too_many;
};

static void take_word(void *cookie, const struct chunk_place *place)
{
    struct collector *const collector = cookie;
    struct dr_prompt_text *const text = collector->text;
    if (collector->has_no_memory || collector->has_too_many) return;
    collector->has_too_many = *collector->left == 0;
    if (collector->has_too_many) return;
    --*collector->left;
    if (text->word_count == collector->capacity) {
        const size_t capacity = collector->capacity ? 2 * collector->capacity : 32;
        struct dr_prompt_word *const words =
            realloc(text->words, capacity * sizeof *words);
        collector->has_no_memory = !words;
        if (!words) return;
        text->words = words;
        collector->capacity = capacity;
    }
    char *const copy = strdup(place->text);
    collector->has_no_memory = !copy;
    if (!copy) return;
    text->words[text->word_count++] =
        (struct dr_prompt_word){.text = copy,
                                .chunk = place->chunk_idx + 1,
                                .position = place->position,
                                .tokens = place->tokens,
                                .weight = place->weight,
                                .is_embedding = place->is_embedding};
    text->token_count += place->tokens;
}

/* What all texts are described with. */
struct describer {
    const struct tokenizers *tokenizers;
    const struct embedding_set *embeddings;
    size_t most_words, left;
};

static enum dr_code describe_text(struct describer *describer,
                                  const struct prompt_entry *entry,
                                  struct dr_prompt_text *text, struct dr_error *err)
{
    struct collector collector = {.text = text, .left = &describer->left};
    struct prompt_chunks chunks = {0};
    const struct tokenizers_text source = {.segments = entry->segments,
                                           .segment_count = entry->segment_count,
                                           .names = describer->embeddings->words[0],
                                           .name_count = describer->embeddings->count,
                                           .report = take_word,
                                           .cookie = &collector};
    text->until_step = entry->end_step;
    text->text = strdup(entry->text);
    if (!text->text) return no_memory(err);
    enum dr_code code =
        tokenizers_add(describer->tokenizers, 0, INT32_MAX, &source, &chunks, err);
    if (code == DR_OK && collector.has_no_memory) code = no_memory(err);
    if (code == DR_OK && collector.has_too_many)
        code = error_set(err, DR_BAD_INPUT,
                         "the prompt's texts have more than %zu words together, too "
                         "many to be listed: shorten it, or give fewer steps",
                         describer->most_words);
    text->chunk_count = chunks.count;
    prompt_chunks_finish(&chunks);
    return code;
}

static enum dr_code describe_part(struct describer *describer,
                                  const struct prompt_part *part,
                                  struct dr_prompt_part *out, struct dr_error *err)
{
    out->weight = part->weight;
    out->texts = calloc((size_t)part->entry_count, sizeof *out->texts);
    if (!out->texts) return no_memory(err);
    enum dr_code code = DR_OK;
    for (int32_t i = 0; code == DR_OK && i < part->entry_count; ++i)
        code = describe_text(describer, &part->entries[i],
                             &out->texts[out->text_count++], err);
    return code;
}

static enum dr_code describe_networks(const struct prompt_parts *parts,
                                      struct dr_prompt_info *info, struct dr_error *err)
{
    if (parts->network_count == 0) return DR_OK;
    info->networks = calloc((size_t)parts->network_count, sizeof *info->networks);
    if (!info->networks) return no_memory(err);
    for (int32_t i = 0; i < parts->network_count; ++i) {
        const struct prompt_network *const network = &parts->networks[i];
        struct dr_prompt_network *const out = &info->networks[info->network_count++];
        *out = (struct dr_prompt_network){.kind = strdup(network->kind),
                                          .name = strdup(network->name),
                                          .text_weight = network->text_weight,
                                          .unet_weight = network->unet_weight};
        if (!out->kind || !out->name) return no_memory(err);
    }
    return DR_OK;
}

static enum dr_code describe(struct describer *describer,
                             const struct prompt_parts *parts,
                             struct dr_prompt_info *info, struct dr_error *err)
{
    enum dr_code code = describe_networks(parts, info, err);
    if (code != DR_OK) return code;
    info->parts = calloc((size_t)parts->part_count, sizeof *info->parts);
    if (!info->parts) return no_memory(err);
    for (int32_t i = 0; code == DR_OK && i < parts->part_count; ++i)
        code = describe_part(describer, &parts->parts[i],
                             &info->parts[info->part_count++], err);
    return code;
}

static enum dr_code open_tokenizers(const struct dr_prompt_options *options,
                                    struct tokenizers *tokenizers, struct dr_error *err)
{
    char data[DR_PATH_BYTES];
    (void)xdg_path(XDG_DATA, "tokenizer", data, sizeof data);
    const struct tokenizer_places places = {
        .said = options->tokenizer_folder ? options->tokenizer_folder : "",
        .model = options->model ? options->model : "",
        .data = data};
    return tokenizers_open(tokenizers, &places, err);
}

static enum dr_code open_embeddings(const struct dr_prompt_options *options,
                                    const struct tokenizers *tokenizers,
                                    const struct prompt_parts *parts,
                                    struct embedding_set *embeddings,
                                    struct dr_error *err)
{
    const struct embedding_set_options how = {.directory = options->embedding_directory,
                                              .tokenizers = tokenizers,
                                              .text_count = 1,
                                              .prompts = {parts}};
    if (options->syntax == DR_PROMPT_PLAIN) return DR_OK;
    return embedding_set_open(embeddings, &how, err);
}

enum dr_code dr_describe_prompt(const char *prompt,
                                const struct dr_prompt_options *options,
                                struct dr_prompt_info *info, struct dr_error *err)
{
    static const struct dr_prompt_options none = {0};
    const struct dr_prompt_options *const how = options ? options : &none;
    const struct prompt_parts_options parse = {.is_plain =
                                                   how->syntax == DR_PROMPT_PLAIN,
                                               .is_negative = how->is_negative != 0,
                                               .steps = how->steps > 0 ? how->steps
                                                                       : DEFAULT_STEPS};
    struct tokenizers tokenizers = {0};
    struct embedding_set embeddings = {0};
    struct prompt_parts parts;
    *info = (struct dr_prompt_info){0};
    enum dr_code code = prompt_parts_parse(&parts, prompt, &parse, err);
    if (code == DR_OK) code = open_tokenizers(how, &tokenizers, err);
    if (code == DR_OK)
        code = open_embeddings(how, &tokenizers, &parts, &embeddings, err);
    struct describer describer = {.tokenizers = &tokenizers,
                                  .embeddings = &embeddings,
                                  .most_words = how->most_words,
                                  .left = how->most_words ? how->most_words : SIZE_MAX};
    if (code == DR_OK) code = describe(&describer, &parts, info, err);
    embedding_set_close(&embeddings);
    tokenizers_close(&tokenizers);
    prompt_parts_finish(&parts);
    if (code != DR_OK) dr_prompt_info_free(info);
    return code;
}

static void free_part(struct dr_prompt_part *part)
{
    for (size_t i = 0; i < part->text_count; ++i) {
        for (size_t k = 0; k < part->texts[i].word_count; ++k)
            free(part->texts[i].words[k].text);
        free(part->texts[i].words);
        free(part->texts[i].text);
    }
    free(part->texts);
}

void dr_prompt_info_free(struct dr_prompt_info *info)
{
    if (!info) return;
    for (size_t i = 0; i < info->part_count; ++i)
        free_part(&info->parts[i]);
    for (size_t i = 0; i < info->network_count; ++i) {
        free(info->networks[i].kind);
        free(info->networks[i].name);
    }
    free(info->parts);
    free(info->networks);
    *info = (struct dr_prompt_info){0};
}
