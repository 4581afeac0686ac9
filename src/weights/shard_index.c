/* A sharded set's index: {"metadata": {...}, "weight_map": {"tensor": "shard", ...}}. The shards are
 * safetensors files or PyTorch's, each told by its first bytes.
 *
 * Shard names come from a file that was downloaded, so they may only be plain names beside the
 * index: no folders, no "..", nothing hidden. Index and shards are held against each other in
 * both directions; a set of which one file belongs to another download does not load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/tensor_reader.h"

enum {
    MAX_SHARDS = 256
};

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the list of shards");
}

/* Endings of files with tensors; what is in them tells how they are read. */
static bool has_ending(const char *name)
{
    static const char *const endings[] = {".safetensors", ".sft", ".bin",
                                          ".pt",          ".pth", ".ckpt"};
    const char *const dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; ++i)
        if (strcmp(dot, endings[i]) == 0) return true;
    return false;
}

static bool is_plain_name(const char *name)
{
    if (strlen(name) > 255 || name[0] == '.') return false;
    for (const char *c = name; *c; ++c)
        if (*c == '/' || *c == '\\' || (unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return has_ending(name);
}

/* "folder/of/the/index/name", in the pool. */
static char *beside(struct pool *pool, const char *index_path, const char *name)
{
    const char *const slash = strrchr(index_path, '/');
    const size_t folder_bytes = slash ? (size_t)(slash - index_path) + 1 : 0;
    char *const path = pool_alloc(pool, folder_bytes + strlen(name) + 1);
    if (!path) return NULL;
    memcpy(path, index_path, folder_bytes);
    memcpy(path + folder_bytes, name, strlen(name) + 1);
    return path;
}

/* The distinct shard names, in the order of the index; borrowed from it. */
static enum dr_code list_shards(json_t *map, const char *names[MAX_SHARDS],
                                size_t *count, struct dr_error *err)
{
    const char *tensor;
    json_t *value;
    *count = 0;
    json_object_foreach(map, tensor, value)
    {
        const char *const name = header_text(value);
        if (!name || !is_plain_name(name))
            return error_set(err, DR_CORRUPT,
                             "its index names the shard \"%.160s\" for tensor "
                             "%.160s, which is not the name of a .safetensors or "
                             ".bin file beside it",
                             name ? name : "(not a string)", tensor);
        size_t i = *count;
        while (i > 0 && strcmp(names[i - 1], name) != 0)
            --i;
        if (i > 0) continue;
        if (*count == MAX_SHARDS)
            return error_set(err, DR_UNSUPPORTED, "its index names more than %d shards",
                             MAX_SHARDS);
        names[(*count)++] = name;
    }
    return DR_OK;
}

/* The tensors from first on have come from the shard of that name: does the index agree? */
static enum dr_code check_shard(const struct tensor_list *list, size_t first,
                                json_t *map, const char *name, struct dr_error *err)
{
    for (size_t i = first; i < list->count; ++i) {
        const char *const tensor = list->tensors[i].name;
        const char *const expected = json_string_value(json_object_get(map, tensor));
        if (!expected)
            return error_set(err, DR_CORRUPT,
                             "shard %s has tensor %.160s, which is not in the index",
                             name, tensor);
        if (strcmp(expected, name) != 0)
            return error_set(err, DR_CORRUPT,
                             "tensor %.160s is in shard %s, but the index says %s",
                             tensor, name, expected);
    }
    return DR_OK;
}

static enum dr_code read_shard(struct tensor_file *file, struct tensor_list *list,
                               json_t *map, const char *name, size_t shard_idx,
                               struct dr_error *err)
{
    struct tensor_shard *const shard = &file->shards[shard_idx];
    const char *const path = beside(&file->pool, file->path, name);
    if (!path) return no_memory(err);
    enum dr_code code = tensor_shard_open(shard, path, err);
    if (code == DR_NOT_FOUND)
        error_prefix(err, "shard %s is missing beside the index", name);
    if (code) return code;
    file->shard_count = shard_idx + 1;
    const size_t first = list->count;
    const char *format = "";
    code = tensor_shard_parse_any(list, (int32_t)shard_idx, shard, &format, err);
    if (strncmp(format, "PyTorch", 7) == 0) file->format = "sharded PyTorch checkpoint";
    if (!code) code = check_shard(list, first, map, name, err);
    return code;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Every name of the index was read: counts are equal unless one is missing, since each tensor
 * was found in the index and in the one shard that the index gives it. */
static enum dr_code check_complete(const struct tensor_list *list, json_t *map,
                                   struct dr_error *err)
{
    if (list->count == json_object_size(map)) return DR_OK;
    const char **const names = malloc((list->count + 1) * sizeof names[0]);
    if (!names) return no_memory(err);
    for (size_t i = 0; i < list->count; ++i)
        names[i] = list->tensors[i].name;
    qsort(names, list->count, sizeof names[0], compare_names);
    const char *tensor;
    json_t *value;
    enum dr_code code = DR_CORRUPT;
    json_object_foreach(map, tensor, value)
    {
        if (bsearch(&tensor, names, list->count, sizeof names[0], compare_names))
            continue;
        error_set(err, code,
                  "the index lists tensor %.160s in shard %s, which does not have it",
                  tensor, json_string_value(value));
        break;
    }
    free(names);
    return code;
}

static enum dr_code read_metadata(struct tensor_list *list, json_t *metadata,
                                  struct dr_error *err)
{
    const char *key;
    json_t *value;
    enum dr_code code = DR_OK;
    json_object_foreach(metadata, key, value)
    {
        if (json_is_string(value)) code = tensor_list_metadata(list, key, value, err);
        if (code) break;
    }
    return code;
}

static enum dr_code read_map(struct tensor_file *file, struct tensor_list *list,
                             json_t *map, struct dr_error *err)
{
    const char *names[MAX_SHARDS];
    size_t count;
    enum dr_code code = list_shards(map, names, &count, err);
    if (!code) code = tensor_list_reserve(list, json_object_size(map), err);
    if (code) return code;
    file->format = "sharded safetensors"; /* unless a shard is another thing */
    file->shards = pool_alloc(&file->pool, (count + 1) * sizeof file->shards[0]);
    if (!file->shards) return no_memory(err);
    for (size_t i = 0; !code && i < count; ++i)
        code = read_shard(file, list, map, names[i], i, err);
    if (!code) code = check_complete(list, map, err);
    return code;
}

/* What a server says in place of a file, or NULL. */
static const char *answer_text(const json_t *root)
{
    static const char *const keys[] = {"error", "message", "detail",
                                       "Error", "Message", "error_description"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; ++i) {
        const json_t *value = json_object_get(root, keys[i]);
        if (json_is_object(value)) value = json_object_get(value, "message");
        if (json_is_string(value)) return json_string_value(value);
    }
    return NULL;
}

static enum dr_code read_root(struct tensor_file *file, struct tensor_list *list,
                              json_t *root, struct dr_error *err)
{
    json_t *const map = json_object_get(root, "weight_map");
    const char *const answer = map ? NULL : answer_text(root);
    if (answer)
        return error_set(err, DR_UNSUPPORTED,
                         "it is JSON without a \"weight_map\", probably a server's "
                         "error message: \"%.160s\"; download it again",
                         answer);
    if (!json_is_object(map))
        return error_set(
            err, DR_UNSUPPORTED,
            "it is JSON without a \"weight_map\": not the index of a sharded "
            "model");
    const enum dr_code code =
        read_metadata(list, json_object_get(root, "metadata"), err);
    return code ? code : read_map(file, list, map, err);
}

enum dr_code shard_index_read(struct tensor_file *file, struct tensor_list *list,
                              const char *text, size_t bytes, struct dr_error *err)
{
    json_t *root = NULL;
    enum dr_code code = header_parse(&root, "index", text, bytes, err);
    if (!code) code = read_root(file, list, root, err);
    json_decref(root);
    if (code) error_prefix(err, "%s", file->path);
    return code;
}
