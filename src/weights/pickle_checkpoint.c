/* PyTorch checkpoints: what torch.save wrote, in its zip form and in the older one.
 *
 * The pickle of either says a dict of tensors, each a call of a rebuilding function with a
 * storage, an offset, sizes and strides; the storages' bytes lie in the file as they are. So the
 * calls are read as a notation (see pickle.h), and these names alone mean something: OrderedDict,
 * the rebuilding functions, torch.Size, the storage types and the dtypes. All else - callbacks,
 * optimizer states, schedulers - is skipped where it lies beside tensors, and an error where a
 * tensor or their dict is needed.
 *
 *     zip       name/data.pkl, name/data/KEY (a storage each), name/byteorder, ...
 *     legacy    pickles: magic, protocol, system, object, list of keys; then for each key
 *               u64 element count and the storage
 *
 * Source: torch/serialization.py and torch/_utils.py of PyTorch 2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"
#include "weights/pickle.h"
#include "weights/tensor_reader.h"
#include "weights/zip_archive.h"

enum {
    PICKLE_MAX_BYTES = 256 << 20,
    LEGACY_FIRST_BYTES = 1 << 20, /* enough for most; doubled while it is not */
    NAME_ROOM = 96,               /* for a name of the pickle in a message */
};

/* The bytes that a persistent id speaks of. */
struct storage {
    const uint8_t *key; /* in the pickle */
    size_t key_bytes;
    enum dtype dtype;
    uint64_t element_count;
    uint64_t bytes;
    uint64_t offset; /* in the file, where is_placed */
    bool is_placed;
};

struct reader {
    struct tensor_list *list;
    int32_t shard_idx;
    struct tensor_shard *shard;
    struct pickle pickle;
    struct zip_archive zip;   /* of the zip form; else zero */
    struct storage *storages; /* heap; sorted by key */
    size_t storage_count;
};

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for its list of storages");
}

/* ---- names in the pickle ---- */

/* The start of a text, printable; returns out. */
static const char *text_of(const struct pickle *pickle, uint32_t value,
                           char out[static NAME_ROOM])
{
    const struct pickle_value *const it = &pickle->values[value];
    size_t used = 0;
    if (it->kind == PICKLE_TEXT)
        for (; used < it->as.text.count && used < NAME_ROOM - 1; ++used) {
            const uint8_t c = it->as.text.bytes[used];
            out[used] = c >= 0x20 && c < 0x7f ? (char)c : '?';
        }
    out[used] = '\0';
    return out;
}

/* What a value is, for a message: "a call of os.system", "a number". */
static enum dr_code refuse_value(const struct pickle *pickle, uint32_t value,
                                 const char *what, struct dr_error *err)
{
    static const char *const names[] = {
        [PICKLE_MARK] = "nothing",   [PICKLE_NONE] = "None",
        [PICKLE_BOOL] = "a truth",   [PICKLE_INTEGER] = "a number",
        [PICKLE_TEXT] = "a text",    [PICKLE_BIG] = "a number",
        [PICKLE_OTHER] = "a number", [PICKLE_GLOBAL] = "a name",
        [PICKLE_TUPLE] = "a tuple",  [PICKLE_LIST] = "a list",
        [PICKLE_DICT] = "a dict",    [PICKLE_SET] = "a set",
        [PICKLE_CALL] = "an object", [PICKLE_PERSISTENT] = "a storage",
    };
    const struct pickle_value *const it = &pickle->values[value];
    if (it->kind != PICKLE_CALL || pickle->values[it->first].kind != PICKLE_GLOBAL)
        return error_set(err, DR_UNSUPPORTED,
                         "%s is %s, which darkroom does not "
                         "accept there",
                         what, names[it->kind]);
    const struct pickle_value *const callee = &pickle->values[it->first];
    char module[NAME_ROOM], name[NAME_ROOM];
    return error_set(err, DR_UNSUPPORTED,
                     "%s is created by calling %s.%s; darkroom only reads tensors "
                     "and runs no code of a checkpoint",
                     what, text_of(pickle, callee->first, module),
                     text_of(pickle, callee->second, name));
}

static bool is_call_of(const struct pickle *pickle, uint32_t value, const char *module,
                       const char *name)
{
    const struct pickle_value *const it = &pickle->values[value];
    return it->kind == PICKLE_CALL && pickle_is_global(pickle, it->first, module, name);
}

static bool is_dict(const struct pickle *pickle, uint32_t value)
{
    return pickle->values[value].kind == PICKLE_DICT ||
           is_call_of(pickle, value, "collections", "OrderedDict") ||
           is_call_of(pickle, value, "collections", "defaultdict");
}

