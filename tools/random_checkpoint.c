/* random_checkpoint — write a checkpoint in the original key layout with random weights.
 *
 * For tests, benchmarks and the demo: true names, shapes and types, no trained values. Weights
 * are normal with standard deviation 0.7 / sqrt(fan in), norm weights 1 +- 0.05, biases and
 * embeddings 0.02: activations stay finite and a prompt changes the result.
 *
 * Values depend on the seed, the tensor's name and the element alone (checkpoint_values.h). The
 * file is written in pieces, straight to its place, under a temporary name.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint_autoencoder.h"
#include "checkpoint_layout.h"
#include "checkpoint_values.h"

enum {
    PIECE_ELEMENTS = 1 << 20,
    MAX_NAMED = 16
};

static const char *const type_names[] = {"F32", "F16", "BF16", "I64"};
static const int type_bytes[] = {4, 2, 2, 8};

enum family {
    FAMILY_SD15,
    FAMILY_SDXL
};
enum part {
    PART_CHECKPOINT,
    PART_VAE
};

enum size {
    SIZE_TINY,
    SIZE_FULL,
    SIZE_LEAST /* as tiny, with levels half as wide: a fifth of the bytes */
};

struct options {
    enum family family;
    enum part part;
    enum type type;
    uint64_t seed;
    int vocabulary, unet_channels, vae_levels;
    enum size size;
    bool linear_projection, attention_2d, prefix, ema;
    bool v_prediction, zero_snr;
    bool without_vae, without_text, without_unet;
    bool autoencodes;
    uint64_t latent_space;
    const char *drop[MAX_NAMED], *nan[MAX_NAMED];
    int drop_count, nan_count;
    const char *output;
};

static const char usage[] =
    "usage: random_checkpoint --family sd15|sdxl --size tiny|least|full [option...] -o FILE\n"
    "  --part checkpoint|vae    the whole, or a stand-alone VAE (default: checkpoint)\n"
    "  --dtype f16|f32|bf16     type of the weights (default: f16)\n"
    "  --seed N                 default 0\n"
    "  --latent-space N         a VAE that returns the picture, through latents of a space of its\n"
    "                           own for each N; the seed makes it another of the same space\n"
    "  --vocabulary N           tokens (default: 49408 full, else 600)\n"
    "  --linear-proj            SD1.x: proj_in and proj_out as matrices\n"
    "  --attn-2d                VAE attention as matrices\n"
    "  --prefix                 a stand-alone VAE with first_stage_model. before its names\n"
    "  --ema                    add the UNet's model_ema. copies\n"
    "  --v-pred                 add the key v_pred: the UNet predicts v\n"
    "  --ztsnr                  add the key ztsnr: trained to start from noise alone\n"
    "  --without vae|text|unet  leave a component out (repeatable)\n"
    "  --unet-channels N        input channels of the UNet (default 4; 9: inpainting)\n"
    "  --vae-levels N           sizes of map in the VAE (default 4: 8 pixels a latent cell)\n"
    "  --drop NAME              leave one tensor out (repeatable)\n"
    "  --nan NAME               put a NaN in the middle of one tensor (repeatable)\n";

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "random_checkpoint: %s%s%s\n", what, detail ? ": " : "",
            detail ? detail : "");
    exit(1);
}

/* ---- options ---- */

static int choose(const char *option, const char *text, const char *const names[])
{
    for (int i = 0; names[i]; ++i)
        if (strcmp(text, names[i]) == 0) return i;
    fail(option, text);
    return 0;
}

static long number(const char *option, const char *text, long low, long high)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high) fail(option, text);
    return value;
}

static void remember(const char *names[MAX_NAMED], int *count, const char *name)
{
    if (*count == MAX_NAMED) fail("too many names", name);
    names[(*count)++] = name;
}

static void take_without(struct options *options, const char *text)
{
    switch (
        choose("--without", text, (const char *const[]){"vae", "text", "unet", NULL})) {
    case 0: options->without_vae = true; break;
    case 1: options->without_text = true; break;
    default: options->without_unet = true; break;
    }
}

