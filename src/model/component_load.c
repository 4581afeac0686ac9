/* Loading: one pass over the file's bytes gives the packed weights and their digest.
 *
 *   file --pread--> chunk --SHA-256--+                      (the tensor's digest)
 *                     |              '--> next chunk, while this one is
 *                     '--converted--> plain operand --weight_store_part--> region
 *
 * Tensors are divided into pieces of one chunk. In each round (turn) the threads have three kinds of tasks: one
 * piece is read and digested, the piece before is converted, and the parts that were completed by the one
 * before that are stored. Without SHA instructions the digest is the slowest (the SHA-256 of one
 * tensor cannot be divided), and the rest is done in parallel with it. What remains of an operand after its
 * last piece is stored by all threads.
 *
 * The scratch region: [chunk 0][chunk 1][plain operand][scales as stored][scales][a digest a
 * tensor][a flag a tensor]. A tensor with scales (tensor_scale.h) has them read before its first
 * piece is converted: value times scale in float32, then to the type that the weight is stored in. Pieces of block types
 * (block_codec.h) are whole blocks, taken apart, or decoded to float32 first: [decoded piece] lies behind the scales, and then
 * [a run of a lane] of what is written to a pack.
 *
 * If two operands use columns of one tensor, it is read and digested twice; both reads must
 * give the same digest, so that every byte of a weight is covered by the component's digest.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/block_codec.h"
#include "base/cancel.h"
#include "base/fault.h"
#include "compute/grid.h"
#include "compute/team.h"
#include "model/component_pack.h"
#include "weights/tensor_scale.h"

enum {
    BLOCK_ELEMENTS = 512, /* of a transposition's detour */
    ENCODED_BYTES = 34,   /* of a block that is made: Q8_0, Q4_0 */
    ALONE_BYTES =
        128 * 1024, /* below this, waking another thread costs more than it saves */
};

/* A run of one tensor's bytes. */
struct piece {
    const struct operand *operand; /* NULL: a tensor that no operand uses */
    int32_t part;                  /* which of the operand's tensors */
    int32_t tensor_idx;
    uint64_t start;
    size_t bytes;
    bool is_last; /* of the tensor */
};

struct loader {
    const struct component_spec *spec;
    const struct component_load_options *options;
    struct region *weights;
    bool makes_pack;
    unsigned char *runs;    /* of each lane, run_bytes long */
    atomic_int write_errno; /* of a pack; 0: none */
    unsigned char *chunks[2];
    unsigned char *plain;
    void *stored_scales;
    float *decoded; /* the numbers of a piece in blocks */
    float *scales;  /* of each row of the tensor that is converted, where is_scaled */
    bool is_scaled;
    uint8_t (*digests)[DIGEST_BYTES];
    uint8_t *is_digested;
    uint64_t done_bytes, total_bytes;
    /* where the cutting stands */
    size_t operand_idx;
    int32_t part;
    int32_t unused_idx;
    uint64_t start;
    /* parts (weight.h) of the operand that is converted */
    int32_t stored_count, whole_count;
};

/* ---- cutting ---- */

static const struct tensor *piece_tensor(const struct loader *loader,
                                         const struct piece *piece)
{
    return loader->spec->index->tensors[piece->tensor_idx].tensor;
}

/* The tensor that is next, or false at the end: all operands' parts, then what no operand
 * used. The flags of used tensors are all set by then, since each is read before. */
static bool find_tensor(struct loader *loader, struct piece *piece)
{
    const struct component_spec *const spec = loader->spec;
    if (loader->operand_idx < spec->operand_count) {
        piece->operand = spec->operands[loader->operand_idx];
        piece->part = loader->part;
        piece->tensor_idx = piece->operand->parts[loader->part];
        return true;
    }
    const int32_t count = (int32_t)spec->index->count;
    while (loader->unused_idx < count && loader->is_digested[loader->unused_idx] &&
           loader->start == 0)
        ++loader->unused_idx;
    piece->tensor_idx = loader->unused_idx;
    return loader->unused_idx < count;
}

static void step_tensor(struct loader *loader)
{
    loader->start = 0;
    if (loader->operand_idx == loader->spec->operand_count) {
        ++loader->unused_idx;
        return;
    }
    if (++loader->part < loader->spec->operands[loader->operand_idx]->part_count)
        return;
    loader->part = 0;
    ++loader->operand_idx;
}

