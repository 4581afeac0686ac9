#include "service/prompt_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* ---- styles ------------------------------------------------------------------------------ */

enum {
    MOST_STYLES = 64
};

static const char *known_style(const struct dr_style_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; ++i)
        if (strcasecmp(list->styles[i].name, name) == 0) return list->styles[i].name;
    return NULL;
}

/* Those of the request that there are, in its order, which *list has the texts of. Returns how many. */
static size_t read_names(struct body_reader *fields, const struct dr_style_list *list,
                         const char *names[MOST_STYLES])
{
    const json_t *const styles = body_member(fields, "styles");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(styles); ++i) {
        const char *const said = json_string_value(json_array_get(styles, i));
        if (!said || !*said) continue;
        const char *const name = known_style(list, said);
        if (!name)
            body_warn(fields,
                      "the style \"%.60s\" was left out: there is none of this name",
                      said);
        else if (count < MOST_STYLES)
            names[count++] = name;
        else
            body_refuse(fields, STATUS_WRONG, DR_BAD_INPUT, "styles",
                        "styles has more than %d names", MOST_STYLES);
    }
    return count;
}

/* "Ink\nNight" */
static char *join_names(const char *const names[], size_t count)
{
    size_t bytes = 1;
    for (size_t i = 0; i < count; ++i)
        bytes += strlen(names[i]) + 1;
    char *const text = calloc(1, bytes);
    for (size_t i = 0; text && i < count; ++i) {
        if (i) strcat(text, "\n");
        strcat(text, names[i]);
    }
    return text;
}

/* Wildcards stay: each picture of the job has lines of its own (worker_run.c). */
static void apply(struct body_reader *fields, struct extra_networks *networks,
                  const char *const names[], size_t count,
                  struct picture_request *picture)
{
    struct dr_expanded expanded;
    const struct dr_expansion how = {.prompt = picture->prompt,
                                     .negative = picture->negative,
                                     .styles = names,
                                     .style_count = count,
                                     .styles_path =
                                         extra_networks_styles_file(networks),
                                     .keeps_wildcards = 1};
    const enum dr_code code = dr_expand_prompt(&how, &expanded, &fields->refusal->err);
    body_take(fields, "styles", code);
    if (code != DR_OK) return;
    replace(fields, &picture->prompt, strdup(expanded.prompt));
    replace(fields, &picture->negative,
            strdup(expanded.negative ? expanded.negative : ""));
    replace(fields, &picture->styles, join_names(names, count));
    dr_expanded_free(&expanded);
}

static void read_styles(struct body_reader *fields, struct extra_networks *networks,
                        struct picture_request *picture)
{
    struct dr_style_list list;
    const char *names[MOST_STYLES];
    if (json_array_size(body_member(fields, "styles")) == 0) return;
    const enum dr_code code =
        extra_networks_styles(networks, &list, &fields->refusal->err);
    body_take(fields, "styles", code);
    if (code != DR_OK) return;
    const size_t count = read_names(fields, &list, names);
    if (fields->code == DR_OK && count > 0)
        apply(fields, networks, names, count, picture);
    dr_style_list_free(&list);
}

void prompt_fields_read(struct body_reader *fields, struct extra_networks *networks,
                        struct picture_request *picture)
{
    replace(fields, &picture->prompt, strdup(body_text(fields, "prompt")));
    replace(fields, &picture->negative, strdup(body_text(fields, "negative_prompt")));
    read_styles(fields, networks, picture);
    read_loras(fields, networks, picture);
}
