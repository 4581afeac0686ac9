/* adapter — a LoRA's file matched to the networks of a model: which of its layers change which weights.
 *
 * An adapter is a component of its own: its matrices are tables in a region of their own, as they are in the
 * file, so that they take as many bytes as there. A plan of a network that it changes reads that region
 * beside the network's own, and merges the deltas that are made here (compute/merge.h).
 *
 * A layer is found by its module's name, in any spelling (weights/adapter_names.h). A layer whose module the model
 * lacks is counted and named; one of another shape means that the adapter is of another family, and so
 * it is refused.
 *
 * Threads: as component.h.
 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "compute/weight_delta.h"
#include "model/component.h"
#include "weights/adapter_file.h"

struct adapter_spec; /* opaque */

struct adapter_networks {
    const struct component_spec *components[ROLE_COUNT]; /* NULL: not there */
    enum family family;
};

struct adapter_info {
    int32_t layer_count;        /* of the file */
    int32_t used_count;         /* that the model has */
    int32_t counts[ROLE_COUNT]; /* of those, by network */
    struct problem_list
        unused;     /* modules that the model lacks, and names not understood */
    uint64_t bytes; /* of the tensors that are used */
};

/* region: of its tables, in the list that a plan is bound to (at least 1). All arguments are borrowed until
 * adapter_spec_destroy. Errors: DR_FOREIGN (a family, or shapes, of another model; nothing of it is in the model),
 * DR_CORRUPT (two layers are one of the model's), DR_UNSUPPORTED (DoRA on a weight that is computed in parts), DR_NOMEM. */
enum dr_code adapter_spec_create(struct adapter_spec **out,
                                 const struct adapter_file *file,
                                 const struct adapter_networks *networks,
                                 int32_t region, struct dr_error *err) DR_MUST_CHECK;
void adapter_spec_destroy(
    struct adapter_spec **spec); /* NULL and *spec == NULL are fine */

const struct component_spec *adapter_component(const struct adapter_spec *spec);
const struct adapter_info *adapter_info(const struct adapter_spec *spec);

/* What it adds to a network at strength 1; *count of them. Of one target they follow each other. */
const struct weight_delta *adapter_deltas(const struct adapter_spec *spec,
                                          enum component_role role, size_t *count);

#endif
