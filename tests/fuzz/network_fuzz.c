/* network_fuzz — checkpoints of random structure: from file to spec to plan to one run.
 *
 * The bytes are choices, not a file: which networks, how many levels and blocks, how wide, in which
 * type; then what is wrong with it: tensors that are missing, there twice, renamed, of other ranks,
 * dims and types, and what the metadata says of heads and scales. tools/checkpoint_layout.h writes
 * the rest. The file is opened as the engine does.
 *
 * Whatever is refused is so with a sentence, and nothing is left of it. What is taken runs: its
 * plan has the shapes by which stages write and read, the weights are loaded, inputs are filled
 * to their last byte, outputs read. Networks are tiny, so that hundreds run in a minute.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "checkpoint_layout.h"
#include "choices.h"
#include "compute/compute.h"
#include "input_file.h"
#include "mem/arena_plan.h"
#include "model/tokenizer.h"
#include "pipeline/conditioning.h"
#include "pipeline/pipeline.h"
#include "sampling/latent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
    DATA_MAX_BYTES = 8 << 20,
    ARENA_MAX_BYTES = 64 << 20,
    MUTATIONS_MOST = 4,
    TENSORS_MOST = 1 << 12,
};

/* ---- choices ------------------------------------------------------------------------------- */

static int from_to(struct choices *choices, int least, int most)
{
    return least + choose(choices, most - least + 1);
}

/* ---- the networks -------------------------------------------------------------------------- */

enum part {
    PART_VAE = 1,
    PART_UNET = 2,
    PART_TEXT = 4,
    PART_ALONE = 8, /* the VAE's names have no prefix */
};

struct plan_of_file {
    bool is_sdxl;
    int parts;
    int text_width, text2_width; /* what the UNet is told goes with them */
};

/* Mostly what group norm takes, else any. */
static int channels_of(struct choices *choices)
{
    const int kind = choose(choices, 8);
    return kind < 6 ? 32 : kind == 6 ? 64 : from_to(choices, 1, 70);
}

static void lay_out_vae(struct layout *layout, struct choices *choices,
                        const char *prefix)
{
    struct vae_sizes sizes = {
        .channels = channels_of(choices),
        .levels = choose(choices, 4) ? 4 : from_to(choices, 1, LAYOUT_VAE_LEVELS),
        .res_blocks = from_to(choices, 1, 2),
        .latent = choose(choices, 8) ? 4 : from_to(choices, 1, 17),
        .attention_2d = choose(choices, 2) != 0,
    };
    for (int i = 0; i < LAYOUT_VAE_LEVELS; ++i)
        sizes.multiplier[i] = choose(choices, 8) ? 1 : from_to(choices, 1, 3);
    layout_vae(layout, prefix, &sizes);
}

static void lay_out_unet(struct layout *layout, struct choices *choices,
                         const struct plan_of_file *file)
{
    const int pooled = file->text2_width + CONDITIONING_SIZES * CONDITIONING_SIZE_WIDTH;
    struct unet_sizes sizes = {
        .model_channels = channels_of(choices),
        .in_channels = choose(choices, 8) ? 4 : from_to(choices, 1, 10),
        .levels = from_to(choices, 1, LAYOUT_LEVELS - 1),
        .res_blocks = 1,
        .context = file->text_width + file->text2_width,
        .vector = file->is_sdxl ? pooled : 0,
        .middle_depth = from_to(choices, 1, 2),
        .linear_projection = choose(choices, 2) != 0,
    };
    if (choose(choices, 8) == 7) sizes.context = from_to(choices, 1, 80);
    if (choose(choices, 8) == 7) sizes.vector = choose(choices, 80);
    for (int i = 0; i < LAYOUT_LEVELS; ++i) {
        sizes.multiplier[i] = choose(choices, 8) ? 1 : from_to(choices, 1, 3);
        sizes.depth[i] = choose(choices, 3) == 2;
    }
    layout_unet(layout, "model.diffusion_model.", &sizes);
}

static struct text_sizes text_sizes(struct choices *choices, int width)
{
    return (struct text_sizes){
        .width = width,
        .layers = from_to(choices, 1, 2),
        .mlp = choose(choices, 4) ? 32 : from_to(choices, 1, 40),
        .positions = choose(choices, 8) ? TOKENIZER_POSITIONS : from_to(choices, 1, 80),
        .vocabulary = from_to(choices, 1, 20),
    };
}

