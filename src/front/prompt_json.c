#include "front/prompt_json.h"

#include "front/member.h"

/* Which text of which part a row is of. */
static json_t *row_json(size_t part_idx, const struct dr_prompt_text *text)
{
    json_t *const object = json_object();
    member_set_integer(object, "part", (int64_t)part_idx + 1);
    member_set_integer(object, "until_step", text->until_step);
    return object;
}

static json_t *text_json(size_t part_idx, double weight,
                         const struct dr_prompt_text *text)
{
    json_t *const object = row_json(part_idx, text);
    member_set_real(object, "weight", weight);
    member_set_integer(object, "chunks", text->chunk_count);
    member_set_integer(object, "tokens", text->token_count);
    member_set_text(object, "text", text->text);
    return object;
}

static json_t *word_json(size_t part_idx, const struct dr_prompt_text *text,
                         const struct dr_prompt_word *word)
{
    json_t *const object = row_json(part_idx, text);
    member_set_integer(object, "chunk", word->chunk);
    member_set_integer(object, "position", word->position);
    member_set_integer(object, "tokens", word->tokens);
    member_set_real(object, "weight", word->weight);
    member_set_text(object, "word", word->text);
    if (word->is_embedding) member_set_flag(object, "embedding", 1);
    return object;
}

static json_t *network_json(const struct dr_prompt_network *network)
{
    json_t *const object = json_object();
    member_set_text(object, "kind", network->kind);
    member_set_text(object, "name", network->name);
    member_set_real(object, "unet_weight", network->unet_weight);
    member_set_real(object, "text_weight", network->text_weight);
    return object;
}

void prompt_json_add(json_t *object, const struct dr_prompt_info *info)
{
    json_t *const texts = json_array(), *const words = json_array();
    for (size_t i = 0; i < info->part_count; ++i)
        for (size_t k = 0; k < info->parts[i].text_count; ++k) {
            const struct dr_prompt_text *const text = &info->parts[i].texts[k];
            (void)json_array_append_new(texts,
                                        text_json(i, info->parts[i].weight, text));
            for (size_t w = 0; w < text->word_count; ++w)
                (void)json_array_append_new(words, word_json(i, text, &text->words[w]));
        }
    member_set(object, "texts", texts);
    member_set(object, "words", words);
    if (info->network_count == 0) return;
    json_t *const networks = json_array();
    for (size_t i = 0; i < info->network_count; ++i)
        (void)json_array_append_new(networks, network_json(&info->networks[i]));
    member_set(object, "networks", networks);
}
