/* diffusers folders: model_index.json, and a folder each for unet, vae, text_encoder, ... with
 * config.json and the tensors as one file, as a sharded set, or as a PyTorch file.
 *
 * A part is opened as a file of its own, and its tensors and shards are then moved into the
 * folder's table, the part's name before theirs. Every key of every config is noted as it stands
 * (tensor_file.h), for meaning.h to hold against its table. What a network's numbers depend on
 * becomes metadata too, where the tensors' file says nothing of its own:
 *
 *     vae/config.json        scaling_factor, shift_factor   darkroom.vae.scale_factor, .shift_factor
 *                            latents_mean, latents_std      darkroom.vae.latents_mean, .latents_std
 *     unet/config.json       attention_head_dim             darkroom.unet.heads, .head_dim
 *     text_encoder/..        num_attention_heads            darkroom.text.heads
 *                            hidden_act                     darkroom.text.activation
 *     text_encoder_2/..      the same                       darkroom.text2.heads, .activation
 *
 * attention_head_dim is a misnomer kept by diffusers: it holds numbers of heads, one for all
 * levels or one for each (models/unets/unet_2d_condition.py). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path_error.h"
#include "weights/tensor_reader.h"

enum {
    CONFIG_MAX_BYTES = 1 << 20,
    CONFIG_MAX_KEYS = 4096,
    CONFIG_KEY_BYTES = 256,
    CLIP_HEAD_DIM = 64, /* of every text encoder that says nothing else */
};

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the list of a directory's files");
}

/* ---- paths ---- */

/* "folder/part/name" in the pool; part may be "". */
static char *path_in(struct pool *pool, const char *folder, const char *part,
                     const char *name)
{
    const size_t bytes = strlen(folder) + strlen(part) + strlen(name) + 3;
    char *const path = pool_alloc(pool, bytes);
    if (path)
        (void)snprintf(path, bytes, "%s/%s%s%s", folder, part, *part ? "/" : "", name);
    return path;
}

/* A name that leads to nothing counts: it is opened then, and the error says why that cannot be. */
static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? S_ISREG(status.st_mode) : path_is_broken(path);
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? S_ISDIR(status.st_mode) : path_is_broken(path);
}

/* ---- configs ---- */

/* What Python's json writes of numbers that JSON has not becomes a text: -Infinity is
 * "-Infinity". out has room for twice the bytes; how many there are now. */
static size_t quote_numbers(const char *text, size_t bytes, char *out)
{
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};
    size_t used = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes;) {
        size_t word_bytes = 0;
        for (size_t w = 0; !in_string && w < sizeof words / sizeof words[0]; ++w)
            if (!word_bytes && bytes - i >= strlen(words[w]) &&
                memcmp(text + i, words[w], strlen(words[w])) == 0)
                word_bytes = strlen(words[w]);
        if (word_bytes) {
            out[used++] = '"';
            memcpy(out + used, text + i, word_bytes);
            used += word_bytes;
            out[used++] = '"';
            i += word_bytes;
            continue;
        }
        if (in_string && text[i] == '\\' && i + 1 < bytes)
            out[used++] = text[i++];
        else if (text[i] == '"')
            in_string = !in_string;
        out[used++] = text[i++];
    }
    return used;
}

/* *out stays NULL where there is no such file. */
static enum dr_code read_config(json_t **out, const char *path, struct dr_error *err)
{
    struct tensor_shard config;
    if (!is_file(path)) return DR_OK;
    enum dr_code code = tensor_shard_open(&config, path, err);
    if (code) return code;
    struct pool pool = {0};
    const uint64_t bytes = config.identity.bytes;
    const bool is_small = bytes <= CONFIG_MAX_BYTES;
    char *const text = is_small ? pool_alloc(&pool, bytes) : NULL;
    char *const json = text ? pool_alloc(&pool, 2 * bytes) : NULL;
    if (!is_small) {
        code = error_set(err, DR_CORRUPT, "%s has %llu bytes, too many for a config",
                         path, (unsigned long long)bytes);
    } else if (!json) {
        code = no_memory(err);
    } else {
        code = tensor_shard_read(&config, 0, text, (size_t)bytes, err);
        if (!code)
            code = header_parse(out, "config", json,
                                quote_numbers(text, (size_t)bytes, json), err);
        if (code) error_prefix(err, "%s", path);
    }
    pool_finish(&pool);
    tensor_shard_close(&config);
    return code;
}