static void lay_out_texts(struct layout *layout, struct choices *choices,
                          const struct plan_of_file *file)
{
    const struct text_sizes first = text_sizes(choices, file->text_width);
    layout_clip(layout,
                file->is_sdxl ? "conditioner.embedders.0.transformer.text_model."
                              : "cond_stage_model.transformer.text_model.",
                &first);
    if (!file->is_sdxl) return;
    const struct text_sizes second = text_sizes(choices, file->text2_width);
    layout_open_clip(layout, "conditioner.embedders.1.model.", &second);
}

static int text_width(struct choices *choices)
{
    return choose(choices, 4) ? 64 : from_to(choices, 1, 72);
}

static void lay_out(struct layout *layout, struct choices *choices)
{
    struct plan_of_file file = {
        .is_sdxl = choose(choices, 3) == 2,
        .parts = from_to(choices, 1, 15),
        .text_width = text_width(choices),
    };
    if (file.is_sdxl) file.text2_width = text_width(choices);
    if (file.parts & PART_VAE)
        lay_out_vae(layout, choices,
                    file.parts & PART_ALONE ? "" : "first_stage_model.");
    if (file.parts & PART_UNET) lay_out_unet(layout, choices, &file);
    if (file.parts & PART_TEXT) lay_out_texts(layout, choices, &file);
    if (choose(choices, 8) == 7) layout_marks(layout, true, choose(choices, 2) != 0);
}

/* ---- what is wrong with them --------------------------------------------------------------- */

struct entry {
    char name[256];
    const char *dtype;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
};

struct entries {
    struct entry *entries;
    size_t count;
};

static const char *const dtypes[] = {"F16",     "F32", "BF16", "F16", "F32", "F8_E4M3",
                                     "F8_E5M2", "F64", "I64",  "I8",  "U8",  "BOOL"};

enum {
    FILE_DTYPES = 6, /* of a whole file: types that are taken */
    STORED_TYPE_COUNT = sizeof dtypes / sizeof *dtypes
};

static void take_layout(struct entries *entries, const struct layout *layout,
                        const char *dtype)
{
    assert(layout->count + MUTATIONS_MOST < TENSORS_MOST);
    entries->entries = calloc(layout->count + MUTATIONS_MOST, sizeof *entries->entries);
    if (!entries->entries) abort();
    for (size_t i = 0; i < layout->count; ++i) {
        const struct layout_tensor *const tensor = &layout->tensors[i];
        struct entry *const entry = &entries->entries[i];
        (void)snprintf(entry->name, sizeof entry->name, "%s", tensor->name);
        entry->dtype = tensor->fill == FILL_POSITIONS ? "I64" : dtype;
        entry->rank = tensor->rank;
        memcpy(entry->dims, tensor->dims, sizeof tensor->dims);
    }
    entries->count = layout->count;
}

/* A digit of the name becomes another: another block, level or layer. */
static void renumber(struct entry *entry, struct choices *choices)
{
    size_t digits = 0, wanted;
    for (const char *c = entry->name; *c; ++c)
        digits += *c >= '0' && *c <= '9';
    if (digits == 0) return;
    wanted = (size_t)choose(choices, (int)digits);
    for (char *c = entry->name; *c; ++c)
        if (*c >= '0' && *c <= '9' && wanted-- == 0) {
            *c = (char)('0' + choose(choices, 10));
            return;
        }
}

/* The same tensor of the network under another spelling. */
static void respell(struct entry *entry, struct choices *choices)
{
    static const char *const prefixes[] = {
        "first_stage_model.",
        "vae.",
        "",
        "model.diffusion_model.",
        "cond_stage_model.transformer.text_model.",
        "cond_stage_model.transformer.",
        "conditioner.embedders.0.transformer.text_model.",
        "conditioner.embedders.0.transformer.",
        "conditioner.embedders.1.model.",
        "model_ema.",
        "module.",
        "_orig_mod.",
    };
    enum {
        COUNT = sizeof prefixes / sizeof *prefixes
    };
    const char *rest = entry->name;
    for (size_t i = 0; i < COUNT; ++i) {
        const size_t bytes = strlen(prefixes[i]);
        if (bytes > (size_t)(rest - entry->name) &&
            strncmp(entry->name, prefixes[i], bytes) == 0)
            rest = entry->name + bytes;
    }
    char spelt[sizeof entry->name];
    (void)snprintf(spelt, sizeof spelt, "%s%.180s", prefixes[choose(choices, COUNT)],
                   rest);
    memcpy(entry->name, spelt, sizeof spelt);
}

