#include "service/extra_networks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/embedding_json.h"
#include "front/lora_json.h"
#include "front/member.h"
#include "service/failure.h"
#include "service/folder_option.h"
#include "service/model_names.h"

/* A list that was made, until when it is given. */
struct kept_list {
    char *directory; /* "DIR:DIR"; NULL: the default */
    json_t *value;   /* NULL: none */
    double from_ms, until_ms;
};

struct extra_networks {
    const char *styles_file;
    const char *wildcard_folder; /* NULL: none */
    double (*clock_ms)(void);
    pthread_mutex_t
        lock; /* of the lists, not of their directories; held while one is made */
    struct kept_list lists[EXTRA_KIND_COUNT];
};

enum dr_code extra_networks_create(struct extra_networks **out,
                                   const struct extra_networks_options *options,
                                   struct dr_error *err)
{
    static const char *const words[] = {"LoRA", "embedding"};
    struct extra_networks *const networks = calloc(1, sizeof *networks);
    enum dr_code code = DR_OK;
    *out = NULL;
    if (!networks) return failure_memory(err, "the lists of LoRAs and embeddings");
    networks->styles_file = options->styles_file;
    networks->wildcard_folder = options->wildcard_folder;
    networks->clock_ms = options->clock_ms;
    pthread_mutex_init(&networks->lock, NULL);
    for (int kind = 0; kind < EXTRA_KIND_COUNT && code == DR_OK; ++kind)
        code = folder_option_join(options->folders[kind], words[kind],
                                  &networks->lists[kind].directory, err);
    if (code == DR_OK)
        *out = networks;
    else
        extra_networks_destroy(networks);
    return code;
}

void extra_networks_destroy(struct extra_networks *networks)
{
    if (!networks) return;
    for (int kind = 0; kind < EXTRA_KIND_COUNT; ++kind) {
        json_decref(networks->lists[kind].value);
        free(networks->lists[kind].directory);
    }
    pthread_mutex_destroy(&networks->lock);
    free(networks);
}

const char *extra_networks_directory(const struct extra_networks *networks,
                                     enum extra_kind kind)
{
    return networks->lists[kind].directory;
}

/* ---- lists ------------------------------------------------------------------------------- */

static double keep_ms(double took_ms)
{
    const double ms = EXTRA_NETWORKS_SHARE * took_ms;
    if (ms < EXTRA_NETWORKS_KEEP_MS) return EXTRA_NETWORKS_KEEP_MS;
    return ms < EXTRA_NETWORKS_LONGEST_MS ? ms : EXTRA_NETWORKS_LONGEST_MS;
}

/* Each of "DIR:DIR". */
static void hide_each(const char *directories, char *text)
{
    while (*directories) {
        char folder[DR_PATH_BYTES];
        const size_t length = strcspn(directories, ":");
        (void)snprintf(folder, sizeof folder, "%.*s", (int)length, directories);
        model_names_hide(folder, text);
        directories += length + (directories[length] == ':');
    }
}

static json_t *read_loras(const char *directory, struct dr_error *err)
{
    struct dr_lora_list list;
    if (dr_list_loras(directory, &list, err) != DR_OK) return NULL;
    for (size_t i = 0; i < list.count; ++i)
        hide_each(list.directory, list.loras[i].problem);
    json_t *const value = json_object();
    lora_list_json_add(value, &list);
    dr_lora_list_free(&list);
    if (!value) failure_memory(err, "the list of LoRAs");
    return value;
}

static json_t *read_embeddings(const char *directory, struct dr_error *err)
{
    struct dr_embedding_list list;
    if (dr_list_embeddings(directory, &list, err) != DR_OK) return NULL;
    for (size_t i = 0; i < list.count; ++i)
        hide_each(list.directory, list.embeddings[i].problem);
    json_t *const value = json_object();
    embedding_list_json_add(value, &list);
    dr_embedding_list_free(&list);
    if (!value) failure_memory(err, "the list of embeddings");
    return value;
}

/* lock is held. The list, borrowed while it is; NULL: an error. A clock that went back makes a new one. */
static const json_t *list_of_now(struct extra_networks *networks, enum extra_kind kind,
                                 struct dr_error *err)
{
    struct kept_list *const kept = &networks->lists[kind];
    const double now_ms = networks->clock_ms();
    if (kept->value && now_ms >= kept->from_ms && now_ms < kept->until_ms)
        return kept->value;
    json_t *const value = kind == EXTRA_LORAS ? read_loras(kept->directory, err)
                                              : read_embeddings(kept->directory, err);
    if (!value) return NULL;
    json_decref(kept->value);
    kept->value = value;
    kept->from_ms = networks->clock_ms();
    kept->until_ms = kept->from_ms + keep_ms(kept->from_ms - now_ms);
    return value;
}

