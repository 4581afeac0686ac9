/* The header is read through a window that moves over the file, so its memory does not follow what the
 * file says: a count is checked against the bytes that are left, a string against its limit, before
 * anything is kept. */
#include "weights/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"

/* A name in messages: the first bytes are enough. */
#define NAME "%.160s"

enum {
    WINDOW_BYTES = 65536,
    DEFAULT_ALIGNMENT = 32,
    MAX_ALIGNMENT = 1 << 20,
    MAX_TEXTS = 1000, /* the search for a key is linear */
    KEY_BYTES = 256 + TENSOR_MAX_NAME_BYTES,
    MIN_PAIR_BYTES = 8 + 4 + 1,
    MIN_TENSOR_BYTES = 8 + 4 + 4 + 8,
};

static const char shape_key[] = "comfy.gguf.orig_shape.";

/* ---- types ---- */

static const struct {
    enum dtype type;
    int number;
} types[] = {
    {DTYPE_F32,  0 },
    {DTYPE_F16,  1 },
    {DTYPE_Q4_0, 2 },
    {DTYPE_Q4_1, 3 },
    {DTYPE_Q5_0, 6 },
    {DTYPE_Q5_1, 7 },
    {DTYPE_Q8_0, 8 },
    {DTYPE_Q2_K, 10},
    {DTYPE_Q3_K, 11},
    {DTYPE_Q4_K, 12},
    {DTYPE_Q5_K, 13},
    {DTYPE_Q6_K, 14},
    {DTYPE_I8,   24},
    {DTYPE_I16,  25},
    {DTYPE_I32,  26},
    {DTYPE_I64,  27},
    {DTYPE_F64,  28},
    {DTYPE_BF16, 30},
};

/* Of ggml's other types, for messages. */
static const struct {
    uint32_t number;
    const char *name;
} other_types[] = {
    {4,  "Q4_2"   },
    {5,  "Q4_3"   },
    {9,  "Q8_1"   },
    {15, "Q8_K"   },
    {16, "IQ2_XXS"},
    {17, "IQ2_XS" },
    {18, "IQ3_XXS"},
    {19, "IQ1_S"  },
    {20, "IQ4_NL" },
    {21, "IQ3_S"  },
    {22, "IQ2_S"  },
    {23, "IQ4_XS" },
    {29, "IQ1_M"  },
    {34, "TQ1_0"  },
    {35, "TQ2_0"  },
    {39, "MXFP4"  },
    {40, "NVFP4"  },
};

int gguf_type_number(enum dtype type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; ++i)
        if (types[i].type == type) return types[i].number;
    return -1;
}

static enum dr_code find_type(const char *name, uint32_t number, enum dtype *out,
                              struct dr_error *err)
{
    const char *other = "?";
    for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
        if ((uint32_t)types[i].number != number) continue;
        *out = types[i].type;
        return DR_OK;
    }
    for (size_t i = 0; i < sizeof other_types / sizeof *other_types; ++i)
        if (other_types[i].number == number) other = other_types[i].name;
    return error_set(err, DR_UNSUPPORTED,
                     "tensor " NAME
                     " is of type %s (number %u), which darkroom does not "
                     "read; take a file of Q8_0, Q5_0, Q5_1, Q4_0, Q4_1, Q6_K, Q5_K, "
                     "Q4_K, Q3_K, Q2_K, F16, BF16 or F32",
                     name, other, (unsigned)number);
}

/* ---- reading ---- */

/* The shape that a tensor has by comfy.gguf.orig_shape. */
struct told_shape {
    const char *name; /* in the list's pool */
    int32_t rank;
    int64_t dims[TENSOR_MAX_RANK];
};

struct parser {
    struct tensor_list *list;
    int32_t shard_idx;
    const struct tensor_shard *shard; /* NULL: the file is in memory */
    const unsigned char *memory;
    uint64_t bytes; /* of the file */
    uint64_t at;    /* of the next byte */
    unsigned char *window;
    uint64_t window_start;
    size_t window_bytes;
    struct digest digest; /* of the header so far */
    uint64_t tensor_count, pair_count;
    uint64_t alignment; /* 0: none said so far */
    size_t text_count;
    struct told_shape *shapes;
    size_t shape_count, shape_capacity;
};

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the table of tensors");
}

