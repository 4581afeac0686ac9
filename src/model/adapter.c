#include "model/adapter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/adapter_modules.h"

struct adapter_spec {
    struct pool pool;
    const struct adapter_file *file;
    struct component_index index;
    struct component_spec component;
    const struct weight **tables; /* of each tensor of the index; NULL: none yet */
    struct weight_delta *deltas[ROLE_COUNT];
    size_t counts[ROLE_COUNT], capacities[ROLE_COUNT];
    struct adapter_info info;
};

/* What the walk over the layers knows. */
struct walk {
    struct adapter_spec *spec;
    struct adapter_modules modules;
    const struct adapter_networks *networks;
    char misfit[512]; /* the first layer of another shape, in words */
    size_t misfit_count;
    enum dr_code code;
    struct dr_error *err;
};

static enum dr_code no_memory(struct dr_error *err)
{
    return error_set(err, DR_NOMEM, "no memory for the layers of an adapter");
}

static void note_unused(struct adapter_info *info, const char *name)
{
    struct problem_list *const list = &info->unused;
    if (list->count++ >= COMPONENT_LISTED_PROBLEMS) return;
    const size_t used = strlen(list->text);
    (void)snprintf(list->text + used, sizeof list->text - used, "%s%s",
                   used ? ", " : "", name);
}

/* ---- tables ---- */

static int compare_tensors(const void *left, const void *right)
{
    const struct component_tensor *const a = left, *const b = right;
    return strcmp(a->name, b->name);
}

/* One for each tensor, however many weights it changes. */
static const struct weight *table(struct walk *walk, const struct adapter_layer *layer,
                                  enum adapter_part part)
{
    const struct operand_request request = {.kind = WEIGHT_TABLE,
                                            .out = -1,
                                            .in = -1,
                                            .flatten = true,
                                            .dtype = DTYPE_F32,
                                            .dtype_set = true};
    struct adapter_spec *const spec = walk->spec;
    if (!layer->parts[part]) return NULL;
    const struct component_tensor key = {.name = layer->parts[part]->name};
    const struct component_tensor *const entry =
        bsearch(&key, spec->index.tensors, spec->index.count,
                sizeof *spec->index.tensors, compare_tensors);
    const struct weight **const made = &spec->tables[entry - spec->index.tensors];
    if (!*made)
        *made = component_need_stack(&spec->component, &request,
                                     (const char *const[]){entry->name, NULL});
    return *made;
}

/* ---- shapes ---- */

static int64_t dim(const struct tensor *tensor, int32_t i)
{
    return i < tensor->rank ? tensor->dims[i] : 1;
}

static int64_t rest_of(const struct tensor *tensor)
{
    return tensor_element_count(tensor) / dim(tensor, 0);
}

static bool covers(const struct adapter_layer *layer, enum adapter_part part,
                   int64_t rows, int64_t columns)
{
    const struct tensor *const tensor = layer->parts[part];
    return dim(tensor, 0) == rows && rest_of(tensor) == columns;
}

/* up [out, r] (turned: [r, out]) and down [r, in * taps], or with a core [r2, in]. */
static bool term_covers(const struct adapter_layer *layer, enum adapter_part up,
                        enum adapter_part core, enum adapter_part down, bool turned,
                        struct delta_index out, struct delta_index in, int32_t taps)
{
    const struct tensor *const mid = layer->parts[core];
    const int64_t rank = dim(layer->parts[up], turned ? 0 : 1);
    const int64_t inner = mid ? dim(mid, 1) : rank;
    if (!covers(layer, up, turned ? rank : out.count, turned ? out.count : rank))
        return false;
    if (mid && rest_of(mid) != inner * taps) return false;
    return covers(layer, down, inner, mid ? in.count : (int64_t)in.count * taps);
}

static struct delta_term low_rank(struct walk *walk, const struct adapter_layer *layer,
                                  enum adapter_part up, enum adapter_part core,
                                  enum adapter_part down)
{
    return (struct delta_term){.up = table(walk, layer, up),
                               .core = table(walk, layer, core),
                               .down = table(walk, layer, down)};
}

/* ---- kinds ---- */

static bool make_lora(struct walk *walk, const struct adapter_layer *layer,
                      const struct adapter_module *module, struct weight_delta *delta)
{
    struct delta_term *const term = &delta->terms[0];
    const struct delta_index out = {1, module->row_count}, in = {1, module->in};
    if (!term_covers(layer, ADAPTER_UP, ADAPTER_MID, ADAPTER_DOWN, false, out, in,
                     module->taps))
        return false;
    *term = low_rank(walk, layer, ADAPTER_UP, ADAPTER_MID, ADAPTER_DOWN);
    term->out = out;
    term->in = in;
    term->has_taps = true;
    delta->term_count = 1;
    return true;
}

