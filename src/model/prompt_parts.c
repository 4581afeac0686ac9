#define _GNU_SOURCE /* memrchr */
#include "model/prompt_parts.h"

#include "model/prompt_text.h"
#include "model/word_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the parts of a prompt");
}

static char *pool_text(struct pool *pool, const char *text, size_t bytes)
{
    char *const copy = pool_alloc(pool, bytes + 1);
    if (copy) memcpy(copy, text, bytes); /* the pool's memory is zeroed */
    return copy;
}

/* ---- networks ---- */

/* "<kind:arguments>" at the front: its length, or 0; *kind_bytes is that of the kind. */
static size_t tag_bytes(const char *text, size_t bytes, size_t *kind_bytes)
{
    size_t at = 1;
    while (at < bytes) {
        const struct word_scan here = word_scan_at(text + at, bytes - at);
        if (!here.is_word) break;
        at += here.bytes;
    }
    *kind_bytes = at - 1;
    if (at == 1 || at >= bytes || text[at] != ':') return 0;
    const char *const end = memchr(text + at, '>', bytes - at);
    return end && end > text + at + 1 ? (size_t)(end - text) + 1 : 0;
}

static enum dr_code read_number(const char *text, const struct prompt_network *network,
                                double *number, struct dr_error *err)
{
    char *end;
    *number = strtod(text, &end);
    if (end != text && end[strspn(end, " \t\n")] == '\0' && isfinite(*number))
        return DR_OK;
    return error_set(
        err, DR_BAD_INPUT,
        "\"%.40s\" is not a weight for the LoRA \"%.200s\": give a number, "
        "as in <lora:name:0.8>",
        text, network->name);
}

/* "name:0.8:1:unet=1", which is taken apart. */
static enum dr_code read_lora(struct prompt_network *network, char *arguments,
                              struct dr_error *err)
{
    const char *positions[3] = {"", NULL, NULL}, *text = NULL, *unet = NULL;
    size_t count = 0;
    for (char *next = arguments; next;) {
        char *const item = next;
        next = strchr(item, ':');
        if (next) *next++ = '\0';
        if (strncmp(item, "te=", 3) == 0)
            text = item + 3;
        else if (strncmp(item, "unet=", 5) == 0)
            unet = item + 5;
        else if (!strchr(item, '=') && count < 3)
            positions[count++] = item;
    }
    network->name = positions[0];
    if (!*network->name)
        return error_set(
            err, DR_BAD_INPUT,
            "a <lora:...> in the prompt has no name: write <lora:name:0.8>");
    if (!text) text = positions[1];
    network->text_weight = 1.0;
    enum dr_code code =
        text ? read_number(text, network, &network->text_weight, err) : DR_OK;
    if (!unet) unet = positions[2];
    network->unet_weight = network->text_weight;
    if (code == DR_OK && unet)
        code = read_number(unet, network, &network->unet_weight, err);
    return code;
}

static enum dr_code add_network(struct prompt_parts *parts, const char *kind,
                                char *arguments, struct dr_error *err)
{
    if (parts->network_count == PROMPT_NETWORKS_MAX)
        return error_set(err, DR_BAD_INPUT,
                         "the prompt has more than %d of <lora:name:weight>: use fewer",
                         PROMPT_NETWORKS_MAX);
    if (!parts->networks)
        parts->networks =
            pool_alloc(&parts->pool, PROMPT_NETWORKS_MAX * sizeof *parts->networks);
    if (!parts->networks) return no_memory(err);
    struct prompt_network *const network = &parts->networks[parts->network_count++];
    *network = (struct prompt_network){.kind = kind, .name = arguments};
    if (strcmp(kind, "lyco") == 0) network->kind = "lora";
    return strcmp(network->kind, "lora") == 0 ? read_lora(network, arguments, err)
                                              : DR_OK;
}