/* A dict's value, or 0. */
static uint32_t dict_find(const struct pickle *pickle, uint32_t dict, const char *key)
{
    uint32_t found = 0;
    for (uint32_t cell = pickle->values[dict].as.items.head; cell;) {
        const uint32_t value_cell = pickle->cells[cell].next;
        if (!value_cell) break;
        if (pickle_is_text(pickle, pickle->cells[cell].value, key))
            found = pickle->cells[value_cell].value;
        cell = pickle->cells[value_cell].next;
    }
    return found;
}

/* ---- types ---- */

struct named_type {
    const char *name;
    enum dtype dtype;
};

/* Is the value one of these names of a module? The list ends with a name that is NULL. */
static bool find_type(const struct pickle *pickle, uint32_t value, const char *module,
                      const struct named_type *types, enum dtype *out)
{
    for (; types->name; ++types) {
        if (!pickle_is_global(pickle, value, module, types->name)) continue;
        *out = types->dtype;
        return true;
    }
    return false;
}

static bool type_of_storage(const struct pickle *pickle, uint32_t value,
                            enum dtype *out)
{
    static const struct named_type types[] = {
        {"FloatStorage",    DTYPE_F32 },
        {"HalfStorage",     DTYPE_F16 },
        {"BFloat16Storage", DTYPE_BF16},
        {"DoubleStorage",   DTYPE_F64 },
        {"LongStorage",     DTYPE_I64 },
        {"IntStorage",      DTYPE_I32 },
        {"ShortStorage",    DTYPE_I16 },
        {"CharStorage",     DTYPE_I8  },
        {"ByteStorage",     DTYPE_U8  },
        {"BoolStorage",     DTYPE_BOOL},
        {NULL,              DTYPE_U8  },
    };
    *out = DTYPE_U8;
    return pickle_is_global(pickle, value, "torch.storage", "UntypedStorage") ||
           find_type(pickle, value, "torch", types, out) ||
           find_type(pickle, value, "torch.cuda", types, out);
}

static bool type_of_name(const struct pickle *pickle, uint32_t value, enum dtype *out)
{
    static const struct named_type types[] = {
        {"float8_e4m3fn", DTYPE_F8_E4M3},
        {"float8_e5m2",   DTYPE_F8_E5M2},
        {"float32",       DTYPE_F32    },
        {"float16",       DTYPE_F16    },
        {"bfloat16",      DTYPE_BF16   },
        {"float64",       DTYPE_F64    },
        {"uint64",        DTYPE_U64    },
        {"uint32",        DTYPE_U32    },
        {"uint16",        DTYPE_U16    },
        {NULL,            DTYPE_U8     },
    };
    return find_type(pickle, value, "torch", types, out);
}

/* ---- storages ---- */

static int compare_storages(const void *left, const void *right)
{
    const struct storage *const a = left, *const b = right;
    if (a->key_bytes != b->key_bytes) return a->key_bytes < b->key_bytes ? -1 : 1;
    return memcmp(a->key, b->key, a->key_bytes);
}

/* ("storage", type, key, device, element count[, None]); false for anything else. */
static bool parse_storage(const struct pickle *pickle, uint32_t id, struct storage *out)
{
    uint32_t items[6] = {0};
    const size_t count = pickle_items(pickle, id, items, 6);
    if (pickle->values[id].kind != PICKLE_TUPLE || count < 5 || count > 6) return false;
    const struct pickle_value *const key = &pickle->values[items[2]];
    const struct pickle_value *const elements = &pickle->values[items[4]];
    if (!pickle_is_text(pickle, items[0], "storage") || key->kind != PICKLE_TEXT ||
        elements->kind != PICKLE_INTEGER || elements->as.integer < 0 ||
        (count == 6 && pickle->values[items[5]].kind != PICKLE_NONE))
        return false;
    *out = (struct storage){.key = key->as.text.bytes,
                            .key_bytes = key->as.text.count,
                            .element_count = (uint64_t)elements->as.integer};
    size_t bytes;
    if (!type_of_storage(pickle, items[1], &out->dtype) ||
        !size_mul((size_t)out->element_count, dtype_bytes(out->dtype), &bytes) ||
        bytes > INT64_MAX)
        return false;
    out->bytes = bytes;
    return true;
}