static bool make_loha(struct walk *walk, const struct adapter_layer *layer,
                      const struct adapter_module *module, struct weight_delta *delta)
{
    static const enum adapter_part parts[2][3] = {
        {ADAPTER_HADA_W1_A, ADAPTER_HADA_T1, ADAPTER_HADA_W1_B},
        {ADAPTER_HADA_W2_A, ADAPTER_HADA_T2, ADAPTER_HADA_W2_B},
    };
    const struct delta_index out = {1, module->row_count}, in = {1, module->in};
    for (int k = 0; k < 2; ++k) {
        const bool turned = layer->parts[parts[k][1]] != NULL;
        struct delta_term *const term = &delta->terms[k];
        if (!term_covers(layer, parts[k][0], parts[k][1], parts[k][2], turned, out, in,
                         module->taps))
            return false;
        *term = low_rank(walk, layer, parts[k][0], parts[k][1], parts[k][2]);
        term->up_is_turned = turned;
        term->out = out;
        term->in = in;
        term->has_taps = true;
    }
    delta->term_count = 2;
    return true;
}

/* Rows and columns of a factor, taps not counted. */
static void factor_shape(const struct adapter_layer *layer, enum adapter_part whole,
                         enum adapter_part up, enum adapter_part core,
                         enum adapter_part down, int32_t taps, int64_t shape[static 2])
{
    const struct tensor *const full = layer->parts[whole];
    if (full) {
        shape[0] = dim(full, 0);
        shape[1] = rest_of(full) / taps;
        return;
    }
    const bool turned = layer->parts[core] != NULL;
    shape[0] = dim(layer->parts[up], turned ? 1 : 0);
    shape[1] = rest_of(layer->parts[down]) / (turned ? 1 : taps);
}

static bool make_lokr(struct walk *walk, const struct adapter_layer *layer,
                      const struct adapter_module *module, struct weight_delta *delta)
{
    int64_t small[2], large[2];
    struct delta_term *const first = &delta->terms[0], *const second = &delta->terms[1];
    factor_shape(layer, ADAPTER_LOKR_W1, ADAPTER_LOKR_W1_A, ADAPTER_MID,
                 ADAPTER_LOKR_W1_B, 1, small);
    factor_shape(layer, ADAPTER_LOKR_W2, ADAPTER_LOKR_W2_A, ADAPTER_LOKR_T2,
                 ADAPTER_LOKR_W2_B, module->taps, large);
    if (small[0] * large[0] != module->row_count || small[1] * large[1] != module->in)
        return false;
    const struct delta_index out1 = {(int32_t)large[0], (int32_t)small[0]};
    const struct delta_index in1 = {(int32_t)large[1], (int32_t)small[1]};
    const struct delta_index out2 = {1, (int32_t)large[0]},
                             in2 = {1, (int32_t)large[1]};
    const bool turned = layer->parts[ADAPTER_LOKR_T2] != NULL;
    if (layer->parts[ADAPTER_LOKR_W1]
            ? !covers(layer, ADAPTER_LOKR_W1, small[0], small[1])
            : !term_covers(layer, ADAPTER_LOKR_W1_A, ADAPTER_MID, ADAPTER_LOKR_W1_B,
                           false, out1, in1, 1))
        return false;
    if (layer->parts[ADAPTER_LOKR_W2]
            ? !covers(layer, ADAPTER_LOKR_W2, large[0], large[1] * module->taps)
            : !term_covers(layer, ADAPTER_LOKR_W2_A, ADAPTER_LOKR_T2, ADAPTER_LOKR_W2_B,
                           turned, out2, in2, module->taps))
        return false;
    *first = low_rank(walk, layer, ADAPTER_LOKR_W1_A, ADAPTER_MID, ADAPTER_LOKR_W1_B);
    first->full = table(walk, layer, ADAPTER_LOKR_W1);
    first->out = out1;
    first->in = in1;
    *second =
        low_rank(walk, layer, ADAPTER_LOKR_W2_A, ADAPTER_LOKR_T2, ADAPTER_LOKR_W2_B);
    second->full = table(walk, layer, ADAPTER_LOKR_W2);
    second->up_is_turned = turned;
    second->has_taps = true;
    second->out = out2;
    second->in = in2;
    delta->term_count = 2;
    return true;
}

