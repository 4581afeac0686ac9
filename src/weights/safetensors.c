/* The header is bounded by one scan over its bytes before a JSON library sees it: nesting, and
 * the number of values, so that neither its recursion nor its memory follows the input. After
 * that each entry is checked alone, and then all together: sorted by offset, the tensors must
 * follow one another from the first byte of the data to the last. */
#include "weights/tensor_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/file_kind.h"
#include "base/size.h"
#include "base/utf8.h"

/* A name in messages: the first bytes are enough. */
#define NAME "%.160s"

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the table of tensors");
}

/* ---- JSON, bounded ---- */

/* Depth and commas outside of strings. */
static enum dr_code scan(const char *what, const char *text, size_t bytes,
                         struct dr_error *err)
{
    size_t depth = 0, comma_count = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        if (c == ',') ++comma_count;
        if (c == '{' || c == '[') ++depth;
        if ((c == '}' || c == ']') && depth > 0) --depth;
        if (depth > HEADER_MAX_DEPTH)
            return error_set(err, DR_CORRUPT,
                             "its %s nests more than %d deep (at byte %zu)", what,
                             HEADER_MAX_DEPTH, i);
        if (comma_count > HEADER_MAX_COMMAS)
            return error_set(err, DR_CORRUPT, "its %s lists more than %d values", what,
                             HEADER_MAX_COMMAS);
    }
    return DR_OK;
}

/* jansson quotes the input: keep that to printable bytes. */
static void make_printable(char *text)
{
    for (char *c = text; *c; ++c)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

enum dr_code header_parse(json_t **out, const char *what, const char *text,
                          size_t bytes, struct dr_error *err)
{
    const enum dr_code code = scan(what, text, bytes, err);
    if (code) return code;
    json_error_t problem;
    json_t *const root =
        json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
    if (!root) {
        if (json_error_code(&problem) == json_error_out_of_memory)
            return no_memory(err);
        make_printable(problem.text);
        const bool twice = json_error_code(&problem) == json_error_duplicate_key;
        char words[FILE_KIND_TEXT];
        if (bytes > 0 && text[0] != '{' && text[0] != '[' &&
            file_kind_tell(text, bytes, words))
            return error_set(err, DR_CORRUPT, "its %s is %s", what, words);
        return error_set(err, DR_CORRUPT, "its %s %s: %s (byte %d)", what,
                         twice ? "lists a name twice" : "is not valid JSON",
                         problem.text, problem.position);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, DR_CORRUPT, "its %s is JSON, but not an object", what);
    }
    *out = root;
    return DR_OK;
}

