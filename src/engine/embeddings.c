/* Embeddings as people see them: dr_list_embeddings, dr_inspect_embedding. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/path.h"
#include "engine/engine.h"
#include "switch/embedding_folder.h"
#include "weights/embedding_file.h"

static void take_text(char *out, size_t out_bytes, const char *text)
{
    (void)snprintf(out, out_bytes, "%s", text ? text : "");
}

enum dr_code dr_inspect_embedding(const char *path, struct dr_embedding_info *info,
                                  struct dr_error *err)
{
    struct embedding_file file;
    *info = (struct dr_embedding_info){.family = "unknown", .step = -1};
    take_text(info->path, sizeof info->path, path);
    path_stem(path, info->name, sizeof info->name);
    const enum dr_code code = embedding_file_open(&file, path, NULL, err);
    if (code != DR_OK) return code;
    if (file.family != FAMILY_UNKNOWN)
        take_text(info->family, sizeof info->family, family_name(file.family));
    take_text(info->base_model, sizeof info->base_model, file.base_model);
    take_text(info->base_hash, sizeof info->base_hash, file.base_hash);
    info->step = file.step ? (int32_t)strtol(file.step, NULL, 10) : -1;
    info->vector_count = file.vector_count;
    for (int i = 0; i < EMBEDDING_TEXTS; ++i)
        info->widths[i] = file.widths[i];
    info->bytes = file.bytes;
    (void)embedding_file_hash(&file, info->hash);
    embedding_file_close(&file);
    return DR_OK;
}

enum dr_code dr_list_embeddings(const char *directory, struct dr_embedding_list *list,
                                struct dr_error *err)
{
    struct folder_listing listing;
    struct dr_error why;
    *list = (struct dr_embedding_list){0};
    embedding_folder_find(directory, list->directory);
    const enum dr_code code = embedding_folder_read(&listing, list->directory, err);
    if (code != DR_OK) return code;
    list->embeddings = calloc(listing.count + 1, sizeof *list->embeddings);
    if (!list->embeddings) {
        folder_listing_free(&listing);
        return error_set(err, DR_NOMEM, "no memory for the list of embeddings");
    }
    for (size_t i = 0; i < listing.count; ++i) {
        struct dr_embedding_info *const info = &list->embeddings[list->count++];
        if (dr_inspect_embedding(listing.entries[i].path, info, &why) != DR_OK)
            (void)snprintf(info->problem, sizeof info->problem, "%.500s", why.message);
    }
    (void)folder_listing_left_out(&listing, EMBEDDING_FOLDER_WHAT, list->left_out);
    folder_listing_free(&listing);
    return DR_OK;
}

void dr_embedding_list_free(struct dr_embedding_list *list)
{
    if (!list) return;
    free(list->embeddings);
    *list = (struct dr_embedding_list){0};
}