/* Bytes of a whole piece. */
static size_t piece_most(const struct component_spec *spec,
                         const struct operand *operand, enum dtype type)
{
    if (!dtype_is_block(type) && operand && dtype_is_block(operand->weight.stored)) {
        const size_t most = spec->decoded_count * dtype_bytes(type);
        return most < spec->chunk_bytes ? most : spec->chunk_bytes;
    }
    if (!dtype_is_block(type)) return spec->chunk_bytes;
    const size_t chunk = spec->chunk_bytes / dtype_block_bytes(type);
    const size_t decoded = spec->decoded_count / dtype_block_elements(type);
    return (chunk < decoded ? chunk : decoded) * dtype_block_bytes(type);
}

static bool next_piece(struct loader *loader, struct piece *piece)
{
    *piece = (struct piece){0};
    if (!find_tensor(loader, piece)) return false;
    const struct tensor *const tensor = piece_tensor(loader, piece);
    const uint64_t left = tensor->bytes - loader->start;
    const size_t most = piece_most(loader->spec, piece->operand, tensor->dtype);
    piece->start = loader->start;
    piece->bytes = left < most ? (size_t)left : most;
    piece->is_last = left <= most;
    loader->start += piece->bytes;
    if (piece->is_last) step_tensor(loader);
    return true;
}

/* ---- converting ---- */

/* Elements in so many bytes of a tensor: whole ones, or whole blocks. */
static uint64_t element_count(const struct tensor *tensor, uint64_t bytes)
{
    return bytes / dtype_block_bytes(tensor->dtype) *
           dtype_block_elements(tensor->dtype);
}

/* What converting needs of a piece: elements [first, first + count) of a tensor, of whose rows
 * (row_elements each) the columns from skip on, kept_elements many, go to target. */
struct run {
    const struct operand *operand;
    enum dtype type;
    const unsigned char *source;
    unsigned char *target; /* of the tensor's first kept element */
    uint64_t first, count;
    uint64_t row_elements, skip, kept_elements;
    const float *scales; /* of each row, scale_elements long; NULL: as stored */
    uint64_t scale_elements;
};

/* Convert count values into the type that the weight is stored in; false where one is not finite. */
static bool convert_plain(const struct weight *weight, enum dtype type,
                          const void *source, void *target, size_t count)
{
    const enum dtype stored = weight->stored;
    if (stored == type)
        memcpy(target, source, count * dtype_bytes(type));
    else if (stored == DTYPE_F32)
        dtype_to_f32(source, type, target, count);
    else if (stored == DTYPE_BF16)
        dtype_to_bf16(source, type, target, count);
    else if (stored == DTYPE_F16 && type == DTYPE_F32)
        dtype_to_f16(source, target, count);
    else
        assert(false);
    return dtype_is_finite(target, stored, count);
}

/* The same of the tensor's elements from `element` on, each times its row's scale. */
static bool convert(const struct run *run, uint64_t element,
                    const unsigned char *source, unsigned char *target, size_t count)
{
    const struct weight *const weight = &run->operand->weight;
    const size_t source_bytes = dtype_bytes(run->type),
                 target_bytes = dtype_bytes(weight->stored);
    float block[BLOCK_ELEMENTS];
    bool finite = true;
    if (!run->scales) return convert_plain(weight, run->type, source, target, count);
    for (size_t done = 0; done < count; done += BLOCK_ELEMENTS) {
        const size_t left = count - done;
        const size_t some = left < BLOCK_ELEMENTS ? left : BLOCK_ELEMENTS;
        dtype_to_f32(source + done * source_bytes, run->type, block, some);
        for (size_t k = 0; k < some;) { /* of each row its part of the block */
            const uint64_t row = (element + done + k) / run->scale_elements;
            const uint64_t end = (row + 1) * run->scale_elements - (element + done);
            const float scale = run->scales[row];
            for (; k < some && k < end; ++k)
                block[k] *= scale;
        }
        finite &=
            convert_plain(weight, DTYPE_F32, block, target + done * target_bytes, some);
    }
    return finite;
}