const char *header_text(const json_t *value)
{
    const char *const text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* ---- the list ---- */

enum dr_code tensor_list_reserve(struct tensor_list *list, size_t count,
                                 struct dr_error *err)
{
    if (count > TENSOR_MAX_COUNT - list->count)
        return error_set(err, DR_UNSUPPORTED, "it has %zu tensors, more than %d",
                         list->count + count, TENSOR_MAX_COUNT);
    if (list->capacity - list->count >= count) return DR_OK;
    const size_t capacity = list->count + count;
    struct tensor *const grown = pool_grow(list->pool, list->tensors, list->count,
                                           capacity, sizeof list->tensors[0]);
    if (!grown) return no_memory(err);
    list->tensors = grown;
    list->capacity = capacity;
    return DR_OK;
}

static bool has_metadata(const struct tensor_list *list,
                         const struct tensor_metadata *entry)
{
    for (size_t i = 0; i < list->metadata_count; ++i)
        if (list->metadata[i].config == entry->config &&
            strcmp(list->metadata[i].key, entry->key) == 0)
            return true;
    return false;
}

enum dr_code tensor_list_metadata(struct tensor_list *list, const char *key,
                                  const json_t *text, struct dr_error *err)
{
    return tensor_list_text(list, key, json_string_value(text), err);
}

enum dr_code tensor_list_text(struct tensor_list *list, const char *key,
                              const char *text, struct dr_error *err)
{
    return tensor_list_config(list, &(struct tensor_metadata){.key = key, .text = text},
                              err);
}

/* Of an adapter: what it was trained with (adapter_file.h). */
static bool is_table(const struct tensor_metadata *said)
{
    return said->config == CONFIG_NONE &&
           (strcmp(said->key, "ss_tag_frequency") == 0 ||
            strcmp(said->key, "lora_adapter_metadata") == 0);
}

enum dr_code tensor_list_config(struct tensor_list *list,
                                const struct tensor_metadata *said,
                                struct dr_error *err)
{
    const size_t text_bytes = strlen(said->text);
    const bool is_long = text_bytes > METADATA_MAX_TEXT &&
                         (text_bytes > METADATA_MAX_TABLE || !is_table(said));
    if ((is_long && said->config == CONFIG_NONE) ||
        strlen(said->key) > TENSOR_MAX_NAME_BYTES || has_metadata(list, said))
        return DR_OK;
    char start[METADATA_MAX_TEXT + 1];
    if (is_long) { /* a config's key counts, however long its value is */
        memcpy(start, said->text, METADATA_MAX_TEXT);
        start[utf8_cut(start, METADATA_MAX_TEXT)] = '\0';
    }
    if (list->metadata_count == list->metadata_capacity) {
        const size_t capacity =
            list->metadata_capacity ? 2 * list->metadata_capacity : 16;
        struct tensor_metadata *const grown =
            pool_grow(list->pool, list->metadata, list->metadata_count, capacity,
                      sizeof list->metadata[0]);
        if (!grown) return no_memory(err);
        list->metadata = grown;
        list->metadata_capacity = capacity;
    }
    const struct tensor_metadata entry = {
        .key = pool_string(list->pool, said->key),
        .text = pool_string(list->pool, is_long ? start : said->text),
        .config = said->config,
        .config_path =
            said->config_path ? pool_string(list->pool, said->config_path) : NULL,
    };
    if (!entry.key || !entry.text || !entry.config_path != !said->config_path)
        return no_memory(err);
    list->metadata[list->metadata_count++] = entry;
    return DR_OK;
}

static enum dr_code parse_metadata(struct tensor_list *list, json_t *metadata,
                                   struct dr_error *err)
{
    enum {
        MAX_KEYS = 1000
    };                                        /* the search for duplicates is linear */
    if (json_is_null(metadata)) return DR_OK; /* as the reference reads it: none */
    if (!json_is_object(metadata))
        return error_set(err, DR_CORRUPT, "its __metadata__ is not a JSON object");
    if (json_object_size(metadata) > MAX_KEYS)
        return error_set(err, DR_CORRUPT,
                         "its __metadata__ has %zu entries, more than %d",
                         json_object_size(metadata), MAX_KEYS);
    const char *key;
    json_t *text;
    json_object_foreach(metadata, key, text)
    {
        if (!json_is_string(text))
            return error_set(err, DR_CORRUPT,
                             "its __metadata__ entry \"" NAME "\" is not a string",
                             key);
        const enum dr_code code = tensor_list_metadata(list, key, text, err);
        if (code) return code;
    }
    return DR_OK;
}

/* ---- one entry ---- */

static bool parse_dtype(const char *text, enum dtype *out)
{
    for (int i = DTYPE_F32; i <= DTYPE_BOOL; ++i) {
        if (strcmp(text, dtype_name((enum dtype)i)) != 0) continue;
        *out = (enum dtype)i;
        return true;
    }
    return false;
}

enum dr_code tensor_name_check(const char *name, struct dr_error *err)
{
    size_t bytes = 0;
    for (const char *c = name; *c; ++c, ++bytes)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return error_set(
                err, DR_CORRUPT,
                "the name of a tensor has a control character (0x%02x at byte "
                "%zu)",
                (unsigned)(unsigned char)*c, bytes);
    if (bytes > TENSOR_MAX_NAME_BYTES)
        return error_set(err, DR_CORRUPT,
                         "the name of tensor " NAME "... has %zu bytes, more than %d",
                         name, bytes, TENSOR_MAX_NAME_BYTES);
    return DR_OK;
}

static enum dr_code parse_shape(struct tensor *tensor, const json_t *shape,
                                struct dr_error *err)
{
    if (!json_is_array(shape))
        return error_set(err, DR_CORRUPT, "tensor " NAME " has no \"shape\" list",
                         tensor->name);
    const size_t rank = json_array_size(shape);
    if (rank > TENSOR_MAX_RANK)
        return error_set(err, DR_UNSUPPORTED,
                         "tensor " NAME " has %zu dimensions, more than %d",
                         tensor->name, rank, TENSOR_MAX_RANK);
    tensor->rank = (int32_t)rank;
    for (size_t i = 0; i < rank; ++i) {
        const json_t *const dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return error_set(err, DR_CORRUPT,
                             "tensor " NAME
                             ": dimension %zu is not a non-negative whole number",
                             tensor->name, i);
        tensor->dims[i] = json_integer_value(dim);
    }
    return DR_OK;
}

/* Offsets within the data, into offset and bytes. */
static enum dr_code parse_offsets(struct tensor *tensor, const json_t *offsets,
                                  struct dr_error *err)
{
    const json_t *const begin = json_array_get(offsets, 0), *const end =
                                                                json_array_get(offsets,
                                                                               1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) ||
        !json_is_integer(end) || json_integer_value(begin) < 0 ||
        json_integer_value(end) < json_integer_value(begin))
        return error_set(err, DR_CORRUPT,
                         "tensor " NAME ": \"data_offsets\" is not [begin, end] with "
                         "0 <= begin <= end",
                         tensor->name);
    tensor->offset = (uint64_t)json_integer_value(begin);
    tensor->bytes = (uint64_t)json_integer_value(end) - tensor->offset;
    return DR_OK;
}