static enum dr_code fill_window(struct parser *p, struct dr_error *err)
{
    const uint64_t left = p->bytes - p->at;
    const size_t bytes = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    const enum dr_code code =
        p->shard ? tensor_shard_read(p->shard, p->at, p->window, bytes, err) : DR_OK;
    if (code) return code;
    if (!p->shard) memcpy(p->window, p->memory + p->at, bytes);
    digest_add(&p->digest, p->window, bytes);
    p->window_start = p->at;
    p->window_bytes = bytes;
    return DR_OK;
}

/* The next bytes of the header; target NULL: past them. what: for messages. */
static enum dr_code take(struct parser *p, const char *what, void *target,
                         uint64_t bytes, struct dr_error *err)
{
    unsigned char *out = target;
    if (bytes > p->bytes - p->at)
        return error_set(
            err, DR_CORRUPT,
            "it is truncated: its %s needs bytes %llu to %llu, the file has "
            "%llu; download it again",
            what, (unsigned long long)p->at, (unsigned long long)(p->at + bytes),
            (unsigned long long)p->bytes);
    if (bytes > HEADER_MAX_BYTES || p->at + bytes > HEADER_MAX_BYTES)
        return error_set(err, DR_UNSUPPORTED,
                         "its header has more than %d bytes (%s ends at byte %llu)",
                         HEADER_MAX_BYTES, what, (unsigned long long)(p->at + bytes));
    while (bytes > 0) {
        if (p->at >= p->window_start + p->window_bytes) {
            const enum dr_code code = fill_window(p, err);
            if (code) return code;
        }
        const size_t offset = (size_t)(p->at - p->window_start);
        const size_t there = p->window_bytes - offset;
        const size_t some = bytes < there ? (size_t)bytes : there;
        if (out) {
            memcpy(out, p->window + offset, some);
            out += some;
        }
        p->at += some;
        bytes -= some;
    }
    return DR_OK;
}

static enum dr_code take_number(struct parser *p, const char *what, size_t bytes,
                                uint64_t *out, struct dr_error *err)
{
    unsigned char raw[8] = {0};
    const enum dr_code code = take(p, what, raw, bytes, err);
    *out = 0;
    for (size_t i = bytes; i-- > 0;)
        *out = *out << 8 | raw[i];
    return code;
}

/* A string into text, which has room for capacity - 1 bytes and its end. A longer one, or one that is
 * no text, is passed over: *is_kept. */
static enum dr_code take_text(struct parser *p, const char *what, char *text,
                              size_t capacity, bool *is_kept, struct dr_error *err)
{
    uint64_t bytes;
    enum dr_code code = take_number(p, what, 8, &bytes, err);
    if (code) return code;
    *is_kept = bytes < capacity;
    text[0] = '\0';
    if (!*is_kept) return take(p, what, NULL, bytes, err);
    code = take(p, what, text, bytes, err);
    if (code) return code;
    text[bytes] = '\0';
    *is_kept = !memchr(text, '\0', (size_t)bytes) && utf8_is_valid(text, (size_t)bytes);
    return DR_OK;
}

/* ---- pairs ---- */

enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_TYPES
};

/* Of a value of fixed size; 0: a string or an array. */
static size_t value_bytes(uint64_t type)
{
    static const uint8_t bytes[VALUE_TYPES] = {
        [VALUE_U8] = 1,  [VALUE_I8] = 1,  [VALUE_U16] = 2, [VALUE_I16] = 2,
        [VALUE_U32] = 4, [VALUE_I32] = 4, [VALUE_F32] = 4, [VALUE_BOOL] = 1,
        [VALUE_U64] = 8, [VALUE_I64] = 8, [VALUE_F64] = 8,
    };
    return bytes[type];
}

static enum dr_code take_type(struct parser *p, const char *key, uint64_t *type,
                              struct dr_error *err)
{
    const enum dr_code code = take_number(p, key, 4, type, err);
    if (code || *type < VALUE_TYPES) return code;
    return error_set(err, DR_CORRUPT,
                     "the value of \"" NAME
                     "\" is of type %llu, which GGUF does not have",
                     key, (unsigned long long)*type);
}

static enum dr_code pass_strings(struct parser *p, const char *key, uint64_t count,
                                 struct dr_error *err)
{
    enum dr_code code = DR_OK;
    for (uint64_t i = 0; !code && i < count; ++i) {
        uint64_t bytes;
        code = take_number(p, key, 8, &bytes, err);
        if (!code) code = take(p, key, NULL, bytes, err);
    }
    return code;
}