/* All storages that the pickle speaks of, each once. */
static enum dr_code list_storages(struct reader *reader, struct dr_error *err)
{
    const struct pickle *const pickle = &reader->pickle;
    size_t count = 0;
    for (uint32_t i = 1; i < pickle->value_count; ++i)
        if (pickle->values[i].kind == PICKLE_PERSISTENT) ++count;
    struct storage *const all = calloc(count + 1, sizeof all[0]);
    reader->storages = all;
    if (!all) return no_memory(err);
    count = 0;
    for (uint32_t i = 1; i < pickle->value_count; ++i)
        if (pickle->values[i].kind == PICKLE_PERSISTENT &&
            parse_storage(pickle, pickle->values[i].first, &all[count]))
            ++count;
    qsort(all, count, sizeof all[0], compare_storages);
    for (size_t i = 0; i < count; ++i) {
        struct storage *const last =
            reader->storage_count ? &all[reader->storage_count - 1] : NULL;
        if (!last || compare_storages(last, &all[i]) != 0)
            all[reader->storage_count++] = all[i];
        else if (last->dtype != all[i].dtype || last->bytes != all[i].bytes)
            return error_set(err, DR_CORRUPT,
                             "its pickle gives storage %.*s two types or sizes",
                             (int)(last->key_bytes < 40 ? last->key_bytes : 40),
                             (const char *)last->key);
    }
    return DR_OK;
}

static struct storage *find_storage(struct reader *reader, const uint8_t *key,
                                    size_t key_bytes)
{
    const struct storage wanted = {.key = key, .key_bytes = key_bytes};
    return bsearch(&wanted, reader->storages, reader->storage_count,
                   sizeof reader->storages[0], compare_storages);
}

/* Where a storage of the zip form lies. */
static enum dr_code place_in_zip(struct reader *reader, struct storage *storage,
                                 struct dr_error *err)
{
    enum {
        KEY_MAX = 200
    };
    char name[5 + KEY_MAX] = "data/";
    const struct zip_entry *entry = NULL;
    if (storage->key_bytes <= KEY_MAX) {
        memcpy(name + 5, storage->key, storage->key_bytes);
        entry = zip_archive_find(&reader->zip, name, 5 + storage->key_bytes);
    }
    if (!entry)
        return error_set(err, DR_CORRUPT, "its storage is missing in the zip file");
    if (entry->bytes != storage->bytes)
        return error_set(err, DR_CORRUPT,
                         "its storage has %llu bytes, its pickle says %llu",
                         (unsigned long long)entry->bytes,
                         (unsigned long long)storage->bytes);
    const enum dr_code code =
        zip_archive_place(&reader->zip, entry, &storage->offset, err);
    storage->is_placed = !code;
    return code;
}

/* The placed storage that a value speaks of. */
static enum dr_code storage_of(struct reader *reader, uint32_t value,
                               const struct storage **out, struct dr_error *err)
{
    const struct pickle *const pickle = &reader->pickle;
    struct storage said;
    if (pickle->values[value].kind != PICKLE_PERSISTENT ||
        !parse_storage(pickle, pickle->values[value].first, &said))
        return error_set(err, DR_UNSUPPORTED, "its storage has an unknown type");
    struct storage *const storage = find_storage(reader, said.key, said.key_bytes);
    if (storage && !storage->is_placed && reader->zip.directory) {
        const enum dr_code code = place_in_zip(reader, storage, err);
        if (code) return code;
    }
    if (!storage || !storage->is_placed)
        return error_set(err, DR_CORRUPT,
                         "its storage is missing in the file's list "
                         "of storages");
    *out = storage;
    return DR_OK;
}

/* ---- tensors ---- */

/* A tuple of sizes, torch.Size(...) of one included; -1 where it is none. */
static int32_t read_sizes(const struct pickle *pickle, uint32_t value,
                          int64_t out[static TENSOR_MAX_RANK])
{
    uint32_t items[TENSOR_MAX_RANK] = {0};
    if (is_call_of(pickle, value, "torch", "Size")) {
        if (pickle_items(pickle, pickle->values[value].second, items, 1) != 1)
            return -1;
        value = items[0];
    }
    const enum pickle_kind kind = pickle->values[value].kind;
    const size_t count = pickle_items(pickle, value, items, TENSOR_MAX_RANK);
    if ((kind != PICKLE_TUPLE && kind != PICKLE_LIST) || count > TENSOR_MAX_RANK)
        return -1;
    for (size_t i = 0; i < count; ++i) {
        const struct pickle_value *const item = &pickle->values[items[i]];
        if (item->kind != PICKLE_INTEGER || item->as.integer < 0) return -1;
        out[i] = item->as.integer;
    }
    return (int32_t)count;
}

