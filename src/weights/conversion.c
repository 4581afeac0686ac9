/* Two passes over the components: the first decides each tensor's name, type and shape, which a
 * file's header has before all data; the second reads, converts and writes piece by piece. */
#include "weights/conversion.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/block_codec.h"
#include "weights/quantisation.h"
#include "weights/tensor_scale.h"
#include "weights/tensor_writer.h"

/* ---- what is in blocks ---- */

static bool begins(const char *name, const char *start)
{
    return strncmp(name, start, strlen(start)) == 0;
}

static bool ends(const char *name, const char *end)
{
    const size_t bytes = strlen(name), end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(name + bytes - end_bytes, end) == 0;
}

/* Small, or near the numbers that go in and come out. */
static bool is_kept(enum component_role role, const char *name)
{
    switch (role) {
    case ROLE_UNET:
        return begins(name, "input_blocks.0.") || begins(name, "out.") ||
               begins(name, "time_embed.") || begins(name, "label_emb.");
    case ROLE_TEXT:
    case ROLE_TEXT2:
        return ends(name, "embedding.weight") || begins(name, "positional_embedding") ||
               begins(name, "text_projection");
    case ROLE_VAE:
    case ROLE_COUNT: break;
    }
    return true;
}

enum dtype conversion_type(enum component_role role, const char *name,
                           const struct tensor *tensor, enum dtype block_type)
{
    const int64_t count = tensor_element_count(tensor);
    const int64_t block = (int64_t)dtype_block_elements(block_type);
    const int64_t row = tensor->rank > 0 ? tensor->dims[tensor->rank - 1] : 1;
    if (tensor->rank < 2 || is_kept(role, name)) return DTYPE_F16;
    return row % block == 0 || count % 256 == 0 ? block_type : DTYPE_F16;
}

/* ---- the plan ---- */

struct planned {
    const struct component_index *index;
    const struct component_tensor *entry; /* NULL: a marker */
    const struct tensor *tensor;
};

struct plan {
    const struct checkpoint *checkpoint;
    const struct conversion_options *options;
    struct pool pool;
    struct planned *tensors;
    struct tensor_writer_item *items;
    size_t count;
    struct tensor_metadata *metadata;
    size_t metadata_count;
    struct conversion_result result;
};

static bool has_extension(const char *path, const char *extension)
{
    const char *const dot = strrchr(path, '.');
    return dot && strcasecmp(dot, extension) == 0;
}

bool conversion_is_gguf(const char *output)
{
    return has_extension(output, ".gguf");
}

bool conversion_is_safetensors(const char *output)
{
    return has_extension(output, ".safetensors") || has_extension(output, ".sft");
}

/* A network alone has bare names, as ComfyUI has them; else the original prefixes. */
static const char *prefix_of(const struct checkpoint *checkpoint,
                             enum component_role role)
{
    static const char *const sd15[ROLE_COUNT] = {
        [ROLE_TEXT] = "cond_stage_model.transformer.text_model.",
        [ROLE_UNET] = "model.diffusion_model.",
        [ROLE_VAE] = "first_stage_model.",
    };
    static const char *const sdxl[ROLE_COUNT] = {
        [ROLE_TEXT] = "conditioner.embedders.0.transformer.text_model.",
        [ROLE_TEXT2] = "conditioner.embedders.1.model.",
        [ROLE_UNET] = "model.diffusion_model.",
        [ROLE_VAE] = "first_stage_model.",
    };
    int count = 0;
    for (int i = 0; i < ROLE_COUNT; ++i)
        count += checkpoint->components[i].count > 0;
    if (count == 1 && (role == ROLE_UNET || role == ROLE_VAE)) return "";
    return checkpoint->family == FAMILY_SDXL ? sdxl[role] : sd15[role];
}

static enum dr_code no_memory(const struct plan *plan, struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory to convert %.600s",
                     plan->checkpoint->file.path);
}

