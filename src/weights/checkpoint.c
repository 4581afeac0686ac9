/* Two passes over the names. The first counts, for every prefix that a component can have, the
 * known names under it; each role then takes the first prefix (in table order) that has any. The
 * second collects, and composes what diffusers stores in another form (composed_tensor.h). So a
 * role never mixes tensors from two places, and no canonical name can occur twice. */
#include "weights/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/diffusers_names.h"
#include "weights/key_layout.h"
#include "weights/tensor_scale.h"

enum naming {
    NAMES_ORIGINAL,
    NAMES_DIFFUSERS
};

/* Where a component can lie. family: what having one says; FAMILY_UNKNOWN says nothing. */
static const struct source {
    enum component_role role;
    enum key_layout layout;
    enum family family;
    enum naming naming;
    const char *prefix;
} sources[] = {
    {ROLE_TEXT2, KEYS_OPEN_CLIP, FAMILY_SDXL,         NAMES_ORIGINAL,
     "conditioner.embedders.1.model."                                                            },
    {ROLE_TEXT2, KEYS_OPEN_CLIP, FAMILY_SDXL,         NAMES_DIFFUSERS,
     "cond_stage_model.1.transformer."                                                           },
    {ROLE_TEXT2, KEYS_OPEN_CLIP, FAMILY_SDXL_REFINER, NAMES_ORIGINAL,
     "conditioner.embedders.0.model."                                                            },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SDXL,         NAMES_ORIGINAL,
     "conditioner.embedders.0.transformer.text_model."                                           },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SDXL,         NAMES_ORIGINAL,
     "conditioner.embedders.0.transformer."                                                      },
    {ROLE_TEXT,  KEYS_OPEN_CLIP, FAMILY_SD2,          NAMES_ORIGINAL,  "cond_stage_model.model." },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SD15,         NAMES_ORIGINAL,
     "cond_stage_model.transformer.text_model."                                                  },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SD15,         NAMES_ORIGINAL,
     "cond_stage_model.transformer."                                                             },
    {ROLE_UNET,  KEYS_UNET,      FAMILY_UNKNOWN,      NAMES_ORIGINAL,  "model.diffusion_model."  },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_ORIGINAL,  "first_stage_model."      },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_ORIGINAL,  "vae."                    },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_ORIGINAL,  ""                        },
 /* A diffusers folder (its parts' names as prefixes), or one network of it. */
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_UNKNOWN,      NAMES_ORIGINAL,  "text_encoder/text_model."},
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_UNKNOWN,      NAMES_ORIGINAL,  "text_encoder/"           },
    {ROLE_TEXT2, KEYS_OPEN_CLIP, FAMILY_UNKNOWN,      NAMES_DIFFUSERS, "text_encoder_2/"         },
    {ROLE_UNET,  KEYS_UNET,      FAMILY_UNKNOWN,      NAMES_DIFFUSERS, "unet/"                   },
    {ROLE_UNET,  KEYS_UNET,      FAMILY_UNKNOWN,      NAMES_DIFFUSERS, ""                        },
    {ROLE_UNET,  KEYS_UNET,      FAMILY_UNKNOWN,      NAMES_ORIGINAL,  ""                        },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_DIFFUSERS, "vae/"                    },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_DIFFUSERS, "vae."                    },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_DIFFUSERS, ""                        },
};
enum {
    SOURCE_COUNT = sizeof sources / sizeof sources[0]
};

const char *component_role_name(enum component_role role)
{
    static const char *const names[] = {
        [ROLE_TEXT] = "text", [ROLE_TEXT2] = "text2",   [ROLE_UNET] = "unet",
        [ROLE_VAE] = "vae",   [ROLE_COUNT] = "adapter",
    };
    return names[role];
}

/* ---- telling what is there ---- */

/* What lies under each source: known tensors, and the shape of a network in diffusers' names. */
struct survey {
    size_t counts[SOURCE_COUNT];
    size_t scale_counts[SOURCE_COUNT]; /* tensors that are scales of known ones */
    struct diffusers_shape shapes[SOURCE_COUNT];
};

