#include "weights/adapter_file.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/text_file.h"
#include "weights/adapter_config.h"
#include "weights/adapter_shape.h"
#include "weights/adapter_words.h"
#include "weights/tensor_reader.h"

enum {
    CONFIG_MOST_BYTES = 1 << 20
};

/* ---- sorting tensors into layers ---- */

struct found {
    struct adapter_name name;
    const struct tensor *tensor;
};

static int compare_modules(const struct adapter_name *a, const struct adapter_name *b)
{
    if (a->role != b->role) return a->role < b->role ? -1 : 1;
    return strcmp(a->module, b->module);
}

static int compare_found(const void *left, const void *right)
{
    const struct found *const a = left, *const b = right;
    const int order = compare_modules(&a->name, &b->name);
    return order ? order
                 : (a->name.part > b->name.part) - (a->name.part < b->name.part);
}

static void note_unknown(struct adapter_file *adapter, const char *name)
{
    if (adapter->unknown_count < ADAPTER_LISTED_NAMES)
        adapter->unknown[adapter->unknown_count] = name;
    ++adapter->unknown_count;
}

static enum dr_code find(struct adapter_file *adapter, struct found *found,
                         size_t *count, struct dr_error *err)
{
    const struct tensor_file *const file = &adapter->file;
    for (size_t i = 0; i < file->tensor_count; ++i) {
        const struct tensor *const tensor = &file->tensors[i];
        const char *method = NULL;
        struct found *const next = &found[*count];
        switch (adapter_name_read(tensor->name, &next->name, &method)) {
        case ADAPTER_NAME_KNOWN:
            next->tensor = tensor;
            ++*count;
            break;
        case ADAPTER_NAME_UNKNOWN: note_unknown(adapter, tensor->name); break;
        case ADAPTER_NAME_REFUSED:
            return error_set(
                err, DR_UNSUPPORTED,
                "it changes layers by %s (%.160s), which is not supported; "
                "LoRA, LoHa, LoKr, DoRA and full differences are",
                method, tensor->name);
        }
    }
    if (*count > 0) return DR_OK;
    return error_set(
        err, DR_UNSUPPORTED,
        "it is not a LoRA: none of its %zu tensors has a LoRA's name (%.200s)",
        file->tensor_count,
        file->tensor_count > 0 ? file->tensors[0].name : "it has none");
}

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the layers of an adapter");
}

static enum dr_code add_found(struct adapter_file *adapter, const struct found *found,
                              struct dr_error *err)
{
    struct adapter_layer *layer = &adapter->layers[adapter->layer_count];
    if (!layer->module) {
        layer->module = pool_string(&adapter->pool, found->name.module);
        layer->role = found->name.role;
        layer->scale = 1;
        if (!layer->module) return no_memory(err);
    }
    if (layer->parts[found->name.part])
        return error_set(err, DR_CORRUPT,
                         "it has two tensors for one part of a layer: %.200s, %.200s",
                         layer->parts[found->name.part]->name, found->tensor->name);
    layer->parts[found->name.part] = found->tensor;
    adapter->bytes += found->tensor->bytes;
    return DR_OK;
}

static enum dr_code group(struct adapter_file *adapter, const struct found *found,
                          size_t count, struct dr_error *err)
{
    adapter->layers = pool_alloc(&adapter->pool, (count + 1) * sizeof *adapter->layers);
    if (!adapter->layers) return no_memory(err);
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < count && !code; ++i) {
        if (i > 0 && compare_modules(&found[i - 1].name, &found[i].name) != 0)
            ++adapter->layer_count;
        code = add_found(adapter, &found[i], err);
    }
    ++adapter->layer_count;
    return code;
}

/* ---- family ---- */

/* Inputs of the cross attention's keys, whatever kind of layer it is; 0: not known. */
static int64_t key_inputs(const struct adapter_layer *layer)
{
    static const enum adapter_part parts[] = {ADAPTER_DOWN, ADAPTER_HADA_W1_B,
                                              ADAPTER_DIFF};
    const size_t bytes = strlen(layer->module);
    if (layer->role != ROLE_UNET || bytes < 10 ||
        strcmp(layer->module + bytes - 10, "attn2_to_k") != 0)
        return 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i)
        if (layer->parts[parts[i]] && layer->parts[parts[i]]->rank > 1)
            return layer->parts[parts[i]]->dims[1];
    return 0;
}

static enum family family_of_text(const char *text)
{
    if (!text) return FAMILY_UNKNOWN;
    if (strstr(text, "xl")) return FAMILY_SDXL;
    if (strstr(text, "v2")) return FAMILY_SD2;
    if (strstr(text, "v1")) return FAMILY_SD15;
    return FAMILY_UNKNOWN;
}

