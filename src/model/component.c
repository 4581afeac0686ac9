/* Building a spec: names and shapes become operands. Nothing is read from the file's data. */
#include "model/component.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/block_codec.h"
#include "base/size.h"
#include "compute/compute.h"
#include "weights/conversion.h"
#include "weights/quantisation.h"
#include "weights/tensor_scale.h"

enum {
    OPERAND_ALIGN = 64,    /* what weight_store asks for */
    CHUNK_BYTES = 1 << 20, /* few turns of the threads, and still in the last cache */
    DECODED_COUNT = 1 << 19,
};

void component_spec_begin(struct component_spec *spec,
                          const struct component_index *index, enum dtype dtype,
                          struct pool *pool)
{
    assert(dtype == DTYPE_F32 || dtype == DTYPE_BF16);
    *spec = (struct component_spec){.index = index, .dtype = dtype, .pool = pool};
}

/* ---- problems ---- */

__attribute__((format(printf, 2, 3))) static void note(struct problem_list *list,
                                                       const char *format, ...)
{
    if (list->count++ >= COMPONENT_LISTED_PROBLEMS) return;
    const size_t used = strlen(list->text);
    const char *const comma = used > 0 ? ", " : "";
    (void)snprintf(list->text + used, sizeof list->text - used, "%s", comma);
    const size_t start = used + strlen(comma);
    if (start >= sizeof list->text) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(list->text + start, sizeof list->text - start, format, arguments);
    va_end(arguments);
}

static void note_failure(struct component_spec *spec, const struct dr_error *failure)
{
    if (!spec->failure.code) spec->failure = *failure;
}

static void note_no_memory(struct component_spec *spec)
{
    struct dr_error failure;
    error_set(&failure, DR_NOMEM, "no memory for the description of the %s",
              component_role_name(spec->index->role));
    note_failure(spec, &failure);
}

/* ---- shapes ---- */

/* A tensor as an operand sees it. */
struct view {
    int64_t out, in, kernel_height, kernel_width;
};

/* A tensor of any rank as a matrix. */
static bool view_flat(const struct tensor *tensor, struct view *view)
{
    const int64_t count = tensor_element_count(tensor);
    *view = (struct view){1, 1, 1, 1};
    if (tensor->rank < 1 || tensor->dims[0] < 1) return tensor->rank == 0;
    view->out = tensor->dims[0];
    view->in = count / tensor->dims[0];
    return true;
}

/* False where the tensor's rank does not go with the kind. */
static bool view_tensor(const struct tensor *tensor, enum weight_kind kind,
                        struct view *view)
{
    const int64_t *const dims = tensor->dims;
    const bool is_1x1 = tensor->rank == 4 && dims[2] == 1 && dims[3] == 1;
    *view = (struct view){1, 1, 1, 1};
    if (tensor->rank > 0) view->out = dims[0];
    if (tensor->rank > 1) view->in = dims[1];
    switch (kind) {
    case WEIGHT_CONV:
        if (tensor->rank != 4) return false;
        view->kernel_height = dims[2];
        view->kernel_width = dims[3];
        return true;
    case WEIGHT_LINEAR: return tensor->rank == 2 || is_1x1;
    case WEIGHT_VECTOR: return tensor->rank == 1;
    case WEIGHT_TABLE: return tensor->rank == 2;
    }
    return false;
}

static bool goes(int32_t expected, int64_t is)
{
    return expected < 0 || expected == is;
}

/* Rows of one part as asked for; -1: whatever. */
static int32_t part_rows(const struct operand_request *request, int32_t part_count)
{
    return request->out < 0 ? -1 : request->out / part_count;
}

