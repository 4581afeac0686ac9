/* The packs of a folder, for people: darkroom.h's words for pack_store.h's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"

void engine_find_pack_folder(const char *option, char *folder, size_t folder_bytes)
{
    const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
    const char *const said = option ? option : getenv("DARKROOM_PACKS");
    folder[0] = '\0';
    if (option && !*option) return;
    if (said && *said) {
        if (strcmp(said, "off") != 0) (void)snprintf(folder, folder_bytes, "%s", said);
    } else if (cache && cache[0] == '/') {
        (void)snprintf(folder, folder_bytes, "%s/darkroom/packs", cache);
    } else if (home && *home) {
        (void)snprintf(folder, folder_bytes, "%s/.cache/darkroom/packs", home);
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
    if (item->problem[0]) return DR_PACK_DAMAGED;
    return item->is_checked ? DR_PACK_READY : DR_PACK_UNCHECKED;
}

static enum dr_code describe(const struct pack_store *store, unsigned flags,
                             struct pack_listing *item, struct dr_pack_info *info,
                             struct dr_error *err)
{
    const bool is_pack = !item->is_being_made && !item->is_leftover;
    if (flags & DR_PACKS_VERIFY && is_pack && !item->problem[0])
        pack_store_verify(store, item);
    *info = (struct dr_pack_info){.state = state_of(item),
                                  .bytes = item->bytes,
                                  .used_s = item->used_s};
    (void)snprintf(info->path, sizeof info->path, "%s", item->path);
    (void)snprintf(info->source, sizeof info->source, "%s", item->source);
    (void)snprintf(info->problem, sizeof info->problem, "%s", item->problem);
    if (!(flags & DR_PACKS_VERIFY) || !item->problem[0]) return DR_OK;
    return error_set(err, DR_CORRUPT, "%.900s; it is made again when it is wanted",
                     item->problem);
}

enum dr_code dr_packs_list(const char *folder, unsigned flags,
                           struct dr_pack_list *list, struct dr_error *err)
{
    struct pack_store store;
    struct pack_listing *items = NULL;
    size_t count = 0;
    enum dr_code worst = DR_OK;
    *list = (struct dr_pack_list){0};
    engine_find_pack_folder(folder, list->folder, sizeof list->folder);
    pack_store_open(&store, list->folder);
    enum dr_code code = pack_store_list(&store, &items, &count, err);
    if (code != DR_OK) return code;
    list->packs = calloc(count + 1, sizeof *list->packs);
    if (!list->packs) {
        free(items);
        return error_set(err, DR_NOMEM, "no memory for the list of packs");
    }
    for (size_t i = 0; i < count; ++i) {
        code = describe(&store, flags, &items[i], &list->packs[i],
                        worst == DR_OK ? err : NULL);
        if (code != DR_OK) worst = code;
        list->bytes += items[i].bytes;
    }
    list->count = count;
    free(items);
    return worst;
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
