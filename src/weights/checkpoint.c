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

#include "weights/composed_tensor.h"
#include "weights/diffusers_names.h"
#include "weights/key_layout.h"

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
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_DIFFUSERS, "vae/"                    },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_DIFFUSERS, "vae."                    },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      NAMES_DIFFUSERS, ""                        },
};
enum {
    SOURCE_COUNT = sizeof sources / sizeof sources[0]
};

const char *family_name(enum family family)
{
    static const char *const names[] = {
        [FAMILY_UNKNOWN] = "unknown",
        [FAMILY_SD15] = "sd15",
        [FAMILY_SD2] = "sd2",
        [FAMILY_SDXL] = "sdxl",
        [FAMILY_SDXL_REFINER] = "sdxl-refiner",
        [FAMILY_VAE] = "vae",
    };
    return names[family];
}

const char *component_role_name(enum component_role role)
{
    static const char *const names[] = {
        [ROLE_TEXT] = "text", [ROLE_TEXT2] = "text2", [ROLE_UNET] = "unet",
        [ROLE_VAE] = "vae",   [ROLE_COUNT] = "none",
    };
    return names[role];
}

/* ---- telling what is there ---- */

/* What lies under each source: known tensors, and the shape of a network in diffusers' names. */
struct survey {
    size_t counts[SOURCE_COUNT];
    struct diffusers_shape shapes[SOURCE_COUNT];
};