/* A tensor's name without the source's prefix, or NULL. */
static const char *name_under(const struct source *source, const char *name)
{
    const size_t prefix_bytes = strlen(source->prefix);
    return strncmp(name, source->prefix, prefix_bytes) == 0 ? name + prefix_bytes
                                                            : NULL;
}

/* Some converters leave OpenCLIP's projection as Hugging Face has it, beside names that are
 * OpenCLIP's own. */
static bool is_foreign_projection(const struct source *source, const char *name)
{
    return source->layout == KEYS_OPEN_CLIP &&
           strcmp(name, "text_projection.weight") == 0;
}

/* The canonical name of a tensor under a source, or NULL where it is none of its: a part of
 * name, or in place. place says also how it is stored. */
static const char *canonical_name(const struct source *source,
                                  const struct diffusers_shape *shape, const char *name,
                                  struct diffusers_place *place)
{
    const char *canonical = name_under(source, name);
    place->part_count = 1;
    place->is_turned = false;
    if (canonical &&
        (source->naming == NAMES_DIFFUSERS || is_foreign_projection(source, canonical)))
        canonical = diffusers_place(shape, source->layout, canonical, place)
                        ? place->name
                        : NULL;
    return canonical && key_layout_has(source->layout, canonical) ? canonical : NULL;
}

/* A VAE in diffusers' names shares some names with the original layout (decoder.conv_in ...);
 * these it alone has. */
static bool is_diffusers_vae(const char *name)
{
    return strncmp(name, "decoder.mid_block.", 18) == 0 ||
           strncmp(name, "decoder.up_blocks.", 18) == 0 ||
           strncmp(name, "encoder.down_blocks.", 20) == 0;
}

/* The canonical name of the weight that a tensor is the scale of, as canonical_name; NULL where it
 * is no scale. */
static const char *scaled_name(const struct source *source,
                               const struct diffusers_shape *shape, const char *name,
                               char buffer[static TENSOR_MAX_NAME_BYTES],
                               struct diffusers_place *place)
{
    return tensor_scale_weight_name(name, buffer, TENSOR_MAX_NAME_BYTES)
               ? canonical_name(source, shape, buffer, place)
               : NULL;
}

/* Known tensors under a source; 0 where another layout's names lie there. */
static size_t count_source(const struct tensor_file *file, const struct source *source,
                           struct diffusers_shape *shape, size_t *scale_count)
{
    struct diffusers_place place;
    char buffer[TENSOR_MAX_NAME_BYTES];
    size_t count = 0;
    bool is_foreign = false;
    for (size_t i = 0; i < file->tensor_count; ++i) {
        const char *const name = name_under(source, file->tensors[i].name);
        if (!name) continue;
        if (source->naming == NAMES_DIFFUSERS)
            diffusers_shape_note(shape, source->layout, name);
        else if (source->role == ROLE_VAE && is_diffusers_vae(name))
            is_foreign = true;
    }
    for (size_t i = 0; i < file->tensor_count; ++i)
        if (canonical_name(source, shape, file->tensors[i].name, &place))
            ++count;
        else if (scaled_name(source, shape, file->tensors[i].name, buffer, &place))
            ++*scale_count;
    return is_foreign ? 0 : count;
}

static void survey_sources(const struct tensor_file *file, struct survey *survey)
{
    for (size_t s = 0; s < SOURCE_COUNT; ++s)
        survey->counts[s] = count_source(file, &sources[s], &survey->shapes[s],
                                         &survey->scale_counts[s]);
}

static int compare_tensors(const void *left, const void *right)
{
    const struct component_tensor *const a = left, *const b = right;
    return strcmp(a->name, b->name);
}

/* ---- collecting ---- */

/* A stored tensor and where it goes. */
struct found_tensor {
    const char *name; /* canonical */
    const struct tensor *tensor;
    int32_t part, part_count;
    bool is_turned;
};

