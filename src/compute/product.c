#include "compute/product_private.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "compute/compute.h"
#include "compute/library.h"

/* With panels, the library copies its matrices into its own order at each call: the rows should
 * still be in the core's cache when the next panel needs them. */
#define MOST_PANEL_IN 2048

/* With AMX the library divides the inputs of a call into chunks if its blocks of the three matrices
 * exceed 3/4 of a core's cache, and adds the sums of the chunks: then the order of summation in a row
 * would depend on the number of rows. With the 2 MB caches of such processors a call of at most 128
 * rows is not divided up to MOST_AMX_IN inputs, and one of at most 64 outputs not up to
 * MOST_AMX_PANEL_IN (decisions/0006). */
#define MOST_AMX_IN       832
#define MOST_AMX_PANEL_IN 5760
/* With few rows and outputs the library does not use AMX, which changes the order of summation; with
 * this many rows it always does. */
#define ENOUGH_AMX_ROWS 64

static bool is_that(const struct product *product, const struct product_shape *shape,
                    const struct weight_layout *layout)
{
    return product->shape.rows == shape->rows &&
           product->shape.result == shape->result &&
           product->shape.bias == shape->bias && product->shape.add == shape->add &&
           product->shape.made == shape->made &&
           product->shape.library == shape->library && product->in == layout->in &&
           product->out == layout->out && product->type == layout->type &&
           product->by_panels == layout->by_panels &&
           dnnl_memory_desc_equal(&product->operand, &layout->desc);
}

struct description {
    dnnl_memory_desc_t source, operand, bias, result;
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attributes;
    dnnl_primitive_desc_t made;
};

static bool is_for_amx(const struct weight_layout *layout)
{
    return layout->type == DTYPE_BF16 && library_has_amx();
}

/* A column of the layout's blocks is dense, and to the library a matrix that is one block wide. */
static bool is_by_blocks(const struct weight_layout *layout)
{
    return is_for_amx(layout) && layout->in > MOST_AMX_IN && layout->in_block > 1 &&
           layout->out_block > 1 &&
           layout->in_stride == (size_t)layout->in_block * (size_t)layout->out_block;
}

/* Whole blocks of inputs, in about equal parts. */
static int32_t choose_part_in(const struct weight_layout *layout)
{
    int32_t most = layout->in;
    if (layout->by_panels) most = MOST_PANEL_IN;
    if (is_by_blocks(layout)) most = MOST_AMX_PANEL_IN;
    if (layout->in <= most) return layout->in;
    const int64_t parts = divide_up(layout->in, most);
    return (int32_t)divide_up(divide_up(layout->in, parts), layout->in_block) *
           layout->in_block;
}

bool product_wants_stage(const struct product_set *set,
                         const struct weight_layout *layout, enum dtype result,
                         bool add)
{
    if (product_is_own(set, layout)) return add && product_own_has_parts(layout);
    return (is_by_blocks(layout) && result != DTYPE_F32) ||
           (add && choose_part_in(layout) < layout->in);
}

static dnnl_status_t describe_operand(struct description *d,
                                      const struct product *product,
                                      const struct product_part *part)
{
    d->operand = product->operand;
    if (product->by_blocks) {
        const dnnl_dim_t block =
            product->operand.format_desc.blocking.strides[0] / product->panel_out;
        d->operand.dims[0] = part->in;
        d->operand.dims[1] = part->out;
        d->operand.padded_dims[0] = divide_up(part->in, block) * block;
        d->operand.padded_dims[1] = product->panel_out;
        d->operand.format_desc.blocking.strides[1] =
            d->operand.padded_dims[0] * product->panel_out;
    }
    if (!product->by_panels) return dnnl_success;
    const dnnl_dims_t dims = {part->in, part->out};
    const dnnl_dims_t strides = {product->panel_out, 1};
    return dnnl_memory_desc_init_by_strides(&d->operand, 2, dims,
                                            library_type(product->type), strides);
}