static enum dr_code note_number(struct tensor_list *list, const char *key,
                                const json_t *number, struct dr_error *err)
{
    char text[32];
    if (!json_is_number(number)) return DR_OK;
    (void)snprintf(text, sizeof text, "%.9g", json_number_value(number));
    return tensor_list_text(list, key, text, err);
}

/* What the text encoders can do; meaning.h's table refuses what else there is. */
static enum dr_code note_activation(struct tensor_list *list, const char *key,
                                    const json_t *config, struct dr_error *err)
{
    const char *const text = json_string_value(json_object_get(config, "hidden_act"));
    const bool is_known =
        text && (strcmp(text, "quick_gelu") == 0 || strcmp(text, "gelu") == 0);
    return is_known ? tensor_list_text(list, key, text, err) : DR_OK;
}

/* An array of numbers, as "0.1,0.2". */
static enum dr_code note_numbers(struct tensor_list *list, const char *key,
                                 const json_t *numbers, struct dr_error *err)
{
    char text[256] = "";
    size_t used = 0;
    if (!numbers || json_is_null(numbers)) return DR_OK;
    for (size_t i = 0; i < json_array_size(numbers); ++i) {
        const json_t *const number = json_array_get(numbers, i);
        if (!json_is_number(number) || used + 32 > sizeof text)
            return error_set(err, DR_UNSUPPORTED,
                             "%s cannot be derived: a list of numbers is needed", key);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.9g",
                                 i ? "," : "", json_number_value(number));
    }
    return used ? tensor_list_text(list, key, text, err) : DR_OK;
}

static enum dr_code note_vae(struct tensor_list *list, const json_t *config,
                             struct dr_error *err)
{
    enum dr_code code = note_number(list, "darkroom.vae.scale_factor",
                                    json_object_get(config, "scaling_factor"), err);
    if (!code)
        code = note_number(list, "darkroom.vae.shift_factor",
                           json_object_get(config, "shift_factor"), err);
    if (!code)
        code = note_numbers(list, "darkroom.vae.latents_mean",
                            json_object_get(config, "latents_mean"), err);
    return code ? code
                : note_numbers(list, "darkroom.vae.latents_std",
                               json_object_get(config, "latents_std"), err);
}

/* How many heads, where a list for the levels has the same number for all; else 0. */
static json_int_t same_number(const json_t *heads)
{
    const json_int_t first = json_integer_value(json_array_get(heads, 0));
    for (size_t i = 1; i < json_array_size(heads); ++i)
        if (json_integer_value(json_array_get(heads, i)) != first) return 0;
    return first;
}

/* The width of a head where each level says how many it has, and it is the same for all. */
static json_int_t head_dim_of(const json_t *channels, const json_t *heads)
{
    json_int_t head_dim = 0;
    for (size_t i = 0; i < json_array_size(heads); ++i) {
        const json_int_t width = json_integer_value(json_array_get(channels, i));
        const json_int_t count = json_integer_value(json_array_get(heads, i));
        if (count < 1 || width % count != 0 || (i > 0 && width / count != head_dim))
            return 0;
        head_dim = width / count;
    }
    return head_dim;
}

static enum dr_code note_unet(struct tensor_list *list, const json_t *config,
                              struct dr_error *err)
{
    const json_t *heads = json_object_get(config, "num_attention_heads");
    if (!heads || json_is_null(heads))
        heads = json_object_get(config, "attention_head_dim");
    if (!json_is_array(heads))
        return note_number(list, "darkroom.unet.heads", heads, err);
    if (same_number(heads) > 0)
        return note_number(list, "darkroom.unet.heads", json_array_get(heads, 0), err);
    json_t *const head_dim =
        json_integer(head_dim_of(json_object_get(config, "block_out_channels"), heads));
    if (!head_dim) return no_memory(err);
    const enum dr_code code =
        json_integer_value(head_dim) > 0
            ? note_number(list, "darkroom.unet.head_dim", head_dim, err)
            : DR_OK;
    json_decref(head_dim);
    return code;
}

