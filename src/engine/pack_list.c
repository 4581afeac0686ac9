/* The packs of a folder, for people: darkroom.h's words for pack_store.h's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/path.h"
#include "base/xdg.h"
#include "engine/engine.h"
#include "weights/pack_room.h"

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
    case DR_PACK_OUTDATED: return "outdated";
    }
    return "";
}

static enum dr_pack_state state_of(const struct pack_listing *item)
{
    if (item->is_being_made) return DR_PACK_BEING_MADE;
    if (item->is_leftover) return DR_PACK_LEFTOVER;
    if (item->is_damaged) return DR_PACK_DAMAGED;
    if (item->is_outdated) return DR_PACK_OUTDATED;
    return item->is_checked ? DR_PACK_READY : DR_PACK_UNCHECKED;
}

static bool is_pack(const struct pack_listing *item)
{
    return !item->is_being_made && !item->is_leftover && !item->is_outdated;
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

enum {
    LEAST_DIGITS = 4, /* of a pack's name where one is named */
    SHOWN_DIGITS = 12
};

static void describe(const struct pack_listing *item, struct dr_pack_info *info)
{
    *info = (struct dr_pack_info){.state = state_of(item),
                                  .bytes = item->bytes,
                                  .used_s = item->used_ns / 1000000000,
                                  .in_use = item->is_in_use,
                                  .goes = item->goes};
    (void)snprintf(info->path, sizeof info->path, "%s", item->path);
    (void)snprintf(info->name, sizeof info->name, "%.*s", SHOWN_DIGITS,
                   path_name(item->path));
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

/* The folder, with the limit that the user's settings have. */
static enum dr_code open_store(struct pack_store *store, const char *folder,
                               struct dr_error *err)
{
    struct dr_settings *const settings = calloc(1, sizeof *settings);
    if (!settings) return error_set(err, DR_NOMEM, "no memory for the settings");
    const enum dr_code code = dr_settings_read(NULL, settings, err);
    pack_store_open(store, folder);
    store->limit_bytes = settings->packs_limit_bytes;
    dr_settings_free(settings);
    free(settings);
    return code;
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
    enum dr_code code = open_store(&store, list->folder, err);
    if (code == DR_OK) code = pack_store_list(&store, &items, &count, err);
    if (code != DR_OK) return code;
    list->packs = calloc(count + 1, sizeof *list->packs);
    if (!list->packs)
        code = error_set(err, DR_NOMEM, "no memory for the list of packs");
    if (code == DR_OK && how->flags & DR_PACKS_VERIFY)
        code = verify_all(&store, items, count, how, err);
    if (how->flags & DR_PACKS_PLAN) pack_room_plan_prune(items, count, how->keep_bytes);
    if (code == DR_CANCELLED) dr_pack_list_free(list);
    if (!list->packs) count = 0;
    for (size_t i = 0; i < count; ++i) {
        describe(&items[i], &list->packs[i]);
        list->bytes += items[i].bytes;
    }
    list->count = count;
    list->limit_bytes = pack_room_limit(&store, list->bytes, list->limit_text);
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
    const enum dr_code code = pack_room_prune(&store, keep_bytes, &pruned, err);
    if (code != DR_OK) return code;
    *result = (struct dr_pack_prune){.removed_bytes = pruned.removed_bytes,
                                     .kept_bytes = pruned.kept_bytes,
                                     .in_use_bytes = pruned.in_use_bytes,
                                     .removed_count = pruned.removed_count,
                                     .kept_count = pruned.kept_count,
                                     .in_use_count = pruned.in_use_count};
    return DR_OK;
}

/* ---- by name ------------------------------------------------------------------------------ */

/* Is it the beginning of the pack's name, or its path? */
static bool is_named(const struct pack_listing *item, const char *name)
{
    const size_t length = strlen(name);
    if (strchr(name, '/')) return strcmp(item->path, name) == 0;
    return (length >= LEAST_DIGITS && length <= PACK_NAME_DIGITS &&
            strncmp(path_name(item->path), name, length) == 0) ||
           strcmp(path_name(item->path), name) == 0;
}

/* Was it made from this model? */
static bool is_of_model(const struct pack_listing *item, const char *name)
{
    const char *const of = strstr(item->source, " of ");
    if (!of) return false;
    const char *const path = of + 4, *const file = path_name(path);
    const char *const dot = strrchr(file, '.');
    const size_t stem = dot && dot != file ? (size_t)(dot - file) : strlen(file);
    return strcmp(path, name) == 0 || strcmp(file, name) == 0 ||
           (strlen(name) == stem && strncmp(file, name, stem) == 0);
}

/* Mark with `goes` what is meant. */
static enum dr_code choose_named(struct pack_listing *items, size_t count,
                                 const char *name, struct dr_error *err)
{
    char names[DR_TEXT_BYTES] = "";
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        items[i].goes = is_named(&items[i], name);
        if (!items[i].goes) continue;
        const size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, "%s%.12s (%.80s)",
                       found ? ", " : "", path_name(items[i].path), items[i].source);
        ++found;
    }
    if (found > 1)
        return error_set(err, DR_BAD_INPUT,
                         "%.100s is the beginning of several packs' names: %.500s; "
                         "give more of it",
                         name, names);
    if (found == 1) return DR_OK;
    for (size_t i = 0; i < count; ++i) {
        items[i].goes = is_of_model(&items[i], name);
        found += items[i].goes;
    }
    if (found) return DR_OK;
    return error_set(err, DR_NOT_FOUND,
                     "no pack has the name %.300s, and none was made from a model of "
                     "that name; darkroom packs lists the names",
                     name);
}

static enum dr_code remove_chosen(const struct pack_listing *items, size_t count,
                                  struct dr_pack_prune *result, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < count; ++i)
        if (items[i].goes && (items[i].is_in_use || items[i].is_being_made))
            return error_set(err, DR_BUSY,
                             "the pack %.12s (%.400s) is in use by a process; remove "
                             "it when that process has ended",
                             path_name(items[i].path), items[i].source);
    for (size_t i = 0; i < count && code == DR_OK; ++i) {
        if (items[i].goes) code = pack_room_remove(&items[i], err);
        const bool is_removed = items[i].goes && code == DR_OK;
        *(is_removed ? &result->removed_bytes : &result->kept_bytes) += items[i].bytes;
        ++*(is_removed ? &result->removed_count : &result->kept_count);
        if (!items[i].is_in_use) continue;
        result->in_use_bytes += items[i].bytes;
        ++result->in_use_count;
    }
    return code;
}

enum dr_code dr_packs_remove(const char *folder, const char *name,
                             struct dr_pack_prune *result, struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    struct pack_store store;
    struct pack_listing *items = NULL;
    size_t count = 0;
    *result = (struct dr_pack_prune){0};
    engine_find_pack_folder(folder, path, sizeof path);
    pack_store_open(&store, path);
    enum dr_code code = pack_store_list(&store, &items, &count, err);
    if (code == DR_OK) code = choose_named(items, count, name, err);
    if (code == DR_OK) code = remove_chosen(items, count, result, err);
    free(items);
    return code;
}