static bool fits(const struct view *view, const struct operand_request *request,
                 int32_t part_count)
{
    const int32_t rows = part_rows(request, part_count);
    const bool is_conv = request->kind == WEIGHT_CONV;
    const int32_t height = request->kernel_height ? request->kernel_height : 1;
    const int32_t width = request->kernel_width ? request->kernel_width : 1;
    if (view->out < 1 || view->in < 1 || view->kernel_height < 1 ||
        view->kernel_width < 1)
        return false;
    if (view->out > COMPONENT_MAX_DIM || view->in > COMPONENT_MAX_DIM) return false;
    if (is_conv &&
        (!goes(height, view->kernel_height) || !goes(width, view->kernel_width)))
        return false;
    if (request->kind == WEIGHT_VECTOR) return goes(rows, view->out);
    if (request->transpose) return goes(rows, view->in) && goes(request->in, view->out);
    if (request->column_slice)
        return goes(rows, view->out) &&
               (int64_t)request->first_column + request->in <= view->in;
    return goes(rows, view->out) && goes(request->in, view->in);
}

/* What was asked for, as text: "[320, 4, 3, 3]", "?" for whatever. */
static const char *wanted_text(const struct operand_request *request,
                               int32_t part_count, char out[static 96])
{
    int32_t dims[4] = {part_rows(request, part_count), request->in,
                       request->kernel_height ? request->kernel_height : 1,
                       request->kernel_width ? request->kernel_width : 1};
    const int rank = request->kind == WEIGHT_VECTOR ? 1
                     : request->kind == WEIGHT_CONV ? 4
                                                    : 2;
    if (request->transpose) {
        dims[0] = request->in;
        dims[1] = part_rows(request, part_count);
    }
    size_t used = (size_t)snprintf(out, 96, "[");
    for (int i = 0; i < rank; ++i) {
        const char *const comma = i ? ", " : "";
        const bool more = i == 1 && request->column_slice;
        used += dims[i] < 0 ? (size_t)snprintf(out + used, 96 - used, "%s?", comma)
                            : (size_t)snprintf(out + used, 96 - used, "%s%s%d", comma,
                                               more ? ">=" : "",
                                               more ? dims[i] + request->first_column
                                                    : dims[i]);
    }
    (void)snprintf(out + used, 96 - used, "]");
    return out;
}

static bool check_tensor(struct component_spec *spec,
                         const struct component_tensor *entry,
                         const struct operand_request *request, int32_t part_count,
                         struct view *view)
{
    const struct tensor *const tensor = entry->tensor;
    char shape[TENSOR_SHAPE_TEXT], wanted[96];
    const bool ranked = (request->flatten ? view_flat(tensor, view)
                                          : view_tensor(tensor, request->kind, view));
    if (ranked && fits(view, request, part_count) &&
        (dtype_is_float(tensor->dtype) ||
         quantisation_is_scaled_int8(spec->index->file, entry)))
        return true;
    const char *const quantisation = quantisation_of(spec->index->file, tensor->name);
    if (quantisation) {
        if (!spec->quantisation) {
            spec->quantisation = quantisation;
            note(&spec->quantised, "%s is %s %s", entry->name,
                 dtype_name(tensor->dtype), tensor_shape_text(tensor, shape));
        } else {
            ++spec->quantised.count;
        }
        return false;
    }
    note(&spec->misshapen, "%s is %s %s, not %s", entry->name,
         dtype_name(tensor->dtype), tensor_shape_text(tensor, shape),
         wanted_text(request, part_count, wanted));
    return false;
}

/* ---- operands ---- */