static bool convert_rows(const struct run *run)
{
    const struct weight *const weight = &run->operand->weight;
    const size_t source_bytes = dtype_bytes(run->type),
                 target_bytes = dtype_bytes(weight->stored);
    const uint64_t end = run->first + run->count;
    bool finite = true;
    for (uint64_t row = run->first / run->row_elements; row * run->row_elements < end;
         ++row) {
        const uint64_t kept = row * run->row_elements + run->skip;
        const uint64_t low = kept > run->first ? kept : run->first;
        const uint64_t high =
            kept + run->kept_elements < end ? kept + run->kept_elements : end;
        if (low >= high) continue;
        finite &= convert(run, low, run->source + (low - run->first) * source_bytes,
                          run->target +
                              (row * run->kept_elements + low - kept) * target_bytes,
                          (size_t)(high - low));
    }
    return finite;
}

/* The tensor is [in, out]: element (i, o) goes to (o, i). By way of a small block. */
static bool convert_transposed(const struct run *run)
{
    const struct weight *const weight = &run->operand->weight;
    const size_t source_bytes = dtype_bytes(run->type),
                 target_bytes = dtype_bytes(weight->stored);
    const uint64_t in = (uint64_t)weight->in, out = (uint64_t)weight->out;
    float block[BLOCK_ELEMENTS]; /* holds any stored type */
    bool finite = true;
    for (uint64_t done = 0; done < run->count; done += BLOCK_ELEMENTS) {
        const uint64_t left = run->count - done;
        const size_t count = left < BLOCK_ELEMENTS ? (size_t)left : BLOCK_ELEMENTS;
        finite &= convert(run, run->first + done, run->source + done * source_bytes,
                          (unsigned char *)block, count);
        for (size_t k = 0; k < count; ++k) {
            const uint64_t element = run->first + done + k;
            const uint64_t place = element % out * in + element / out;
            memcpy(run->target + place * target_bytes,
                   (const unsigned char *)block + k * target_bytes, target_bytes);
        }
    }
    return finite;
}

/* A run of blocks that are stored in blocks: taken apart into the plain form of a grid (grid.h). */
struct block_run {
    const struct operand *operand;
    const int8_t *q;
    const struct block_scale *a, *b; /* of each group */
    uint64_t first, count;           /* elements of the tensor; whole groups */
    uint64_t row_elements, skip, kept_elements;
    uint64_t first_row; /* of the operand, where the tensor's are */
};

static void put_groups(const struct block_run *run, unsigned char *plain)
{
    const struct weight *const weight = &run->operand->weight;
    const struct grid_plain to = grid_plain(weight);
    const uint64_t group = grid_of(weight->stored)->group;
    const uint64_t end = run->first + run->count;
    for (uint64_t row = run->first / run->row_elements; row * run->row_elements < end;
         ++row) {
        const uint64_t kept = row * run->row_elements + run->skip;
        const uint64_t low = kept > run->first ? kept : run->first;
        const uint64_t high =
            kept + run->kept_elements < end ? kept + run->kept_elements : end;
        if (low >= high) continue;
        const uint64_t from = low - run->first;
        const uint64_t target =
            (run->first_row + row) * run->kept_elements + low - kept;
        const size_t tables =
            (size_t)((high - low) / group) * sizeof(struct block_scale);
        memcpy(plain + target, run->q + from, (size_t)(high - low));
        memcpy(plain + to.a + target / group * sizeof *run->a, run->a + from / group,
               tables);
        if (grid_of(weight->stored)->has_least)
            memcpy(plain + to.b + target / group * sizeof *run->b,
                   run->b + from / group, tables);
    }
}

/* Numbers that become blocks now: encoded as convert writes them, and taken apart. */
static bool encode_blocks(const struct loader *loader, const struct piece *piece,
                          const unsigned char *chunk, int8_t *q, struct block_scale *a,
                          size_t count)
{
    const struct tensor *const tensor = piece_tensor(loader, piece);
    const enum dtype stored = piece->operand->weight.stored;
    const size_t group = block_codec_group(stored);
    const uint64_t first = element_count(tensor, piece->start);
    const uint64_t row_elements = (uint64_t)tensor_element_count(tensor) /
                                  (uint64_t)(tensor->rank > 0 ? tensor->dims[0] : 1);
    unsigned char block[ENCODED_BYTES];
    bool fits = true;
    dtype_to_f32(chunk, tensor->dtype, loader->decoded, count);
    for (size_t i = 0; loader->is_scaled && i < count; ++i)
        loader->decoded[i] *= loader->scales[(first + i) / row_elements];
    if (!dtype_is_finite(loader->decoded, DTYPE_F32, count)) return false;
    for (size_t i = 0; i < count; i += group) {
        fits &= block_codec_encode(loader->decoded + i, stored, block, group);
        block_codec_split(block, stored, q + i, a + i / group, NULL, group);
    }
    return fits;
}