static enum dr_code check_bytes(const struct tensor *tensor, struct dr_error *err)
{
    char shape[TENSOR_SHAPE_TEXT];
    size_t bytes = dtype_bytes(tensor->dtype);
    for (int i = 0; i < tensor->rank; ++i)
        if (!size_mul(bytes, (size_t)tensor->dims[i], &bytes) || bytes > INT64_MAX)
            return error_set(err, DR_CORRUPT, "tensor " NAME ": a size of %s overflows",
                             tensor->name, tensor_shape_text(tensor, shape));
    if (bytes != tensor->bytes)
        return error_set(err, DR_CORRUPT,
                         "tensor " NAME
                         ": %s of %s takes %zu bytes, the header gives it %llu",
                         tensor->name, tensor_shape_text(tensor, shape),
                         dtype_name(tensor->dtype), bytes,
                         (unsigned long long)tensor->bytes);
    return DR_OK;
}

static enum dr_code parse_tensor(struct tensor *tensor, const json_t *entry,
                                 struct dr_error *err)
{
    if (!json_is_object(entry))
        return error_set(err, DR_CORRUPT,
                         "tensor " NAME ": its entry is not a JSON object",
                         tensor->name);
    const char *const dtype = header_text(json_object_get(entry, "dtype"));
    if (!dtype)
        return error_set(err, DR_CORRUPT, "tensor " NAME " has no \"dtype\" string",
                         tensor->name);
    if (!parse_dtype(dtype, &tensor->dtype)) {
        char printable[33] = {0};
        strncpy(printable, dtype, sizeof printable - 1);
        make_printable(printable);
        return error_set(err, DR_UNSUPPORTED,
                         "tensor " NAME
                         " is of type \"%s\", which darkroom does not know",
                         tensor->name, printable);
    }
    enum dr_code code = parse_shape(tensor, json_object_get(entry, "shape"), err);
    if (!code)
        code = parse_offsets(tensor, json_object_get(entry, "data_offsets"), err);
    if (!code) code = check_bytes(tensor, err);
    return code;
}