/* The place of a tensor in the index, or -1. */
static int32_t find_tensor(const struct component_index *index, const char *name)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(index->tensors[middle].name, name);
        if (order == 0) return (int32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static struct operand *add_operand(struct component_spec *spec)
{
    if (spec->operand_count == spec->operand_capacity) {
        const size_t capacity =
            spec->operand_capacity ? 2 * spec->operand_capacity : 256;
        struct operand **const grown =
            pool_grow(spec->pool, spec->operands, spec->operand_count, capacity,
                      sizeof spec->operands[0]);
        if (!grown) return NULL;
        spec->operands = grown;
        spec->operand_capacity = capacity;
    }
    struct operand *const operand = pool_alloc(spec->pool, sizeof *operand);
    if (operand) spec->operands[spec->operand_count++] = operand;
    return operand;
}

static struct weight_shape operand_shape(const struct component_spec *spec,
                                         const struct operand_request *request,
                                         const struct view *view, int32_t part_count)
{
    struct weight_shape shape = {
        .kind = request->kind,
        .dtype = request->dtype_set ? request->dtype : spec->dtype,
        .out = (int32_t)(request->transpose ? view->in : view->out) * part_count,
        .in = (int32_t)(request->transpose ? view->out : view->in),
        .kernel_height = (int32_t)view->kernel_height,
        .kernel_width = (int32_t)view->kernel_width,
    };
    if (request->kind == WEIGHT_VECTOR) shape.dtype = DTYPE_F32;
    if (request->column_slice) shape.in = request->in;
    return shape;
}

/* Are the columns that the operand takes of a tensor's rows whole groups? */
static bool takes_groups(const struct operand *operand, const struct tensor *tensor,
                         enum dtype block_type)
{
    const size_t kernel =
        (size_t)operand->weight.kernel_height * (size_t)operand->weight.kernel_width;
    const size_t columns = tensor->rank > 1 ? (size_t)tensor->dims[1] : 1;
    const size_t group = block_codec_group(block_type);
    return !operand->transpose && columns * kernel % group == 0 &&
           (size_t)operand->first_column * kernel % group == 0;
}

static enum dtype part_type(const struct component_tensor *part,
                            enum component_storage storage)
{
    const enum dtype type = part->tensor->dtype;
    return storage >= STORAGE_F16 && type == DTYPE_F32 ? DTYPE_F16 : type;
}

static enum dtype block_type_of(enum component_storage storage)
{
    return storage == STORAGE_Q4 ? DTYPE_Q4_0 : DTYPE_Q8_0;
}

/* Is it to be stored in blocks that its tensors do not have yet? */
static bool becomes_blocks(const struct component_spec *spec,
                           const struct operand *operand,
                           enum component_storage storage)
{
    const enum dtype type = block_type_of(storage);
    if (storage != STORAGE_Q8 && storage != STORAGE_Q4) return false;
    for (int32_t i = 0; i < operand->part_count; ++i) {
        const struct component_tensor *const part =
            &spec->index->tensors[operand->parts[i]];
        if (dtype_is_block(part->tensor->dtype) ||
            conversion_type(spec->index->role, part->name, part->tensor, type) !=
                type ||
            !takes_groups(operand, part->tensor, type))
            return false;
    }
    return true;
}

/* The type of all parts; the arithmetic's where they differ, or have scales, or where groups of a block type are
 * cut. */
static enum dtype stored_type(const struct component_spec *spec,
                              const struct operand *operand,
                              enum component_storage storage)
{
    const struct component_tensor *const tensors = spec->index->tensors;
    const enum dtype type = part_type(&tensors[operand->parts[0]], storage);
    if (storage == STORAGE_COMPUTED) return operand->weight.dtype;
    if (becomes_blocks(spec, operand, storage)) return block_type_of(storage);
    if (dtype_is_block(type) &&
        !takes_groups(operand, tensors[operand->parts[0]].tensor, type))
        return operand->weight.dtype;
    for (int32_t i = 0; i < operand->part_count; ++i) {
        const struct component_tensor *const part = &tensors[operand->parts[i]];
        if (part_type(part, storage) != type || part->scale_count > 0)
            return operand->weight.dtype;
    }
    return type;
}

static const struct weight *make_operand(struct component_spec *spec,
                                         const struct operand_request *request,
                                         const struct view *view, const int32_t *parts,
                                         int32_t part_count)
{
    struct dr_error failure = {0};
    struct operand *const operand = add_operand(spec);
    if (!operand) {
        note_no_memory(spec);
        return NULL;
    }
    operand->part_count = part_count;
    memcpy(operand->parts, parts, (size_t)part_count * sizeof parts[0]);
    operand->first_column = request->column_slice ? request->first_column : 0;
    operand->transpose = request->transpose;
    const struct weight_shape shape = operand_shape(spec, request, view, part_count);
    if (weight_init(&operand->weight, &shape, spec->pool, &failure)) {
        error_prefix(&failure, "%s", spec->index->tensors[parts[0]].name);
        note_failure(spec, &failure);
        return NULL;
    }
    (void)weight_store_as(&operand->weight, stored_type(spec, operand, STORAGE_FILE));
    operand->weight.region = spec->region;
    return &operand->weight;
}

const struct weight *component_need_stack(struct component_spec *spec,
                                          const struct operand_request *request,
                                          const char *const names[])
{
    int32_t parts[OPERAND_MAX_PARTS], part_count = 0, found_count = 0;
    for (; names[part_count]; ++part_count) {
        assert(part_count < OPERAND_MAX_PARTS);
        parts[part_count] = find_tensor(spec->index, names[part_count]);
        if (parts[part_count] >= 0) ++found_count;
    }
    assert(part_count > 0 && (request->out < 0 || request->out % part_count == 0));
    assert(!request->transpose || (part_count == 1 && !request->column_slice &&
                                   request->kind == WEIGHT_LINEAR));
    assert(!request->column_slice || (request->in > 0 && request->first_column >= 0));
    if (request->optional && found_count == 0) return NULL;

    struct view first = {0};
    bool good = true;
    for (int32_t i = 0; i < part_count; ++i) {
        if (parts[i] < 0) {
            note(&spec->missing, "%s", names[i]);
            good = false;
            continue;
        }
        struct view view;
        struct operand_request exact = *request;
        if (i > 0 && good && request->kind != WEIGHT_VECTOR)
            exact.in = (int32_t)first.in;
        if (i > 0 && good) exact.out = (int32_t)first.out * part_count;
        if (!check_tensor(spec, &spec->index->tensors[parts[i]],
                          i > 0 ? &exact : request, part_count, &view))
            good = false;
        if (i == 0) first = view;
    }
    return good ? make_operand(spec, request, &first, parts, part_count) : NULL;
}

const struct weight *component_need(struct component_spec *spec,
                                    const struct operand_request *request,
                                    const char *name, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, name);
    const int bytes = vsnprintf(text, sizeof text, name, arguments);
    va_end(arguments);
    assert(bytes > 0 && (size_t)bytes < sizeof text); /* names are the network's own */
    return component_need_stack(spec, request, (const char *const[]){text, NULL});
}