static enum dr_code note_heads(struct tensor_list *list, const char *key,
                               const json_t *config, struct dr_error *err)
{
    const json_t *const heads = json_object_get(config, "num_attention_heads");
    const json_int_t width = json_integer_value(json_object_get(config, "hidden_size"));
    if (width % CLIP_HEAD_DIM == 0 &&
        json_integer_value(heads) == width / CLIP_HEAD_DIM)
        return DR_OK;
    return note_number(list, key, heads, err);
}

static enum dr_code note_text(struct tensor_list *list, const json_t *config,
                              struct dr_error *err)
{
    const enum dr_code code = note_heads(list, "darkroom.text.heads", config, err);
    return code ? code : note_activation(list, "darkroom.text.activation", config, err);
}

static enum dr_code note_text2(struct tensor_list *list, const json_t *config,
                               struct dr_error *err)
{
    const enum dr_code code = note_heads(list, "darkroom.text2.heads", config, err);
    return code ? code
                : note_activation(list, "darkroom.text2.activation", config, err);
}

static enum dr_code note_nothing(struct tensor_list *list, const json_t *config,
                                 struct dr_error *err)
{
    (void)list;
    (void)config;
    (void)err;
    return DR_OK;
}

/* ---- every key of a config ---- */

static enum dr_code note_value(struct tensor_list *list,
                               const struct tensor_metadata *where, const char *key,
                               json_t *value, struct dr_error *err)
{
    struct tensor_metadata said = *where;
    char number[32];
    char *dumped = NULL;
    if (json_is_real(
            value)) /* the digits that were meant: 0.012, not 0.012000000000000000 */
        (void)snprintf(number, sizeof number, "%.9g", json_real_value(value));
    else if (!json_is_string(value))
        dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    said.key = key;
    said.text = json_is_real(value)     ? number
                : json_is_string(value) ? json_string_value(value)
                                        : dumped;
    const enum dr_code code =
        said.text ? tensor_list_config(list, &said, err) : no_memory(err);
    free(dumped);
    return code;
}

/* header_parse has bounded the depth. Keys of objects within are joined by dots. */
static enum dr_code note_keys(struct tensor_list *list,
                              const struct tensor_metadata *where, const char *outer,
                              json_t *config, struct dr_error *err)
{
    const char *key;
    json_t *value;
    enum dr_code code = DR_OK;
    if (json_object_size(config) > CONFIG_MAX_KEYS)
        return error_set(err, DR_CORRUPT, "%zu keys are too many for a config",
                         json_object_size(config));
    json_object_foreach(config, key, value)
    {
        char whole[CONFIG_KEY_BYTES];
        const int bytes =
            snprintf(whole, sizeof whole, "%s%s%s", outer, *outer ? "." : "", key);
        if (bytes < 0 || (size_t)bytes >= sizeof whole)
            return error_set(err, DR_CORRUPT, "a key is longer than %d bytes",
                             CONFIG_KEY_BYTES - 1);
        code = json_is_object(value) ? note_keys(list, where, whole, value, err)
                                     : note_value(list, where, whole, value, err);
        if (code) break;
    }
    return code;
}

/* A whole CLIP's config has that of its text half within it, as transformers takes it. */
static json_t *part_of(json_t *config, enum config_kind kind)
{
    json_t *const text = json_object_get(config, "text_config");
    const char *const type = json_string_value(json_object_get(config, "model_type"));
    const bool is_clip = (kind == CONFIG_TEXT || kind == CONFIG_TEXT2) && type &&
                         strcmp(type, "clip") == 0;
    return is_clip && json_is_object(text) ? text : config;
}

typedef enum dr_code (*config_noter)(struct tensor_list *list, const json_t *config,
                                     struct dr_error *err);