static bool convert_blocks(const struct loader *loader, const struct piece *piece,
                           const unsigned char *chunk)
{
    const struct operand *const operand = piece->operand;
    const struct weight *const weight = &operand->weight;
    const struct tensor *const tensor = piece_tensor(loader, piece);
    const uint64_t kernel =
        (uint64_t)weight->kernel_height * (uint64_t)weight->kernel_width;
    const uint64_t count = element_count(tensor, piece->bytes);
    const size_t groups = (size_t)count / block_codec_group(weight->stored);
    /* Behind the numbers, which only pieces that are encoded have: COMPONENT_DECODED_BYTES. */
    const size_t most = loader->spec->decoded_count;
    struct block_scale *const a = (struct block_scale *)(void *)(loader->decoded +
                                                                 most),
                              *const b = a + most / 16;
    int8_t *const q = (int8_t *)(a + most / 8);
    bool fits = true;
    if (dtype_is_block(tensor->dtype))
        block_codec_split(chunk, tensor->dtype, q, a, b, (size_t)count);
    else
        fits = encode_blocks(loader, piece, chunk, q, a, (size_t)count);
    const struct block_run run = {
        .operand = operand,
        .q = q,
        .a = a,
        .b = b,
        .first = element_count(tensor, piece->start),
        .count = count,
        .row_elements = (tensor->rank > 1 ? (uint64_t)tensor->dims[1] : 1) * kernel,
        .skip = (uint64_t)operand->first_column * kernel,
        .kept_elements = (uint64_t)weight->in * kernel,
        .first_row = (uint64_t)piece->part * (uint64_t)weight->out /
                     (uint64_t)operand->part_count,
    };
    put_groups(&run, loader->plain);
    return fits && block_scale_is_finite(a, groups) &&
           (!grid_of(weight->stored)->has_least || block_scale_is_finite(b, groups));
}

static bool convert_piece(const struct loader *loader, const struct piece *piece,
                          const unsigned char *chunk)
{
    if (dtype_is_block(piece->operand->weight.stored))
        return convert_blocks(loader, piece, chunk);
    const struct operand *const operand = piece->operand;
    const struct weight *const weight = &operand->weight;
    const struct tensor *const tensor = piece_tensor(loader, piece);
    const uint64_t kernel =
        (uint64_t)weight->kernel_height * (uint64_t)weight->kernel_width;
    const bool is_table = weight->kind == WEIGHT_TABLE; /* of any rank (flatten) */
    const uint64_t columns = is_table           ? (uint64_t)weight->in
                             : tensor->rank > 1 ? (uint64_t)tensor->dims[1]
                                                : 1;
    const uint64_t part_bytes =
        weight_plain_bytes(weight) / (uint64_t)operand->part_count;
    const bool is_block = dtype_is_block(tensor->dtype);
    const uint64_t count = element_count(tensor, piece->bytes);
    if (is_block) dtype_to_f32(chunk, tensor->dtype, loader->decoded, (size_t)count);
    struct run run = {
        .operand = operand,
        .type = is_block ? DTYPE_F32 : tensor->dtype,
        .source = is_block ? (const unsigned char *)loader->decoded : chunk,
        .target = loader->plain + (uint64_t)piece->part * part_bytes,
        .first = element_count(tensor, piece->start),
        .count = count,
        .row_elements = columns * kernel,
        .skip = (uint64_t)operand->first_column * kernel,
        .kept_elements = (uint64_t)weight->in * kernel,
        .scales = loader->is_scaled ? loader->scales : NULL,
        .scale_elements = (uint64_t)tensor_element_count(tensor) /
                          (uint64_t)(tensor->rank > 0 ? tensor->dims[0] : 1),
    };
    if (operand->transpose) return convert_transposed(&run);
    if (run.kept_elements == run.row_elements) /* all of it: as one row */
        run.row_elements = run.kept_elements = (uint64_t)tensor_element_count(tensor);
    return convert_rows(&run);
}