/* ---- the end of the walk ---- */

static void append(char *text, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t capacity, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, capacity - used, format, arguments);
    va_end(arguments);
}

static void append_list(char *text, size_t capacity, const struct problem_list *list)
{
    append(text, capacity, ": %s", list->text);
    if (list->count > COMPONENT_LISTED_PROBLEMS)
        append(text, capacity, " and %zu more",
               list->count - COMPONENT_LISTED_PROBLEMS);
}

static enum dr_code list_quantised(const struct component_spec *spec,
                                   struct dr_error *err)
{
    return error_set(
        err, DR_UNSUPPORTED,
        "%s of %.400s: %zu weight%s quantised to %s, which is not supported yet "
        "(%.300s%s); use the float16, bfloat16, float32 or float8 file of this model",
        component_role_name(spec->index->role), spec->index->file->path,
        spec->quantised.count, spec->quantised.count == 1 ? " is" : "s are",
        spec->quantisation, spec->quantised.text,
        spec->quantised.count > 1 ? ", ..." : "");
}

/* A quantised form may take the place of the weight: then that is what is missing. */
static enum dr_code list_replaced(const struct component_spec *spec, const char *name,
                                  const char *how, struct dr_error *err)
{
    return error_set(err, DR_UNSUPPORTED,
                     "%s of %.400s: its weights are quantised (%s: tensors such as "
                     "%.160s), which is not supported; use the float16, bfloat16, "
                     "float32 or float8 file of this model",
                     component_role_name(spec->index->role), spec->index->file->path,
                     how, name);
}