static dnnl_status_t describe_matrices(struct description *d,
                                       const struct product *product,
                                       const struct product_part *part)
{
    const dnnl_dims_t source = {part->rows, part->in};
    const dnnl_dims_t source_strides = {part->boxed_source ? part->in : product->in, 1};
    const dnnl_dims_t result = {part->rows, part->out};
    const dnnl_dims_t result_strides = {part->boxed_result ? part->out : product->out,
                                        1};
    const dnnl_dims_t bias = {1, part->out};
    dnnl_status_t status = describe_operand(d, product, part);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&d->source, 2, source,
                                                  library_type(product->type),
                                                  source_strides);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&d->result, 2, result,
                                                  library_type(product->shape.result),
                                                  result_strides);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_tag(&d->bias, 2, bias, dnnl_f32, dnnl_ab);
    if (status == dnnl_success)
        status = dnnl_matmul_desc_init(&d->product, &d->source, &d->operand,
                                       part->bias ? &d->bias : NULL, &d->result);
    return status;
}

static dnnl_status_t describe_attributes(struct description *d, bool add)
{
    dnnl_status_t status = dnnl_primitive_attr_create(&d->attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(d->attributes,
                                                         dnnl_scratchpad_mode_user);
    if (status != dnnl_success || !add) return status;
    dnnl_post_ops_t after = NULL;
    status = dnnl_post_ops_create(&after);
    if (status == dnnl_success) status = dnnl_post_ops_append_sum(after, 1.0f);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(d->attributes, after);
    (void)dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t make_lane(struct product_lane *lane, const struct description *d,
                               const dnnl_memory_desc_t *scratch)
{
    const dnnl_engine_t engine = library_engine();
    dnnl_status_t status =
        dnnl_memory_create(&lane->source, &d->source, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status =
            dnnl_memory_create(&lane->operand, &d->operand, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&lane->bias, &d->bias, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status =
            dnnl_memory_create(&lane->result, &d->result, engine, DNNL_MEMORY_NONE);
    if (status == dnnl_success)
        status = dnnl_memory_create(&lane->scratch, scratch, engine, DNNL_MEMORY_NONE);
    return status;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static dnnl_status_t describe_primitive(struct description *d,
                                        const struct product *product,
                                        const struct product_part *part,
                                        const char **name)
{
    dnnl_status_t status = describe_matrices(d, product, part);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&d->made, &d->product, d->attributes,
                                            library_engine(), NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_query(d->made, dnnl_query_impl_info_str, 0, name);
    return status;
}

/* Of so many rows that the library takes AMX, as for others: where it never does, of as many as they are. */
static dnnl_status_t describe_with_amx(struct description *d,
                                       const struct product *product,
                                       struct product_part *part, const char **name)
{
    const struct product_part wanted = *part;
    dnnl_status_t status = describe_primitive(d, product, part, name);
    while (status == dnnl_success && !strstr(*name, "amx")) {
        const bool again = part->rows < ENOUGH_AMX_ROWS;
        if (!again && part->rows == wanted.rows) break;
        (void)dnnl_primitive_desc_destroy(d->made);
        d->made = NULL;
        if (again) {
            part->rows *= 2;
            part->boxed_source = part->boxed_result = true;
        } else {
            *part = wanted;
        }
        status = describe_primitive(d, product, part, name);
        if (!again) break;
    }
    return status;
}

static void add_boxes(struct product *product, const struct product_part *part)
{
    const size_t rows = (size_t)part->rows;
    const size_t source = rows * (size_t)part->in * dtype_bytes(product->type);
    const size_t result = rows * (size_t)part->out * dtype_bytes(product->shape.result);
    if (part->boxed_source)
        product->source_bytes = most(product->source_bytes, size_align(source, 64));
    if (part->boxed_result)
        product->result_bytes = most(product->result_bytes, size_align(result, 64));
}

static dnnl_status_t make_primitive(struct product *product, struct product_part *part,
                                    struct description *d)
{
    const char *name = NULL;
    dnnl_status_t status = describe_attributes(d, part->add);
    if (status == dnnl_success)
        status = product->for_amx ? describe_with_amx(d, product, part, &name)
                                  : describe_primitive(d, product, part, &name);
    /* The reference loops take anything, a thousand times slower: better not at all. */
    if (status == dnnl_success && (!name || strncmp(name, "ref", 3) == 0))
        status = dnnl_unimplemented;
    if (status == dnnl_success)
        status = dnnl_primitive_create(&part->primitive, d->made);
    if (status != dnnl_success) return status;
    const dnnl_memory_desc_t *const scratch =
        dnnl_primitive_desc_query_md(d->made, dnnl_query_scratchpad_md, 0);
    const size_t bytes = size_align(dnnl_memory_desc_get_size(scratch), 64);
    product->library_bytes = most(product->library_bytes, bytes);
    add_boxes(product, part);
    for (int i = 0; i < product->lane_count && status == dnnl_success; ++i)
        status = make_lane(&part->lanes[i], d, scratch);
    return status;
}

static dnnl_status_t make_part(struct product *product, struct product_part *part,
                               struct pool *pool)
{
    if (part->out == 0) return dnnl_success;
    part->lanes = pool_alloc(pool, (size_t)product->lane_count * sizeof *part->lanes);
    if (!part->lanes) return dnnl_out_of_memory;
    struct description d = {.made = NULL};
    const int before = library_begin_single();
    const dnnl_status_t status = make_primitive(product, part, &d);
    library_end_single(before);
    (void)dnnl_primitive_desc_destroy(d.made);
    (void)dnnl_primitive_attr_destroy(d.attributes);
    return status;
}

static bool is_own(const struct product_set *set, const struct product_shape *shape,
                   const struct weight_layout *layout)
{
    return !shape->library && product_is_own(set, layout);
}

static struct product *new_product(struct product_set *set,
                                   const struct product_shape *shape,
                                   const struct weight_layout *layout)
{
    struct product *const product = pool_alloc(set->pool, sizeof *product);
    if (!product) return NULL;
    *product = (struct product){
        .shape = *shape,
        .in = layout->in,
        .out = layout->out,
        .type = layout->type,
        .operand = layout->desc,
        .for_amx = is_for_amx(layout),
        .by_panels = layout->by_panels,
        .by_blocks = is_by_blocks(layout) || (shape->made && !layout->by_panels),
        .part_in = choose_part_in(layout),
        .panel_out = layout->out,
        .panel_bytes = layout->out_stride * dtype_bytes(layout->type),
        .lane_count = compute_thread_count(),
        .next = set->first,
    };
    if (product->by_panels || product->by_blocks || is_own(set, shape, layout))
        product->panel_out = layout->out_block;
    if (shape->made)
        product->piece_bytes =
            size_align(panel_piece_bytes(layout, product->part_in), 64);
    return product;
}

/* [first, more, last]: 0 where there are none. */
static void count_inputs(const struct product *product, int32_t ins[static 3])
{
    const int32_t parts = (int32_t)divide_up(product->in, product->part_in);
    const int32_t rest = product->in - (parts - 1) * product->part_in;
    ins[0] = product->part_in;
    ins[1] = parts > 2 ? product->part_in : 0;
    ins[2] = parts > 1 ? rest : 0;
}

static dnnl_status_t make_parts(struct product *product, struct pool *pool)
{
    const bool has_panels = product->out >= product->panel_out;
    const int32_t outs[] = {has_panels ? product->panel_out : 0,
                            product->out % product->panel_out};
    int32_t ins[3];
    count_inputs(product, ins);
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < 3; ++i)
        for (int last = 0; last < 2 && status == dnnl_success; ++last) {
            struct product_part *const part = &product->parts[i][last];
            part->in = ins[i];
            part->out = ins[i] > 0 ? outs[last] : 0;
            part->rows = product->shape.rows;
            part->bias = product->shape.bias && i == 0;
            part->add = product->shape.add || i > 0;
            part->boxed_source = product->for_amx && product->part_in < product->in;
            part->boxed_result = product->by_blocks && part->out < product->out;
            status = make_part(product, part, pool);
        }
    product->scratch_bytes = product->library_bytes + product->source_bytes +
                             product->result_bytes + product->piece_bytes;
    return status;
}

enum dr_code product_get(struct product_set *set, const struct product_shape *shape,
                         const struct weight_layout *layout, const struct product **out,
                         struct dr_error *err)
{
    for (const struct product *product = set->first; product; product = product->next)
        if (is_that(product, shape, layout)) {
            *out = product;
            return DR_OK;
        }
    char what[128];
    (void)snprintf(what, sizeof what, "GEMM of %d rows, %d inputs, %d outputs in %s",
                   shape->rows, layout->in, layout->out, dtype_name(layout->type));
    const enum dr_code code = library_room(what, err);
    if (code != DR_OK) return code;
    struct product *const product = new_product(set, shape, layout);
    if (!product) return error_set(err, DR_NOMEM, "no memory for a product's record");
    set->first = product; /* so that what was made before a failure is destroyed too */
    if (is_own(set, shape, layout)) {
        product_own_prepare(product, set->kernels);
        *out = product;
        return DR_OK;
    }
    const dnnl_status_t status = make_parts(product, set->pool);
    *out = product;
    return library_check(status, what, err);
}

static void finish_part(const struct product_part *part, int lane_count)
{
    if (!part->lanes) return;
    for (int i = 0; i < lane_count; ++i) {
        const struct product_lane *const lane = &part->lanes[i];
        (void)dnnl_memory_destroy(lane->source);
        (void)dnnl_memory_destroy(lane->operand);
        (void)dnnl_memory_destroy(lane->bias);
        (void)dnnl_memory_destroy(lane->result);
        (void)dnnl_memory_destroy(lane->scratch);
    }
    (void)dnnl_primitive_destroy(part->primitive);
}

void product_set_finish(struct product_set *set)
{
    for (struct product *product = set->first; product; product = product->next)
        for (int i = 0; i < 6; ++i)
            finish_part(&product->parts[i / 2][i % 2], product->lane_count);
    set->first = NULL;
}

/* The library's handles are not const; it does not write what a product only reads. */
static bool point(dnnl_memory_t memory, const void *data)
{
    union {
        const void *borrowed;
        void *handle;
    } either = {.borrowed = data};
    return dnnl_memory_set_data_handle(memory, either.handle) == dnnl_success;
}

static bool run_part(const struct product_part *part, int lane_idx,
                     const struct product_call *call)
{
    const struct product_lane *const lane = &part->lanes[lane_idx];
    if (!point(lane->source, call->source) || !point(lane->operand, call->operand) ||
        !point(lane->result, call->result) || !point(lane->scratch, call->scratch))
        return false;
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC,        lane->source },
        {DNNL_ARG_WEIGHTS,    lane->operand},
        {DNNL_ARG_DST,        lane->result },
        {DNNL_ARG_SCRATCHPAD, lane->scratch},
        {DNNL_ARG_BIAS,       lane->bias   },
    };
    if (call->bias && !point(lane->bias, call->bias)) return false;
    return dnnl_primitive_execute(part->primitive, library_stream(), call->bias ? 5 : 4,
                                  arguments) == dnnl_success;
}

/* Steps are bytes from row to row. */
static void copy_rows(void *target, size_t target_step, const void *source,
                      size_t source_step, int32_t rows, size_t bytes)
{
    for (size_t row = 0; row < (size_t)rows; ++row)
        memcpy((unsigned char *)target + row * target_step,
               (const unsigned char *)source + row * source_step, bytes);
}

static void box_source(const struct product *product, const struct product_part *part,
                       unsigned char *box, const void *source)
{
    const size_t element = dtype_bytes(product->type);
    const size_t bytes = (size_t)part->in * element;
    const int32_t rows = product->shape.rows;
    copy_rows(box, bytes, source, (size_t)product->in * element, rows, bytes);
    memset(box + (size_t)rows * bytes, 0, (size_t)(part->rows - rows) * bytes);
}

/* With a result that is dense where its own is a part of wider rows, or has fewer of them. */
static bool run_boxed(const struct product *product, const struct product_part *part,
                      int lane, const struct product_call *call)
{
    unsigned char *const box =
        (unsigned char *)call->scratch + product->library_bytes + product->source_bytes;
    const size_t element = dtype_bytes(product->shape.result);
    const size_t step = (size_t)product->out * element;
    const size_t bytes = (size_t)part->out * element;
    const int32_t rows = product->shape.rows;
    struct product_call boxed = *call;
    boxed.result = box;
    if (part->add) {
        copy_rows(box, bytes, call->result, step, rows, bytes);
        memset(box + (size_t)rows * bytes, 0, (size_t)(part->rows - rows) * bytes);
    }
    if (!run_part(part, lane, &boxed)) return false;
    copy_rows(call->result, step, box, bytes, rows, bytes);
    return true;
}

/* The piece of a panel that is multiplied next. */
static const void *make_piece(const struct product *product,
                              const struct product_call *call, int32_t in,
                              int32_t in_count)
{
    unsigned char *const target = (unsigned char *)call->scratch +
                                  product->library_bytes + product->source_bytes +
                                  product->result_bytes;
    const struct panel_piece piece = {call->output, in, in_count};
    panel_make(call->panels, &piece, target);
    return target;
}

/* Inputs from `in` on, panel by panel. */
static bool run_panels(const struct product *product,
                       const struct product_part parts[2], int lane, int32_t in,
                       struct product_call call)
{
    const size_t result_bytes =
        (size_t)product->panel_out * dtype_bytes(product->shape.result);
    const void *const source = call.source;
    unsigned char *const box = (unsigned char *)call.scratch + product->library_bytes;
    const struct product_part *boxed = NULL; /* for which the source lies in the box */
    for (int32_t left = product->out; left > 0; left -= product->panel_out) {
        const struct product_part *const part = &parts[left < product->panel_out];
        if (part->boxed_source && part != boxed) {
            box_source(product, part, box, source);
            boxed = part;
        }
        call.source = part->boxed_source ? box : source;
        if (product->shape.made)
            call.operand = make_piece(product, &call, in, part->in);
        const bool well = part->boxed_result ? run_boxed(product, part, lane, &call)
                                             : run_part(part, lane, &call);
        if (!well) return false;
        call.operand = (const unsigned char *)call.operand + product->panel_bytes;
        call.output += product->panel_out;
        call.result = (unsigned char *)call.result + result_bytes;
        if (call.bias) call.bias += product->panel_out;
    }
    return true;
}

/* A panel's later inputs lie behind its first ones, whole blocks of them. */
bool product_run(const struct product *product, int lane,
                 const struct product_call *call)
{
    if (product->kernels) {
        product_own_run(product, call);
        return true;
    }
    struct product_call part = *call;
    const size_t row_bytes = (size_t)product->part_in * dtype_bytes(product->type);
    for (int32_t in = 0; in < product->in; in += product->part_in) {
        const int idx = in == 0 ? 0 : product->in - in > product->part_in ? 1 : 2;
        if (!run_panels(product, product->parts[idx], lane, in, part)) return false;
        part.source = (const unsigned char *)part.source + row_bytes;
        if (!product->shape.made)
            part.operand = (const unsigned char *)part.operand +
                           row_bytes * (size_t)product->panel_out;
        part.bias = NULL;
    }
    return true;
}
