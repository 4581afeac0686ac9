/* clip_text — CLIP's text encoders: 77 token ids become the UNet's context.
 *
 * A pre-norm transformer with a causal mask, with two sets of tensor names, by the component's role:
 * TEXT is CLIP-L in Hugging Face's names with quick GELU (SD1.x, and SDXL's first encoder),
 * TEXT2 is OpenCLIP bigG in OpenCLIP's names with exact GELU (SDXL's second). Head dimension 64
 * unless the file's metadata has darkroom.text.heads or darkroom.text2.heads; metadata can also select the
 * activation (darkroom.text.activation, .text2.activation: quick_gelu or gelu). All other dimensions are
 * read from the tensors.
 *
 *     family   context                              pooled (TEXT2)
 *     SD1.x    final norm of the last layer         -
 *     SDXL     the last layer but one, not normed   final norm of the last layer at the first
 *                                                   end of text, times text_projection
 *
 * Both results of TEXT2 come from one run. Every position is projected, and the caller takes the
 * requested one from the result: projecting 77 rows is less than half a percent of the
 * work, and no operator has to know token ids.
 * Reference: transformers CLIPTextModel, CLIPTextModelWithProjection; diffusers
 * pipelines/stable_diffusion_xl; 2103.00020.
 */
#ifndef MODEL_CLIP_TEXT_H
#define MODEL_CLIP_TEXT_H

#include "compute/plan.h"
#include "model/component.h"

struct clip_text_spec; /* opaque: dimensions, operands */

struct clip_text_info {
    int32_t vocabulary, positions, width, layers, heads, mlp;
    int32_t pooled; /* width of the pooled vector; 0: it has none */
};

/* Errors: DR_INCOMPLETE lists tensors, DR_UNSUPPORTED (sizes that do not match). */
enum dr_code clip_text_spec_create(struct clip_text_spec **out,
                                   const struct component_index *index,
                                   enum family family, enum dtype dtype,
                                   struct dr_error *err) DR_MUST_CHECK;
/* component_spec_store of its component: before anything else uses the spec. */
enum dr_code clip_text_spec_store(struct clip_text_spec *spec,
                                  enum component_storage storage,
                                  struct dr_error *err) DR_MUST_CHECK;
void clip_text_spec_destroy(struct clip_text_spec **spec);
const struct component_spec *clip_text_component(const struct clip_text_spec *spec);
struct clip_text_info clip_text_info(const struct clip_text_spec *spec);

struct clip_text_plan {
    struct plan *plan;
    struct value ids;     /* input  [n,1,77,1] i32 */
    struct value context; /* output [n,1,77,width] f32 */
    struct value
        projected; /* output [n,1,77,pooled] f32, or none: clip_text_read_pooled */
};

/* clip_skip as in A1111: 1 skips nothing. SD1.x: n takes the output of layer (layers - n + 1), and the
 * final layer norm is always applied. SDXL, as in diffusers: n takes the output of layer (layers - n);
 * the pooled vector is always that of the last layer. Errors: DR_BAD_INPUT where clip_skip is not in
 * 1..layers. */
struct clip_text_shape {
    int32_t n;
    int32_t clip_skip;
    bool profile;
    const struct weight_deltas *deltas; /* of adapters (plan.h), or NULL */
    /* A table of vectors, which ids below 0 are rows of: id -1 - i is row i. Or NULL. Lives as long as the plan. */
    const struct weight *vectors;
};
enum dr_code clip_text_plan_create(struct clip_text_plan *out,
                                   const struct clip_text_spec *spec,
                                   const struct clip_text_shape *shape,
                                   struct dr_error *err) DR_MUST_CHECK;
/* After a run: the pooled vector of text n_idx, whose first end of text is at eos_idx, to the caller's
 * memory [clip_text_info.pooled]. */
void clip_text_read_pooled(const struct clip_text_plan *plan, int32_t n_idx,
                           int32_t eos_idx, float *pooled);
void clip_text_plan_destroy(struct clip_text_plan *plan);

#endif
