#include "service/prompt_fields.h"

#include <stdlib.h>
#include <string.h>

#include "service/failure.h"
#include "service/loose_field.h"

enum {
    STATUS_WRONG = 422,
    MOST_WEIGHT = 100,
    TAG_BYTES = 256 + 64
};

/* text is malloc'ed and taken; NULL: no memory. */
static void replace(struct body_reader *fields, char **out, char *text_take)
{
    if (fields->code != DR_OK) {
        free(text_take);
        return;
    }
    if (!text_take) {
        body_take(fields, NULL, failure_memory(&fields->refusal->err, "a request"));
        return;
    }
    free(*out);
    *out = text_take;
}

static char *joined(const char *first, const char *second)
{
    const size_t bytes = strlen(first) + strlen(second) + 2;
    char *const text = malloc(bytes);
    if (text)
        (void)snprintf(text, bytes, "%s%s%s", first, *first && *second ? " " : "",
                       second);
    return text;
}

/* "<lora:ink:0.8>" */
static enum dr_code print_tag(const json_t *entry, struct extra_networks *networks,
                              char tag[TAG_BYTES], struct dr_error *err)
{
    char name[256];
    const char *path = "";
    double weight = 1;
    if (!json_is_object(entry))
        return failure(err, DR_BAD_INPUT,
                       "lora takes objects: {\"path\": FILE, \"multiplier\": WEIGHT}");
    enum dr_code code = loose_text(entry, "path", &path, err);
    if (code == DR_OK)
        code = loose_real(entry, "multiplier", -MOST_WEIGHT, MOST_WEIGHT, &weight, err);
    if (code == DR_OK) code = extra_networks_find_lora(networks, path, name, err);
    if (code == DR_OK && strpbrk(name, ":<>"))
        code = failure(err, DR_BAD_INPUT,
                       "the LoRA \"%.100s\" has one of : < > in its name, so that a "
                       "prompt cannot name it: rename the file",
                       name);
    if (code == DR_OK) (void)snprintf(tag, TAG_BYTES, "<lora:%s:%g>", name, weight);
    return code;
}

static void read_loras(struct body_reader *fields, struct extra_networks *networks,
                       struct picture_request *picture)
{
    const json_t *const loras = body_member(fields, "lora");
    if (loras && !json_is_array(loras))
        body_refuse(fields, STATUS_WRONG, DR_BAD_INPUT, "lora",
                    "lora is not a list of {\"path\": FILE, \"multiplier\": WEIGHT}");
    if (json_array_size(loras) > DR_MAX_LORAS)
        body_refuse(fields, STATUS_WRONG, DR_BAD_INPUT, "lora",
                    "lora has %zu LoRAs; this service takes at most %d",
                    json_array_size(loras), DR_MAX_LORAS);
    for (size_t i = 0; fields->code == DR_OK && i < json_array_size(loras); ++i) {
        char tag[TAG_BYTES];
        body_take(fields, "lora",
                  print_tag(json_array_get(loras, i), networks, tag,
                            &fields->refusal->err));
        if (fields->code == DR_OK)
            replace(fields, &picture->prompt, joined(picture->prompt, tag));
    }
}

void prompt_fields_read(struct body_reader *fields, struct extra_networks *networks,
                        struct picture_request *picture)
{
    replace(fields, &picture->prompt, strdup(body_text(fields, "prompt")));
    replace(fields, &picture->negative, strdup(body_text(fields, "negative_prompt")));
    read_loras(fields, networks, picture);
}