static int compare_found(const void *left, const void *right)
{
    const struct found_tensor *const a = left, *const b = right;
    const int order = strcmp(a->name, b->name);
    return order ? order : (a->part > b->part) - (a->part < b->part);
}

/* A file can hold a tensor under two names that mean the same ("query" and "to_q"). */
static enum dr_code check_unique(const struct tensor_file *file,
                                 const struct found_tensor *found, size_t count,
                                 struct dr_error *err)
{
    for (size_t i = 1; i < count; ++i)
        if (compare_found(&found[i - 1], &found[i]) == 0)
            return error_set(err, DR_CORRUPT,
                             "%s has two tensors for %s: %.160s, %.160s", file->path,
                             found[i].name, found[i - 1].tensor->name,
                             found[i].tensor->name);
    return DR_OK;
}

/* The tensors of a source, sorted; in the pool, survey->counts[s] of them. */
static enum dr_code find_found(struct found_tensor **out, struct checkpoint *checkpoint,
                               const struct survey *survey, size_t s,
                               struct dr_error *err)
{
    const struct tensor_file *const file = &checkpoint->file;
    struct pool *const pool = &checkpoint->pool;
    struct found_tensor *const found =
        pool_alloc(pool, survey->counts[s] * sizeof found[0]);
    size_t count = 0;
    bool has_memory = found != NULL;
    for (size_t i = 0; has_memory && i < file->tensor_count; ++i) {
        struct diffusers_place place = {0};
        const char *name = canonical_name(&sources[s], &survey->shapes[s],
                                          file->tensors[i].name, &place);
        if (!name) continue;
        if (name == place.name) name = pool_string(pool, name);
        has_memory = name != NULL;
        found[count++] = (struct found_tensor){name, &file->tensors[i], place.part,
                                               place.part_count, place.is_turned};
    }
    if (!has_memory)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s", file->path);
    qsort(found, count, sizeof found[0], compare_found);
    *out = found;
    return check_unique(file, found, count, err);
}

/* One tensor of count stored ones that follow each other in found. */
static enum dr_code compose(struct checkpoint *checkpoint,
                            const struct found_tensor *found, int32_t count,
                            const struct tensor **out, struct dr_error *err)
{
    struct tensor *const composed = pool_alloc(&checkpoint->pool, sizeof *composed);
    const struct tensor **const parts =
        pool_alloc(&checkpoint->pool, (size_t)count * sizeof parts[0]);
    if (!composed || !parts)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s",
                         checkpoint->file.path);
    for (int32_t i = 0; i < count; ++i)
        parts[i] = found[i].tensor;
    *out = composed;
    const enum dr_code code = found->is_turned
                                  ? composed_tensor_turn(composed, parts, err)
                                  : composed_tensor_stack(composed, parts, count, err);
    if (code) error_prefix(err, "%s", checkpoint->file.path);
    return code;
}

/* ---- scales ---- */

static struct component_tensor *find_entry(const struct component_index *index,
                                           const char *name)
{
    const struct component_tensor key = {.name = name};
    return bsearch(&key, index->tensors, index->count, sizeof index->tensors[0],
                   compare_tensors);
}

/* The stored tensor that a scale is for: the weight itself, or the part of it. NULL: the scale of
 * a transposed weight's columns, which would be its rows. */
static const struct tensor *scaled_part(const struct component_tensor *weight,
                                        const struct tensor *scale,
                                        const struct diffusers_place *place)
{
    if (!weight->tensor->parts) return weight->tensor;
    if (place->is_turned && tensor_element_count(scale) > 1) return NULL;
    return weight->tensor->parts[place->part];
}

/* One scale: the weight has it, and it is a tensor of the component. Weights are entries
 * [0, weight_count). One that does not fit its weight stays unknown, and so is a finding. */