/* A config that may be there: its keys, and what `note` makes of it. */
static enum dr_code note_config(struct tensor_list *list, enum config_kind kind,
                                const char *path, config_noter note,
                                struct dr_error *err)
{
    json_t *config = NULL;
    if (!path) return no_memory(err);
    enum dr_code code = read_config(&config, path, err);
    const struct tensor_metadata where = {.config = kind, .config_path = path};
    if (!code && config) {
        json_t *const part = part_of(config, kind);
        code = note_keys(list, &where, "", part, err);
        if (!code) code = note(list, part, err);
        if (code) error_prefix(err, "%.600s", path);
    }
    json_decref(config);
    return code;
}

/* The noter of a network whose config says what class it is. */
static enum dr_code note_network(struct tensor_list *list, const char *path,
                                 struct dr_error *err)
{
    json_t *config = NULL;
    enum dr_code code = read_config(&config, path, err);
    const char *const class_name =
        json_string_value(json_object_get(config, "_class_name"));
    const bool is_vae = class_name && strcmp(class_name, "AutoencoderKL") == 0;
    const bool is_unet = class_name && strcmp(class_name, "UNet2DConditionModel") == 0;
    json_decref(config);
    if (!code && is_vae) code = note_config(list, CONFIG_VAE, path, note_vae, err);
    if (!code && is_unet) code = note_config(list, CONFIG_UNET, path, note_unet, err);
    return code;
}

enum dr_code diffusers_config_beside(struct tensor_list *list, const char *path,
                                     struct dr_error *err)
{
    static const char stem[] = "diffusion_pytorch_model.";
    const char *const slash = strrchr(path, '/');
    const char *const name = slash ? slash + 1 : path;
    if (strncmp(name, stem, strlen(stem)) != 0) return DR_OK;
    const size_t folder_bytes = (size_t)(name - path);
    char *const config = pool_alloc(list->pool, folder_bytes + sizeof "config.json");
    if (!config) return no_memory(err);
    memcpy(config, path, folder_bytes);
    memcpy(config + folder_bytes, "config.json", sizeof "config.json");
    return note_network(list, config, err);
}

/* ---- parts ---- */

/* The file with a part's tensors, in the pool; NULL in *out where there is none. */
static enum dr_code find_tensors(struct pool *pool, const char *folder,
                                 const char *part, const char **out,
                                 struct dr_error *err)
{
    static const char *const stems[] = {"diffusion_pytorch_model", "model",
                                        "pytorch_model"};
    static const char *const endings[] = {
        ".safetensors",
        ".safetensors.index.json",
        ".fp16.safetensors",
        ".fp16.safetensors.index.json",
        ".safetensors.index.fp16.json",
        ".safetensors.fp16.index.json",
        ".bin",
        ".bin.index.json",
        ".fp16.bin",
        ".fp16.bin.index.json",
        ".bin.index.fp16.json",
        ".bin.fp16.index.json",
    };
    *out = NULL;
    for (size_t e = 0; e < sizeof endings / sizeof endings[0]; ++e)
        for (size_t s = 0; s < sizeof stems / sizeof stems[0]; ++s) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s%s", stems[s], endings[e]);
            const char *const path = path_in(pool, folder, part, name);
            if (!path) return no_memory(err);
            if (!is_file(path)) continue;
            *out = path;
            return DR_OK;
        }
    return DR_OK;
}

/* Move the shards of a part's file into file; where they begin there. */
static enum dr_code move_shards(struct tensor_file *file, struct tensor_file *part,
                                size_t *first, struct dr_error *err)
{
    *first = file->shard_count;
    struct tensor_shard *const shards =
        pool_grow(&file->pool, file->shards, file->shard_count,
                  file->shard_count + part->shard_count, sizeof shards[0]);
    if (!shards) return no_memory(err);
    file->shards = shards;
    for (size_t i = 0; i < part->shard_count; ++i) {
        struct tensor_shard moved = part->shards[i];
        moved.path = pool_string(&file->pool, moved.path);
        if (!moved.path) return no_memory(err);
        part->shards[i].descriptor = -1;
        file->shards[file->shard_count++] = moved;
    }
    return DR_OK;
}