static void reshape(struct entry *entry, struct choices *choices)
{
    static const int64_t odd[] = {0,
                                  1,
                                  3,
                                  31,
                                  INT32_MAX,
                                  1LL << 31,
                                  1LL << 32,
                                  INT32_MAX / 2,
                                  1LL << 62,
                                  INT64_MAX,
                                  INT32_MAX / 4,
                                  128};
    enum {
        COUNT = sizeof odd / sizeof *odd
    };
    if (choose(choices, 2)) entry->rank = choose(choices, TENSOR_MAX_RANK + 1);
    const int axis = choose(choices, TENSOR_MAX_RANK);
    const int kind = choose(choices, COUNT + 70);
    entry->dims[axis] = kind < COUNT ? odd[kind] : kind - COUNT;
    if (choose(choices, 2)) entry->dims[choose(choices, TENSOR_MAX_RANK)] = 0;
}

/* What says how another tensor's numbers are meant. */
static void scale(struct entry *entry, struct choices *choices)
{
    static const char *const endings[] = {"scale_weight",  "weight_scale",
                                          "scale_input",   "weight_scale_2",
                                          "weight.absmax", "comfy_quant"};
    char *const dot = strrchr(entry->name, '.');
    const size_t start = dot ? (size_t)(dot + 1 - entry->name) : 0;
    (void)snprintf(entry->name + start, sizeof entry->name - start, "%s",
                   endings[choose(choices, sizeof endings / sizeof *endings)]);
    entry->dtype =
        choose(choices, 4) ? "F32" : dtypes[choose(choices, STORED_TYPE_COUNT)];
    entry->rank = choose(choices, 3);
    if (choose(choices, 2)) entry->dims[0] = from_to(choices, 1, 64);
    entry->dims[1] = 1;
}

/* A tensor that is there for its name. */
static void mark(struct entry *entry, struct choices *choices)
{
    static const char *const names[] = {
        "scaled_fp8",
        "v_pred",
        "ztsnr",
        "edm_mean",
        "edm_std",
        "edm_vpred.sigma_max",
        "edm_vpred.sigma_min",
        "model.diffusion_model.scaled_fp8",
        "model.diffusion_model.time_embed.cond_proj.weight",
        "denoiser.sigmas"};
    *entry = (struct entry){
        .dtype = dtypes[choose(choices, STORED_TYPE_COUNT)],
        .rank = choose(choices, 3),
        .dims = {choose(choices, 3), 1}
    };
    (void)snprintf(entry->name, sizeof entry->name, "%s",
                   names[choose(choices, sizeof names / sizeof *names)]);
}

static void mutate(struct entries *entries, struct choices *choices)
{
    if (entries->count == 0) return;
    const int high = choose(choices, 256);
    const size_t idx = (size_t)(high << 8 | choose(choices, 256)) % entries->count;
    struct entry *const entry = &entries->entries[idx];
    struct entry *const last = &entries->entries[entries->count];
    switch (choose(choices, 10)) {
    case 0: *entry = entries->entries[--entries->count]; break;
    case 1: renumber(entry, choices); break;
    case 2: respell(entry, choices); break;
    case 3: reshape(entry, choices); break;
    case 4: entry->dtype = dtypes[choose(choices, STORED_TYPE_COUNT)]; break;
    case 5: /* there twice */
        *last = *entry;
        ++entries->count;
        break;
    case 6:
        *last = *entry;
        ++entries->count;
        renumber(last, choices);
        break;
    case 7:
        *last = *entry;
        ++entries->count;
        respell(last, choices);
        break;
    case 8:
        *last = *entry;
        ++entries->count;
        scale(last, choices);
        break;
    default:
        mark(last, choices);
        ++entries->count;
        break;
    }
}