static enum dr_code add_scale(struct checkpoint *checkpoint,
                              struct component_index *index, size_t weight_count,
                              const char *weight_name, const struct tensor *scale,
                              const struct diffusers_place *place, struct dr_error *err)
{
    struct component_index weights = *index;
    char name[TENSOR_MAX_NAME_BYTES + 32], part[16] = "";
    weights.count = weight_count;
    struct component_tensor *const weight = find_entry(&weights, weight_name);
    const struct tensor *const stored =
        weight ? scaled_part(weight, scale, place) : NULL;
    if (!stored || !tensor_scale_fits(scale, stored) || weight->scales[place->part])
        return DR_OK;
    if (place->part_count > 1)
        (void)snprintf(part, sizeof part, ".%d", (int)place->part);
    (void)snprintf(name, sizeof name, "%s_scale%s", weight_name, part);
    const char *const kept = pool_string(&checkpoint->pool, name);
    if (!kept)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s",
                         checkpoint->file.path);
    weight->scales[place->part] = scale;
    weight->scale_count = place->part_count;
    index->tensors[index->count++] =
        (struct component_tensor){.name = kept, .tensor = scale, .is_scale = true};
    index->bytes += scale->bytes;
    checkpoint->uses[scale - checkpoint->file.tensors] = TENSOR_TAKEN;
    return DR_OK;
}

static enum dr_code collect_scales(struct checkpoint *checkpoint,
                                   const struct survey *survey, size_t s,
                                   struct dr_error *err)
{
    const struct tensor_file *const file = &checkpoint->file;
    struct component_index *const index = &checkpoint->components[sources[s].role];
    const size_t weight_count = index->count;
    char buffer[TENSOR_MAX_NAME_BYTES];
    enum dr_code code = DR_OK;
    for (size_t i = 0; survey->scale_counts[s] > 0 && !code && i < file->tensor_count;
         ++i) {
        struct diffusers_place place = {0};
        const char *const weight = scaled_name(&sources[s], &survey->shapes[s],
                                               file->tensors[i].name, buffer, &place);
        if (weight && checkpoint->uses[i] == TENSOR_UNKNOWN)
            code = add_scale(checkpoint, index, weight_count, weight, &file->tensors[i],
                             &place, err);
    }
    if (index->count > weight_count)
        qsort(index->tensors, index->count, sizeof index->tensors[0], compare_tensors);
    return code;
}

/* ---- the whole component ---- */

/* What becomes of the stored tensors of one. */
static void mark(struct checkpoint *checkpoint, const struct found_tensor *found,
                 size_t count, enum tensor_use use)
{
    for (size_t i = 0; i < count; ++i)
        checkpoint->uses[found[i].tensor - checkpoint->file.tensors] = use;
}

/* Found tensors become the component's. Where one of several parts is missing the whole is left
 * out: who needs it says so. */
static enum dr_code collect(struct checkpoint *checkpoint, const struct survey *survey,
                            size_t s, struct dr_error *err)
{
    struct component_index *const index = &checkpoint->components[sources[s].role];
    const size_t found_count = survey->counts[s];
    struct found_tensor *found = NULL;
    checkpoint->prefix[sources[s].role] = sources[s].prefix;
    index->tensors =
        pool_alloc(&checkpoint->pool,
                   (found_count + survey->scale_counts[s]) * sizeof index->tensors[0]);
    if (!index->tensors)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s",
                         checkpoint->file.path);
    enum dr_code code = find_found(&found, checkpoint, survey, s, err);
    for (size_t i = 0, next; !code && i < found_count; i = next) {
        const struct tensor *tensor = found[i].tensor;
        next = i + 1;
        while (next < found_count && strcmp(found[next].name, found[i].name) == 0)
            ++next;
        const bool is_whole = next - i == (size_t)found[i].part_count;
        mark(checkpoint, &found[i], next - i,
             is_whole ? TENSOR_TAKEN : TENSOR_INCOMPLETE);
        if (!is_whole) continue;
        if (found[i].part_count > 1 || found[i].is_turned)
            code = compose(checkpoint, &found[i], found[i].part_count, &tensor, err);
        if (code) break;
        index->tensors[index->count++] =
            (struct component_tensor){.name = found[i].name, .tensor = tensor};
        index->bytes += tensor->bytes;
    }
    return code ? code : collect_scales(checkpoint, survey, s, err);
}

