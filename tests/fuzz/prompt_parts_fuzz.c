/* prompt_parts_fuzz — any bytes as a prompt with weights, schedules, parts and networks.
 *
 * Whatever the bytes: either an error in words, or parts whose weights are finite, whose entries end one after the other and
 * at the last step, and whose texts, taken together, are not longer than the prompt was. The first byte chooses the
 * number of steps, and whether it is a negative or a plain prompt.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/prompt_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_entry(const struct prompt_entry *entry, size_t bytes)
{
    size_t length = 0;
    assert(entry->segment_count > 0 && entry->repeat > 0);
    assert(strlen(entry->text) <= bytes);
    for (int32_t i = 0; i < entry->segment_count; ++i) {
        const struct prompt_segment *const segment = &entry->segments[i];
        assert(isfinite((float)segment->weight));
        assert(!segment->is_break || strcmp(segment->text, "BREAK") == 0);
        length += strlen(segment->text);
    }
    assert(length <= strlen(entry->text));
}

static void check_part(const struct prompt_part *part, int32_t steps, size_t bytes)
{
    int32_t end = 0;
    assert(isfinite((float)part->weight));
    for (int32_t i = 0; i < part->entry_count; ++i) {
        assert(part->entries[i].end_step > end);
        assert(part->entries[i].same_as < i);
        end = part->entries[i].end_step;
        check_entry(&part->entries[i], bytes);
    }
    assert(end == steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes == 0) return 0;
    const struct prompt_parts_options options = {.steps = 1 + (data[0] & 63),
                                                 .is_negative = data[0] & 64,
                                                 .is_plain = data[0] & 128};
    char *const prompt = malloc(bytes);
    if (!prompt) abort();
    memcpy(prompt, data + 1, bytes - 1);
    prompt[bytes - 1] = '\0';
    struct prompt_parts parts;
    struct dr_error err = {0};
    if (prompt_parts_parse(&parts, prompt, &options, &err) == DR_OK) {
        assert(parts.part_count > 0 && parts.part_count <= PROMPT_PARTS_MAX);
        for (int32_t i = 0; i < parts.part_count; ++i)
            check_part(&parts.parts[i], options.steps, bytes);
        for (int32_t i = 0; i < parts.network_count; ++i)
            assert(isfinite(parts.networks[i].text_weight) &&
                   isfinite(parts.networks[i].unet_weight));
    } else {
        assert(err.code == DR_BAD_INPUT && err.message[0]);
    }
    prompt_parts_finish(&parts);
    free(prompt);
    return 0;
}