static enum dr_code plan_tensor(struct plan *plan, const struct component_index *index,
                                const struct component_tensor *entry,
                                struct dr_error *err)
{
    const enum dtype wanted = plan->options->type;
    const struct tensor *const tensor = entry->tensor;
    char name[2 * TENSOR_MAX_NAME_BYTES];
    struct tensor_writer_item item = {.rank = tensor->rank, .dtype = wanted};
    memcpy(item.dims, tensor->dims, sizeof item.dims);
    if (dtype_is_block(wanted))
        item.dtype = conversion_type(index->role, entry->name, tensor, wanted);
    if (!dtype_is_float(tensor->dtype) &&
        !quantisation_is_scaled_int8(index->file, entry))
        return error_set(err, DR_UNSUPPORTED,
                         "tensor %.160s of %.600s is %s, which are not the numbers "
                         "themselves; convert the float file of this model",
                         tensor->name, plan->checkpoint->file.path,
                         dtype_name(tensor->dtype));
    if (dtype_is_block(wanted) && dtype_is_block(tensor->dtype))
        return error_set(
            err, DR_BAD_INPUT,
            "%.600s is quantised already (tensor %.160s is %s): quantising "
            "it again would only lose more; convert the original, or use "
            "--weights f16",
            plan->checkpoint->file.path, tensor->name, dtype_name(tensor->dtype));
    (void)snprintf(name, sizeof name, "%s%s", prefix_of(plan->checkpoint, index->role),
                   entry->name);
    item.name = pool_string(&plan->pool, name);
    if (!item.name) return no_memory(plan, err);
    const uint64_t elements = (uint64_t)tensor_element_count(tensor);
    plan->result.element_count += elements;
    if (dtype_is_block(item.dtype)) {
        ++plan->result.block_count;
        plan->result.block_element_count += elements;
    }
    plan->tensors[plan->count] =
        (struct planned){.index = index, .entry = entry, .tensor = tensor};
    plan->items[plan->count++] = item;
    return DR_OK;
}

static enum dr_code plan_tensors(struct plan *plan, struct dr_error *err)
{
    const struct checkpoint *const checkpoint = plan->checkpoint;
    size_t most = 0;
    enum dr_code code = DR_OK;
    for (int i = 0; i < ROLE_COUNT; ++i)
        most += checkpoint->components[i].count;
    plan->tensors = pool_alloc(&plan->pool, (most + 1) * sizeof *plan->tensors);
    plan->items = pool_alloc(&plan->pool, (most + 1) * sizeof *plan->items);
    if (!plan->tensors || !plan->items) return no_memory(plan, err);
    for (int i = 0; i < ROLE_COUNT; ++i) {
        const struct component_index *const index = &checkpoint->components[i];
        for (size_t k = 0; !code && k < index->count; ++k)
            if (!index->tensors[k].is_scale)
                code = plan_tensor(plan, index, &index->tensors[k], err);
    }
    if (!code && dtype_is_block(plan->options->type) && plan->result.block_count == 0)
        code = error_set(err, DR_BAD_INPUT,
                         "%.600s has no weight that is stored in blocks (a VAE stays "
                         "float16); use --weights f16",
                         checkpoint->file.path);
    plan->result.tensor_count = plan->count;
    return code;
}

static bool has_key(const struct plan *plan, const char *key)
{
    for (size_t i = 0; i < plan->metadata_count; ++i)
        if (strcmp(plan->metadata[i].key, key) == 0) return true;
    return false;
}

static void add_text(struct plan *plan, const char *key, const char *text)
{
    if (!has_key(plan, key))
        plan->metadata[plan->metadata_count++] =
            (struct tensor_metadata){.key = key, .text = text};
}

/* The file's own texts, without what a GGUF file says of itself; and what else was said of how it is
 * run, first: the first of a key counts. */
static enum dr_code plan_metadata(struct plan *plan, struct dr_error *err)
{
    const struct tensor_file *const file = &plan->checkpoint->file;
    const struct meaning *const meaning = &plan->checkpoint->meaning;
    plan->metadata =
        pool_alloc(&plan->pool, (file->metadata_count + 3) * sizeof *plan->metadata);
    if (!plan->metadata) return no_memory(plan, err);
    if (meaning->predicts_v) add_text(plan, "darkroom.prediction", "v");
    if (meaning->zero_terminal_snr)
        add_text(plan, "darkroom.zero_terminal_snr", "true");
    if (meaning->encodes_empty_negative)
        add_text(plan, "darkroom.zeros_for_empty_prompt", "false");
    for (size_t i = 0; i < file->metadata_count; ++i)
        if (file->metadata[i].config == CONFIG_NONE &&
            !begins(file->metadata[i].key, "general."))
            add_text(plan, file->metadata[i].key, file->metadata[i].text);
    return DR_OK;
}

uint64_t conversion_bytes(const struct checkpoint *checkpoint)
{
    uint64_t bytes = 0;
    for (int i = 0; i < ROLE_COUNT; ++i)
        bytes += checkpoint->components[i].bytes;
    return bytes;
}