/* One long list: a dispatch table in the form that getopt wants. */
static void take_option(struct options *options, int letter, const char *text)
{
    switch (letter) {
    case 'f':
        options->family =
            (enum family)choose("--family", text,
                                (const char *const[]){"sd15", "sdxl", NULL});
        break;
    case 'z':
        options->size =
            (enum size)choose("--size", text,
                              (const char *const[]){"tiny", "full", "least", NULL});
        break;
    case 'p':
        options->part =
            (enum part)choose("--part", text,
                              (const char *const[]){"checkpoint", "vae", NULL});
        break;
    case 't':
        options->type =
            (enum type)choose("--dtype", text,
                              (const char *const[]){"f32", "f16", "bf16", NULL});
        break;
    case 'L':
        options->autoencodes = true;
        options->latent_space = (uint64_t)number("--latent-space", text, 0, 1L << 30);
        break;
    case 's': options->seed = (uint64_t)number("--seed", text, 0, 1L << 62); break;
    case 'v':
        options->vocabulary = (int)number("--vocabulary", text, 3, 1000000);
        break;
    case 'c':
        options->unet_channels = (int)number("--unet-channels", text, 1, 64);
        break;
    case 'N':
        options->vae_levels = (int)number("--vae-levels", text, 1, LAYOUT_VAE_LEVELS);
        break;
    case 'l': options->linear_projection = true; break;
    case 'a': options->attention_2d = true; break;
    case 'x': options->prefix = true; break;
    case 'e': options->ema = true; break;
    case 'V': options->v_prediction = true; break;
    case 'Z': options->zero_snr = true; break;
    case 'w': take_without(options, text); break;
    case 'd': remember(options->drop, &options->drop_count, text); break;
    case 'n': remember(options->nan, &options->nan_count, text); break;
    case 'o': options->output = text; break;
    case 'h': fputs(usage, stdout); exit(0);
    default: fputs(usage, stderr); exit(2);
    }
}

static struct options parse(int count, char **arguments)
{
    static const struct option longs[] = {
        {"family",        required_argument, NULL, 'f'},
        {"size",          required_argument, NULL, 'z'},
        {"part",          required_argument, NULL, 'p'},
        {"dtype",         required_argument, NULL, 't'},
        {"seed",          required_argument, NULL, 's'},
        {"latent-space",  required_argument, NULL, 'L'},
        {"vocabulary",    required_argument, NULL, 'v'},
        {"unet-channels", required_argument, NULL, 'c'},
        {"vae-levels",    required_argument, NULL, 'N'},
        {"linear-proj",   no_argument,       NULL, 'l'},
        {"attn-2d",       no_argument,       NULL, 'a'},
        {"prefix",        no_argument,       NULL, 'x'},
        {"ema",           no_argument,       NULL, 'e'},
        {"v-pred",        no_argument,       NULL, 'V'},
        {"ztsnr",         no_argument,       NULL, 'Z'},
        {"without",       required_argument, NULL, 'w'},
        {"drop",          required_argument, NULL, 'd'},
        {"nan",           required_argument, NULL, 'n'},
        {"output",        required_argument, NULL, 'o'},
        {"help",          no_argument,       NULL, 'h'},
        {NULL,            0,                 NULL, 0  },
    };
    struct options options = {.type = TYPE_F16, .unet_channels = 4, .vae_levels = 4};
    int letter;
    while ((letter = getopt_long(count, arguments, "o:h", longs, NULL)) != -1)
        take_option(&options, letter, optarg);
    if (optind != count || !options.output) take_option(&options, '?', NULL);
    if (!options.vocabulary)
        options.vocabulary = options.size == SIZE_FULL ? 49408 : 600;
    return options;
}

/* ---- what the file holds ---- */

static struct unet_sizes unet_sizes(const struct options *options)
{
    const bool is_full = options->size == SIZE_FULL;
    const bool is_least = options->size == SIZE_LEAST;
    struct unet_sizes sizes = {
        .model_channels = is_full ? 320 : 32,
        .in_channels = options->unet_channels,
        .res_blocks = 2,
        .linear_projection = options->linear_projection,
    };
    if (options->family == FAMILY_SD15) {
        sizes.levels = 4;
        sizes.context = is_full ? 768 : 64;
        sizes.middle_depth = 1;
        memcpy(sizes.multiplier, is_least ? (int[]){1, 1, 2, 2} : (int[]){1, 2, 4, 4},
               sizeof sizes.multiplier);
        memcpy(sizes.depth, (int[]){1, 1, 1, 0}, sizeof sizes.depth);
    } else {
        sizes.levels = 3;
        sizes.context = is_full ? 768 + 1280 : 64 + 128;
        sizes.vector = (is_full ? 1280 : 128) + 6 * 256;
        sizes.middle_depth = is_full ? 10 : 2;
        memcpy(sizes.multiplier, is_least ? (int[]){1, 1, 2, 0} : (int[]){1, 2, 4, 0},
               sizeof sizes.multiplier);
        memcpy(sizes.depth, (int[]){0, is_full ? 2 : 1, sizes.middle_depth, 0},
               sizeof sizes.depth);
        sizes.linear_projection = true;
    }
    return sizes;
}

