/* adapter_modules — the weights of a model, by the names that adapters give to their modules.
 *
 * A module has a weight and perhaps a bias. A weight may be a part of a packed one (q, k and v in a stack), and
 * one tensor may be in two packed ones (a kernel over a concatenation): then a module has two entries.
 */
#ifndef MODEL_ADAPTER_MODULES_H
#define MODEL_ADAPTER_MODULES_H

#include "model/component.h"
#include "weights/adapter_names.h"

struct adapter_module {
    enum component_role role;
    const char *name; /* as adapters spell it, flat */
    bool is_bias;     /* of the module; else its weight, or a norm's scale */
    const struct weight *weight;
    int32_t first_row, row_count;   /* of the packed weight */
    int32_t first_column, in, taps; /* of the tensor: inputs, all of them */
    bool is_slice;                  /* the packed weight has only some of the inputs */
};

struct adapter_modules {
    struct adapter_module *items; /* sorted by role and name */
    size_t count, capacity;
    struct pool *pool;
};

/* All weights of a network. pool: set before. Errors: DR_NOMEM. */
enum dr_code adapter_modules_add(struct adapter_modules *modules,
                                 enum component_role role,
                                 const struct component_spec *spec,
                                 struct dr_error *err) DR_MUST_CHECK;
void adapter_modules_sort(struct adapter_modules *modules);

/* The entries of a module: *count of them, from the one returned on. */
const struct adapter_module *adapter_modules_find(const struct adapter_modules *modules,
                                                  enum component_role role,
                                                  const char *name, size_t *count);

#endif