/* The scales of a tensor whose first piece is converted next: of each part of it, or 1. */
static enum dr_code read_scales(struct loader *loader, const struct piece *piece,
                                struct dr_error *err)
{
    const struct component_index *const index = loader->spec->index;
    const struct component_tensor *const entry = &index->tensors[piece->tensor_idx];
    loader->is_scaled = entry->scale_count > 0;
    if (!loader->is_scaled) return DR_OK;
    const size_t rows = entry->tensor->rank > 0 ? (size_t)entry->tensor->dims[0] : 1;
    const size_t part_rows = rows / (size_t)entry->scale_count;
    enum dr_code code = DR_OK;
    for (int32_t i = 0; i < entry->scale_count && !code; ++i) {
        float *const scales = loader->scales + (size_t)i * part_rows;
        for (size_t row = 0; !entry->scales[i] && row < part_rows; ++row)
            scales[row] = 1.0F;
        if (entry->scales[i])
            code = tensor_scale_read(index->file, entry->scales[i], part_rows,
                                     loader->stored_scales, scales, err);
    }
    return code;
}

/* ---- one turn of the pipeline ---- */

/* Tasks: 0 reads and digests `incoming`, 1 converts `current`, 2 and so on store parts of its
 * operand. */
struct turn {
    struct loader *loader;
    const struct piece *incoming, *current; /* NULL: nothing to do */
    unsigned char *incoming_chunk;
    const unsigned char *current_chunk;
    struct digest *digest;
    struct dr_error read_error;
    enum dr_code read_code;
    bool finite;
};