static void find_family(struct adapter_file *adapter)
{
    for (size_t i = 0; i < adapter->layer_count; ++i) {
        const struct adapter_layer *const layer = &adapter->layers[i];
        const int64_t inputs = key_inputs(layer);
        const bool is_deep = strstr(layer->module, "transformer_blocks_1_") != NULL;
        if (layer->role == ROLE_TEXT2 || inputs == 2048 || is_deep ||
            strncmp(layer->module, "add_embedding", 13) == 0)
            adapter->family = FAMILY_SDXL;
        else if (inputs == 768)
            adapter->family = FAMILY_SD15;
        else if (inputs == 1024)
            adapter->family = FAMILY_SD2;
        if (adapter->family != FAMILY_UNKNOWN) return;
    }
    adapter->family =
        family_of_text(tensor_file_metadata(&adapter->file, "ss_base_model_version"));
    if (adapter->family == FAMILY_UNKNOWN)
        adapter->family = family_of_text(
            tensor_file_metadata(&adapter->file, "modelspec.architecture"));
}

static void find_base_model(struct adapter_file *adapter)
{
    static const char *const keys[] = {"ss_sd_model_name", "ss_base_model_version",
                                       "modelspec.architecture"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !adapter->base_model; ++i)
        adapter->base_model = tensor_file_metadata(&adapter->file, keys[i]);
}

/* ---- the whole ---- */

static enum dr_code sort(struct adapter_file *adapter, struct dr_error *err)
{
    size_t count = 0;
    struct found *const found = calloc(adapter->file.tensor_count + 1, sizeof found[0]);
    if (!found) return no_memory(err);
    enum dr_code code = find(adapter, found, &count, err);
    if (!code) {
        qsort(found, count, sizeof found[0], compare_found);
        code = group(adapter, found, count, err);
    }
    free(found);
    for (size_t i = 0; i < adapter->layer_count && !code; ++i) {
        struct adapter_layer *const layer = &adapter->layers[i];
        code = adapter_layer_check(layer, err);
        ++adapter->kind_counts[layer->kind];
        if (layer->parts[ADAPTER_DORA_SCALE] || layer->parts[ADAPTER_MAGNITUDE])
            adapter->has_dora = true;
    }
    if (code) return code;
    find_family(adapter);
    find_base_model(adapter);
    return adapter_words_find(adapter, err);
}

enum dr_code adapter_file_sort(struct adapter_file *adapter,
                               struct tensor_file *file_take, struct dr_error *err)
{
    *adapter = (struct adapter_file){.file = *file_take};
    *file_take = (struct tensor_file){0};
    const enum dr_code code = sort(adapter, err);
    if (code) adapter_file_close(adapter);
    return code;
}

static enum dr_code read_number(const struct tensor_file *file,
                                const struct tensor *tensor, float *out,
                                struct dr_error *err)
{
    unsigned char data[8];
    if (tensor_element_count(tensor) != 1 || tensor->bytes > sizeof data)
        return error_set(err, DR_CORRUPT, "%.200s is not a single number",
                         tensor->name);
    const enum dr_code code =
        tensor_file_read(file, tensor, 0, data, (size_t)tensor->bytes, err);
    if (code) return code;
    if (dtype_is_float(tensor->dtype)) {
        dtype_to_f32(data, tensor->dtype, out, 1);
        return DR_OK;
    }
    int64_t number = 0;
    for (size_t i = (size_t)tensor->bytes; i-- > 0;)
        number = (int64_t)((uint64_t)number << 8 | data[i]);
    *out = (float)number;
    return DR_OK;
}

/* Beside PEFT's own file there is its config, of the one network that the file is for; diffusers puts those of all
 * networks into the file. */
static enum dr_code read_configs(struct adapter_file *adapter, const char *path,
                                 struct adapter_config configs[static ROLE_COUNT],
                                 struct dr_error *err)
{
    static const char *const prefixes[] = {[ROLE_UNET] = "unet.",
                                           [ROLE_TEXT] = "text_encoder.",
                                           [ROLE_TEXT2] = "text_encoder_2."};
    const char *const inside =
        tensor_file_metadata(&adapter->file, "lora_adapter_metadata");
    char stem[64], folder[PATH_MAX - 32], beside[PATH_MAX], *text = NULL;
    size_t bytes = 0;
    enum dr_code code = DR_OK;
    for (int role = 0; inside && role < ROLE_VAE && !code; ++role)
        code = adapter_config_parse(&configs[role], inside, strlen(inside),
                                    prefixes[role], &adapter->pool, err);
    path_stem(path, stem, sizeof stem);
    if (code || strcmp(stem, "adapter_model") != 0) return code;
    path_folder(path, folder, sizeof folder);
    (void)snprintf(beside, sizeof beside, "%s/adapter_config.json", folder);
    code = text_file_read(beside, CONFIG_MOST_BYTES, &text, &bytes, err);
    if (code == DR_NOT_FOUND) return DR_OK;
    for (int role = 0; role < ROLE_VAE && !code; ++role)
        code =
            adapter_config_parse(&configs[role], text, bytes, "", &adapter->pool, err);
    free(text);
    return code;
}