/* ---- converting ---- */

/* The buffer: [stored piece][numbers][written piece]. */
struct buffers {
    unsigned char *stored;
    float *numbers;
    unsigned char *written;
};

static struct buffers carve(void *buffer)
{
    unsigned char *const at = buffer;
    return (struct buffers){.stored = at,
                            .numbers = (float *)(void *)(at + CONVERSION_PIECE * 8),
                            .written = at + CONVERSION_PIECE * 12};
}

/* The scales of all rows, where a weight has some; NULL in *out: none. */
static enum dr_code read_scales(const struct planned *planned, float **out,
                                struct dr_error *err)
{
    const struct component_tensor *const entry = planned->entry;
    *out = NULL;
    if (entry->scale_count == 0) return DR_OK;
    const size_t rows =
        planned->tensor->rank > 0 ? (size_t)planned->tensor->dims[0] : 1;
    const size_t part_rows = rows / (size_t)entry->scale_count;
    float *const scales = malloc((rows + 1) * sizeof *scales);
    void *const raw = malloc((part_rows + 1) * TENSOR_SCALE_RAW_BYTES);
    enum dr_code code =
        scales && raw ? DR_OK : error_set(err, DR_NOMEM, "no memory for scales");
    for (int32_t i = 0; !code && i < entry->scale_count; ++i) {
        float *const part = scales + (size_t)i * part_rows;
        for (size_t row = 0; row < part_rows; ++row)
            part[row] = 1.0F;
        if (entry->scales[i])
            code = tensor_scale_read(planned->index->file, entry->scales[i], part_rows,
                                     raw, part, err);
    }
    free(raw);
    if (code)
        free(scales);
    else
        *out = scales;
    return code;
}

static void scale_rows(float *numbers, const float *scales, uint64_t first,
                       size_t count, uint64_t row_elements)
{
    for (size_t i = 0; i < count; ++i)
        numbers[i] *= scales[(first + i) / row_elements];
}

static bool are_finite(const float *numbers, size_t count)
{
    bool finite = true;
    for (size_t i = 0; i < count; ++i)
        finite &= isfinite(numbers[i]) != 0;
    return finite;
}

/* Numbers into the written type; false where one is beyond its range. */
static bool encode(const float *numbers, enum dtype type, void *target, size_t count)
{
    if (type == DTYPE_F32) {
        memcpy(target, numbers, count * sizeof *numbers);
        return true;
    }
    if (dtype_is_block(type)) return block_codec_encode(numbers, type, target, count);
    dtype_to_f16(numbers, target, count);
    for (size_t i = 0; i < count; ++i)
        if ((((const uint16_t *)target)[i] & 0x7C00u) == 0x7C00u) return false;
    return true;
}

static enum dr_code refuse_number(const struct planned *planned,
                                  const struct tensor_writer_item *item,
                                  const float *numbers, size_t count,
                                  struct dr_error *err)
{
    const char *const path = planned->index->file->path;
    float most = 0;
    if (!are_finite(numbers, count))
        return error_set(err, DR_NOT_FINITE,
                         "tensor %.160s of %.600s has values that are NaN or infinite",
                         planned->tensor->name, path);
    for (size_t i = 0; i < count; ++i)
        if (fabsf(numbers[i]) > most) most = fabsf(numbers[i]);
    return error_set(err, DR_NOT_FINITE,
                     "tensor %.160s of %.600s has values up to %g, which %s does not "
                     "hold; use --weights f32",
                     planned->tensor->name, path, (double)most,
                     dtype_name(item->dtype));
}

struct progress {
    const struct component_progress *sink;
    uint64_t done_bytes, total_bytes;
};

static enum dr_code look_up(const struct progress *progress, struct dr_error *err)
{
    const struct component_progress *const sink = progress->sink;
    if (!sink) return DR_OK;
    if (sink->report && progress->total_bytes > 0)
        sink->report(sink->cookie,
                     (double)progress->done_bytes / (double)progress->total_bytes);
    if (!cancel_requested(sink->cancel)) return DR_OK;
    return error_set(err, DR_CANCELLED, "the conversion was cancelled");
}