static enum dr_code read_shape(const struct pickle *pickle, uint32_t sizes,
                               uint32_t strides, struct tensor *tensor,
                               struct dr_error *err)
{
    int64_t steps[TENSOR_MAX_RANK];
    char shape[TENSOR_SHAPE_TEXT];
    tensor->rank = read_sizes(pickle, sizes, tensor->dims);
    if (tensor->rank < 0 || read_sizes(pickle, strides, steps) != tensor->rank) {
        tensor->rank = 0;
        return error_set(err, DR_CORRUPT,
                         "its sizes and strides are not lists of up to %d numbers",
                         TENSOR_MAX_RANK);
    }
    size_t bytes = dtype_bytes(tensor->dtype), step = 1;
    bool is_contiguous = true;
    for (int32_t i = tensor->rank; i-- > 0;) {
        const size_t dim = (size_t)tensor->dims[i];
        if (dim != 1 && (uint64_t)steps[i] != step) is_contiguous = false;
        if (!size_mul(bytes, dim, &bytes) || bytes > INT64_MAX)
            return error_set(err, DR_CORRUPT, "a size of %s overflows",
                             tensor_shape_text(tensor, shape));
        if (!size_mul(step, dim, &step)) is_contiguous = false;
    }
    tensor->bytes = bytes;
    if (is_contiguous || bytes == 0) return DR_OK;
    return error_set(err, DR_UNSUPPORTED,
                     "%s is not contiguous; save it again with .contiguous()",
                     tensor_shape_text(tensor, shape));
}

/* The arguments of a rebuilding function: storage, offset, sizes, strides, ... */
static enum dr_code parse_rebuild(struct reader *reader, const uint32_t *arguments,
                                  struct tensor *tensor, struct dr_error *err)
{
    const struct pickle *const pickle = &reader->pickle;
    const struct storage *storage = NULL;
    enum dr_code code = storage_of(reader, arguments[0], &storage, err);
    if (code || !storage) return code;
    tensor->dtype = storage->dtype;
    if (arguments[6] && !type_of_name(pickle, arguments[6], &tensor->dtype))
        return error_set(err, DR_UNSUPPORTED, "it has an unknown type");
    code = read_shape(pickle, arguments[2], arguments[3], tensor, err);
    if (code) return code;
    const struct pickle_value *const start = &pickle->values[arguments[1]];
    size_t skipped;
    if (start->kind != PICKLE_INTEGER || start->as.integer < 0 ||
        !size_mul((size_t)start->as.integer, dtype_bytes(tensor->dtype), &skipped) ||
        skipped > storage->bytes || tensor->bytes > storage->bytes - skipped)
        return error_set(err, DR_CORRUPT, "it exceeds its storage of %llu bytes",
                         (unsigned long long)storage->bytes);
    tensor->offset = storage->offset + skipped;
    tensor->shard_idx = reader->shard_idx;
    return DR_OK;
}

/* Is the value a tensor? Then arguments are those of its rebuilding function; a dtype is at 6,
 * or 0. A parameter is a tensor in a wrapping. */
static bool is_tensor(const struct pickle *pickle, uint32_t value,
                      uint32_t arguments[static 7])
{
    uint32_t wrapped = 0;
    if (is_call_of(pickle, value, "torch._utils", "_rebuild_parameter") &&
        pickle_items(pickle, pickle->values[value].second, &wrapped, 1) > 0)
        value = wrapped;
    const bool is_typed =
        is_call_of(pickle, value, "torch._utils", "_rebuild_tensor_v3");
    if (!is_typed && !is_call_of(pickle, value, "torch._utils", "_rebuild_tensor_v2") &&
        !is_call_of(pickle, value, "torch._utils", "_rebuild_tensor"))
        return false;
    const size_t count =
        pickle_items(pickle, pickle->values[value].second, arguments, 7);
    if (!is_typed) arguments[6] = 0;
    return count >= (is_typed ? 7 : 4);
}

/* A name that can stand in the table, into the pool. */
static enum dr_code take_name(struct reader *reader, uint32_t value, const char **out,
                              struct dr_error *err)
{
    const struct pickle_value *const it = &reader->pickle.values[value];
    char start[NAME_ROOM];
    (void)text_of(&reader->pickle, value, start);
    if (it->kind != PICKLE_TEXT)
        return error_set(err, DR_CORRUPT, "the name of a tensor is not a string");
    if (it->as.text.count > TENSOR_MAX_NAME_BYTES)
        return error_set(err, DR_CORRUPT,
                         "the name of tensor %s... has %zu bytes, more than %d", start,
                         it->as.text.count, TENSOR_MAX_NAME_BYTES);
    char *const name = pool_alloc(reader->list->pool, it->as.text.count + 1);
    if (!name) return no_memory(err);
    for (size_t i = 0; i < it->as.text.count; ++i) {
        name[i] = (char)it->as.text.bytes[i];
        if (it->as.text.bytes[i] < 0x20 || it->as.text.bytes[i] == 0x7f)
            return error_set(err, DR_CORRUPT,
                             "the name of tensor %s has a control character", start);
    }
    if (!utf8_is_valid(name, it->as.text.count))
        return error_set(err, DR_CORRUPT, "the name of tensor %s is not UTF-8", start);
    *out = name;
    return DR_OK;
}

