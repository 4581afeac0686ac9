#include "compute/product.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "compute/compute.h"
#include "compute/library.h"

/* By panels, the library copies its matrices into an order of its own at each call: the rows should
 * still be in a core's own cache when the next panel wants them. */
#define MOST_PANEL_IN 2048

static bool is_that(const struct product *product, const struct product_shape *shape,
                    const struct weight_layout *layout)
{
    return product->shape.rows == shape->rows &&
           product->shape.result == shape->result &&
           product->shape.bias == shape->bias && product->shape.add == shape->add &&
           product->in == layout->in && product->out == layout->out &&
           product->type == layout->type && product->by_panels == layout->by_panels &&
           dnnl_memory_desc_equal(&product->operand, &layout->desc);
}

struct description {
    dnnl_memory_desc_t source, operand, bias, result;
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attributes;
    dnnl_primitive_desc_t made;
};

/* One panel is plain rows, as wide as the layout's blocks. */
static dnnl_status_t describe_operand(struct description *d,
                                      const struct product *product, int32_t out)
{
    d->operand = product->operand;
    if (!product->by_panels) return dnnl_success;
    const dnnl_dims_t dims = {product->part_in, out};
    const dnnl_dims_t strides = {product->panel_out, 1};
    return dnnl_memory_desc_init_by_strides(&d->operand, 2, dims,
                                            library_type(product->type), strides);
}

static dnnl_status_t describe_matrices(struct description *d,
                                       const struct product *product,
                                       const struct product_part *part)
{
    const dnnl_dims_t source = {product->shape.rows, product->part_in};
    const dnnl_dims_t source_strides = {product->in, 1};
    const dnnl_dims_t result = {product->shape.rows, part->out};
    const dnnl_dims_t result_strides = {product->out, 1};
    const dnnl_dims_t bias = {1, part->out};
    dnnl_status_t status = describe_operand(d, product, part->out);
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

static dnnl_status_t make_primitive(struct product *product, struct product_part *part,
                                    struct description *d)
{
    dnnl_status_t status = describe_matrices(d, product, part);
    if (status == dnnl_success) status = describe_attributes(d, part->add);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&d->made, &d->product, d->attributes,
                                            library_engine(), NULL);
    if (status != dnnl_success) return status;
    /* The reference loops take anything, a thousand times slower: better not at all. */
    const char *name = NULL;
    status = dnnl_primitive_desc_query(d->made, dnnl_query_impl_info_str, 0, &name);
    if (status == dnnl_success && (!name || strncmp(name, "ref", 3) == 0))
        status = dnnl_unimplemented;
    if (status == dnnl_success)
        status = dnnl_primitive_create(&part->primitive, d->made);
    if (status != dnnl_success) return status;
    const dnnl_memory_desc_t *const scratch =
        dnnl_primitive_desc_query_md(d->made, dnnl_query_scratchpad_md, 0);
    const size_t bytes = size_align(dnnl_memory_desc_get_size(scratch), 64);
    if (product->scratch_bytes < bytes) product->scratch_bytes = bytes;
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

/* The largest that divides them and is small enough, if it isn't much smaller than that. */
static int32_t choose_part_in(const struct weight_layout *layout)
{
    if (!layout->by_panels) return layout->in;
    const int32_t fewest =
        layout->in / MOST_PANEL_IN + (layout->in % MOST_PANEL_IN != 0);
    for (int32_t parts = fewest; parts < 2 * fewest; ++parts)
        if (layout->in % parts == 0) return layout->in / parts;
    return layout->in;
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
        .by_panels = layout->by_panels,
        .part_in = choose_part_in(layout),
        .panel_out = layout->by_panels ? layout->out_block : layout->out,
        .panel_bytes = layout->out_stride * dtype_bytes(layout->type),
        .lane_count = compute_thread_count(),
        .next = set->first,
    };
    return product;
}

static dnnl_status_t make_parts(struct product *product, struct pool *pool)
{
    const bool has_panels = product->out >= product->panel_out;
    const int32_t outs[] = {has_panels ? product->panel_out : 0,
                            product->out % product->panel_out};
    const int times = product->part_in < product->in ? 2 : 1;
    dnnl_status_t status = dnnl_success;
    for (int later = 0; later < times; ++later)
        for (int last = 0; last < 2 && status == dnnl_success; ++last) {
            struct product_part *const part = &product->parts[later][last];
            part->out = outs[last];
            part->bias = product->shape.bias && !later;
            part->add = product->shape.add || later;
            status = make_part(product, part, pool);
        }
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
    (void)snprintf(what, sizeof what, "product of %d rows, %d inputs, %d outputs in %s",
                   shape->rows, layout->in, layout->out, dtype_name(layout->type));
    const enum dr_code code = library_room(what, err);
    if (code != DR_OK) return code;
    struct product *const product = new_product(set, shape, layout);
    if (!product) return error_set(err, DR_NOMEM, "no memory for a product's record");
    set->first = product; /* so that what was made before a failure is destroyed too */
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
        for (int i = 0; i < 4; ++i)
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

/* Some inputs, panel by panel. */
static bool run_panels(const struct product *product,
                       const struct product_part parts[2], int lane,
                       struct product_call call)
{
    const size_t result_bytes =
        (size_t)product->panel_out * dtype_bytes(product->shape.result);
    for (int32_t left = product->out; left > 0; left -= product->panel_out) {
        if (!run_part(&parts[left < product->panel_out], lane, &call)) return false;
        call.operand = (const unsigned char *)call.operand + product->panel_bytes;
        call.result = (unsigned char *)call.result + result_bytes;
        if (call.bias) call.bias += product->panel_out;
    }
    return true;
}

bool product_run(const struct product *product, int lane,
                 const struct product_call *call)
{
    struct product_call part = *call;
    const size_t row_bytes = (size_t)product->part_in * dtype_bytes(product->type);
    for (int32_t in = 0; in < product->in; in += product->part_in) {
        if (!run_panels(product, product->parts[in > 0], lane, part)) return false;
        part.source = (const unsigned char *)part.source + row_bytes;
        part.operand = (const unsigned char *)part.operand +
                       row_bytes * (size_t)product->panel_out;
        part.bias = NULL;
    }
    return true;
}