static enum dr_code list_problems(const struct component_spec *spec,
                                  struct dr_error *err)
{
    const char *how = "";
    const char *const replaced =
        spec->missing.count > 0 ? quantisation_in_place(spec->index->file, &how) : NULL;
    if (replaced) return list_replaced(spec, replaced, how, err);
    const struct problem_list *const missing = &spec->missing, *const misshapen =
                                                                   &spec->misshapen;
    char text[sizeof missing->text + sizeof misshapen->text + 128] = "";
    if (missing->count > 0) {
        append(text, sizeof text, "%zu tensor%s missing", missing->count,
               missing->count == 1 ? " is" : "s are");
        append_list(text, sizeof text, missing);
    }
    if (misshapen->count > 0) {
        append(text, sizeof text, "%s%zu %s", missing->count ? "; " : "",
               misshapen->count,
               misshapen->count == 1 ? "has the wrong shape" : "have wrong shapes");
        append_list(text, sizeof text, misshapen);
    }
    return error_set(err, DR_INCOMPLETE, "%s of %s: %s",
                     component_role_name(spec->index->role), spec->index->file->path,
                     text);
}

/* Offsets of the operands, one after the other. */
static enum dr_code lay_out_weights(struct component_spec *spec, struct dr_error *err)
{
    size_t end = 0;
    for (size_t i = 0; i < spec->operand_count; ++i) {
        struct weight *const weight = &spec->operands[i]->weight;
        weight->offset = end;
        if (!size_add(end, weight->bytes, &end) || end > SIZE_MAX / 2)
            return error_set(err, DR_OVER_BUDGET,
                             "%s of %s: its weights overflow the memory",
                             component_role_name(spec->index->role),
                             spec->index->file->path);
        end = size_align(end, OPERAND_ALIGN);
        const size_t plain_bytes = weight_plain_bytes(weight);
        if (plain_bytes > spec->plain_bytes) spec->plain_bytes = plain_bytes;
        if (weight_run_bytes(weight) > spec->run_bytes)
            spec->run_bytes = weight_run_bytes(weight);
    }
    spec->weights_bytes = end;
    return DR_OK;
}

/* See component_load.c for what lies there. */
static void size_scratch(struct component_spec *spec)
{
    const size_t count = spec->index->count;
    uint64_t largest = 0, decoded = 0;
    for (size_t i = 0; i < count; ++i) {
        const struct tensor *const tensor = spec->index->tensors[i].tensor;
        const uint64_t elements = (uint64_t)tensor_element_count(tensor);
        if (tensor->bytes > largest) largest = tensor->bytes;
        if (dtype_is_block(tensor->dtype) && elements > decoded) decoded = elements;
    }
    for (size_t i = 0; i < spec->operand_count; ++i) {
        const struct operand *const operand = spec->operands[i];
        for (int32_t k = 0; k < operand->part_count; ++k) {
            const uint64_t elements = (uint64_t)tensor_element_count(
                spec->index->tensors[operand->parts[k]].tensor);
            if (dtype_is_block(operand->weight.stored) && elements > decoded)
                decoded = elements;
        }
    }
    spec->decoded_count =
        size_align(decoded < DECODED_COUNT ? (size_t)decoded : DECODED_COUNT,
                   OPERAND_ALIGN);
    spec->chunk_bytes =
        size_align(largest < CHUNK_BYTES ? (size_t)largest : CHUNK_BYTES,
                   OPERAND_ALIGN);
    spec->plain_bytes = size_align(spec->plain_bytes, OPERAND_ALIGN);
    spec->run_bytes = size_align(spec->run_bytes, OPERAND_ALIGN);
    spec->lane_count = compute_thread_count();
    for (size_t i = 0; i < count; ++i) {
        const struct tensor *const tensor = spec->index->tensors[i].tensor;
        if (spec->index->tensors[i].scale_count > 0 && tensor->rank > 0 &&
            (uint64_t)tensor->dims[0] > spec->scale_rows)
            spec->scale_rows = (size_t)tensor->dims[0];
    }
    spec->scale_rows = size_align(spec->scale_rows, OPERAND_ALIGN);
    spec->scratch_bytes = 2 * spec->chunk_bytes + spec->plain_bytes +
                          spec->scale_rows * (TENSOR_SCALE_RAW_BYTES + sizeof(float)) +
                          spec->decoded_count * COMPONENT_DECODED_BYTES +
                          (size_t)spec->lane_count * spec->run_bytes +
                          count * DIGEST_BYTES + count;
}