enum dr_code extra_networks_list(struct extra_networks *networks, enum extra_kind kind,
                                 json_t **list, struct dr_error *err)
{
    struct dr_error why = {0};
    pthread_mutex_lock(&networks->lock);
    const json_t *const kept = list_of_now(networks, kind, &why);
    *list = kept ? json_deep_copy(kept) : NULL;
    pthread_mutex_unlock(&networks->lock);
    if (*list) return DR_OK;
    if (kept) return failure_memory(err, "the list");
    return failure(err, why.code, "%s", why.message);
}

void extra_networks_refresh(struct extra_networks *networks)
{
    pthread_mutex_lock(&networks->lock);
    for (int kind = 0; kind < EXTRA_KIND_COUNT; ++kind)
        networks->lists[kind].until_ms = networks->lists[kind].from_ms;
    pthread_mutex_unlock(&networks->lock);
}

/* ---- styles ------------------------------------------------------------------------------ */

const char *extra_networks_styles_file(const struct extra_networks *networks)
{
    return networks->styles_file;
}

enum dr_code extra_networks_styles(struct extra_networks *networks,
                                   struct dr_style_list *list, struct dr_error *err)
{
    struct dr_error why = {0};
    char folder[DR_PATH_BYTES];
    const enum dr_code code = dr_list_styles(networks->styles_file, list, &why);
    if (code == DR_OK) return code;
    const char *const file = networks->styles_file ? networks->styles_file : "";
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(model_names_file(file) - file),
                   file);
    model_names_hide(folder, why.message);
    return failure(err, code, "%s", why.message);
}

/* ---- wildcards --------------------------------------------------------------------------- */

enum dr_code extra_networks_expand(const struct extra_networks *networks,
                                   const char *prompt, const char *negative,
                                   uint64_t seed, struct dr_expanded *out,
                                   struct dr_error *err)
{
    struct dr_error why = {0};
    const struct dr_expansion how = {.prompt = prompt,
                                     .negative = negative,
                                     .wildcard_directory = networks->wildcard_folder,
                                     .seed = seed,
                                     .keeps_wildcards = !networks->wildcard_folder};
    const enum dr_code code = dr_expand_prompt(&how, out, &why);
    if (code == DR_OK) return code;
    if (networks->wildcard_folder)
        model_names_hide(networks->wildcard_folder, why.message);
    return failure(err, code, "%s", why.message);
}

/* ---- names ------------------------------------------------------------------------------- */

enum dr_code extra_networks_find_lora(struct extra_networks *networks, const char *file,
                                      char name[256], struct dr_error *err)
{
    json_t *list;
    const enum dr_code code = extra_networks_list(networks, EXTRA_LORAS, &list, err);
    if (code != DR_OK) return code;
    const json_t *const loras = json_object_get(list, "loras");
    const char *found = NULL;
    for (size_t i = 0; !found && i < json_array_size(loras); ++i) {
        const json_t *const lora = json_array_get(loras, i);
        const char *const other = json_string_value(json_object_get(lora, "file"));
        if (other && strcmp(other, file) == 0)
            found = json_string_value(json_object_get(lora, "name"));
    }
    if (found) (void)snprintf(name, 256, "%s", found);
    json_decref(list);
    if (found) return DR_OK;
    return failure(err, DR_NOT_FOUND,
                   "there is no LoRA file \"%.200s\"; GET /sdapi/v1/loras lists those "
                   "that are there",
                   file);
}

/* The default directory is known when somebody has asked for a list. */
static void hide_kind(struct extra_networks *networks, enum extra_kind kind, char *text)
{
    static const char *const members[] = {"lora_dir", "embedding_dir"};
    struct kept_list *const kept = &networks->lists[kind];
    if (kept->directory) {
        hide_each(kept->directory, text);
        return;
    }
    struct dr_error ignored;
    pthread_mutex_lock(&networks->lock);
    const json_t *const list =
        kept->value ? kept->value : list_of_now(networks, kind, &ignored);
    const char *const directory =
        json_string_value(json_object_get(list, members[kind]));
    if (directory) hide_each(directory, text);
    pthread_mutex_unlock(&networks->lock);
}

void extra_networks_hide(struct extra_networks *networks, char *text)
{
    for (int kind = 0; kind < EXTRA_KIND_COUNT && strchr(text, '/'); ++kind)
        hide_kind(networks, (enum extra_kind)kind, text);
}

enum dr_code extra_networks_check(struct extra_networks *networks, const char *prompt,
                                  const char *negative, struct dr_error *err)
{
    struct dr_error why = {0};
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = prompt;
    options.negative = negative;
    options.lora_directory = networks->lists[EXTRA_LORAS].directory;
    const enum dr_code code = dr_check_prompts(&options, &why);
    if (code == DR_OK) return code;
    extra_networks_hide(networks, why.message);
    return failure(err, code, "%s", why.message);
}