/* The prompt without its networks, which are noted. */
static enum dr_code take_networks(struct prompt_parts *parts, const char *prompt,
                                  char **rest, struct dr_error *err)
{
    const size_t bytes = strlen(prompt);
    char *const out = pool_alloc(&parts->pool, bytes + 1);
    if (!out) return no_memory(err);
    size_t used = 0;
    for (size_t at = 0, length, kind_bytes; at < bytes; at += length) {
        length =
            prompt[at] == '<' ? tag_bytes(prompt + at, bytes - at, &kind_bytes) : 0;
        if (length == 0) {
            out[used++] = prompt[at];
            length = 1;
            continue;
        }
        char *const kind = pool_text(&parts->pool, prompt + at + 1, kind_bytes);
        char *const arguments = pool_text(&parts->pool, prompt + at + kind_bytes + 2,
                                          length - kind_bytes - 3);
        if (!kind || !arguments) return no_memory(err);
        const enum dr_code code = add_network(parts, kind, arguments, err);
        if (code != DR_OK) return code;
    }
    *rest = out;
    return DR_OK;
}

/* ---- parts ---- */

/* A number after the last colon of a part, which has no white space at its end: *bytes is what remains. */
static enum dr_code read_weight(const char *text, size_t *bytes, double *weight,
                                struct dr_error *err)
{
    *weight = 1.0;
    const char *const colon = memrchr(text, ':', *bytes);
    if (!colon) return DR_OK;
    const char *at = colon + 1;
    at += word_scan_space(at, *bytes - (size_t)(at - text));
    const char *const number = at;
    if (*at == '+' || *at == '-') ++at;
    const size_t whole = strspn(at, "0123456789");
    at += whole;
    const size_t part = *at == '.' ? strspn(at + 1, "0123456789") : 0;
    if (whole + part == 0) return DR_OK;
    if (*at == '.') at += 1 + part;
    if (at != text + *bytes) return DR_OK;
    *weight = strtod(number, NULL);
    *bytes = word_scan_trimmed(text, (size_t)(colon - text));
    if (isfinite((float)*weight)) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "the weight %.40s of a part of the prompt is not finite: give a "
                     "smaller one",
                     number);
}

static enum dr_code make_entry(struct prompt_parts *parts, struct prompt_part *part,
                               int32_t idx, bool is_plain, struct dr_error *err)
{
    struct prompt_entry *const entry = &part->entries[idx];
    entry->same_as = -1;
    for (int32_t i = 0; i < idx && entry->same_as < 0; ++i)
        if (part->entries[i].text == entry->text) entry->same_as = i;
    if (entry->same_as >= 0) {
        entry->segments = part->entries[entry->same_as].segments;
        entry->segment_count = part->entries[entry->same_as].segment_count;
        return DR_OK;
    }
    if (!is_plain)
        return prompt_emphasis_parse(entry->text, &parts->pool, &entry->segments,
                                     &entry->segment_count, err);
    entry->segments = pool_alloc(&parts->pool, sizeof *entry->segments);
    if (!entry->segments) return no_memory(err);
    *entry->segments = (struct prompt_segment){entry->text, 1.0, false};
    entry->segment_count = 1;
    return DR_OK;
}

static enum dr_code make_part(struct prompt_parts *parts, const char *text,
                              const struct prompt_parts_options *options,
                              struct dr_error *err)
{
    struct prompt_part *const part = &parts->parts[parts->part_count - 1];
    struct prompt_schedule_entry whole = {options->steps, 1, text}, *list = &whole;
    int32_t count = 1;
    enum dr_code code = DR_OK;
    if (!options->is_plain)
        code = prompt_schedule_parse(text, options->steps, &parts->pool, &list, &count,
                                     err);
    if (code != DR_OK) return code;
    part->entries = pool_alloc(&parts->pool, (size_t)count * sizeof *part->entries);
    if (!part->entries) return no_memory(err);
    part->entry_count = count;
    for (int32_t i = 0; code == DR_OK && i < count; ++i) {
        part->entries[i] = (struct prompt_entry){.end_step = list[i].end_step,
                                                 .repeat = list[i].repeat,
                                                 .text = list[i].text};
        code = make_entry(parts, part, i, options->is_plain, err);
        if (code == DR_OK && parts->pool.bytes > PROMPT_PARTS_BYTES)
            code =
                error_set(err, DR_BAD_INPUT,
                          "the prompt's parts and schedules take more than %d MiB: use "
                          "fewer AND, [a|b] and [from:to:when], or a shorter text",
                          PROMPT_PARTS_BYTES / 1024 / 1024);
    }
    return code;
}

