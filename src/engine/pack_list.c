/* The packs of a folder, for people: darkroom.h's words for pack_store.h's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/xdg.h"
#include "engine/engine.h"

void engine_find_pack_folder(const char *option, char *folder, size_t folder_bytes)
{
    const char *const said = option ? option : getenv("DARKROOM_PACKS");
    folder[0] = '\0';
    if (option && !*option) return;
    if (said && *said) {
        if (strcmp(said, "off") != 0) (void)snprintf(folder, folder_bytes, "%s", said);
    } else {
        (void)xdg_path(XDG_CACHE, "packs", folder, folder_bytes);
    }
}

const char *dr_pack_state_name(enum dr_pack_state state)
{
    switch (state) {
    case DR_PACK_READY: return "ready";
    case DR_PACK_UNCHECKED: return "unchecked";
    case DR_PACK_DAMAGED: return "damaged";
    case DR_PACK_LEFTOVER: return "leftover";
    case DR_PACK_BEING_MADE: return "being made";
    }
    return "";
}

static enum dr_pack_state state_of(const struct pack_listing *item)
{
    if (item->is_being_made) return DR_PACK_BEING_MADE;
    if (item->is_leftover) return DR_PACK_LEFTOVER;
    if (item->is_damaged) return DR_PACK_DAMAGED;
    return item->is_checked ? DR_PACK_READY : DR_PACK_UNCHECKED;
}

static bool is_pack(const struct pack_listing *item)
{
    return !item->is_being_made && !item->is_leftover;
}

/* Read it whole. What is wrong with it already is said again. */
static enum dr_code verify(const struct pack_store *store, struct pack_listing *item,
                           struct load_progress *progress, struct dr_error *err)
{
    if (!is_pack(item)) return DR_OK;
    enum dr_code code = item->is_damaged ? DR_CORRUPT : DR_IO;
    if (item->problem[0])
        error_set(err, code, "%.255s", item->problem);
    else
        code =
            pack_store_verify(store, item,
                              load_progress_part(progress, "pack", item->bytes), err);
    if (code == DR_CORRUPT && err)
        error_set(err, code, "%.900s; it is made again when it is needed",
                  item->problem);
    return code;
}

static void describe(const struct pack_listing *item, struct dr_pack_info *info)
{
    *info = (struct dr_pack_info){.state = state_of(item),
                                  .bytes = item->bytes,
                                  .used_s = item->used_s};
    (void)snprintf(info->path, sizeof info->path, "%s", item->path);
    (void)snprintf(info->source, sizeof info->source, "%s", item->source);
    (void)snprintf(info->problem, sizeof info->problem, "%s", item->problem);
}

/* All that can be read, though one is damaged: the first error, or a cancel. */
static enum dr_code verify_all(const struct pack_store *store,
                               struct pack_listing *items, size_t count,
                               const struct dr_packs_options *how, struct dr_error *err)
{
    struct cancel cancel = {0};
    struct load_progress progress;
    uint64_t total_bytes = 0;
    enum dr_code worst = DR_OK;
    for (size_t i = 0; i < count; ++i)
        if (is_pack(&items[i]) && !items[i].problem[0]) total_bytes += items[i].bytes;
    load_progress_begin(&progress,
                        &(struct load_progress_sink){how->progress,
                                                     how->progress_cookie, &cancel},
                        total_bytes);
    for (size_t i = 0; i < count; ++i) {
        struct dr_error why;
        const enum dr_code code = verify(store, &items[i], &progress, &why);
        if (code == DR_OK || (worst != DR_OK && code != DR_CANCELLED)) continue;
        worst = code;
        if (err) *err = why;
        if (code == DR_CANCELLED) break;
    }
    return worst;
}

enum dr_code dr_packs_list(const char *folder, const struct dr_packs_options *options,
                           struct dr_pack_list *list, struct dr_error *err)
{
    static const struct dr_packs_options none;
    const struct dr_packs_options *const how = options ? options : &none;
    struct pack_store store;
    struct pack_listing *items = NULL;
    size_t count = 0;
    *list = (struct dr_pack_list){0};
    engine_find_pack_folder(folder, list->folder, sizeof list->folder);
    pack_store_open(&store, list->folder);
    enum dr_code code = pack_store_list(&store, &items, &count, err);
    if (code != DR_OK) return code;
    list->packs = calloc(count + 1, sizeof *list->packs);
    if (!list->packs)
        code = error_set(err, DR_NOMEM, "no memory for the list of packs");
    if (code == DR_OK && how->flags & DR_PACKS_VERIFY)
        code = verify_all(&store, items, count, how, err);
    if (code == DR_CANCELLED) dr_pack_list_free(list);
    if (!list->packs) count = 0;
    for (size_t i = 0; i < count; ++i) {
        describe(&items[i], &list->packs[i]);
        list->bytes += items[i].bytes;
    }
    list->count = count;
    free(items);
    return code;
}

void dr_pack_list_free(struct dr_pack_list *list)
{
    if (!list) return;
    free(list->packs);
    *list = (struct dr_pack_list){0};
}

enum dr_code dr_packs_prune(const char *folder, uint64_t keep_bytes,
                            struct dr_pack_prune *result, struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    struct pack_store store;
    struct pack_prune pruned;
    engine_find_pack_folder(folder, path, sizeof path);
    pack_store_open(&store, path);
    const enum dr_code code = pack_store_prune(&store, keep_bytes, &pruned, err);
    if (code != DR_OK) return code;
    *result = (struct dr_pack_prune){.removed_bytes = pruned.removed_bytes,
                                     .kept_bytes = pruned.kept_bytes,
                                     .removed_count = pruned.removed_count,
                                     .kept_count = pruned.kept_count};
    return DR_OK;
}
