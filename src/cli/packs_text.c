#include "packs_text.h"

#include <darkroom/darkroom.h>

static uint64_t number_at(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

bool packs_text_is_prune(const json_t *answer)
{
    return json_object_get(answer, "removed_count") != NULL;
}

bool packs_text_is_verify(const json_t *answer)
{
    return json_object_get(answer, "verified_count") != NULL;
}

static void print_prune(const json_t *answer, FILE *stream)
{
    const unsigned long long removed = number_at(answer, "removed_count"),
                             kept = number_at(answer, "kept_count"),
                             used = number_at(answer, "in_use_count");
    char removed_size[16], kept_size[16], used_size[16];
    fprintf(stream, "removed %llu pack%s (%s), kept %llu (%s)", removed,
            removed == 1 ? "" : "s",
            dr_format_bytes(number_at(answer, "removed_bytes"), removed_size), kept,
            dr_format_bytes(number_at(answer, "kept_bytes"), kept_size));
    if (used > 0)
        fprintf(stream, ", of which %llu %s in use (%s)", used,
                used == 1 ? "is" : "are",
                dr_format_bytes(number_at(answer, "in_use_bytes"), used_size));
}

static void print_verify(const json_t *answer, FILE *stream)
{
    const unsigned long long count = number_at(answer, "verified_count");
    if (count == 0)
        fputs("there are no packs", stream);
    else if (count == 1)
        fputs("the pack was read, and it is good", stream);
    else
        fprintf(stream, "all %llu packs were read, and they are good", count);
}

bool packs_text_print(const json_t *answer, FILE *stream)
{
    if (packs_text_is_prune(answer))
        print_prune(answer, stream);
    else
        print_verify(answer, stream);
    return fputc('\n', stream) != EOF && fflush(stream) == 0;
}
