/* Two passes over the names. The first counts, for every prefix that a component can have, the
 * known names under it; each role then takes the first prefix (in table order) that has any. The
 * second collects. So a role never mixes tensors from two places, and no canonical name can
 * occur twice. */
#include "weights/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/key_layout.h"

/* Where a component can lie. family: what having one says; FAMILY_UNKNOWN says nothing. */
static const struct source {
    enum component_role role;
    enum key_layout layout;
    enum family family;
    const char *prefix;
} sources[] = {
    {ROLE_TEXT2, KEYS_OPEN_CLIP, FAMILY_SDXL,         "conditioner.embedders.1.model."          },
    {ROLE_TEXT2, KEYS_OPEN_CLIP, FAMILY_SDXL_REFINER, "conditioner.embedders.0.model."          },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SDXL,
     "conditioner.embedders.0.transformer.text_model."                                          },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SDXL,         "conditioner.embedders.0.transformer."    },
    {ROLE_TEXT,  KEYS_OPEN_CLIP, FAMILY_SD2,          "cond_stage_model.model."                 },
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SD15,         "cond_stage_model.transformer.text_model."},
    {ROLE_TEXT,  KEYS_CLIP,      FAMILY_SD15,         "cond_stage_model.transformer."           },
    {ROLE_UNET,  KEYS_UNET,      FAMILY_UNKNOWN,      "model.diffusion_model."                  },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      "first_stage_model."                      },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      "vae."                                    },
    {ROLE_VAE,   KEYS_VAE,       FAMILY_UNKNOWN,      ""                                        },
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

/* The canonical name of a tensor under a source, or NULL where it is none of its. */
static const char *canonical_name(const struct source *source, const char *name)
{
    const size_t prefix_bytes = strlen(source->prefix);
    if (strncmp(name, source->prefix, prefix_bytes) != 0) return NULL;
    name += prefix_bytes;
    return key_layout_has(source->layout, name) ? name : NULL;
}

/* A VAE in diffusers' names shares some names with the original layout (decoder.conv_in ...);
 * these it alone has. */
static bool is_diffusers_vae(const char *name)
{
    return strncmp(name, "decoder.mid_block.", 18) == 0 ||
           strncmp(name, "decoder.up_blocks.", 18) == 0 ||
           strncmp(name, "encoder.down_blocks.", 20) == 0;
}

/* Known tensors under each source; 0 where another layout's names lie there. */
static void count_sources(const struct tensor_file *file, size_t counts[SOURCE_COUNT])
{
    for (size_t s = 0; s < SOURCE_COUNT; ++s) {
        const size_t prefix_bytes = strlen(sources[s].prefix);
        bool foreign = false;
        counts[s] = 0;
        for (size_t i = 0; i < file->tensor_count; ++i) {
            const char *const name = file->tensors[i].name;
            if (canonical_name(&sources[s], name)) ++counts[s];
            if (sources[s].role == ROLE_VAE &&
                strncmp(name, sources[s].prefix, prefix_bytes) == 0 &&
                is_diffusers_vae(name + prefix_bytes))
                foreign = true;
        }
        if (foreign) counts[s] = 0;
    }
}

static int compare_tensors(const void *left, const void *right)
{
    const struct component_tensor *const a = left, *const b = right;
    return strcmp(a->name, b->name);
}

static enum dr_code collect(struct checkpoint *checkpoint, const struct source *source,
                            size_t count, struct dr_error *err)
{
    const struct tensor_file *const file = &checkpoint->file;
    struct component_index *const index = &checkpoint->components[source->role];
    index->tensors = pool_alloc(&checkpoint->pool, count * sizeof index->tensors[0]);
    if (!index->tensors)
        return error_set(err, DR_NOMEM, "no memory for the tensors of %s", file->path);
    for (size_t i = 0; i < file->tensor_count; ++i) {
        const char *const name = canonical_name(source, file->tensors[i].name);
        if (!name) continue;
        index->tensors[index->count++] =
            (struct component_tensor){name, &file->tensors[i]};
        index->bytes += file->tensors[i].bytes;
    }
    qsort(index->tensors, index->count, sizeof index->tensors[0], compare_tensors);
    return DR_OK;
}

static void count_ignored(struct checkpoint *checkpoint)
{
    const struct tensor_file *const file = &checkpoint->file;
    checkpoint->ignored_count = file->tensor_count;
    for (size_t i = 0; i < file->tensor_count; ++i)
        checkpoint->ignored_bytes += file->tensors[i].bytes;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        checkpoint->ignored_count -= checkpoint->components[role].count;
        checkpoint->ignored_bytes -= checkpoint->components[role].bytes;
    }
}

/* ---- family ---- */

/* A UNet without a text encoder: the added embedding is SDXL's (the refiner has it too, and is
 * told by its text encoder alone); matrices as projections are SD2's. */
static enum family family_of_unet(const struct component_index *unet)
{
    if (component_find(unet, "label_emb.0.0.weight")) return FAMILY_SDXL;
    for (size_t i = 0; i < unet->count; ++i) {
        const char *const end = strstr(unet->tensors[i].name, ".proj_in.weight");
        if (end) return unet->tensors[i].tensor->rank == 2 ? FAMILY_SD2 : FAMILY_SD15;
    }
    return FAMILY_SD15;
}

static enum family tell_family(const struct checkpoint *checkpoint,
                               const size_t counts[SOURCE_COUNT])
{
    for (size_t s = 0; s < SOURCE_COUNT; ++s)
        if (counts[s] > 0 && sources[s].family != FAMILY_UNKNOWN)
            return sources[s].family;
    if (checkpoint->components[ROLE_UNET].count > 0)
        return family_of_unet(&checkpoint->components[ROLE_UNET]);
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
        {"decoder.mid_block.",
         "a VAE in diffusers' names, which darkroom does not read yet"         },
        {"decoder.up_blocks.",
         "a VAE in diffusers' names, which darkroom does not read yet"         },
        {"down_blocks.",
         "a UNet in diffusers' names, which darkroom does not read yet"        },
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
                     "layout; its %zu tensors are named %s%s",
                     file->path, file->tensor_count, names,
                     file->tensor_count > 3 ? ", ..." : "");
}

/* ---- opening ---- */

static enum dr_code index_file(struct checkpoint *checkpoint, struct dr_error *err)
{
    size_t counts[SOURCE_COUNT];
    enum dr_code code = DR_OK;
    for (int role = 0; role < ROLE_COUNT; ++role)
        checkpoint->components[role] =
            (struct component_index){.role = (enum component_role)role,
                                     .file = &checkpoint->file};
    count_sources(&checkpoint->file, counts);
    for (size_t s = 0; !code && s < SOURCE_COUNT; ++s)
        if (counts[s] > 0 && checkpoint->components[sources[s].role].count == 0)
            code = collect(checkpoint, &sources[s], counts[s], err);
    if (code) return code;
    count_ignored(checkpoint);
    checkpoint->family = tell_family(checkpoint, counts);
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