static enum dr_code add_tensor(struct reader *reader, uint32_t key,
                               const uint32_t *arguments, struct dr_error *err)
{
    struct tensor tensor = {0};
    enum dr_code code = take_name(reader, key, &tensor.name, err);
    if (code) return code;
    code = parse_rebuild(reader, arguments, &tensor, err);
    if (code)
        error_prefix(err, "tensor %.160s", tensor.name);
    else
        reader->list->tensors[reader->list->count++] = tensor;
    return code;
}

/* ---- the dict ---- */

/* Does a dict hold a tensor itself? */
static bool holds_tensors(const struct pickle *pickle, uint32_t dict)
{
    uint32_t arguments[7];
    for (uint32_t cell = pickle->values[dict].as.items.head; cell;) {
        const uint32_t value_cell = pickle->cells[cell].next;
        if (!value_cell) break;
        if (is_tensor(pickle, pickle->cells[value_cell].value, arguments)) return true;
        cell = pickle->cells[value_cell].next;
    }
    return false;
}

/* The keys of a dict, the first few, for a message. */
static void list_keys(const struct pickle *pickle, uint32_t dict, char *out,
                      size_t out_bytes)
{
    enum {
        LISTED = 5
    };
    int count = 0;
    out[0] = '\0';
    for (uint32_t cell = pickle->values[dict].as.items.head; cell;) {
        char name[NAME_ROOM];
        const uint32_t value_cell = pickle->cells[cell].next;
        const size_t used = strlen(out);
        if (!value_cell || count++ == LISTED) break;
        (void)snprintf(out + used, out_bytes - used, "%s%s", used ? ", " : "",
                       text_of(pickle, pickle->cells[cell].value, name));
        cell = pickle->cells[value_cell].next;
    }
}

/* A ParameterDict, made of its class, which the legacy form has in a persistent id: ("module", class, file, source). */
static bool is_parameter_dict(const struct pickle *pickle, uint32_t value)
{
    static const char module[] = "torch.nn.modules.container", name[] = "ParameterDict";
    const struct pickle_value *const it = &pickle->values[value];
    uint32_t id[2] = {0};
    if (is_call_of(pickle, value, module, name)) return true;
    if (it->kind != PICKLE_CALL || pickle->values[it->first].kind != PICKLE_PERSISTENT)
        return false;
    return pickle_items(pickle, pickle->values[it->first].first, id, 2) >= 2 &&
           pickle_is_text(pickle, id[0], "module") &&
           pickle_is_global(pickle, id[1], module, name);
}

/* The value of a key that is a dict, or a ParameterDict, whose state has one; else 0. */
static uint32_t find_inner(const struct pickle *pickle, uint32_t dict, const char *key)
{
    const uint32_t inner = dict_find(pickle, dict, key);
    if (!inner || is_dict(pickle, inner)) return inner;
    const uint32_t state = pickle->values[inner].state;
    if (!is_parameter_dict(pickle, inner) || !state || !is_dict(pickle, state))
        return 0;
    const uint32_t parameters = dict_find(pickle, state, "_parameters");
    return parameters && is_dict(pickle, parameters) ? parameters : 0;
}

/* Of an embedding without a tensor: what is there in its place. */
static enum dr_code refuse_vectors(const struct pickle *pickle, uint32_t value,
                                   struct dr_error *err)
{
    uint32_t items[2] = {0};
    if (is_dict(pickle, value) && pickle_items(pickle, value, items, 2) >= 2)
        value = items[1];
    return refuse_value(pickle, value, "its \"string_to_param\"", err);
}

/* The dict of tensors: what the pickle says, its "state_dict", or, where it holds no tensors
 * itself, what trainers wrap around such a dict, within each other at that; an embedding has
 * its tensor in "string_to_param". */