static enum family tell_family(const struct checkpoint *checkpoint,
                               const struct survey *survey)
{
    for (size_t s = 0; s < SOURCE_COUNT; ++s)
        if (survey->counts[s] > 0 && sources[s].family != FAMILY_UNKNOWN)
            return sources[s].family;
    if (checkpoint->components[ROLE_UNET].count > 0) return family_of_unet(checkpoint);
    return checkpoint->components[ROLE_VAE].count > 0 ? FAMILY_VAE : FAMILY_UNKNOWN;
}

/* ---- names as they are looked at ---- */

/* Segments of a name that wrappers of PyTorch add: data parallel, compile, FSDP, checkpointing. */
static size_t wrapper_bytes(const char *segment)
{
    static const char *const wrappers[] = {"module.", "_orig_mod.",
                                           "_fsdp_wrapped_module.",
                                           "_checkpoint_wrapped_module."};
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; ++i)
        if (strncmp(segment, wrappers[i], strlen(wrappers[i])) == 0)
            return strlen(wrappers[i]);
    return 0;
}

/* The name without them: itself where it has none; NULL without memory. */
static const char *unwrapped(struct pool *pool, const char *name)
{
    bool is_wrapped = false;
    for (const char *segment = name; segment;) {
        is_wrapped |= wrapper_bytes(segment) > 0;
        segment = strpbrk(segment, "./");
        if (segment) ++segment;
    }
    if (!is_wrapped) return name;
    char *const out = pool_string(pool, name);
    char *to = out;
    for (const char *from = name; out && *from;) {
        const bool begins = from == name || from[-1] == '.' || from[-1] == '/';
        const size_t skipped = begins ? wrapper_bytes(from) : 0;
        if (skipped)
            from += skipped;
        else
            *to++ = *from++;
    }
    if (out) *to = '\0';
    return out;
}

static int compare_names(const void *left, const void *right)
{
    const struct tensor *const a = left, *const b = right;
    return strcmp(a->name, b->name);
}

static enum dr_code unwrap_names(struct tensor_file *file, struct dr_error *err)
{
    bool changed = false;
    for (size_t i = 0; i < file->tensor_count; ++i) {
        const char *const name = unwrapped(&file->pool, file->tensors[i].name);
        if (!name)
            return error_set(err, DR_NOMEM, "no memory for the tensors of %s",
                             file->path);
        changed |= name != file->tensors[i].name;
        file->tensors[i].name = name;
    }
    if (!changed) return DR_OK;
    qsort(file->tensors, file->tensor_count, sizeof file->tensors[0], compare_names);
    for (size_t i = 1; i < file->tensor_count; ++i)
        if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0)
            return error_set(err, DR_CORRUPT,
                             "%.600s has tensor %.160s twice, with and without a "
                             "wrapper's prefix",
                             file->path, file->tensors[i].name);
    return DR_OK;
}

/* Of a network whose names have no prefix: is this one of its outermost modules, by either
 * naming? */
static bool is_own_module(enum component_role role, const char *name)
{
    static const char *const vae[] = {"encoder.", "decoder.", "quant_conv.",
                                      "post_quant_conv.", NULL};
    static const char *const unet[] = {"conv_in.",
                                       "time_embedding.",
                                       "add_embedding.",
                                       "conv_norm_out.",
                                       "conv_out.",
                                       "down_blocks.",
                                       "mid_block.",
                                       "up_blocks.",
                                       "input_blocks.",
                                       "middle_block.",
                                       "output_blocks.",
                                       "time_embed.",
                                       "label_emb.",
                                       "out.",
                                       NULL};
    const char *const *const modules = role == ROLE_VAE    ? vae
                                       : role == ROLE_UNET ? unet
                                                           : NULL;
    for (int i = 0; modules && modules[i]; ++i)
        if (strncmp(name, modules[i], strlen(modules[i])) == 0) return true;
    return false;
}