/* An array's element type and count, which the file is large enough for. */
static enum dr_code take_array(struct parser *p, const char *key, uint64_t *type,
                               uint64_t *count, struct dr_error *err)
{
    enum dr_code code = take_type(p, key, type, err);
    if (!code) code = take_number(p, key, 8, count, err);
    if (code) return code;
    if (*type == VALUE_ARRAY)
        return error_set(err, DR_UNSUPPORTED, "\"" NAME "\" is an array of arrays",
                         key);
    const size_t each = *type == VALUE_STRING ? 8 : value_bytes(*type);
    if (*count > (p->bytes - p->at) / each)
        return error_set(err, DR_CORRUPT,
                         "it is truncated: \"" NAME
                         "\" is an array of %llu elements, and %llu bytes are left",
                         key, (unsigned long long)*count,
                         (unsigned long long)(p->bytes - p->at));
    return DR_OK;
}

static enum dr_code take_alignment(struct parser *p, const char *key, uint64_t type,
                                   struct dr_error *err)
{
    uint64_t value = 0;
    if (type != VALUE_U32 || p->alignment)
        return error_set(err, DR_CORRUPT, "its %s is %s", key,
                         p->alignment ? "there twice" : "not a number of type UINT32");
    const enum dr_code code = take_number(p, key, 4, &value, err);
    if (code) return code;
    if (value == 0 || (value & (value - 1)) || value > MAX_ALIGNMENT)
        return error_set(err, DR_CORRUPT,
                         "its %s is %llu, not a power of two from 1 to %d", key,
                         (unsigned long long)value, MAX_ALIGNMENT);
    p->alignment = value;
    return DR_OK;
}

/* comfy.gguf.orig_shape.NAME: an array of whole numbers. */
static enum dr_code take_shape(struct parser *p, const char *key, uint64_t type,
                               struct dr_error *err)
{
    struct told_shape shape = {0};
    uint64_t element = type, count = 0;
    enum dr_code code =
        type == VALUE_ARRAY ? take_array(p, key, &element, &count, err) : DR_OK;
    if (code) return code;
    if (type != VALUE_ARRAY || (element != VALUE_I32 && element != VALUE_U32 &&
                                element != VALUE_I64 && element != VALUE_U64))
        return error_set(err, DR_CORRUPT, "\"" NAME "\" is not an array of integers",
                         key);
    if (count > TENSOR_MAX_RANK)
        return error_set(err, DR_UNSUPPORTED,
                         "\"" NAME "\" has %llu dimensions, more than %d", key,
                         (unsigned long long)count, TENSOR_MAX_RANK);
    shape.rank = (int32_t)count;
    for (int32_t i = 0; i < shape.rank; ++i) {
        uint64_t dim = 0;
        code = take_number(p, key, value_bytes(element), &dim, err);
        if (code) return code;
        const bool is_narrow = value_bytes(element) == 4;
        if (dim > (is_narrow ? (uint64_t)INT32_MAX : (uint64_t)INT64_MAX))
            return error_set(err, DR_CORRUPT, "\"" NAME "\": dimension %d is %lld", key,
                             (int)i,
                             is_narrow ? (long long)(int32_t)dim : (long long)dim);
        shape.dims[i] = (int64_t)dim;
    }
    if (p->shape_count == p->shape_capacity) {
        const size_t capacity = p->shape_capacity ? 2 * p->shape_capacity : 64;
        struct told_shape *const grown =
            realloc(p->shapes, capacity * sizeof p->shapes[0]);
        if (!grown) return no_memory(err);
        p->shapes = grown;
        p->shape_capacity = capacity;
    }
    shape.name = pool_string(p->list->pool, key + strlen(shape_key));
    if (!shape.name) return no_memory(err);
    p->shapes[p->shape_count++] = shape;
    return DR_OK;
}

/* A string becomes metadata; more than MAX_TEXTS of them are passed over. */
static enum dr_code take_metadata(struct parser *p, const char *key,
                                  struct dr_error *err)
{
    char text[METADATA_MAX_TEXT + 1];
    bool is_kept = false;
    const enum dr_code code = take_text(p, key, text, sizeof text, &is_kept, err);
    if (code || !is_kept || p->text_count == MAX_TEXTS) return code;
    ++p->text_count;
    return tensor_list_text(p->list, key, text, err);
}