/* A tensor's name without the source's prefix, or NULL. */
static const char *name_under(const struct source *source, const char *name)
{
    const size_t prefix_bytes = strlen(source->prefix);
    return strncmp(name, source->prefix, prefix_bytes) == 0 ? name + prefix_bytes
                                                            : NULL;
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
    if (canonical && source->naming == NAMES_DIFFUSERS)
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

/* Known tensors under a source; 0 where another layout's names lie there. */
static size_t count_source(const struct tensor_file *file, const struct source *source,
                           struct diffusers_shape *shape)
{
    struct diffusers_place place;
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
        if (canonical_name(source, shape, file->tensors[i].name, &place)) ++count;
    return is_foreign ? 0 : count;
}

static void survey_sources(const struct tensor_file *file, struct survey *survey)
{
    for (size_t s = 0; s < SOURCE_COUNT; ++s)
        survey->counts[s] = count_source(file, &sources[s], &survey->shapes[s]);
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

/* Found tensors become the component's. Where one of several parts is missing the whole is left
 * out: who needs it says so. */
static enum dr_code collect(struct checkpoint *checkpoint, const struct survey *survey,
                            size_t s, struct dr_error *err)
{
    struct component_index *const index = &checkpoint->components[sources[s].role];
    const size_t found_count = survey->counts[s];
    struct found_tensor *found = NULL;
    index->tensors =
        pool_alloc(&checkpoint->pool, found_count * sizeof index->tensors[0]);
    if (!index->tensors)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s",
                         checkpoint->file.path);
    enum dr_code code = find_found(&found, checkpoint, survey, s, err);
    for (size_t i = 0, next; !code && i < found_count; i = next) {
        const struct tensor *tensor = found[i].tensor;
        next = i + 1;
        while (next < found_count && strcmp(found[next].name, found[i].name) == 0)
            ++next;
        if (next - i != (size_t)found[i].part_count) continue;
        if (found[i].part_count > 1 || found[i].is_turned)
            code = compose(checkpoint, &found[i], found[i].part_count, &tensor, err);
        if (code) break;
        index->tensors[index->count++] =
            (struct component_tensor){found[i].name, tensor};
        index->bytes += tensor->bytes;
        checkpoint->ignored_count -= next - i;
        checkpoint->ignored_bytes -= tensor->bytes;
    }
    return code;
}

/* ---- family ---- */

/* A UNet whose text encoders' names say nothing, as in a folder, or that has none: the added
 * embedding is SDXL's (the refiner has it too, and the second text encoder alone); matrices as
 * projections are SD2's. */
static enum family family_of_unet(const struct checkpoint *checkpoint)
{
    const struct component_index *const components = checkpoint->components;
    const struct component_index *const unet = &components[ROLE_UNET];
    if (component_find(unet, "label_emb.0.0.weight"))
        return components[ROLE_TEXT2].count > 0 && components[ROLE_TEXT].count == 0
                   ? FAMILY_SDXL_REFINER
                   : FAMILY_SDXL;
    for (size_t i = 0; i < unet->count; ++i) {
        const char *const end = strstr(unet->tensors[i].name, ".proj_in.weight");
        if (end) return unet->tensors[i].tensor->rank == 2 ? FAMILY_SD2 : FAMILY_SD15;
    }
    return FAMILY_SD15;
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

/* ---- a file of something else ---- */

/* Models that people have beside Stable Diffusion checkpoints, told by a part of a name. */
static const char *known_model(const struct tensor_file *file)
{
    static const struct {
        const char *part, *what;
    } known[] = {
        {"lora_unet_",                 "a LoRA, not a checkpoint"              },
        {"lora_te_",                   "a LoRA, not a checkpoint"              },
        {".lora_A.",                   "a LoRA, not a checkpoint"              },
        {".lora_down.",                "a LoRA, not a checkpoint"              },
        {"control_model.",             "a ControlNet, not a checkpoint"        },
        {"controlnet_cond_embedding.", "a ControlNet, not a checkpoint"        },
        {"double_blocks.",             "a Flux model"                          },
        {"joint_blocks.",              "a Stable Diffusion 3 model"            },
        {"text_model.encoder.layers.", "a text encoder alone, not a checkpoint"},
    };
    for (size_t k = 0; k < sizeof known / sizeof known[0]; ++k)
        for (size_t i = 0; i < file->tensor_count; ++i)
            if (strstr(file->tensors[i].name, known[k].part)) return known[k].what;
    return NULL;
}

static enum dr_code refuse(const struct tensor_file *file, struct dr_error *err)
{
    const char *const what = known_model(file);
    if (what)
        return error_set(err, DR_UNSUPPORTED, "%s is %s (tensors such as \"%.160s\")",
                         file->path, what, file->tensors[0].name);
    if (file->tensor_count == 0)
        return error_set(err, DR_UNSUPPORTED, "%s holds no tensors", file->path);
    char names[512];
    size_t used = 0;
    for (size_t i = 0; i < file->tensor_count && i < 3; ++i)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.120s",
                                 i ? ", " : "", file->tensors[i].name);
    return error_set(err, DR_UNSUPPORTED,
                     "%s holds no part of a Stable Diffusion model in the original key "
                     "layout or diffusers'; its %zu tensors are named %s%s",
                     file->path, file->tensor_count, names,
                     file->tensor_count > 3 ? ", ..." : "");
}

/* ---- opening ---- */

static enum dr_code index_file(struct checkpoint *checkpoint, struct dr_error *err)
{
    struct survey survey = {0};
    enum dr_code code = DR_OK;
    for (int role = 0; role < ROLE_COUNT; ++role)
        checkpoint->components[role] =
            (struct component_index){.role = (enum component_role)role,
                                     .file = &checkpoint->file};
    checkpoint->ignored_count = checkpoint->file.tensor_count;
    for (size_t i = 0; i < checkpoint->file.tensor_count; ++i)
        checkpoint->ignored_bytes += checkpoint->file.tensors[i].bytes;
    survey_sources(&checkpoint->file, &survey);
    for (size_t s = 0; !code && s < SOURCE_COUNT; ++s)
        if (survey.counts[s] > 0 && checkpoint->components[sources[s].role].count == 0)
            code = collect(checkpoint, &survey, s, err);
    if (code) return code;
    checkpoint->family = tell_family(checkpoint, &survey);
    return checkpoint->family == FAMILY_UNKNOWN ? refuse(&checkpoint->file, err)
                                                : DR_OK;
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