/* ---- all entries ---- */

/* Parse all tensors into the list, offsets still within the data. */
static enum dr_code parse_tensors(struct tensor_list *list, json_t *root,
                                  int32_t shard_idx, struct dr_error *err)
{
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        enum dr_code code = tensor_name_check(name, err);
        if (code) return code;
        struct tensor tensor = {.name = name, .shard_idx = shard_idx};
        code = parse_tensor(&tensor, entry, err);
        if (code) return code;
        tensor.name = pool_string(list->pool, name);
        if (!tensor.name) return no_memory(err);
        list->tensors[list->count++] = tensor;
    }
    return DR_OK;
}

/* By place; an empty tensor comes before the one that starts where it lies. */
static int compare_places(const void *left, const void *right)
{
    const struct tensor *const a = left, *const b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

static enum dr_code check_length(const struct tensor *tensors, size_t count,
                                 uint64_t data_bytes, struct dr_error *err)
{
    uint64_t end = 0;
    for (size_t i = 0; i < count; ++i)
        if (tensors[i].offset + tensors[i].bytes > end)
            end = tensors[i].offset + tensors[i].bytes;
    if (end > data_bytes)
        return error_set(
            err, DR_CORRUPT,
            "it is truncated: its header promises %llu bytes of data, there are "
            "%llu; download it again",
            (unsigned long long)end, (unsigned long long)data_bytes);
    if (end < data_bytes)
        return error_set(
            err, DR_CORRUPT,
            "%llu bytes follow the last tensor's end at byte %llu of the data",
            (unsigned long long)(data_bytes - end), (unsigned long long)end);
    return DR_OK;
}

/* Neither hole nor overlap. Sorts the tensors by place. */
static enum dr_code check_places(struct tensor *tensors, size_t count,
                                 struct dr_error *err)
{
    if (count > 0) qsort(tensors, count, sizeof tensors[0], compare_places);
    uint64_t end = 0;
    for (size_t i = 0; i < count; ++i) {
        if (tensors[i].offset < end)
            return error_set(err, DR_CORRUPT,
                             "tensors " NAME " and " NAME
                             " overlap at byte %llu of the data",
                             tensors[i - 1].name, tensors[i].name,
                             (unsigned long long)tensors[i].offset);
        if (tensors[i].offset > end)
            return error_set(err, DR_CORRUPT,
                             "bytes %llu to %llu of the data, before tensor " NAME
                             ", belong to no tensor",
                             (unsigned long long)end,
                             (unsigned long long)tensors[i].offset, tensors[i].name);
        end = tensors[i].offset + tensors[i].bytes;
    }
    return DR_OK;
}

enum dr_code safetensors_parse(struct tensor_list *list, int32_t shard_idx,
                               const char *header, size_t header_bytes,
                               uint64_t data_bytes, struct dr_error *err)
{
    if (header_bytes == 0 || header[0] != '{')
        return error_set(err, DR_CORRUPT, "its header does not begin with '{'");
    json_t *root = NULL;
    enum dr_code code = header_parse(&root, "header", header, header_bytes, err);
    if (code) return code;

    const size_t first = list->count;
    json_t *const metadata = json_object_get(root, "__metadata__");
    code = tensor_list_reserve(list, json_object_size(root) - (metadata ? 1 : 0), err);
    if (!code && metadata) code = parse_metadata(list, metadata, err);
    if (!code) code = parse_tensors(list, root, shard_idx, err);
    json_decref(root);
    if (code) return code;

    struct tensor *const tensors = list->tensors ? list->tensors + first : NULL;
    const size_t count = list->count - first;
    code = check_length(tensors, count, data_bytes, err);
    if (!code) code = check_places(tensors, count, err);
    for (size_t i = 0; !code && i < count; ++i)
        tensors[i].offset += 8 + (uint64_t)header_bytes;
    return code;
}