static enum dr_code pass_value(struct parser *p, const char *key, uint64_t type,
                               struct dr_error *err)
{
    uint64_t element = type, count = 1;
    enum dr_code code = DR_OK;
    if (type == VALUE_ARRAY) code = take_array(p, key, &element, &count, err);
    if (code) return code;
    return element == VALUE_STRING
               ? pass_strings(p, key, count, err)
               : take(p, key, NULL, count * value_bytes(element), err);
}

static enum dr_code take_pair(struct parser *p, struct dr_error *err)
{
    char key[KEY_BYTES];
    bool is_kept;
    uint64_t type;
    enum dr_code code =
        take_text(p, "list of metadata", key, sizeof key, &is_kept, err);
    if (!code) code = take_type(p, key, &type, err);
    if (code) return code;
    if (!is_kept) return pass_value(p, "metadata", type, err);
    if (strcmp(key, "general.alignment") == 0) return take_alignment(p, key, type, err);
    if (strncmp(key, shape_key, strlen(shape_key)) == 0)
        return take_shape(p, key, type, err);
    return type == VALUE_STRING ? take_metadata(p, key, err)
                                : pass_value(p, key, type, err);
}

/* ---- tensors ---- */

static int compare_shapes(const void *left, const void *right)
{
    const struct told_shape *const a = left, *const b = right;
    return strcmp(a->name, b->name);
}

/* The elements of a shape; false where they overflow what a file can have. */
static bool count_elements(const int64_t *dims, int32_t rank, size_t *out)
{
    *out = 1;
    for (int32_t i = 0; i < rank; ++i)
        if (!size_mul(*out, (size_t)dims[i], out) || *out > INT64_MAX) return false;
    return true;
}

/* Rows are whole blocks, by the file's own shape; then the tensor has the shape that is told. */
static enum dr_code check_shape(const struct parser *p, struct tensor *tensor,
                                struct dr_error *err)
{
    char text[TENSOR_SHAPE_TEXT], told_text[TENSOR_SHAPE_TEXT];
    const size_t block = dtype_block_elements(tensor->dtype);
    const int64_t row = tensor->rank > 0 ? tensor->dims[tensor->rank - 1] : 1;
    size_t elements, bytes, told_elements = 0;
    if (row % (int64_t)block != 0)
        return error_set(err, DR_CORRUPT,
                         "tensor " NAME
                         ": rows of %lld elements are not whole blocks of "
                         "%s, which have %zu",
                         tensor->name, (long long)row, dtype_name(tensor->dtype),
                         block);
    if (!count_elements(tensor->dims, tensor->rank, &elements) ||
        !dtype_size(tensor->dtype, elements, &bytes) || bytes > INT64_MAX)
        return error_set(err, DR_CORRUPT, "tensor " NAME ": a size of %s overflows",
                         tensor->name, tensor_shape_text(tensor, text));
    tensor->bytes = bytes;
    const struct told_shape key = {.name = tensor->name};
    const struct told_shape *const told =
        p->shape_count > 0 ? bsearch(&key, p->shapes, p->shape_count,
                                     sizeof p->shapes[0], compare_shapes)
                           : NULL;
    if (!told) return DR_OK;
    struct tensor other = *tensor;
    other.rank = told->rank;
    memcpy(other.dims, told->dims, sizeof other.dims);
    if (!count_elements(told->dims, told->rank, &told_elements) ||
        told_elements != elements)
        return error_set(err, DR_CORRUPT,
                         "tensor " NAME
                         " is %s, but its comfy.gguf.orig_shape says %s, "
                         "which has another number of elements",
                         tensor->name, tensor_shape_text(tensor, text),
                         tensor_shape_text(&other, told_text));
    *tensor = other;
    return DR_OK;
}

static enum dr_code take_dims(struct parser *p, struct tensor *tensor,
                              struct dr_error *err)
{
    static const char what[] = "list of tensors";
    uint64_t rank = 0;
    enum dr_code code = take_number(p, what, 4, &rank, err);
    if (code) return code;
    if (rank > TENSOR_MAX_RANK)
        return error_set(err, DR_UNSUPPORTED,
                         "tensor " NAME " has %llu dimensions, more than %d",
                         tensor->name, (unsigned long long)rank, TENSOR_MAX_RANK);
    tensor->rank = (int32_t)rank;
    for (int32_t i = tensor->rank; !code && i-- > 0;) {
        uint64_t dim = 0;
        code = take_number(p, what, 8, &dim, err);
        if (!code && dim > INT64_MAX)
            return error_set(err, DR_CORRUPT,
                             "tensor " NAME
                             ": dimension %d is %llu, which is too large",
                             tensor->name, (int)i, (unsigned long long)dim);
        tensor->dims[i] = (int64_t)dim;
    }
    return code;
}