static enum dr_code move_tensors(struct tensor_list *list,
                                 const struct tensor_file *part, const char *prefix,
                                 size_t first_shard, struct dr_error *err)
{
    enum dr_code code = tensor_list_reserve(list, part->tensor_count, err);
    for (size_t i = 0; !code && i < part->tensor_count; ++i) {
        struct tensor tensor = part->tensors[i];
        const size_t bytes = strlen(prefix) + strlen(tensor.name) + 2;
        char *const name = pool_alloc(list->pool, bytes);
        if (!name) return no_memory(err);
        (void)snprintf(name, bytes, "%s%s%s", prefix, *prefix ? "/" : "", tensor.name);
        tensor.name = name;
        tensor.shard_idx += (int32_t)first_shard;
        list->tensors[list->count++] = tensor;
    }
    for (size_t i = 0; !code && i < part->metadata_count; ++i)
        code = tensor_list_config(list, &part->metadata[i], err);
    return code;
}

static enum dr_code read_part(struct tensor_file *file, struct tensor_list *list,
                              const char *path, const char *name, struct dr_error *err)
{
    struct tensor_file part;
    size_t first_shard = 0;
    enum dr_code code = tensor_file_open_one(&part, path, err);
    if (code) return code;
    code = move_shards(file, &part, &first_shard, err);
    if (!code) code = move_tensors(list, &part, name, first_shard, err);
    tensor_file_close(&part);
    return code;
}

/* A part that is not there is left to who needs it; one without tensors is an error. */
static enum dr_code read_named_part(struct tensor_file *file, struct tensor_list *list,
                                    const char *name, struct dr_error *err)
{
    const char *path = NULL;
    const char *const folder = path_in(&file->pool, file->path, "", name);
    if (!folder) return no_memory(err);
    if (!is_folder(folder)) return DR_OK;
    const enum dr_code code = find_tensors(&file->pool, file->path, name, &path, err);
    if (code) return code;
    struct stat status;
    if (!path && stat(folder, &status) != 0)
        return path_error_set(err, errno, "cannot read directory", folder);
    if (!path)
        return error_set(
            err, DR_NOT_FOUND,
            "%s has no weights: neither a .safetensors nor a .bin file with the name "
            "that diffusers uses",
            folder);
    return read_part(file, list, path, name, err);
}

static enum dr_code read_pipeline(struct tensor_file *file, struct tensor_list *list,
                                  struct dr_error *err)
{
    static const char *const parts[] = {"unet", "vae", "text_encoder",
                                        "text_encoder_2"};
    static const struct {
        const char *part, *name;
        enum config_kind kind;
        config_noter note;
    } configs[] = {
        {"",               "model_index.json",      CONFIG_PIPELINE,  note_nothing},
        {"text_encoder",   "config.json",           CONFIG_TEXT,      note_text   },
        {"text_encoder_2", "config.json",           CONFIG_TEXT2,     note_text2  },
        {"scheduler",      "scheduler_config.json", CONFIG_SCHEDULER, note_nothing},
 /* Their tensors' files have noted these, where they are in diffusers' names. */
        {"unet",           "config.json",           CONFIG_UNET,      note_unet   },
        {"vae",            "config.json",           CONFIG_VAE,       note_vae    },
    };
    enum dr_code code = DR_OK;
    for (size_t i = 0; !code && i < sizeof parts / sizeof parts[0]; ++i)
        code = read_named_part(file, list, parts[i], err);
    for (size_t i = 0; !code && i < sizeof configs / sizeof configs[0]; ++i)
        code = note_config(list, configs[i].kind,
                           path_in(&file->pool, file->path, configs[i].part,
                                   configs[i].name),
                           configs[i].note, err);
    return code;
}

enum dr_code diffusers_folder_read(struct tensor_file *file, struct tensor_list *list,
                                   struct dr_error *err)
{
    const char *tensors = NULL;
    const char *const index = path_in(&file->pool, file->path, "", "model_index.json");
    if (!index) return no_memory(err);
    if (is_file(index)) return read_pipeline(file, list, err);
    const enum dr_code code = find_tensors(&file->pool, file->path, "", &tensors, err);
    if (code) return code;
    if (!tensors)
        return error_set(err, DR_UNSUPPORTED,
                         "%s is a directory without model_index.json: give a "
                         "diffusers directory, or one checkpoint file",
                         file->path);
    return read_part(file, list, tensors, "", err);
}