/* ---- the file ------------------------------------------------------------------------------ */

static void print_metadata(FILE *stream, struct choices *choices)
{
    static const char *const keys[] = {
        "darkroom.unet.heads",        "darkroom.unet.head_dim",
        "darkroom.text.heads",        "darkroom.text2.heads",
        "darkroom.vae.scale_factor",  "darkroom.vae.latents_mean",
        "darkroom.vae.latents_std",   "modelspec.predict_key",
        "darkroom.vae.shift_factor",  "darkroom.prediction",
        "darkroom.zero_terminal_snr", "modelspec.prediction_type",
        "modelspec.architecture",
    };
    static const char *const texts[] = {"1",       "2",          "3",
                                        "16",      "32",         "0",
                                        "-1",      "2147483647", "2147483648",
                                        "",        "0.5",        "1e38",
                                        "1e-45",   "nan",        "v_prediction",
                                        "epsilon", "true",       "0,0,0,0",
                                        "1,2,3,4", "1,2,3",      "v"};
    fprintf(stream, "\"__metadata__\":{\"format\":\"pt\"");
    const int count = choose(choices, 4);
    for (int i = 0; i < count; ++i)
        fprintf(stream, ",\"%s\":\"%s\"",
                keys[choose(choices, sizeof keys / sizeof *keys)],
                texts[choose(choices, sizeof texts / sizeof *texts)]);
    fprintf(stream, "}");
}

static uint64_t bytes_of_type(const char *name)
{
    for (int i = DTYPE_F32; i <= DTYPE_BOOL; ++i)
        if (strcmp(dtype_name((enum dtype)i), name) == 0)
            return dtype_bytes((enum dtype)i);
    return 1;
}

/* What a tensor takes; 0, which is wrong then, where it is more than the file may have. */
static uint64_t entry_bytes(const struct entry *entry)
{
    uint64_t bytes = bytes_of_type(entry->dtype);
    for (int i = 0; i < entry->rank; ++i)
        if (entry->dims[i] == 0) return 0;
    for (int i = 0; i < entry->rank; ++i) {
        if ((uint64_t)entry->dims[i] > DATA_MAX_BYTES) return 0;
        bytes *= (uint64_t)entry->dims[i];
        if (bytes > DATA_MAX_BYTES) return 0;
    }
    return bytes;
}

static char *print_header(const struct entries *entries, struct choices *choices,
                          size_t *header_bytes, uint64_t *data_bytes)
{
    char *text = NULL;
    FILE *const stream = open_memstream(&text, header_bytes);
    if (!stream) abort();
    fprintf(stream, "--------{");
    print_metadata(stream, choices);
    *data_bytes = 0;
    for (size_t i = 0; i < entries->count; ++i) {
        const struct entry *const entry = &entries->entries[i];
        const uint64_t end = *data_bytes + entry_bytes(entry);
        fprintf(stream, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", entry->name,
                entry->dtype);
        for (int k = 0; k < entry->rank; ++k)
            fprintf(stream, "%s%" PRId64, k ? "," : "", entry->dims[k]);
        fprintf(stream, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *data_bytes,
                end);
        *data_bytes = end;
    }
    fprintf(stream, "}");
    if (fclose(stream) != 0) abort();
    for (int i = 0; i < 8; ++i)
        text[i] = (char)((*header_bytes - 8) >> 8 * i & 0xff);
    return text;
}

/* All weights are zero, small, large or NaN. */
static void write_data(int descriptor, size_t at, uint64_t bytes,
                       struct choices *choices)
{
    static const uint16_t fills[] = {0, 0x2c00, 0x2c00, 0x7bff, 0x7fc1};
    static uint16_t block[1 << 15];
    const uint16_t fill = fills[choose(choices, sizeof fills / sizeof *fills)];
    if (ftruncate(descriptor, (off_t)(at + bytes)) != 0) abort();
    if (fill == 0) return;
    for (size_t i = 0; i < sizeof block / sizeof *block; ++i)
        block[i] = fill;
    for (uint64_t done = 0; done < bytes; done += sizeof block) {
        const uint64_t left = bytes - done;
        const size_t piece = left < sizeof block ? (size_t)left : sizeof block;
        if (pwrite(descriptor, block, piece, (off_t)(at + done)) != (ssize_t)piece)
            abort();
    }
}