static enum dr_code take_tensor(struct parser *p, struct dr_error *err)
{
    static const char what[] = "list of tensors";
    char name[TENSOR_MAX_NAME_BYTES + 1];
    bool is_kept = false;
    uint64_t type = 0, offset = 0;
    enum dr_code code = take_text(p, what, name, sizeof name, &is_kept, err);
    if (code) return code;
    if (!is_kept)
        return error_set(
            err, DR_CORRUPT,
            "the name of tensor %zu, which ends at byte %llu, has more than "
            "%d bytes or is not UTF-8",
            p->list->count, (unsigned long long)p->at, TENSOR_MAX_NAME_BYTES);
    code = tensor_name_check(name, err);
    struct tensor tensor = {.name = name, .shard_idx = p->shard_idx};
    if (!code) code = take_dims(p, &tensor, err);
    if (!code) code = take_number(p, what, 4, &type, err);
    if (!code) code = find_type(name, (uint32_t)type, &tensor.dtype, err);
    if (!code) code = take_number(p, what, 8, &offset, err);
    if (!code) code = check_shape(p, &tensor, err);
    if (code) return code;
    if (offset % p->alignment != 0)
        return error_set(err, DR_CORRUPT,
                         "tensor " NAME
                         " begins at byte %llu of the data, which is not a "
                         "multiple of the alignment, %llu",
                         name, (unsigned long long)offset,
                         (unsigned long long)p->alignment);
    tensor.offset = offset;
    tensor.name = pool_string(p->list->pool, name);
    if (!tensor.name) return no_memory(err);
    p->list->tensors[p->list->count++] = tensor;
    return DR_OK;
}

/* ---- places ---- */