static enum dr_code write_tensor(struct tensor_writer *writer,
                                 const struct planned *planned,
                                 const struct tensor_writer_item *item,
                                 const struct buffers *buffers,
                                 struct progress *progress, struct dr_error *err)
{
    const struct tensor *const tensor = planned->tensor;
    const uint64_t count = (uint64_t)tensor_element_count(tensor);
    const uint64_t row_elements =
        tensor->rank > 0 && tensor->dims[0] > 0 ? count / (uint64_t)tensor->dims[0] : 1;
    float *scales;
    enum dr_code code = read_scales(planned, &scales, err);
    for (uint64_t done = 0; !code && done < count; done += CONVERSION_PIECE) {
        const uint64_t left = count - done;
        const size_t some = left < CONVERSION_PIECE ? (size_t)left : CONVERSION_PIECE;
        size_t start = 0, bytes = 0, written = 0;
        const bool is_whole = dtype_size(tensor->dtype, (size_t)done, &start) &&
                              dtype_size(tensor->dtype, some, &bytes) &&
                              dtype_size(item->dtype, some, &written);
        assert(is_whole); /* pieces are whole blocks of every type */
        (void)is_whole;
        code = look_up(progress, err);
        if (!code)
            code = tensor_file_read(planned->index->file, tensor, start,
                                    buffers->stored, bytes, err);
        if (code) break;
        dtype_to_f32(buffers->stored, tensor->dtype, buffers->numbers, some);
        if (scales) scale_rows(buffers->numbers, scales, done, some, row_elements);
        if (!are_finite(buffers->numbers, some) ||
            !encode(buffers->numbers, item->dtype, buffers->written, some))
            code = refuse_number(planned, item, buffers->numbers, some, err);
        else
            code = tensor_writer_add(writer, buffers->written, written, err);
        progress->done_bytes += bytes;
    }
    free(scales);
    return code;
}

static enum dr_code open_writer(const struct plan *plan, struct tensor_writer **writer,
                                struct dr_error *err)
{
    const struct conversion_options *const options = plan->options;
    const bool is_sdxl = plan->checkpoint->family == FAMILY_SDXL;
    /* ggml's numbers of what most of a file is stored in. */
    const struct tensor_writer_gguf gguf = {
        .architecture = is_sdxl ? "sdxl" : "sd1",
        .file_type = options->type == DTYPE_Q8_0   ? 7
                     : options->type == DTYPE_Q4_0 ? 2
                     : options->type == DTYPE_F16  ? 1
                                                   : 0,
    };
    return conversion_is_gguf(options->output)
               ? tensor_writer_open_gguf(writer, options->output, &gguf, plan->items,
                                         plan->count, plan->metadata,
                                         plan->metadata_count, err)
               : tensor_writer_open(writer, options->output, plan->items, plan->count,
                                    plan->metadata, plan->metadata_count, err);
}

static enum dr_code write_all(struct plan *plan, struct dr_error *err)
{
    const struct buffers buffers = carve(plan->options->buffer);
    struct progress progress = {.sink = plan->options->progress,
                                .total_bytes = conversion_bytes(plan->checkpoint)};
    struct tensor_writer *writer = NULL;
    enum dr_code code = open_writer(plan, &writer, err);
    for (size_t i = 0; !code && i < plan->count; ++i) {
        size_t bytes = 0;
        const size_t count = (size_t)tensor_element_count(plan->tensors[i].tensor);
        code = write_tensor(writer, &plan->tensors[i], &plan->items[i], &buffers,
                            &progress, err);
        if (!code && dtype_size(plan->items[i].dtype, count, &bytes))
            plan->result.bytes += bytes;
    }
    if (!code) code = tensor_file_check(&plan->checkpoint->file, err);
    if (!code) code = look_up(&progress, err);
    if (!code) return tensor_writer_commit(&writer, err);
    tensor_writer_discard(&writer);
    return code;
}

enum dr_code conversion_run(const struct checkpoint *checkpoint,
                            const struct conversion_options *options,
                            struct conversion_result *result, struct dr_error *err)
{
    struct plan plan = {.checkpoint = checkpoint, .options = options};
    enum dr_code code = DR_OK;
    if (dtype_is_block(options->type) && !conversion_is_gguf(options->output))
        code =
            error_set(err, DR_BAD_INPUT,
                      "%.600s: safetensors has no type for weights in blocks; name a "
                      ".gguf file, or use --weights f16",
                      options->output);
    if (!code) code = plan_tensors(&plan, err);
    if (!code) code = plan_metadata(&plan, err);
    if (!code) code = write_all(&plan, err);
    if (!code) *result = plan.result;
    pool_finish(&plan.pool);
    return code;
}