/* One full term, of this part. */
static bool make_full(struct walk *walk, const struct adapter_layer *layer,
                      enum adapter_part part, const struct adapter_module *module,
                      struct weight_delta *delta)
{
    const int64_t columns = (int64_t)module->in * module->taps;
    if (!covers(layer, part, module->row_count, columns)) return false;
    delta->terms[0] = (struct delta_term){
        .full = table(walk, layer, part),
        .has_taps = true,
        .out = {1, module->row_count},
        .in = {1, module->in       }
    };
    delta->term_count = 1;
    return true;
}

static bool make_norm(struct walk *walk, const struct adapter_layer *layer,
                      const struct adapter_module *module, struct weight_delta *delta)
{
    const struct tensor *const peft = layer->parts[ADAPTER_MAGNITUDE];
    const enum adapter_part part = peft ? ADAPTER_MAGNITUDE : ADAPTER_DORA_SCALE;
    const struct tensor *const tensor = layer->parts[part];
    if (!tensor) return true;
    const int64_t count = tensor_element_count(tensor);
    const bool of_output =
        count == module->row_count && (peft || dim(tensor, 0) == module->row_count);
    if (!of_output && (peft || count != module->in)) return false;
    if (of_output && module->is_slice && !walk->code)
        walk->code =
            error_set(walk->err, DR_UNSUPPORTED,
                      "layer %.160s has a norm over all of its inputs (DoRA), and "
                      "the model computes it in two parts; this is not supported",
                      layer->module);
    delta->norm = of_output ? DELTA_NORM_OF_OUTPUT : DELTA_NORM_OF_INPUT;
    delta->magnitude = table(walk, layer, part);
    return true;
}

static bool make_delta(struct walk *walk, const struct adapter_layer *layer,
                       const struct adapter_module *module, struct weight_delta *delta)
{
    const bool is_vector = module->weight->kind == WEIGHT_VECTOR;
    if (is_vector)
        return layer->parts[ADAPTER_NORM_W]
                   ? make_full(walk, layer, ADAPTER_NORM_W, module, delta)
                   : layer->parts[ADAPTER_DIFF] &&
                         make_full(walk, layer, ADAPTER_DIFF, module, delta);
    switch (layer->kind) {
    case ADAPTER_LORA:
        return make_lora(walk, layer, module, delta) &&
               make_norm(walk, layer, module, delta);
    case ADAPTER_LOHA:
        return make_loha(walk, layer, module, delta) &&
               make_norm(walk, layer, module, delta);
    case ADAPTER_LOKR:
        return make_lokr(walk, layer, module, delta) &&
               make_norm(walk, layer, module, delta);
    case ADAPTER_DIFFERENCE: return make_full(walk, layer, ADAPTER_DIFF, module, delta);
    case ADAPTER_NORM:
    case ADAPTER_KIND_COUNT: break;
    }
    return false;
}

/* ---- layers ---- */

static struct weight_delta *add_delta(struct walk *walk,
                                      const struct adapter_module *module)
{
    struct adapter_spec *const spec = walk->spec;
    const enum component_role role = module->role;
    if (spec->counts[role] == spec->capacities[role]) {
        const size_t capacity =
            spec->capacities[role] ? 2 * spec->capacities[role] : 256;
        struct weight_delta *const grown =
            pool_grow(&spec->pool, spec->deltas[role], spec->counts[role], capacity,
                      sizeof *grown);
        if (!grown) {
            walk->code = no_memory(walk->err);
            return NULL;
        }
        spec->deltas[role] = grown;
        spec->capacities[role] = capacity;
    }
    struct weight_delta *const delta = &spec->deltas[role][spec->counts[role]++];
    *delta = (struct weight_delta){.target = module->weight,
                                   .first_row = module->first_row,
                                   .row_count = module->row_count,
                                   .first_column = module->first_column,
                                   .scale = 1,
                                   .strength = 1};
    return delta;
}

static void note_misfit(struct walk *walk, const struct adapter_layer *layer,
                        const struct adapter_module *module)
{
    char shape[TENSOR_SHAPE_TEXT];
    if (walk->misfit_count++ > 0) return;
    for (int part = 0; part < ADAPTER_PART_COUNT; ++part) {
        if (!layer->parts[part] || part == ADAPTER_ALPHA) continue;
        const char *const taps = module->taps > 1 ? " at each tap" : "";
        (void)snprintf(walk->misfit, sizeof walk->misfit,
                       "layer %.160s (%s %s) changes another weight than the model's, "
                       "which has %d outputs of %d inputs%s",
                       layer->module, adapter_part_name((enum adapter_part)part),
                       tensor_shape_text(layer->parts[part], shape),
                       (int)module->row_count, (int)module->in, taps);
        return;
    }
}