static bool write_all(int descriptor, const unsigned char *data, size_t bytes,
                      uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t wrote =
            pwrite(descriptor, data + done, bytes - done, (off_t)(offset + done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        done += (size_t)wrote;
    }
    return true;
}

/* Into a pack's file by way of a small buffer: writing is several times as fast as a page fault for each 4 KiB
 * of a mapping. What is mapped of the file is the same memory. */
static void write_part(struct loader *loader, const struct weight *weight, int32_t part,
                       unsigned char *run)
{
    const struct pack_draft *const draft = &loader->options->pack->draft;
    const int32_t runs = weight_run_count(weight);
    for (int32_t i = 0; i < runs; ++i) {
        size_t place;
        const size_t bytes =
            weight_store_run(weight, loader->plain, part, i, run, &place);
        errno = 0;
        if (!write_all(draft->descriptor, run, bytes,
                       draft->data_offset + weight->offset + place))
            atomic_store(&loader->write_errno, errno ? errno : EIO);
    }
}

/* Task: of the current operand's parts that are whole the next to be stored. */
static void store_part(void *context, int64_t task_idx, int lane)
{
    const struct turn *const turn = context;
    struct loader *const loader = turn->loader;
    const struct weight *const weight = &turn->current->operand->weight;
    const int32_t part = loader->stored_count + (int32_t)task_idx;
    if (loader->makes_pack && lane < loader->spec->lane_count &&
        weight_run_count(weight) > 0)
        write_part(loader, weight, part,
                   loader->runs + (size_t)lane * loader->spec->run_bytes);
    else
        weight_store_part(weight, loader->plain, loader->weights->data + weight->offset,
                          part);
}

static void run_task(void *context, int64_t task_idx, int lane)
{
    struct turn *const turn = context;
    const struct piece *const incoming = turn->incoming, *const current = turn->current;
    if (task_idx == 0 && incoming) {
        turn->read_code =
            tensor_file_read(turn->loader->spec->index->file,
                             piece_tensor(turn->loader, incoming), incoming->start,
                             turn->incoming_chunk, incoming->bytes, &turn->read_error);
        if (incoming->tensor_idx == 0 && incoming->start == 0 &&
            fault_is_sabotaged(SABOTAGE_FLIPPED_BYTE))
            turn->incoming_chunk[1] ^= 1;
        if (!turn->read_code)
            digest_add(turn->digest, turn->incoming_chunk, incoming->bytes);
    }
    if (task_idx == 1 && current && current->operand)
        turn->finite = convert_piece(turn->loader, current, turn->current_chunk);
    if (task_idx >= 2) store_part(turn, task_idx - 2, lane);
}

static void run_turn(struct turn *turn)
{
    struct loader *const loader = turn->loader;
    const size_t incoming_bytes = turn->incoming ? turn->incoming->bytes : 0;
    const size_t current_bytes = turn->current ? turn->current->bytes : 0;
    const int32_t tasks = 2 + loader->whole_count - loader->stored_count;
    if ((incoming_bytes > ALONE_BYTES && current_bytes > ALONE_BYTES) || tasks > 2)
        team_run(tasks, run_task, turn);
    else
        for (int32_t i = 0; i < tasks; ++i)
            run_task(turn, i, 0);
    loader->stored_count = loader->whole_count;
}

/* The digest of a complete tensor is known: store it, or compare it with that of the first read. */
static enum dr_code keep_digest(struct loader *loader, const struct piece *piece,
                                const uint8_t digest[DIGEST_BYTES],
                                struct dr_error *err)
{
    const int32_t i = piece->tensor_idx;
    if (loader->is_digested[i] && memcmp(loader->digests[i], digest, DIGEST_BYTES) != 0)
        return error_set(err, DR_CHANGED,
                         "%s changed while it was being read: tensor %s; load it "
                         "again",
                         loader->spec->index->file->path,
                         loader->spec->index->tensors[i].name);
    memcpy(loader->digests[i], digest, DIGEST_BYTES);
    loader->is_digested[i] = 1;
    return DR_OK;
}

static enum dr_code finish_incoming(struct turn *turn, struct dr_error *err)
{
    uint8_t digest[DIGEST_BYTES];
    if (turn->read_code) {
        if (err) *err = turn->read_error;
        return turn->read_code;
    }
    turn->loader->done_bytes += turn->incoming->bytes;
    if (!turn->incoming->is_last) return DR_OK;
    digest_end(turn->digest, digest);
    return keep_digest(turn->loader, turn->incoming, digest, err);
}

static bool ends_operand(const struct piece *piece)
{
    return piece->is_last && piece->part + 1 == piece->operand->part_count;
}

/* Parts of the operand whose plain form is there, now that the piece is converted. */
static int32_t whole_parts(const struct loader *loader, const struct piece *piece)
{
    const struct operand *const operand = piece->operand;
    const struct weight *const weight = &operand->weight;
    const struct tensor *const tensor = piece_tensor(loader, piece);
    const int32_t parts = weight_part_count(weight);
    if (ends_operand(piece)) return parts;
    if (operand->transpose || parts == 1) return 0;
    const uint64_t row_elements =
        (uint64_t)tensor_element_count(tensor) / (uint64_t)tensor->dims[0];
    const uint64_t rows =
        (uint64_t)piece->part * (uint64_t)weight->out / (uint64_t)operand->part_count +
        element_count(tensor, piece->start + piece->bytes) / row_elements;
    return (int32_t)(rows / WEIGHT_PART_OUTPUTS);
}

static void store_rest(struct turn *turn)
{
    struct loader *const loader = turn->loader;
    const int32_t parts = loader->whole_count - loader->stored_count;
    if (turn->current->operand->weight.bytes > ALONE_BYTES && parts > 1)
        team_run(parts, store_part, turn);
    else
        for (int32_t i = 0; i < parts; ++i)
            store_part(turn, i, 0);
    loader->stored_count = loader->whole_count = 0;
}

static enum dr_code finish_current(struct turn *turn, struct dr_error *err)
{
    struct loader *const loader = turn->loader;
    const struct piece *const piece = turn->current;
    if (!piece->operand) return DR_OK;
    if (!turn->finite) {
        const enum dtype stored = piece->operand->weight.stored;
        const bool is_rounded =
            stored == DTYPE_F16 && piece_tensor(loader, piece)->dtype != stored;
        return error_set(err, DR_NOT_FINITE,
                         "tensor %s of %s has values that are NaN or infinite in %s%s",
                         loader->spec->index->tensors[piece->tensor_idx].name,
                         loader->spec->index->file->path, dtype_name(stored),
                         is_rounded ? "; use --weights auto" : "");
    }
    const bool is_first = loader->whole_count == 0;
    loader->whole_count = whole_parts(loader, piece);
    if (is_first && loader->whole_count > 0)
        weight_store_begin(&piece->operand->weight,
                           loader->weights->data + piece->operand->weight.offset);
    if (ends_operand(piece)) store_rest(turn);
    const int problem = atomic_load(&loader->write_errno);
    if (problem)
        return error_set_errno(err, DR_IO, problem, "cannot write the pack of %s",
                               loader->options->name);
    return DR_OK;
}

/* Tell how far it is. Cancelled? */
static enum dr_code look_up(const struct loader *loader, struct dr_error *err)
{
    const struct component_progress *const progress = loader->options->progress;
    if (!progress) return DR_OK;
    if (progress->report && loader->total_bytes > 0)
        progress->report(progress->cookie,
                         (double)loader->done_bytes / (double)loader->total_bytes);
    if (!cancel_requested(progress->cancel)) return DR_OK;
    return error_set(err, DR_CANCELLED, "loading %s was cancelled",
                     loader->options->name);
}

/* Read everything, in rounds: each reads one piece and converts the one before. */
static enum dr_code run_turns(struct loader *loader, struct dr_error *err)
{
    struct piece pieces[2];
    struct digest digest = {0};
    int incoming_idx = 0;
    bool has_current = false;
    enum dr_code code = DR_OK;
    for (bool has_incoming = true; !code && (has_incoming || has_current);) {
        code = look_up(loader, err);
        if (code) break;
        struct piece *const incoming = &pieces[incoming_idx];
        has_incoming = next_piece(loader, incoming);
        if (has_incoming && incoming->start == 0) digest_init(&digest);
        struct turn turn = {
            .loader = loader,
            .incoming = has_incoming ? incoming : NULL,
            .current = has_current ? &pieces[!incoming_idx] : NULL,
            .incoming_chunk = loader->chunks[incoming_idx],
            .current_chunk = loader->chunks[!incoming_idx],
            .digest = &digest,
            .finite = true,
        };
        if (has_current && turn.current->operand && turn.current->start == 0)
            code = read_scales(loader, turn.current, err);
        if (code) break;
        run_turn(&turn);
        if (has_current) code = finish_current(&turn, err);
        if (!code && has_incoming) code = finish_incoming(&turn, err);
        has_current = has_incoming;
        incoming_idx = !incoming_idx;
    }
    if (digest.context) digest_end(&digest, NULL);
    return code;
}

/* ---- the whole ---- */

static void carve(struct loader *loader, const struct region *scratch)
{
    const struct component_spec *const spec = loader->spec;
    unsigned char *at = scratch->data;
    loader->chunks[0] = at;
    at += spec->chunk_bytes;
    loader->chunks[1] = at;
    at += spec->chunk_bytes;
    loader->plain = at;
    at += spec->plain_bytes;
    loader->stored_scales = at;
    at += spec->scale_rows * TENSOR_SCALE_RAW_BYTES;
    loader->scales = (float *)(void *)at;
    at += spec->scale_rows * sizeof(float);
    loader->decoded = (float *)(void *)at;
    at += spec->decoded_count * COMPONENT_DECODED_BYTES;
    loader->runs = at;
    at += (size_t)spec->lane_count * spec->run_bytes;
    loader->digests = (uint8_t(*)[DIGEST_BYTES])at;
    at += spec->index->count * DIGEST_BYTES;
    loader->is_digested = at;
    at += spec->index->count;
    assert((size_t)(at - scratch->data) == spec->scratch_bytes);
}

/* Each reading counts: a tensor with two operands twice, one with none once. */
static uint64_t count_bytes(const struct component_spec *spec)
{
    uint64_t bytes = spec->index->bytes;
    for (size_t i = 0; i < spec->operand_count; ++i)
        if (spec->operands[i]->first_column > 0)
            bytes += spec->index->tensors[spec->operands[i]->parts[0]].tensor->bytes;
    return bytes;
}

static enum dr_code verify(const struct loader *loader,
                           const uint8_t digest[DIGEST_BYTES], struct dr_error *err)
{
    const uint8_t *const expected = loader->options->expected_digest;
    char is[DIGEST_HEX], was[DIGEST_HEX];
    if (fault_strikes(FAULT_VERIFY))
        return error_set(err, DR_CHANGED, "%s of %s could not be verified",
                         loader->options->name, loader->spec->index->file->path);
    if (!expected || memcmp(expected, digest, DIGEST_BYTES) == 0) return DR_OK;
    return error_set(err, DR_CHANGED,
                     "%s of %s has changed: its digest is %.16s..., it was %.16s...",
                     loader->options->name, loader->spec->index->file->path,
                     digest_hex(digest, is), digest_hex(expected, was));
}

static enum dr_code fill(struct loader *loader, uint8_t digest[DIGEST_BYTES],
                         struct dr_error *err)
{
    const struct component_index *const index = loader->spec->index;
    enum dr_code code = tensor_file_check(index->file, err);
    if (!code) code = run_turns(loader, err);
    if (!code) code = tensor_file_check(index->file, err);
    if (code) return code;
    component_digest_end(index, (const uint8_t(*)[DIGEST_BYTES])loader->digests,
                         digest);
    return verify(loader, digest, err);
}

/* The region that is filled: a pack's draft, or private memory. */
static enum dr_code open_weights(struct loader *loader, struct dr_error *err)
{
    const struct component_load_options *const options = loader->options;
    const struct component_spec *const spec = loader->spec;
    if (loader->makes_pack)
        return component_pack_map_draft(options->pack, spec, options->ledger,
                                        options->name, loader->weights, err);
    return region_open(loader->weights, options->ledger,
                       &(struct region_options){.bytes = spec->weights_bytes,
                                                .tag = REGION_WEIGHTS,
                                                .component = options->name},
                       err);
}

static enum dr_code load_by_reading(struct loader *loader, uint8_t digest[DIGEST_BYTES],
                                    struct dr_error *err)
{
    const struct component_load_options *const options = loader->options;
    uint8_t found[DIGEST_BYTES];
    struct region scratch = {0};
    enum dr_code code = open_weights(loader, err);
    if (!code)
        code =
            region_open(&scratch, options->ledger,
                        &(struct region_options){.bytes = loader->spec->scratch_bytes,
                                                 .tag = REGION_SCRATCH,
                                                 .component = options->name},
                        err);
    if (!code) {
        carve(loader, &scratch);
        code = fill(loader, found, err);
    }
    region_close(&scratch);
    if (!code && region_lost_page(loader->weights))
        code = component_pack_lost(options->pack, options->name, err);
    if (code) {
        region_close(loader->weights);
        return code;
    }
    region_seal(loader->weights);
    if (loader->makes_pack)
        component_pack_commit(options->pack, loader->spec, found, loader->weights);
    else if (options->pack)
        component_pack_remember(options->pack, loader->spec, found);
    memcpy(digest, found, DIGEST_BYTES);
    return DR_OK;
}

/* The checkpoint stays the truth: with it gone or changed, its pack is not used. */
static enum dr_code load_by_mapping(struct loader *loader, uint8_t digest[DIGEST_BYTES],
                                    struct dr_error *err)
{
    const struct component_load_options *const options = loader->options;
    uint8_t found[DIGEST_BYTES];
    memcpy(found, options->pack->pack.key.content, sizeof found);
    enum dr_code code = tensor_file_check(loader->spec->index->file, err);
    if (!code) code = verify(loader, found, err);
    if (!code) {
        loader->done_bytes = loader->total_bytes;
        code = look_up(loader, err);
    }
    if (!code)
        code = component_pack_map(options->pack, loader->spec, options->ledger,
                                  options->name, loader->weights, err);
    if (!code) memcpy(digest, found, DIGEST_BYTES);
    return code;
}

enum dr_code component_load(const struct component_spec *spec,
                            const struct component_load_options *options,
                            struct region *weights, uint8_t digest[DIGEST_BYTES],
                            struct dr_error *err)
{
    const enum component_pack_state state =
        options->pack ? options->pack->state : COMPONENT_PACK_PRIVATE;
    struct loader loader = {.spec = spec,
                            .options = options,
                            .weights = weights,
                            .makes_pack = state == COMPONENT_PACK_DRAFTED,
                            .total_bytes = count_bytes(spec)};
    *weights = (struct region){0};
    return state == COMPONENT_PACK_READY ? load_by_mapping(&loader, digest, err)
                                         : load_by_reading(&loader, digest, err);
}