static enum dr_code find_dict(const struct pickle *pickle, uint32_t *dict,
                              bool *is_state, struct dr_error *err)
{
    static const char *const wrappers[] = {
        "state_dict",     "model_state_dict", "model", "module",
        "params_ema",     "params",           "ema",   "unet",
        "string_to_param"};
    enum {
        WRAPPER_COUNT = sizeof wrappers / sizeof wrappers[0],
        MOST_WRAPPERS = 4
    };
    char keys[300];
    *dict = pickle->root;
    *is_state = false;
    if (!is_dict(pickle, *dict)) return refuse_value(pickle, *dict, "its content", err);
    const uint32_t state = dict_find(pickle, *dict, "state_dict");
    if (state && !is_dict(pickle, state))
        return refuse_value(pickle, state, "its \"state_dict\"", err);
    if (state) *dict = state;
    *is_state = state != 0;
    for (int depth = 0; depth < MOST_WRAPPERS && !holds_tensors(pickle, *dict);
         ++depth) {
        uint32_t inner = 0;
        for (int i = 0; i < WRAPPER_COUNT && !inner; ++i)
            inner = find_inner(pickle, *dict, wrappers[i]);
        if (!inner) break;
        *dict = inner;
    }
    if (holds_tensors(pickle, *dict) || *is_state) return DR_OK;
    const uint32_t vectors = dict_find(pickle, pickle->root, "string_to_param");
    if (vectors) return refuse_vectors(pickle, vectors, err);
    list_keys(pickle, *dict, keys, sizeof keys);
    if (!keys[0]) return DR_OK; /* empty: who asks for tensors says so */
    return error_set(err, DR_UNSUPPORTED,
                     "it has no tensors at the top level or in \"state_dict\", "
                     "\"model\" and similar; the top level has: %s",
                     keys);
}

/* What the file of an embedding says beside its tensor. */
static enum dr_code add_texts(struct reader *reader, struct dr_error *err)
{
    static const char *const keys[] = {"sd_checkpoint", "sd_checkpoint_name", "step"};
    const struct pickle *const pickle = &reader->pickle;
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !code; ++i) {
        const uint32_t value = dict_find(pickle, pickle->root, keys[i]);
        const struct pickle_value *const said = &pickle->values[value];
        char text[NAME_ROOM] = "";
        if (value && said->kind == PICKLE_TEXT) (void)text_of(pickle, value, text);
        if (value && said->kind == PICKLE_INTEGER)
            (void)snprintf(text, sizeof text, "%lld", (long long)said->as.integer);
        if (text[0]) code = tensor_list_text(reader->list, keys[i], text, err);
    }
    return code;
}

/* What is no tensor is left out, but for calls in a state dict: there belong tensors alone. */
static enum dr_code add_tensors(struct reader *reader, struct dr_error *err)
{
    const struct pickle *const pickle = &reader->pickle;
    uint32_t dict, arguments[7];
    bool is_state;
    enum dr_code code = find_dict(pickle, &dict, &is_state, err);
    size_t count = 0;
    if (code) return code;
    for (uint32_t cell = pickle->values[dict].as.items.head; cell;
         cell = pickle->cells[cell].next)
        ++count;
    code = tensor_list_reserve(reader->list, count / 2, err);
    for (uint32_t cell = pickle->values[dict].as.items.head; !code && cell;) {
        const uint32_t value_cell = pickle->cells[cell].next;
        if (!value_cell) break;
        const uint32_t key = pickle->cells[cell].value;
        const uint32_t value = pickle->cells[value_cell].value;
        cell = pickle->cells[value_cell].next;
        char name[NAME_ROOM];
        if (is_tensor(pickle, value, arguments))
            code = add_tensor(reader, key, arguments, err);
        else if (is_state && pickle->values[value].kind == PICKLE_CALL &&
                 !is_dict(pickle, value))
            code = refuse_value(pickle, value, text_of(pickle, key, name), err);
    }
    if (!code && dict == find_inner(pickle, pickle->root, "string_to_param"))
        code = add_texts(reader, err);
    return code;
}

static void finish(struct reader *reader)
{
    free(reader->storages);
    zip_archive_close(&reader->zip);
    pickle_finish(&reader->pickle);
}

/* ---- the zip form ---- */

/* "little", where the archive says. */
static enum dr_code check_byteorder(const struct reader *reader, struct dr_error *err)
{
    const struct zip_entry *const entry =
        zip_archive_find(&reader->zip, "byteorder", strlen("byteorder"));
    char order[6] = "";
    uint64_t at;
    if (!entry) return DR_OK;
    enum dr_code code = zip_archive_place(&reader->zip, entry, &at, err);
    if (!code && entry->bytes == sizeof order)
        code = tensor_shard_read(reader->shard, at, order, sizeof order, err);
    if (!code && memcmp(order, "little", sizeof order) != 0)
        code = error_set(err, DR_UNSUPPORTED, "its numbers are not little-endian");
    return code;
}