const char *checkpoint_tensor_place(const struct checkpoint *checkpoint,
                                    const char *name, enum component_role *role,
                                    bool *is_inside)
{
    const char *within = NULL;
    size_t most = 0;
    *is_inside = false;
    for (int r = 0; r < ROLE_COUNT; ++r) {
        const char *const prefix = checkpoint->prefix[r];
        const size_t bytes = prefix ? strlen(prefix) : 0;
        if (!prefix || strncmp(name, prefix, bytes) != 0 || (within && bytes < most))
            continue;
        within = name + bytes;
        most = bytes;
        *role = (enum component_role)r;
        *is_inside = bytes > 0 || is_own_module(*role, within);
    }
    return within;
}

/* ---- opening ---- */

/* What belongs to no component. */
static void count_ignored(struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->file.tensor_count; ++i) {
        if (checkpoint->uses[i] == TENSOR_TAKEN) continue;
        ++checkpoint->ignored_count;
        checkpoint->ignored_bytes += checkpoint->file.tensors[i].bytes;
    }
}

static enum dr_code index_file(struct checkpoint *checkpoint, struct dr_error *err)
{
    struct survey survey = {0};
    const size_t count = checkpoint->file.tensor_count;
    for (int role = 0; role < ROLE_COUNT; ++role)
        checkpoint->components[role] =
            (struct component_index){.role = (enum component_role)role,
                                     .file = &checkpoint->file};
    enum dr_code code = unwrap_names(&checkpoint->file, err);
    if (code) return code;
    checkpoint->uses =
        pool_alloc(&checkpoint->pool, (count + 1) * sizeof checkpoint->uses[0]);
    if (!checkpoint->uses)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s",
                         checkpoint->file.path);
    survey_sources(&checkpoint->file, &survey);
    for (size_t s = 0; !code && s < SOURCE_COUNT; ++s)
        if (survey.counts[s] > 0 && checkpoint->components[sources[s].role].count == 0)
            code = collect(checkpoint, &survey, s, err);
    if (code) return code;
    count_ignored(checkpoint);
    checkpoint->family = tell_family(checkpoint, &survey);
    return checkpoint->family == FAMILY_UNKNOWN ? family_refuse(checkpoint, err)
                                                : meaning_read(checkpoint, err);
}

enum dr_code checkpoint_open(struct checkpoint *checkpoint, const char *path,
                             struct dr_error *err)
{
    *checkpoint = (struct checkpoint){0};
    enum dr_code code = tensor_file_open(&checkpoint->file, path, err);
    if (!code) code = index_file(checkpoint, err);
    if (code) checkpoint_close(checkpoint);
    return code;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    tensor_file_close(&checkpoint->file);
    pool_finish(&checkpoint->pool);
    *checkpoint = (struct checkpoint){0};
}

const struct tensor *component_find(const struct component_index *component,
                                    const char *name)
{
    const struct component_tensor key = {.name = name};
    if (component->count == 0) return NULL;
    const struct component_tensor *const found =
        bsearch(&key, component->tensors, component->count,
                sizeof component->tensors[0], compare_tensors);
    return found ? found->tensor : NULL;
}

/* ---- metadata ---- */

bool checkpoint_metadata_int(const struct tensor_file *file, const char *key,
                             int32_t *out)
{
    const char *const text = tensor_file_metadata(file, key);
    if (!text || strspn(text, "0123456789") != strlen(text) || !*text) return false;
    errno = 0;
    const long value = strtol(text, NULL, 10);
    if (errno || value < 1 || value > INT32_MAX) return false;
    *out = (int32_t)value;
    return true;
}

bool checkpoint_metadata_float(const struct tensor_file *file, const char *key,
                               float *out)
{
    const char *const text = tensor_file_metadata(file, key);
    /* Decimal notation only: strtof alone takes "nan", hexadecimal and leading spaces. */
    if (!text || !*text || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    char *end;
    const float value = strtof(text, &end);
    if (end == text || *end || !isfinite(value)) return false;
    *out = value;
    return true;
}
