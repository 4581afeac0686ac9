/* clip_text — CLIP's text encoder: 77 token ids become the UNet's context.
 *
 * CLIP-L with Hugging Face names (SD1.x and SDXL's first): pre-norm transformer, causal mask,
 * quick GELU, head dimension 64 unless the file says (darkroom.text.heads). All other
 * dimensions are read from the tensors. Reference: transformers CLIPTextModel; 2103.00020.
 */
#ifndef MODEL_CLIP_TEXT_H
#define MODEL_CLIP_TEXT_H

#include "compute/plan.h"
#include "model/component.h"

struct clip_text_spec; /* opaque: dimensions, operands */

struct clip_text_info {
    int32_t vocabulary, positions, width, layers, heads, mlp;
};

/* Errors: DR_INCOMPLETE lists tensors, DR_UNSUPPORTED (dims that do not go). */
enum dr_code clip_text_spec_create(struct clip_text_spec **out,
                                   const struct component_index *index, enum dtype dtype,
                                   struct dr_error *err) DR_MUST_CHECK;
void clip_text_spec_destroy(struct clip_text_spec **spec);
const struct component_spec *clip_text_component(const struct clip_text_spec *spec);
struct clip_text_info clip_text_info(const struct clip_text_spec *spec);

struct clip_text_plan {
    struct plan *plan;
    struct value ids;     /* input  [n,1,77,1] i32 */
    struct value context; /* output [n,1,77,width] f32 */
};

/* clip_skip as A1111 counts: 1 is the last layer; n takes the output of layer (layers - n + 1);
 * the final layer norm is applied in either case (SD1.x). Errors: DR_BAD_INPUT where clip_skip
 * is not in 1..layers. */
enum dr_code clip_text_plan_create(struct clip_text_plan *out,
                                   const struct clip_text_spec *spec, int32_t n,
                                   int32_t clip_skip, struct dr_error *err) DR_MUST_CHECK;
void clip_text_plan_destroy(struct clip_text_plan *plan);

#endif