/* The pickle's bytes, on the heap. */
static enum dr_code read_entry(const struct reader *reader, const char *name,
                               unsigned char **out, size_t *bytes, struct dr_error *err)
{
    uint64_t at;
    const struct zip_entry *const entry =
        zip_archive_find(&reader->zip, name, strlen(name));
    if (!entry || entry->bytes > PICKLE_MAX_BYTES)
        return error_set(err, DR_CORRUPT, "its %s is missing or too large", name);
    enum dr_code code = zip_archive_place(&reader->zip, entry, &at, err);
    if (code) return code;
    *bytes = (size_t)entry->bytes;
    *out = malloc(*bytes + 1);
    if (!*out) return no_memory(err);
    return tensor_shard_read(reader->shard, at, *out, *bytes, err);
}

enum dr_code pickle_zip_parse(struct tensor_list *list, int32_t shard_idx,
                              struct tensor_shard *shard, struct dr_error *err)
{
    struct reader reader = {.list = list, .shard_idx = shard_idx, .shard = shard};
    unsigned char *bytes = NULL;
    size_t byte_count = 0;
    struct digest digest;
    enum dr_code code = zip_archive_open(&reader.zip, shard, "data.pkl", err);
    if (!code) code = check_byteorder(&reader, err);
    if (!code) code = read_entry(&reader, "data.pkl", &bytes, &byte_count, err);
    if (!code) code = pickle_read(&reader.pickle, bytes, byte_count, err);
    if (!code) code = list_storages(&reader, err);
    if (!code) code = add_tensors(&reader, err);
    if (!code) {
        digest_init(&digest);
        digest_add(&digest, reader.zip.directory, reader.zip.directory_bytes);
        digest_add(&digest, bytes, byte_count);
        digest_end(&digest, shard->identity.header);
    }
    finish(&reader);
    free(bytes);
    if (code) error_prefix(err, "%s", shard->path);
    return code;
}

/* ---- the legacy form ---- */

static const unsigned char legacy_magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                               0x20, 0x6a, 0xa8, 0x50, 0x19};

/* What came before the storages. */
struct legacy {
    const unsigned char *bytes;
    size_t byte_count, at;
    bool ended_early;
};

static enum dr_code next_pickle(struct legacy *legacy, struct pickle *pickle,
                                struct dr_error *err)
{
    const enum dr_code code = pickle_read(pickle, legacy->bytes + legacy->at,
                                          legacy->byte_count - legacy->at, err);
    legacy->ended_early = pickle->ended_early;
    legacy->at += pickle->end;
    return code;
}

static enum dr_code check_magic(const struct pickle *pickle, struct dr_error *err)
{
    const struct pickle_value *const root = &pickle->values[pickle->root];
    if (root->kind == PICKLE_BIG && root->as.text.count == sizeof legacy_magic &&
        memcmp(root->as.text.bytes, legacy_magic, sizeof legacy_magic) == 0)
        return DR_OK;
    return error_set(err, DR_UNSUPPORTED,
                     "it is a pickle, but not one that PyTorch's torch.save wrote");
}

static enum dr_code check_protocol(const struct pickle *pickle, struct dr_error *err)
{
    const struct pickle_value *const root = &pickle->values[pickle->root];
    if (root->kind == PICKLE_INTEGER && root->as.integer == 1001) return DR_OK;
    return error_set(err, DR_UNSUPPORTED, "its protocol is not PyTorch's 1001");
}

static enum dr_code check_system(const struct pickle *pickle, struct dr_error *err)
{
    const uint32_t little = is_dict(pickle, pickle->root)
                                ? dict_find(pickle, pickle->root, "little_endian")
                                : 0;
    if (little && pickle->values[little].kind == PICKLE_BOOL &&
        pickle->values[little].as.integer == 1)
        return DR_OK;
    return error_set(err, DR_UNSUPPORTED, "its numbers are not little-endian");
}

/* The three pickles that come before the object. */
static enum dr_code check_start(struct legacy *legacy, struct dr_error *err)
{
    static enum dr_code (*const checks[])(const struct pickle *, struct dr_error *) = {
        check_magic, check_protocol, check_system};
    enum dr_code code = DR_OK;
    for (size_t i = 0; !code && i < sizeof checks / sizeof checks[0]; ++i) {
        struct pickle pickle;
        code = next_pickle(legacy, &pickle, err);
        if (!code) code = checks[i](&pickle, err);
        pickle_finish(&pickle);
    }
    return code;
}