/* By place; an empty tensor comes before the one that starts where it lies. */
static int compare_places(const void *left, const void *right)
{
    const struct tensor *const a = left, *const b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Each tensor begins at the aligned end of the one before, and the last ends in the file. Sorts
 * them by place; offsets become those in the file. */
static enum dr_code check_places(const struct parser *p, struct tensor *tensors,
                                 size_t count, uint64_t data_start,
                                 struct dr_error *err)
{
    uint64_t end = 0, next = 0;
    const uint64_t data_bytes = p->bytes > data_start ? p->bytes - data_start : 0;
    if (count > 0) qsort(tensors, count, sizeof tensors[0], compare_places);
    for (size_t i = 0; i < count; ++i) {
        struct tensor *const tensor = &tensors[i];
        if (tensor->offset < end)
            return error_set(err, DR_CORRUPT,
                             "tensors " NAME " and " NAME
                             " overlap at byte %llu of the data",
                             tensors[i - 1].name, tensor->name,
                             (unsigned long long)tensor->offset);
        if (tensor->offset > next)
            return error_set(err, DR_CORRUPT,
                             "bytes %llu to %llu of the data, before tensor " NAME
                             ", belong to no tensor",
                             (unsigned long long)end,
                             (unsigned long long)tensor->offset, tensor->name);
        if (tensor->bytes > data_bytes || tensor->offset > data_bytes - tensor->bytes)
            return error_set(
                err, DR_CORRUPT,
                "it is truncated: tensor " NAME
                " needs bytes %llu to %llu, the file has %llu; download it "
                "again",
                tensor->name, (unsigned long long)(data_start + tensor->offset),
                (unsigned long long)(data_start + tensor->offset + tensor->bytes),
                (unsigned long long)p->bytes);
        end = tensor->offset + tensor->bytes;
        next = (end + p->alignment - 1) & ~(p->alignment - 1);
        tensor->offset += data_start;
    }
    if (data_bytes > next)
        return error_set(err, DR_CORRUPT,
                         "%llu bytes follow the last tensor's end at byte %llu of the "
                         "data",
                         (unsigned long long)(data_bytes - end),
                         (unsigned long long)end);
    return DR_OK;
}

/* ---- the file ---- */

bool gguf_is_beginning(const char *start, size_t bytes)
{
    return bytes >= 4 && memcmp(start, "GGUF", 4) == 0;
}

static enum dr_code check_version(uint32_t version, struct dr_error *err)
{
    if (version == 2 || version == 3) return DR_OK;
    if (version > 0 && (version & 0xFFFF) == 0)
        return error_set(
            err, DR_UNSUPPORTED,
            "it is a big-endian GGUF file (version %u), and darkroom reads "
            "little-endian ones",
            (unsigned)__builtin_bswap32(version));
    return error_set(err, DR_UNSUPPORTED,
                     "it is a GGUF file of version %u; darkroom reads versions 2 and 3",
                     (unsigned)version);
}

static enum dr_code check_count(const struct parser *p, const char *what,
                                uint64_t count, size_t least_bytes,
                                struct dr_error *err)
{
    if (count <= (p->bytes - p->at) / least_bytes) return DR_OK;
    return error_set(err, DR_CORRUPT,
                     "its header promises %llu %s, but the file has only %llu bytes; "
                     "download it again",
                     (unsigned long long)count, what, (unsigned long long)p->bytes);
}

static enum dr_code parse_header(struct parser *p, struct dr_error *err)
{
    static const char what[] = "header";
    uint64_t version = 0;
    enum dr_code code = take(p, what, NULL, 4, err);
    if (!code) code = take_number(p, what, 4, &version, err);
    if (!code) code = check_version((uint32_t)version, err);
    if (!code) code = take_number(p, what, 8, &p->tensor_count, err);
    if (!code) code = take_number(p, what, 8, &p->pair_count, err);
    if (!code) code = check_count(p, "tensors", p->tensor_count, MIN_TENSOR_BYTES, err);
    if (!code)
        code = check_count(p, "pairs of metadata", p->pair_count, MIN_PAIR_BYTES, err);
    if (!code) code = tensor_list_reserve(p->list, (size_t)p->tensor_count, err);
    return code;
}

/* Sorts them by name. */
static enum dr_code check_shapes(struct parser *p, struct dr_error *err)
{
    if (p->shape_count > 0)
        qsort(p->shapes, p->shape_count, sizeof p->shapes[0], compare_shapes);
    for (size_t i = 1; i < p->shape_count; ++i)
        if (strcmp(p->shapes[i - 1].name, p->shapes[i].name) == 0)
            return error_set(err, DR_CORRUPT, "it has %s" NAME " twice", shape_key,
                             p->shapes[i].name);
    return DR_OK;
}

static enum dr_code parse(struct parser *p, struct dr_error *err)
{
    const size_t first = p->list->count;
    enum dr_code code = parse_header(p, err);
    for (uint64_t i = 0; !code && i < p->pair_count; ++i)
        code = take_pair(p, err);
    if (!code) code = check_shapes(p, err);
    if (!p->alignment) p->alignment = DEFAULT_ALIGNMENT;
    for (uint64_t i = 0; !code && i < p->tensor_count; ++i)
        code = take_tensor(p, err);
    if (code) return code;
    const uint64_t data_start = (p->at + p->alignment - 1) & ~(p->alignment - 1);
    return check_places(p, p->list->tensors ? p->list->tensors + first : NULL,
                        p->list->count - first, data_start, err);
}

static enum dr_code parse_all(struct parser *p, uint8_t header[DIGEST_BYTES],
                              struct dr_error *err)
{
    p->window = malloc(WINDOW_BYTES);
    digest_init(&p->digest);
    const enum dr_code code = p->window ? parse(p, err) : no_memory(err);
    digest_end(&p->digest, code ? NULL : header);
    free(p->shapes);
    free(p->window);
    return code;
}

enum dr_code gguf_parse(struct tensor_list *list, int32_t shard_idx,
                        struct tensor_shard *shard, struct dr_error *err)
{
    struct parser p = {.list = list,
                       .shard_idx = shard_idx,
                       .shard = shard,
                       .bytes = shard->identity.bytes};
    const enum dr_code code = parse_all(&p, shard->identity.header, err);
    if (code) error_prefix(err, "%s", shard->path);
    return code;
}

enum dr_code gguf_parse_memory(struct tensor_list *list, const void *data, size_t bytes,
                               struct dr_error *err)
{
    uint8_t header[DIGEST_BYTES];
    struct parser p = {.list = list, .memory = data, .bytes = bytes};
    return parse_all(&p, header, err);
}