/* The path of the file that the choices describe; NULL: it would be too large. */
static const char *write_checkpoint(struct choices *choices)
{
    struct layout layout = {0};
    struct entries entries = {0};
    size_t header_bytes;
    uint64_t data_bytes;
    const char *path;
    lay_out(&layout, choices);
    take_layout(&entries, &layout, dtypes[choose(choices, FILE_DTYPES)]);
    layout_finish(&layout);
    const int count = choose(choices, MUTATIONS_MOST + 1);
    for (int i = 0; i < count; ++i)
        mutate(&entries, choices);
    char *const header = print_header(&entries, choices, &header_bytes, &data_bytes);
    const int descriptor = input_file_open(&path);
    const bool fits = data_bytes <= DATA_MAX_BYTES;
    if (fits) {
        if (ftruncate(descriptor, 0) != 0 ||
            pwrite(descriptor, header, header_bytes, 0) != (ssize_t)header_bytes)
            abort();
        write_data(descriptor, header_bytes, data_bytes, choices);
    }
    free(header);
    free(entries.entries);
    return fits ? path : NULL;
}

/* ---- running ------------------------------------------------------------------------------- */

static struct ledger ledger;

static void check_code(enum dr_code code, const struct dr_error *err)
{
    assert((code == DR_OK) == (err->message[0] == '\0'));
    assert(code == DR_OK || err->code == code);
}

static bool load(const struct component_spec *spec, struct region *weights)
{
    const struct component_load_options options = {.ledger = &ledger, .name = "fuzz"};
    uint8_t digest[DIGEST_BYTES];
    struct dr_error err = {.message = ""};
    if (spec->weights_bytes > ARENA_MAX_BYTES) return false;
    const enum dr_code code = component_load(spec, &options, weights, digest, &err);
    check_code(code, &err);
    return code == DR_OK;
}

static size_t count_of(const struct plan *plan, struct value value)
{
    const struct shape shape = plan_shape(plan, value);
    return (size_t)shape.n * (size_t)shape.h * (size_t)shape.w * (size_t)shape.c;
}

static void fill(struct plan *plan, struct value value)
{
    static const float period[7] = {-3, -2, -1, 0, 1, 2, 3};
    const size_t count = count_of(plan, value);
    for (size_t i = 0; i < count; i += 7)
        plan_write(plan, value, i, count - i < 7 ? count - i : 7, period);
}

static void read_all(const struct plan *plan, struct value value)
{
    (void)latent_is_finite_in(plan, value, 0, count_of(plan, value));
}

/* An arena of exactly the plan's bytes, on the heap: the sanitizers watch its ends. NULL where it is
 * too large. */
static void *bind(struct plan *plan, const struct region *weights)
{
    void *arena = NULL;
    if (plan_bytes(plan) > ARENA_MAX_BYTES) return NULL;
    if (posix_memalign(&arena, ARENA_ALIGN, plan_bytes(plan)) != 0 ||
        plan_bind(plan, arena, (const void *[]){weights->data}, 1, NULL) != DR_OK)
        abort();
    plan_check(plan);
    return arena;
}

static void run(struct plan *plan)
{
    struct dr_error err = {.message = ""};
    const enum dr_code code = plan_run(plan, NULL, &err);
    assert(code == DR_OK);
}

static void expect(const struct plan *plan, struct value value, struct shape shape)
{
    plan_expect(plan, value, shape, DTYPE_F32);
}

static void run_decoder(const struct vae_spec *spec, const struct region *weights,
                        const struct vae_plan_options *options)
{
    struct vae_decode_plan vae = {0};
    void *arena = NULL;
    struct dr_error err = {.message = ""};
    const int32_t h = options->latent_height, w = options->latent_width;
    const enum dr_code code = vae_decode_plan_create(&vae, spec, options, &err);
    check_code(code, &err);
    if (code == DR_OK && (arena = bind(vae.plan, weights))) {
        expect(vae.plan, vae.latent, (struct shape){options->n, h, w, LATENT_CHANNELS});
        expect(vae.plan, vae.image,
               (struct shape){options->n, LATENT_FACTOR * h, LATENT_FACTOR * w, 3});
        fill(vae.plan, vae.latent);
        run(vae.plan);
        read_all(vae.plan, vae.image);
    }
    vae_decode_plan_destroy(&vae);
    free(arena);
}