/* The storage of the key that a value says begins at *at, which moves behind it. */
static enum dr_code place_storage(struct reader *reader, const struct pickle *keys,
                                  uint32_t value, uint64_t *at, struct dr_error *err)
{
    const struct pickle_value *const key = &keys->values[value];
    const uint64_t file_bytes = reader->shard->identity.bytes;
    unsigned char count[8];
    struct storage *const storage =
        key->kind == PICKLE_TEXT
            ? find_storage(reader, key->as.text.bytes, key->as.text.count)
            : NULL;
    if (!storage || storage->is_placed)
        return error_set(err, DR_CORRUPT,
                         "its list of storages has one twice, or one that is not in "
                         "its pickle");
    if (file_bytes - *at < sizeof count ||
        storage->bytes > file_bytes - *at - sizeof count)
        return error_set(err, DR_CORRUPT,
                         "it is truncated: a storage of %llu bytes at byte %llu, but "
                         "the file has %llu; download it again",
                         (unsigned long long)storage->bytes, (unsigned long long)*at,
                         (unsigned long long)file_bytes);
    const enum dr_code code =
        tensor_shard_read(reader->shard, *at, count, sizeof count, err);
    if (code) return code;
    uint64_t element_count = 0;
    for (int i = 7; i >= 0; --i)
        element_count = element_count << 8 | count[i];
    if (element_count != storage->element_count)
        return error_set(err, DR_CORRUPT,
                         "a storage at byte %llu has %llu elements, but its pickle "
                         "says %llu",
                         (unsigned long long)*at, (unsigned long long)element_count,
                         (unsigned long long)storage->element_count);
    storage->offset = *at + sizeof count;
    storage->is_placed = true;
    *at = storage->offset + storage->bytes;
    return DR_OK;
}

static enum dr_code place_storages(struct reader *reader, const struct pickle *keys,
                                   uint64_t at, struct dr_error *err)
{
    if (keys->values[keys->root].kind != PICKLE_LIST)
        return error_set(err, DR_CORRUPT, "its list of storages is not a list");
    enum dr_code code = DR_OK;
    for (uint32_t cell = keys->values[keys->root].as.items.head; !code && cell;
         cell = keys->cells[cell].next)
        code = place_storage(reader, keys, keys->cells[cell].value, &at, err);
    const uint64_t left = reader->shard->identity.bytes - at;
    if (!code && left > 0)
        code = error_set(err, DR_CORRUPT, "%llu bytes follow its last storage",
                         (unsigned long long)left);
    return code;
}

static enum dr_code parse_legacy(struct reader *reader, struct legacy *legacy,
                                 struct dr_error *err)
{
    struct pickle keys = {0};
    enum dr_code code = check_start(legacy, err);
    if (!code) code = next_pickle(legacy, &reader->pickle, err);
    if (!code) code = next_pickle(legacy, &keys, err);
    if (!code) code = list_storages(reader, err);
    if (!code) code = place_storages(reader, &keys, legacy->at, err);
    if (!code) code = add_tensors(reader, err);
    pickle_finish(&keys);
    if (code) return code;
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, legacy->bytes, legacy->at);
    digest_end(&digest, reader->shard->identity.header);
    return DR_OK;
}

/* With the first byte_count bytes of the file; *more: they were too few. */
static enum dr_code try_legacy(struct tensor_list *list, int32_t shard_idx,
                               struct tensor_shard *shard, size_t byte_count,
                               bool *more, struct dr_error *err)
{
    struct reader reader = {.list = list, .shard_idx = shard_idx, .shard = shard};
    unsigned char *const bytes = malloc(byte_count);
    if (!bytes) return no_memory(err);
    struct legacy legacy = {.bytes = bytes, .byte_count = byte_count};
    enum dr_code code = tensor_shard_read(shard, 0, bytes, byte_count, err);
    if (!code) code = parse_legacy(&reader, &legacy, err);
    *more = code && legacy.ended_early;
    finish(&reader);
    free(bytes);
    return code;
}

enum dr_code pickle_legacy_parse(struct tensor_list *list, int32_t shard_idx,
                                 struct tensor_shard *shard, struct dr_error *err)
{
    bool more = true;
    enum dr_code code = DR_OK;
    for (uint64_t room = LEGACY_FIRST_BYTES; more; room *= 2) {
        const uint64_t file_bytes = shard->identity.bytes;
        const size_t bytes = (size_t)(file_bytes < room ? file_bytes : room);
        code = try_legacy(list, shard_idx, shard, bytes, &more, err);
        if (bytes == file_bytes || room >= PICKLE_MAX_BYTES) break;
    }
    if (code) error_prefix(err, "%s", shard->path);
    return code;
}