/* A tensor that nothing reads is not a weight of this network, whatever its name. */
static enum dr_code list_unused(struct component_spec *spec, struct dr_error *err)
{
    const size_t count = spec->index->count;
    bool *const is_used = pool_alloc(spec->pool, count * sizeof is_used[0]);
    if (!is_used) return error_set(err, DR_NOMEM, "no memory for a list of tensors");
    for (size_t i = 0; i < spec->operand_count; ++i)
        for (int32_t p = 0; p < spec->operands[i]->part_count; ++p)
            is_used[spec->operands[i]->parts[p]] = true;
    for (size_t i = 0; i < count; ++i)
        if (!is_used[i] && !spec->index->tensors[i].is_scale)
            note(&spec->unused, "%s", spec->index->tensors[i].name);
    return DR_OK;
}

enum dr_code component_spec_end(struct component_spec *spec, struct dr_error *err)
{
    if (spec->failure.code) {
        if (err) *err = spec->failure;
        return spec->failure.code;
    }
    if (spec->quantised.count > 0) return list_quantised(spec, err);
    if (spec->missing.count > 0 || spec->misshapen.count > 0)
        return list_problems(spec, err);
    assert(spec->operand_count > 0);
    const enum dr_code code = lay_out_weights(spec, err);
    if (code) return code;
    size_scratch(spec);
    return list_unused(spec, err);
}

enum dr_code component_spec_store(struct component_spec *spec,
                                  enum component_storage storage, struct dr_error *err)
{
    for (size_t i = 0; i < spec->operand_count; ++i) {
        struct operand *const operand = spec->operands[i];
        const enum dtype before = operand->weight.stored;
        if (!weight_store_as(&operand->weight, stored_type(spec, operand, storage)))
            (void)weight_store_as(&operand->weight, operand->weight.dtype);
        if (storage >= STORAGE_F16 && operand->weight.stored != before)
            spec->rounded_to = storage;
    }
    spec->plain_bytes = spec->run_bytes = spec->scale_rows = 0;
    const enum dr_code code = lay_out_weights(spec, err);
    if (!code) size_scratch(spec);
    return code;
}

const char *component_storage_name(enum component_storage storage)
{
    switch (storage) {
    case STORAGE_Q8: return "q8";
    case STORAGE_Q4: return "q4";
    case STORAGE_F16:
    case STORAGE_COMPUTED:
    case STORAGE_FILE: break;
    }
    return "f16";
}

enum dtype component_stored_type(const struct component_spec *spec)
{
    size_t bytes[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    for (size_t i = 0; i < spec->operand_count; ++i) {
        const struct weight *const weight = &spec->operands[i]->weight;
        bytes[weight->stored] += weight->bytes;
        if (bytes[weight->stored] > bytes[most]) most = weight->stored;
    }
    return most;
}

enum dr_code component_note_unused(const struct component_spec *spec,
                                   struct checkpoint *checkpoint, struct dr_error *err)
{
    const struct problem_list *const unused = &spec->unused;
    if (unused->count == 0) return DR_OK;
    return meaning_add(checkpoint, spec->index->role, err,
                       "%.300s: %zu tensor%s of the %s would not be used: %s%s",
                       checkpoint->file.path, unused->count,
                       unused->count == 1 ? "" : "s",
                       component_role_name(spec->index->role), unused->text,
                       unused->count > COMPONENT_LISTED_PROBLEMS ? ", ..." : "");
}