static void lay_out_text(struct layout *layout, const struct options *options)
{
    const struct text_sizes large = {768, 12, 3072, 77, options->vocabulary};
    const struct text_sizes small = {64, 2, 256, 77, options->vocabulary};
    const struct text_sizes *sizes = options->size == SIZE_FULL ? &large : &small;
    if (options->family == FAMILY_SD15) {
        layout_clip(layout, "cond_stage_model.transformer.text_model.", sizes);
        return;
    }
    const struct text_sizes large2 = {1280, 32, 5120, 77, options->vocabulary};
    const struct text_sizes small2 = {128, 2, 512, 77, options->vocabulary};
    layout_clip(layout, "conditioner.embedders.0.transformer.text_model.", sizes);
    layout_open_clip(layout, "conditioner.embedders.1.model.",
                     options->size == SIZE_FULL ? &large2 : &small2);
}

static void lay_out_vae(struct layout *layout, const struct options *options,
                        const char *prefix)
{
    struct vae_sizes sizes = {
        .channels = options->size == SIZE_FULL ? 128 : 32,
        .levels = options->vae_levels,
        .res_blocks = 2,
        .latent = 4,
        .multiplier = {1, 2, 4, 4, 4, 4, 4, 4, 4},
    };
    if (options->size == SIZE_LEAST)
        for (int level = 1; level < LAYOUT_VAE_LEVELS; ++level)
            sizes.multiplier[level] /= 2;
    if (options->autoencodes && sizes.levels != 4)
        fail("--latent-space", "it is for a VAE of 4 levels");
    if (options->autoencodes && options->size != SIZE_FULL) sizes = autoencoder_sizes();
    sizes.attention_2d = options->attention_2d;
    const size_t first = layout->count;
    layout_vae(layout, prefix, &sizes);
    for (size_t i = first; i < layout->count; ++i)
        layout->tensors[i].autoencodes = options->autoencodes;
}

static void lay_out(struct layout *layout, const struct options *options)
{
    if (options->part == PART_VAE) {
        lay_out_vae(layout, options, options->prefix ? "first_stage_model." : "");
        return;
    }
    const struct unet_sizes sizes = unet_sizes(options);
    if (options->family == FAMILY_SD15) layout_schedule(layout);
    if (!options->without_unet) layout_unet(layout, "model.diffusion_model.", &sizes);
    if (!options->without_vae) lay_out_vae(layout, options, "first_stage_model.");
    if (!options->without_text) lay_out_text(layout, options);
    layout_marks(layout, options->v_prediction, options->zero_snr);
    if (options->ema) layout_ema(layout, "model.diffusion_model.");
}

