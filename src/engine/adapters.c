/* LoRAs: those of a job, dr_check_prompts, and dr_list_loras. */
#include <assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/path.h"
#include "engine/engine.h"
#include "job/job.h"
#include "job/prompt_request.h"
#include "switch/lora_folder.h"

static_assert(DR_MAX_LORAS == PIPELINE_ADAPTERS, "one slot for each");

/* Those that the prompt names, to their paths. */
static enum dr_code find_named(const struct job_request *want, const char *directory,
                               char (*paths)[DR_PATH_BYTES], struct dr_error *err)
{
    char folder[DR_PATH_BYTES];
    struct folder_listing listing;
    if (want->lora_count == 0) return DR_OK;
    lora_folder_find(directory, folder);
    enum dr_code code = lora_folder_read(&listing, folder, err);
    if (code != DR_OK) return code;
    for (int32_t i = 0; i < want->lora_count && code == DR_OK; ++i)
        code = lora_folder_match(&listing, folder, want->loras[i].name, paths[i], err);
    folder_listing_free(&listing);
    return code;
}

enum dr_code engine_open_adapters(struct pipeline *pipeline, struct ledger *ledger,
                                  const struct dr_generate_options *options,
                                  const struct job_request *want,
                                  struct adapter_set *adapters, struct dr_error *err)
{
    struct adapter_wish wishes[2 * DR_MAX_LORAS];
    int32_t count = 0;
    if (options->lora_count == 0 && want->lora_count == 0) return DR_OK;
    char(*const paths)[DR_PATH_BYTES] = calloc(DR_MAX_LORAS, sizeof *paths);
    if (!paths) return error_set(err, DR_NOMEM, "no memory for the list of LoRAs");
    enum dr_code code = find_named(want, options->lora_directory, paths, err);
    for (int32_t i = 0; i < options->lora_count; ++i)
        wishes[count++] = (struct adapter_wish){.path = options->loras[i].path,
                                                .unet = options->loras[i].unet_weight,
                                                .text = options->loras[i].text_weight};
    for (int32_t i = 0; i < want->lora_count; ++i)
        wishes[count++] = (struct adapter_wish){.path = paths[i],
                                                .unet = want->loras[i].unet,
                                                .text = want->loras[i].text};
    if (code == DR_OK)
        code = adapter_set_open(adapters, pipeline, ledger, wishes, count, err);
    free(paths);
    return code;
}

enum dr_code dr_check_prompts(const struct dr_generate_options *options,
                              struct dr_error *err)
{
    struct job_request *const want = calloc(1, sizeof *want);
    char(*const paths)[DR_PATH_BYTES] = calloc(DR_MAX_LORAS, sizeof *paths);
    enum dr_code code = want && paths
                            ? prompt_request_check(options, want, err)
                            : error_set(err, DR_NOMEM, "no memory to check a prompt");
    if (code == DR_OK) code = find_named(want, options->lora_directory, paths, err);
    free(paths);
    free(want);
    return code;
}

/* ---- names ------------------------------------------------------------------------------- */

enum dr_code dr_find_lora(const char *text, const char *directory,
                          enum dr_lora_names names, char *path, struct dr_lora *lora,
                          struct dr_error *err)
{
    char folder[DR_PATH_BYTES], name[DR_PATH_BYTES];
    struct folder_listing listing;
    struct dr_lora found = {.path = path, .unet_weight = 1, .text_weight = 1};
    const bool takes_paths = names == DR_LORA_ANY;
    const bool is_file = takes_paths && access(text, F_OK) == 0;
    const size_t bytes =
        is_file ? strlen(text)
                : lora_text_split(text, &found.unet_weight, &found.text_weight);
    if (bytes == 0 || bytes >= sizeof name)
        return error_set(err, DR_BAD_INPUT, "a LoRA's name has 1 to %d bytes",
                         DR_PATH_BYTES - 1);
    memcpy(name, text, bytes);
    name[bytes] = '\0';
    if (is_file || (takes_paths && (strchr(name, '/') || access(name, F_OK) == 0))) {
        (void)snprintf(path, DR_PATH_BYTES, "%s", name);
        *lora = found;
        return DR_OK;
    }
    lora_folder_find(directory, folder);
    enum dr_code code = lora_folder_read(&listing, folder, err);
    if (code != DR_OK) return code;
    code = lora_folder_match(&listing, folder, name, path, err);
    folder_listing_free(&listing);
    if (code == DR_OK) *lora = found;
    return code;
}

/* ---- lists ------------------------------------------------------------------------------- */

static void append(char *text, size_t text_bytes, const char *between, const char *word)
{
    const size_t used = strlen(text);
    (void)snprintf(text + used, text_bytes - used, "%s%s", used ? between : "", word);
}

enum dr_code dr_inspect_lora(const char *path, struct dr_lora_info *info,
                             struct dr_error *err)
{
    struct adapter_file file;
    *info = (struct dr_lora_info){.family = "unknown"};
    (void)snprintf(info->path, sizeof info->path, "%s", path);
    (void)snprintf(info->file, sizeof info->file, "%s", path);
    path_stem(path, info->name, sizeof info->name);
    const enum dr_code code = adapter_file_open(&file, path, err);
    if (code != DR_OK) return code;
    if (file.family != FAMILY_UNKNOWN)
        (void)snprintf(info->family, sizeof info->family, "%s",
                       family_name(file.family));
    (void)snprintf(info->base_model, sizeof info->base_model, "%s",
                   file.base_model ? file.base_model : "");
    for (size_t i = 0; i < file.word_count; ++i)
        append(info->words, sizeof info->words, ", ", file.words[i]);
    for (int kind = 0; kind < ADAPTER_KIND_COUNT; ++kind)
        if (file.kind_counts[kind] > 0)
            append(info->kinds, sizeof info->kinds, " ",
                   adapter_kind_name((enum adapter_kind)kind));
    if (file.has_dora) append(info->kinds, sizeof info->kinds, " ", "DoRA");
    info->layer_count = (int32_t)file.layer_count;
    for (size_t i = 0; i < file.layer_count; ++i)
        if (file.layers[i].rank > info->rank) info->rank = file.layers[i].rank;
    info->unknown_count = (int32_t)file.unknown_count;
    info->bytes = file.bytes;
    adapter_file_close(&file);
    return DR_OK;
}

enum dr_code dr_list_loras(const char *directory, struct dr_lora_list *list,
                           struct dr_error *err)
{
    struct folder_listing listing;
    struct dr_error why;
    *list = (struct dr_lora_list){0};
    lora_folder_find(directory, list->directory);
    const enum dr_code code = lora_folder_read(&listing, list->directory, err);
    if (code != DR_OK) return code;
    list->loras = calloc(listing.count + 1, sizeof *list->loras);
    if (!list->loras) {
        folder_listing_free(&listing);
        return error_set(err, DR_NOMEM, "no memory for the list of LoRAs");
    }
    for (size_t i = 0; i < listing.count; ++i) {
        struct dr_lora_info *const info = &list->loras[list->count++];
        const char *const path = listing.entries[i].path;
        if (dr_inspect_lora(path, info, &why) != DR_OK)
            (void)snprintf(info->problem, sizeof info->problem, "%.500s", why.message);
        (void)snprintf(info->file, sizeof info->file, "%s",
                       folder_listing_below(list->directory, path));
    }
    (void)folder_listing_left_out(&listing, "LoRA directory", list->left_out);
    folder_listing_free(&listing);
    return DR_OK;
}

void dr_lora_list_free(struct dr_lora_list *list)
{
    if (!list) return;
    free(list->loras);
    *list = (struct dr_lora_list){0};
}