static enum dr_code read_scale(const struct adapter_file *adapter,
                               const struct adapter_config *config,
                               struct adapter_layer *layer, struct dr_error *err)
{
    const struct tensor *const tensor = layer->parts[ADAPTER_ALPHA];
    float alpha = 0.0F;
    if (!tensor && layer->rank > 0)
        layer->scale = adapter_config_scale(config, layer->module, layer->rank);
    if (tensor) {
        const enum dr_code code = read_number(&adapter->file, tensor, &alpha, err);
        if (code) return code;
        if (!isfinite(alpha) && layer->kind == ADAPTER_LOKR && layer->rank == 0)
            return DR_OK; /* LyCORIS' mark of a factor that is whole */
        if (!isfinite(alpha))
            return error_set(err, DR_NOT_FINITE, "%.200s is %g", tensor->name,
                             (double)alpha);
        if (alpha == 0.0F)
            return error_set(err, DR_BAD_INPUT,
                             "%.200s is 0, which programs read in different ways; "
                             "give it the layer's rank for no scaling",
                             tensor->name);
    }
    if (layer->rank > 0 && alpha != 0.0F) layer->scale = alpha / (float)layer->rank;
    return DR_OK;
}

enum dr_code adapter_file_open(struct adapter_file *adapter, const char *path,
                               struct dr_error *err)
{
    struct tensor_file file;
    struct adapter_config configs[ROLE_COUNT] = {0};
    *adapter = (struct adapter_file){0};
    enum dr_code code = tensor_file_open(&file, path, err);
    if (code) return code;
    code = adapter_file_sort(adapter, &file, err);
    if (!code) code = read_configs(adapter, path, configs, err);
    for (size_t i = 0; !code && i < adapter->layer_count; ++i) {
        struct adapter_layer *const layer = &adapter->layers[i];
        code = read_scale(adapter, &configs[layer->role], layer, err);
    }
    if (code) {
        error_prefix(err, "%.400s", path);
        adapter_file_close(adapter);
    }
    return code;
}

void adapter_file_close(struct adapter_file *adapter)
{
    tensor_file_close(&adapter->file);
    pool_finish(&adapter->pool);
    *adapter = (struct adapter_file){0};
}

/* ---- the hash ---- */

enum {
    HASH_BUFFER = 64 << 10
};

static enum dr_code digest_from(const struct tensor_shard *shard, uint64_t start,
                                const struct cancel *cancel, struct digest *digest,
                                unsigned char *buffer, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (uint64_t at = start; !code && at < shard->identity.bytes;) {
        const uint64_t left = shard->identity.bytes - at;
        const size_t some = left < HASH_BUFFER ? (size_t)left : HASH_BUFFER;
        if (cancel_requested(cancel))
            return error_set(err, DR_CANCELLED, "cancelled while a LoRA was read");
        code = tensor_shard_read(shard, at, buffer, some, err);
        if (!code) digest_add(digest, buffer, some);
        at += some;
    }
    return code;
}

/* What the file says; false: nothing that could be a hash. */
static bool said_hash(const struct adapter_file *adapter,
                      char out[static ADAPTER_HASH_BYTES])
{
    const char *const said = tensor_file_metadata(&adapter->file, "sshs_model_hash");
    if (!said || strspn(said, "0123456789abcdef") < ADAPTER_HASH_DIGITS) return false;
    memcpy(out, said, ADAPTER_HASH_DIGITS);
    out[ADAPTER_HASH_DIGITS] = '\0';
    return true;
}

enum dr_code adapter_file_hash(const struct adapter_file *adapter,
                               const struct cancel *cancel,
                               char out[static ADAPTER_HASH_BYTES],
                               struct dr_error *err)
{
    const struct tensor_shard *const shard = tensor_file_only(&adapter->file);
    uint8_t bytes[DIGEST_BYTES], prefix[8];
    char hex[DIGEST_HEX];
    uint64_t start = 0;
    out[0] = '\0';
    if (!shard || said_hash(adapter, out)) return DR_OK;
    enum dr_code code = DR_OK;
    if (strcmp(adapter->file.format, "safetensors") == 0) {
        code = tensor_shard_read(shard, 0, prefix, sizeof prefix, err);
        for (int i = 7; i >= 0 && !code; --i)
            start = start << 8 | prefix[i];
        start += sizeof prefix;
    }
    unsigned char *const buffer = malloc(HASH_BUFFER);
    if (!code && !buffer) code = no_memory(err);
    if (!code) {
        struct digest digest;
        digest_init(&digest);
        code = digest_from(shard, start, cancel, &digest, buffer, err);
        digest_end(&digest, bytes);
    }
    free(buffer);
    if (code) return code;
    memcpy(out, digest_hex(bytes, hex), ADAPTER_HASH_DIGITS);
    out[ADAPTER_HASH_DIGITS] = '\0';
    return DR_OK;
}