/* A part of the text, with its weight where it may have one. */
static enum dr_code add_part(struct prompt_parts *parts, const char *text, size_t bytes,
                             const struct prompt_parts_options *options,
                             struct dr_error *err)
{
    if (parts->part_count == PROMPT_PARTS_MAX)
        return error_set(err, DR_BAD_INPUT,
                         "the prompt has more than %d parts with AND between them: use "
                         "fewer",
                         PROMPT_PARTS_MAX);
    struct prompt_part *const part = &parts->parts[parts->part_count++];
    part->weight = 1.0;
    if (!options->is_plain && !options->is_negative) {
        bytes = word_scan_trimmed(text, bytes);
        const enum dr_code code = read_weight(text, &bytes, &part->weight, err);
        if (code != DR_OK) return code;
    }
    const char *const own = pool_text(&parts->pool, text, bytes);
    return own ? make_part(parts, own, options, err) : no_memory(err);
}

static enum dr_code add_parts(struct prompt_parts *parts, const char *text,
                              const struct prompt_parts_options *options,
                              struct dr_error *err)
{
    static const char word[] = "AND";
    const size_t bytes = strlen(text);
    if (options->is_plain || options->is_negative)
        return add_part(parts, text, bytes, options, err);
    enum dr_code code = DR_OK;
    for (size_t first = 0; code == DR_OK && first <= bytes;) {
        const size_t at = word_scan_find(text, bytes, first, word);
        code = add_part(parts, text + first, at - first, options, err);
        first = at < bytes ? at + sizeof word - 1 : bytes + 1;
    }
    return code;
}

static enum dr_code parse(struct prompt_parts *parts, const char *prompt,
                          const struct prompt_parts_options *options,
                          struct dr_error *err)
{
    char *rest = NULL;
    parts->parts = pool_alloc(&parts->pool, PROMPT_PARTS_MAX * sizeof *parts->parts);
    if (!parts->parts) return no_memory(err);
    if (strlen(prompt) > PROMPT_TEXT_MAX_BYTES)
        return error_set(
            err, DR_BAD_INPUT,
            "the prompt has %zu bytes; at most %d are supported: shorten it",
            strlen(prompt), PROMPT_TEXT_MAX_BYTES);
    if (options->is_plain || options->is_negative)
        return add_parts(parts, prompt, options, err);
    const enum dr_code code = take_networks(parts, prompt, &rest, err);
    return code == DR_OK ? add_parts(parts, rest, options, err) : code;
}

enum dr_code prompt_parts_parse(struct prompt_parts *parts, const char *prompt,
                                const struct prompt_parts_options *options,
                                struct dr_error *err)
{
    *parts = (struct prompt_parts){0};
    const enum dr_code code = parse(parts, prompt, options, err);
    if (code != DR_OK) prompt_parts_finish(parts);
    return code;
}

void prompt_parts_finish(struct prompt_parts *parts)
{
    pool_finish(&parts->pool);
    *parts = (struct prompt_parts){0};
}

const struct prompt_entry *prompt_part_at(const struct prompt_part *part,
                                          int32_t evaluation)
{
    for (int32_t i = 0; i < part->entry_count; ++i)
        if (evaluation <= part->entries[i].end_step) return &part->entries[i];
    return &part->entries[0]; /* as the reference does */
}
