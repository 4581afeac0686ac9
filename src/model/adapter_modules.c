#include "model/adapter_modules.h"

#include <stdlib.h>
#include <string.h>

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the list of a model's modules");
}

static enum dr_code add(struct adapter_modules *modules, struct adapter_module module,
                        const char *name, struct dr_error *err)
{
    if (!name[0]) return DR_OK;
    if (modules->count == modules->capacity) {
        const size_t capacity = modules->capacity ? 2 * modules->capacity : 1024;
        struct adapter_module *const grown =
            pool_grow(modules->pool, modules->items, modules->count, capacity,
                      sizeof *modules->items);
        if (!grown) return no_memory(err);
        modules->items = grown;
        modules->capacity = capacity;
    }
    module.name = pool_string(modules->pool, name);
    if (!module.name) return no_memory(err);
    modules->items[modules->count++] = module;
    return DR_OK;
}

/* "a.b.weight", "a.in_proj_bias", "text_projection": the module, and whether it is its bias. */
static bool split(const char *name, char module[static ADAPTER_MODULE_BYTES])
{
    static const char *const ends[] = {".weight", "_weight", ".bias", "_bias"};
    const size_t bytes = strlen(name);
    size_t keep = bytes;
    bool is_bias = false;
    for (size_t i = 0; i < 4; ++i) {
        const size_t end = strlen(ends[i]);
        if (bytes <= end || strcmp(name + bytes - end, ends[i]) != 0) continue;
        keep = bytes - end;
        is_bias = i >= 2;
    }
    if (keep >= ADAPTER_MODULE_BYTES) keep = ADAPTER_MODULE_BYTES - 1;
    memcpy(module, name, keep);
    module[keep] = '\0';
    return is_bias;
}

/* The thirds of a matrix that the checkpoint has stacked already. */
static enum dr_code add_thirds(struct adapter_modules *modules,
                               const struct adapter_module *whole, const char *module,
                               struct dr_error *err)
{
    char name[ADAPTER_MODULE_BYTES];
    enum dr_code code = DR_OK;
    for (int32_t part = 0; part < 3 && !code; ++part) {
        struct adapter_module third = *whole;
        if (!adapter_stacked_spelling(module, part, name)) return DR_OK;
        third.row_count = whole->row_count / 3;
        third.first_row = whole->first_row + part * third.row_count;
        code = add(modules, third, name, err);
    }
    return code;
}

static enum dr_code add_operand(struct adapter_modules *modules,
                                enum component_role role,
                                const struct component_spec *spec,
                                const struct operand *operand, int32_t level_blocks,
                                struct dr_error *err)
{
    const struct weight *const weight = &operand->weight;
    enum dr_code code = DR_OK;
    if (weight->kind == WEIGHT_TABLE) return DR_OK;
    for (int32_t part = 0; part < operand->part_count && !code; ++part) {
        const struct component_tensor *const entry =
            &spec->index->tensors[operand->parts[part]];
        char text[ADAPTER_MODULE_BYTES];
        struct adapter_spellings spelled;
        struct adapter_module module = {.role = role, .weight = weight};
        module.is_bias = split(entry->name, text);
        module.row_count = weight->out / operand->part_count;
        module.first_row = part * module.row_count;
        module.first_column = operand->first_column;
        module.taps = weight->kernel_height * weight->kernel_width;
        module.in = operand->transpose || weight->kind == WEIGHT_VECTOR
                        ? weight->in
                        : (int32_t)entry->tensor->dims[1];
        module.is_slice = module.in != weight->in;
        adapter_spellings(role, text, level_blocks, &spelled);
        for (int i = 0; i < ADAPTER_SPELLINGS && !code; ++i)
            code = add(modules, module, spelled.modules[i], err);
        if (!code && role == ROLE_TEXT2) code = add_thirds(modules, &module, text, err);
    }
    return code;
}

enum dr_code adapter_modules_add(struct adapter_modules *modules,
                                 enum component_role role,
                                 const struct component_spec *spec,
                                 struct dr_error *err)
{
    const int32_t level_blocks =
        role == ROLE_UNET ? adapter_level_blocks(spec->index) : 0;
    enum dr_code code = DR_OK;
    for (size_t i = 0; i < spec->operand_count && !code; ++i)
        code = add_operand(modules, role, spec, spec->operands[i], level_blocks, err);
    return code;
}

static int compare(const void *left, const void *right)
{
    const struct adapter_module *const a = left, *const b = right;
    if (a->role != b->role) return a->role < b->role ? -1 : 1;
    const int order = strcmp(a->name, b->name);
    if (order) return order;
    if (a->is_bias != b->is_bias) return a->is_bias ? 1 : -1;
    return (a->first_column > b->first_column) - (a->first_column < b->first_column);
}

void adapter_modules_sort(struct adapter_modules *modules)
{
    if (modules->count > 0)
        qsort(modules->items, modules->count, sizeof *modules->items, compare);
}

const struct adapter_module *adapter_modules_find(const struct adapter_modules *modules,
                                                  enum component_role role,
                                                  const char *name, size_t *count)
{
    size_t low = 0, high = modules->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct adapter_module *const at = &modules->items[middle];
        const bool before =
            at->role != role ? at->role < role : strcmp(at->name, name) < 0;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    *count = 0;
    while (low + *count < modules->count && modules->items[low + *count].role == role &&
           strcmp(modules->items[low + *count].name, name) == 0)
        ++*count;
    return *count > 0 ? &modules->items[low] : NULL;
}