static void run_encoder(const struct vae_spec *spec, const struct region *weights,
                        const struct vae_plan_options *options)
{
    struct vae_encode_plan vae = {0};
    void *arena = NULL;
    struct dr_error err = {.message = ""};
    const int32_t h = options->latent_height, w = options->latent_width;
    const enum dr_code code = vae_encode_plan_create(&vae, spec, options, &err);
    check_code(code, &err);
    if (code == DR_OK && (arena = bind(vae.plan, weights))) {
        expect(vae.plan, vae.image,
               (struct shape){options->n, LATENT_FACTOR * h, LATENT_FACTOR * w, 3});
        expect(vae.plan, vae.moments,
               (struct shape){options->n, h, w, 2 * LATENT_CHANNELS});
        fill(vae.plan, vae.image);
        run(vae.plan);
        read_all(vae.plan, vae.moments);
    }
    vae_encode_plan_destroy(&vae);
    free(arena);
}

static void run_vae(const struct vae_spec *spec, struct choices *choices)
{
    const struct vae_plan_options options = {
        .n = 1,
        .latent_height = from_to(choices, 1, 3),
        .latent_width = from_to(choices, 1, 3),
        .whole_bytes = (size_t)choose(choices, 3) << 12,
        .most_bytes = (size_t)choose(choices, 2) << 18,
    };
    struct region weights = {0};
    if (!load(vae_component(spec), &weights)) return;
    if (choose(choices, 2))
        run_encoder(spec, &weights, &options);
    else
        run_decoder(spec, &weights, &options);
    region_close(&weights);
}

static void run_unet(const struct unet_spec *spec, struct choices *choices)
{
    const struct unet_info info = unet_info(spec);
    const struct unet_shape shape = {.n = from_to(choices, 1, 2),
                                     .height = from_to(choices, 1, 5),
                                     .width = from_to(choices, 1, 5),
                                     .tokens = from_to(choices, 1, 3)};
    const struct shape latent = {shape.n, shape.height, shape.width, LATENT_CHANNELS};
    struct unet_plan unet = {0};
    struct region weights = {0};
    void *arena = NULL;
    struct dr_error err = {.message = ""};
    if (!load(unet_component(spec), &weights)) return;
    const enum dr_code code = unet_plan_create(&unet, spec, &shape, false, &err);
    check_code(code, &err);
    if (code == DR_OK && (arena = bind(unet.plan, &weights))) {
        expect(unet.plan, unet.latent, latent);
        expect(unet.plan, unet.result, latent);
        expect(unet.plan, unet.context,
               (struct shape){shape.n, 1, shape.tokens, info.context_width});
        if (info.vector_width)
            expect(unet.plan, unet.vector,
                   (struct shape){shape.n, 1, 1, info.vector_width});
        fill(unet.plan, unet.latent);
        fill(unet.plan, unet.context);
        if (info.vector_width) fill(unet.plan, unet.vector);
        unet_plan_set_time(&unet, 500.5F);
        run(unet.plan);
        read_all(unet.plan, unet.result);
    }
    unet_plan_destroy(&unet);
    free(arena);
    region_close(&weights);
}

static void run_bound_text(const struct clip_text_plan *text,
                           const struct clip_text_info *info)
{
    expect(text->plan, text->context,
           (struct shape){1, 1, TOKENIZER_POSITIONS, info->width});
    if (info->pooled)
        expect(text->plan, text->projected,
               (struct shape){1, 1, TOKENIZER_POSITIONS, info->pooled});
    int32_t ids[TOKENIZER_POSITIONS];
    for (int32_t i = 0; i < TOKENIZER_POSITIONS; ++i)
        ids[i] = info->vocabulary - 1 - i % info->vocabulary;
    plan_write(text->plan, text->ids, 0, TOKENIZER_POSITIONS, ids);
    run(text->plan);
    read_all(text->plan, text->context);
    if (info->pooled) {
        float *const pooled = malloc((size_t)info->pooled * sizeof *pooled);
        if (!pooled) abort();
        clip_text_read_pooled(text, 0, TOKENIZER_POSITIONS - 1, pooled);
        (void)latent_is_finite(pooled, (size_t)info->pooled);
        free(pooled);
    }
}