static bool named(const char *const names[MAX_NAMED], int count, const char *name)
{
    for (int i = 0; i < count; ++i)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static void drop(struct layout *layout, const struct options *options)
{
    size_t kept = 0;
    for (size_t i = 0; i < layout->count; ++i) {
        if (named(options->drop, options->drop_count, layout->tensors[i].name))
            free(layout->tensors[i].name);
        else
            layout->tensors[kept++] = layout->tensors[i];
    }
    if (layout->count - kept != (size_t)options->drop_count)
        fail("--drop: no such tensor, among", options->drop[0]);
    layout->count = kept;
}

static enum type type_of(const struct layout_tensor *tensor,
                         const struct options *options)
{
    if (tensor->fill == FILL_POSITIONS) return TYPE_I64;
    return tensor->fill <= FILL_SMALL ? options->type : TYPE_F32;
}

static int64_t bytes_of(const struct layout_tensor *tensor,
                        const struct options *options)
{
    return layout_elements(tensor) * type_bytes[type_of(tensor, options)];
}

/* ---- the file ---- */

struct piece {
    const struct layout_tensor *tensor;
    int64_t start, count;
    off_t offset;
};

/* Elements of a piece in the file's type; floats is a buffer of the same thread. */
static void fill_piece(const struct piece *piece, const struct options *options,
                       float *floats, void *target)
{
    const struct value_run run = {.start = piece->start, .count = piece->count};
    values_fill(piece->tensor, options->seed, &run, floats);
    if (piece->tensor->autoencodes) {
        const struct autoencoder autoencoder = {options->latent_space, options->seed};
        autoencoder_fill(&autoencoder, piece->tensor, &run, floats);
    }
    const int64_t middle = layout_elements(piece->tensor) / 2 - piece->start;
    if (middle >= 0 && middle < piece->count &&
        named(options->nan, options->nan_count, piece->tensor->name))
        floats[middle] = NAN;
    values_convert(floats, &run, type_of(piece->tensor, options), target);
}

static bool write_at(int descriptor, const char *data, size_t bytes, off_t offset)
{
    while (bytes > 0) {
        const ssize_t done = pwrite(descriptor, data, bytes, offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        data += done;
        bytes -= (size_t)done;
        offset += done;
    }
    return true;
}

/* Length and JSON in one malloc'd block; *bytes_out is a multiple of 8. */
static char *make_header(const struct layout *layout, const struct options *options,
                         size_t *bytes_out)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    if (!stream) fail("out of memory", NULL);
    fputs("--------{\"__metadata__\":{\"format\":\"pt\"", stream);
    if (options->family == FAMILY_SDXL && options->size != SIZE_FULL)
        fputs(",\"darkroom.unet.head_dim\":\"16\"", stream);
    fputc('}', stream);
    int64_t offset = 0;
    for (size_t i = 0; i < layout->count; ++i) {
        const struct layout_tensor *tensor = &layout->tensors[i];
        const int64_t end = offset + bytes_of(tensor, options);
        fprintf(stream, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", tensor->name,
                type_names[type_of(tensor, options)]);
        for (int k = 0; k < tensor->rank; ++k)
            fprintf(stream, "%s%lld", k ? "," : "", (long long)tensor->dims[k]);
        fprintf(stream, "],\"data_offsets\":[%lld,%lld]}", (long long)offset,
                (long long)end);
        offset = end;
    }
    fputc('}', stream);
    while (ftello(stream) % 8 != 0)
        fputc(' ', stream);
    if (fclose(stream) != 0) fail("out of memory", NULL);
    for (int i = 0; i < 8; ++i)
        text[i] = (char)((bytes - 8) >> 8 * i & 0xff);
    *bytes_out = bytes;
    return text;
}

/* Every tensor cut into pieces of at most PIECE_ELEMENTS, with their places in the file. */
static struct piece *cut(const struct layout *layout, const struct options *options,
                         size_t header_bytes, size_t *count_out, off_t *end_out)
{
    size_t count = 0, used = 0;
    for (size_t i = 0; i < layout->count; ++i)
        count += (size_t)(layout_elements(&layout->tensors[i]) / PIECE_ELEMENTS) + 1;
    struct piece *pieces = malloc(count * sizeof pieces[0]);
    if (!pieces) fail("out of memory", NULL);
    off_t offset = (off_t)header_bytes;
    for (size_t i = 0; i < layout->count; ++i) {
        const struct layout_tensor *tensor = &layout->tensors[i];
        const int64_t elements = layout_elements(tensor);
        const int bytes = type_bytes[type_of(tensor, options)];
        for (int64_t start = 0; start < elements; start += PIECE_ELEMENTS) {
            const int64_t left = elements - start;
            pieces[used++] =
                (struct piece){tensor, start,
                               left < PIECE_ELEMENTS ? left : PIECE_ELEMENTS,
                               offset + start * bytes};
        }
        offset += elements * bytes;
    }
    *count_out = used;
    *end_out = offset;
    return pieces;
}

static bool write_pieces(int descriptor, const struct piece *pieces, size_t count,
                         const struct options *options)
{
    bool failed = false;
#pragma omp parallel
    {
        float *floats = malloc(PIECE_ELEMENTS * sizeof *floats);
        char *data = malloc((size_t)PIECE_ELEMENTS * 8);
        if (!floats || !data) fail("out of memory", NULL);
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < count; ++i) {
            const size_t bytes = (size_t)pieces[i].count *
                                 (size_t)type_bytes[type_of(pieces[i].tensor, options)];
            fill_piece(&pieces[i], options, floats, data);
            if (!write_at(descriptor, data, bytes, pieces[i].offset)) {
#pragma omp atomic write
                failed = true;
            }
        }
        free(floats);
        free(data);
    }
    return !failed;
}

static void write_file(const struct layout *layout, const struct options *options)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.%ld.part", options->output,
                 (long)getpid()) >= (int)sizeof temporary)
        fail("name too long", options->output);
    size_t header_bytes, count;
    off_t end;
    char *header = make_header(layout, options, &header_bytes);
    struct piece *pieces = cut(layout, options, header_bytes, &count, &end);
    const int descriptor =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) fail(temporary, strerror(errno));
    const bool good = ftruncate(descriptor, end) == 0 &&
                      write_at(descriptor, header, header_bytes, 0) &&
                      write_pieces(descriptor, pieces, count, options);
    if (close(descriptor) != 0 || !good || rename(temporary, options->output) != 0) {
        const int reason = errno;
        unlink(temporary);
        fail(options->output, strerror(reason));
    }
    free(pieces);
    free(header);
    int64_t parameters = 0;
    for (size_t i = 0; i < layout->count; ++i)
        parameters += layout_elements(&layout->tensors[i]);
    fprintf(stderr, "%s: %zu tensors, %lld parameters, %lld bytes\n", options->output,
            layout->count, (long long)parameters, (long long)end);
}

int main(int count, char **arguments)
{
    const struct options options = parse(count, arguments);
    struct layout layout = {0};
    lay_out(&layout, &options);
    drop(&layout, &options);
    write_file(&layout, &options);
    layout_finish(&layout);
    return 0;
}