/* One weight, or a bias, of the layer's module. False: of another shape. */
static bool add_module(struct walk *walk, const struct adapter_layer *layer,
                       const struct adapter_module *module)
{
    const enum adapter_part bias =
        layer->parts[ADAPTER_NORM_B] ? ADAPTER_NORM_B : ADAPTER_DIFF_B;
    const bool has_weight = layer->parts[ADAPTER_DIFF] ||
                            layer->parts[ADAPTER_NORM_W] ||
                            layer->kind == ADAPTER_LORA ||
                            layer->kind == ADAPTER_LOHA || layer->kind == ADAPTER_LOKR;
    if (module->is_bias ? !layer->parts[bias] : !has_weight) return true;
    struct weight_delta *const delta = add_delta(walk, module);
    if (!delta) return true;
    if (!module->is_bias) delta->scale = layer->scale;
    return module->is_bias ? make_full(walk, layer, bias, module, delta)
                           : make_delta(walk, layer, module, delta);
}

static void add_layer(struct walk *walk, const struct adapter_layer *layer)
{
    struct adapter_info *const info = &walk->spec->info;
    size_t count = 0;
    const struct adapter_module *const modules =
        adapter_modules_find(&walk->modules, layer->role, layer->module, &count);
    if (!modules) {
        note_unused(info, layer->module);
        return;
    }
    const size_t before = walk->spec->counts[layer->role];
    for (size_t i = 0; i < count; ++i)
        if (!add_module(walk, layer, &modules[i])) {
            note_misfit(walk, layer, &modules[i]);
            return;
        }
    if (walk->spec->counts[layer->role] == before) { /* of a bias that is not there */
        note_unused(info, layer->module);
        return;
    }
    ++info->used_count;
    ++info->counts[layer->role];
}

/* ---- the whole ---- */

static int compare_deltas(const void *left, const void *right)
{
    const struct weight_delta *const a = left, *const b = right;
    if (a->target != b->target)
        return (uintptr_t)a->target < (uintptr_t)b->target ? -1 : 1;
    return (a->first_row > b->first_row) - (a->first_row < b->first_row);
}

/* All tensors of all layers, also of those that the model lacks: they are in the file's digest. */
static enum dr_code make_index(struct adapter_spec *spec, struct dr_error *err)
{
    const struct adapter_file *const file = spec->file;
    struct component_index *const index = &spec->index;
    index->role = ROLE_COUNT;
    index->file = &file->file;
    index->tensors =
        pool_alloc(&spec->pool, (file->file.tensor_count + 1) * sizeof *index->tensors);
    spec->tables =
        pool_alloc(&spec->pool, (file->file.tensor_count + 1) * sizeof *spec->tables);
    if (!index->tensors || !spec->tables) return no_memory(err);
    for (size_t i = 0; i < file->layer_count; ++i)
        for (int part = 0; part < ADAPTER_PART_COUNT; ++part) {
            const struct tensor *const tensor = file->layers[i].parts[part];
            if (!tensor) continue;
            index->tensors[index->count++] =
                (struct component_tensor){.name = tensor->name, .tensor = tensor};
            index->bytes += tensor->bytes;
        }
    qsort(index->tensors, index->count, sizeof *index->tensors, compare_tensors);
    return DR_OK;
}

static enum dr_code find_modules(struct walk *walk)
{
    enum dr_code code = DR_OK;
    walk->modules.pool = &walk->spec->pool;
    for (int role = 0; role < ROLE_VAE && !code; ++role)
        if (walk->networks->components[role])
            code = adapter_modules_add(&walk->modules, (enum component_role)role,
                                       walk->networks->components[role], walk->err);
    adapter_modules_sort(&walk->modules);
    return code;
}

static const char *family_text(enum family family)
{
    return family == FAMILY_UNKNOWN ? "another model" : family_name(family);
}

static enum dr_code check_family(const struct walk *walk)
{
    const enum family is = walk->spec->file->family, wanted = walk->networks->family;
    const struct adapter_info *const info = &walk->spec->info;
    const bool differs = is != FAMILY_UNKNOWN && is != wanted;
    const char *const path = walk->spec->file->file.path;
    if (info->used_count > 0 && walk->misfit_count == 0) return DR_OK;
    if (walk->misfit_count > 0)
        return error_set(
            walk->err, DR_FOREIGN,
            "%.400s is for %s, not for this model (%s): %s%s; choose a LoRA "
            "for %s",
            path, differs ? family_name(is) : "another model", family_text(wanted),
            walk->misfit, walk->misfit_count > 1 ? ", and others too" : "",
            family_text(wanted));
    return error_set(
        walk->err, DR_FOREIGN,
        "%.400s is for %s, not for this model (%s): the model has none of its "
        "%d layers (%.200s); choose a LoRA for %s",
        path, differs ? family_name(is) : "another model", family_text(wanted),
        (int)info->layer_count, info->unused.text, family_text(wanted));
}