static void run_text(const struct clip_text_spec *spec, struct choices *choices)
{
    const struct clip_text_info info = clip_text_info(spec);
    struct clip_text_plan text = {0};
    struct region weights = {0};
    void *arena = NULL;
    struct dr_error err = {.message = ""};
    if (!load(clip_text_component(spec), &weights)) return;
    const int32_t clip_skip = choose(choices, info.layers + 2);
    const enum dr_code code = clip_text_plan_create(
        &text, spec,
        &(struct clip_text_shape){.n = 1, .clip_skip = clip_skip, .profile = false},
        &err);
    check_code(code, &err);
    assert(code == DR_OK || clip_skip < 1 || clip_skip > info.layers ||
           code != DR_BAD_INPUT);
    if (code == DR_OK && (arena = bind(text.plan, &weights)))
        run_bound_text(&text, &info);
    clip_text_plan_destroy(&text);
    free(arena);
    region_close(&weights);
}

/* Each network of the file for itself, whatever is wrong with the others. */
static void run_parts(const char *path, enum dtype dtype, struct choices *choices)
{
    struct checkpoint checkpoint;
    struct dr_error err = {.message = ""};
    enum dr_code code = checkpoint_open(&checkpoint, path, &err);
    check_code(code, &err);
    if (code != DR_OK) return;
    for (int role = 0; role < ROLE_COUNT; ++role) {
        const struct component_index *const index = &checkpoint.components[role];
        const enum family family =
            checkpoint.family == FAMILY_SDXL ? FAMILY_SDXL : FAMILY_SD15;
        struct clip_text_spec *text = NULL;
        struct unet_spec *unet = NULL;
        struct vae_spec *vae = NULL;
        if (index->count == 0) continue;
        err = (struct dr_error){.message = ""};
        if (role == ROLE_VAE)
            code = vae_spec_create(&vae, index, family, dtype, &err);
        else if (role == ROLE_UNET)
            code = unet_spec_create(&unet, index, family, dtype, &err);
        else
            code = clip_text_spec_create(&text, index, family, dtype, &err);
        check_code(code, &err);
        assert((code == DR_OK) == (vae || unet || text));
        if (vae) run_vae(vae, choices);
        if (unet) run_unet(unet, choices);
        if (text) run_text(text, choices);
        vae_spec_destroy(&vae);
        unet_spec_destroy(&unet);
        clip_text_spec_destroy(&text);
    }
    checkpoint_close(&checkpoint);
}

/* And as the engine opens it: do the networks that it takes go together? */
static void open_whole(const char *path, enum dtype dtype)
{
    struct pipeline *pipeline = NULL;
    struct dr_error err = {.message = ""};
    enum dr_code code =
        pipeline_open(&pipeline, path,
                      &(struct pipeline_options){.dtype = dtype, .force = true}, &err);
    check_code(code, &err);
    assert((code == DR_OK) == (pipeline != NULL));
    if (pipeline && pipeline->unet && pipeline_has_text(pipeline)) {
        code = conditioning_check(pipeline, &err);
        check_code(code, &err);
        const struct prompt_cache_shape shape = conditioning_cache_shape(pipeline, 1);
        if (code == DR_OK) assert(prompt_cache_bytes(&shape) > 0);
    }
    pipeline_close(&pipeline);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool is_ready;
    struct choices choices = {data, bytes};
    if (!is_ready && compute_init(1, NULL) != DR_OK) abort();
    is_ready = true;
    const bool narrow = choose(&choices, 2) && compute_can_bf16();
    const char *const path = write_checkpoint(&choices);
    if (!path) return 0;
    open_whole(path, narrow ? DTYPE_BF16 : DTYPE_F32);
    run_parts(path, narrow ? DTYPE_BF16 : DTYPE_F32, &choices);
    assert(ledger.count == 0 && ledger.private_bytes == 0);
    return 0;
}