/* The file's layers that make a delta of this place, in words: two of them. */
static void name_layers(const struct walk *walk, const struct weight_delta *delta,
                        enum component_role role, const char *names[static 2])
{
    const struct adapter_file *const file = walk->spec->file;
    int found = 0;
    for (size_t i = 0; i < file->layer_count && found < 2; ++i) {
        size_t count = 0;
        const struct adapter_module *const modules =
            adapter_modules_find(&walk->modules, role, file->layers[i].module, &count);
        for (size_t k = 0; file->layers[i].role == role && k < count && found < 2; ++k)
            if (modules[k].weight == delta->target &&
                modules[k].first_row == delta->first_row) {
                names[found++] = file->layers[i].module;
                break;
            }
    }
}

/* A file may spell one module in two ways; then it is not said whether both are meant. The deltas are sorted. */
static enum dr_code check_twice(const struct walk *walk, enum component_role role)
{
    const struct adapter_spec *const spec = walk->spec;
    for (size_t i = 1; i < spec->counts[role]; ++i) {
        const struct weight_delta *const delta = &spec->deltas[role][i];
        const char *names[2] = {"", ""};
        if (compare_deltas(delta - 1, delta) != 0) continue;
        name_layers(walk, delta, role, names);
        return error_set(walk->err, DR_CORRUPT,
                         "%.400s changes one layer of the model twice, by two of its "
                         "names: %.160s, %.160s",
                         spec->file->file.path, names[0], names[1]);
    }
    return DR_OK;
}

static enum dr_code build(struct walk *walk)
{
    struct adapter_spec *const spec = walk->spec;
    const struct adapter_file *const file = spec->file;
    enum dr_code code = make_index(spec, walk->err);
    if (!code) code = find_modules(walk);
    if (code) return code;
    spec->info.layer_count = (int32_t)file->layer_count;
    for (size_t i = 0; i < file->layer_count && !walk->code; ++i)
        add_layer(walk, &file->layers[i]);
    if (walk->code) return walk->code;
    code = check_family(walk);
    if (code) return code;
    for (size_t i = 0; i < ADAPTER_LISTED_NAMES && i < file->unknown_count; ++i)
        note_unused(&spec->info, file->unknown[i]);
    if (file->unknown_count > ADAPTER_LISTED_NAMES)
        spec->info.unused.count += file->unknown_count - ADAPTER_LISTED_NAMES;
    for (int role = 0; role < ROLE_COUNT && !code; ++role)
        if (spec->counts[role] > 0) {
            qsort(spec->deltas[role], spec->counts[role], sizeof *spec->deltas[role],
                  compare_deltas);
            code = check_twice(walk, (enum component_role)role);
        }
    if (code) return code;
    spec->info.bytes = spec->index.bytes;
    return component_spec_end(&spec->component, walk->err);
}

enum dr_code adapter_spec_create(struct adapter_spec **out,
                                 const struct adapter_file *file,
                                 const struct adapter_networks *networks,
                                 int32_t region, struct dr_error *err)
{
    struct pool pool = {0};
    struct adapter_spec *spec = pool_alloc(&pool, sizeof *spec);
    *out = NULL;
    if (!spec) {
        pool_finish(&pool);
        return no_memory(err);
    }
    assert(region > 0);
    spec->pool = pool;
    spec->file = file;
    component_spec_begin(&spec->component, &spec->index, DTYPE_F32, &spec->pool);
    spec->component.region = region;
    struct walk walk = {.spec = spec, .networks = networks, .err = err};
    const enum dr_code code = build(&walk);
    if (code)
        adapter_spec_destroy(&spec);
    else
        *out = spec;
    return code;
}

void adapter_spec_destroy(struct adapter_spec **spec)
{
    if (!spec || !*spec) return;
    struct pool pool = (*spec)->pool; /* a copy: the spec lies in it */
    pool_finish(&pool);
    *spec = NULL;
}

const struct component_spec *adapter_component(const struct adapter_spec *spec)
{
    return &spec->component;
}

const struct adapter_info *adapter_info(const struct adapter_spec *spec)
{
    return &spec->info;
}

const struct weight_delta *adapter_deltas(const struct adapter_spec *spec,
                                          enum component_role role, size_t *count)
{
    *count = spec->counts[role];
    return spec->deltas[role];
}
