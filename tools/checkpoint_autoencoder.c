#include "checkpoint_autoencoder.h"

#include <math.h>
#include <string.h>

enum {
    GROUPS = 32, /* of every norm */
    LATENTS = 4,
    COLOURS = 3,
    CELL = 4 /* channels that carry one colour: +K, -K, +v, -v */
};

/* K: large beside colours in -1..1, so that their variance hardly moves the group's. */
#define CONSTANT 8.0
/* Mean square of a colour, as pictures have it. */
#define COLOUR_SQUARE 0.25
/* Latents of about unit variance where the scale factor is SD1.x's. */
#define LATENT_SCALE 8.0
/* exp(-20 / 2): the distribution is a point. */
#define LOG_VARIANCE (-20.0)

struct vae_sizes autoencoder_sizes(void)
{
    return (struct vae_sizes){
        .channels = GROUPS * CELL,
        .levels = 4,
        .res_blocks = 1,
        .latent = LATENTS,
        .multiplier = {1, 1, 1, 1},
    };
}

/* ---- the latent space -------------------------------------------------------------------- */

/* A number in -1..1 for each (key, idx), the same on every machine. */
static double noise(uint64_t key, uint64_t idx)
{
    uint64_t x = (key + 1) * 0x9e3779b97f4a7c15u + idx * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)(int64_t)(x >> 11) / (double)(1LL << 52) - 1.0;
}

/* Householder's reflection for a vector that the key gives. */
static double reflection_at(uint64_t key, int row, int column)
{
    double vector[LATENTS], square = 0.0;
    for (int i = 0; i < LATENTS; ++i) {
        vector[i] = noise(key, (uint64_t)i);
        square += vector[i] * vector[i];
    }
    return (row == column ? 1.0 : 0.0) - 2.0 * vector[row] * vector[column] / square;
}

/* A rotation: two reflections. Its inverse is its transpose. */
static double mix_at(uint64_t latent_space, int row, int column)
{
    double sum = 0.0;
    for (int i = 0; i < LATENTS; ++i)
        sum += reflection_at(2 * latent_space, row, i) *
               reflection_at(2 * latent_space + 1, i, column);
    return sum;
}

/* ---- where colours lie in the channels --------------------------------------------------- */

/* The part of a colour's cell that a channel is; -1: a channel that carries nothing. */
static int part_of(int64_t channel)
{
    return channel < COLOURS * CELL ? (int)(channel % CELL) : -1;
}

static int colour_of(int64_t channel)
{
    return (int)(channel / CELL);
}

/* +1, -1 for +v, -v; else 0. */
static double sign_of(int64_t channel)
{
    const int part = part_of(channel);
    return part == 2 ? 1.0 : part == 3 ? -1.0 : 0.0;
}

static double constant_of(int64_t channel)
{
    const int part = part_of(channel);
    return part == 0 ? CONSTANT : part == 1 ? -CONSTANT : 0.0;
}

/* The deviation of a colour's norm group, where a norm has so many channels: what the norm
 * divided by. */
static double group_deviation(int64_t channels, int colour)
{
    const int64_t width = channels / GROUPS;
    const int64_t first = colour * CELL / width * width;
    double square = 0.0;
    for (int64_t i = first; i < first + width; ++i)
        square +=
            constant_of(i) * constant_of(i) + sign_of(i) * sign_of(i) * COLOUR_SQUARE;
    return sqrt(square / (double)width);
}

/* ---- the layers -------------------------------------------------------------------------- */

/* One element of a kernel [out, in, h, w] or of a matrix (h = w = 1). */
struct element {
    int64_t out, in, y, x;
};

static struct element element_at(const struct layout_tensor *tensor, int64_t idx)
{
    const int64_t h = tensor->rank == 4 ? tensor->dims[2] : 1;
    const int64_t w = tensor->rank == 4 ? tensor->dims[3] : 1;
    const int64_t in = tensor->rank > 1 ? tensor->dims[1] : 1;
    return (struct element){.out = idx / (in * h * w),
                            .in = idx / (h * w) % in,
                            .y = idx / w % h,
                            .x = idx % w};
}

static bool is_centre(const struct layout_tensor *tensor, struct element e)
{
    return tensor->rank != 4 ||
           (e.y == tensor->dims[2] / 2 && e.x == tensor->dims[3] / 2);
}

/* How the seed changes a colour: its strength, and its shift. */
static double strength_of(const struct autoencoder *autoencoder, int colour)
{
    return 1.0 + 0.04 * noise(autoencoder->seed, 16 + (uint64_t)colour);
}

static double shift_of(const struct autoencoder *autoencoder, int colour)
{
    return 0.03 * noise(autoencoder->seed, 32 + (uint64_t)colour);
}

static double zero(const struct autoencoder *autoencoder,
                   const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    (void)tensor;
    (void)e;
    return 0.0;
}

static double one(const struct autoencoder *autoencoder,
                  const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    (void)tensor;
    (void)e;
    return 1.0;
}

static double same(const struct autoencoder *autoencoder,
                   const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    return e.out == e.in && is_centre(tensor, e) ? 1.0 : 0.0;
}

/* Padding is right and bottom alone: the four taps at the kernel's start never touch it. */
static double mean_of_four(const struct autoencoder *autoencoder,
                           const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    (void)tensor;
    return e.out == e.in && e.y < 2 && e.x < 2 ? 0.25 : 0.0;
}

/* Colours to their cells: in the encoder from the picture, in the decoder from what
 * post_quant_conv unmixed (its fourth channel is left). */
static double spread(const struct autoencoder *autoencoder,
                     const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    return is_centre(tensor, e) && e.in == colour_of(e.out) ? sign_of(e.out) : 0.0;
}

static double constants(const struct autoencoder *autoencoder,
                        const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    (void)tensor;
    return constant_of(e.out);
}

/* silu(v) - silu(-v), times what the norm divided by. */
static double gather_colour(const struct layout_tensor *tensor, struct element e,
                            int colour)
{
    if (!is_centre(tensor, e) || part_of(e.in) < 0 || colour_of(e.in) != colour)
        return 0.0;
    return sign_of(e.in) * group_deviation(tensor->dims[1], colour);
}

/* Three colours and their mean; the variances come from the bias. */
static double gather_moments(const struct autoencoder *autoencoder,
                             const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    if (e.out < COLOURS) return gather_colour(tensor, e, (int)e.out);
    double sum = 0.0;
    for (int colour = 0; e.out == COLOURS && colour < COLOURS; ++colour)
        sum += gather_colour(tensor, e, colour) / COLOURS;
    return sum;
}

static double variances(const struct autoencoder *autoencoder,
                        const struct layout_tensor *tensor, struct element e)
{
    (void)autoencoder;
    (void)tensor;
    return e.out >= LATENTS ? LOG_VARIANCE : 0.0;
}

static double gather_picture(const struct autoencoder *autoencoder,
                             const struct layout_tensor *tensor, struct element e)
{
    return strength_of(autoencoder, (int)e.out) * gather_colour(tensor, e, (int)e.out);
}

static double shifts(const struct autoencoder *autoencoder,
                     const struct layout_tensor *tensor, struct element e)
{
    (void)tensor;
    return shift_of(autoencoder, (int)e.out);
}

static double mix(const struct autoencoder *autoencoder,
                  const struct layout_tensor *tensor, struct element e)
{
    (void)tensor;
    if (e.out >= LATENTS || e.in >= LATENTS) return e.out == e.in ? 1.0 : 0.0;
    return LATENT_SCALE * mix_at(autoencoder->latent_space, (int)e.out, (int)e.in);
}

static double unmix(const struct autoencoder *autoencoder,
                    const struct layout_tensor *tensor, struct element e)
{
    (void)tensor;
    return mix_at(autoencoder->latent_space, (int)e.in, (int)e.out) / LATENT_SCALE;
}

/* ---- which layer has which --------------------------------------------------------------- */

/* The first whose text is in the name; what none names keeps its random values: convolutions
 * and norms before a zero, which have to be finite and no more. */
static const struct {
    const char *name;
    double (*value)(const struct autoencoder *autoencoder,
                    const struct layout_tensor *tensor, struct element element);
} layers[] = {
    {".conv2.",                 zero          },
    {".proj_out.",              zero          },
    {".norm_out.weight",        one           },
    {".norm_out.bias",          zero          },
    {".downsample.conv.weight", mean_of_four  },
    {".upsample.conv.weight",   same          },
    {".nin_shortcut.weight",    same          },
    {"sample.conv.bias",        zero          },
    {".nin_shortcut.bias",      zero          },
    {".conv_in.weight",         spread        },
    {".conv_in.bias",           constants     },
    {"encoder.conv_out.weight", gather_moments},
    {"encoder.conv_out.bias",   variances     },
    {"decoder.conv_out.weight", gather_picture},
    {"decoder.conv_out.bias",   shifts        },
    {"post_quant_conv.weight",  unmix         },
    {"post_quant_conv.bias",    zero          },
    {"quant_conv.weight",       mix           },
    {"quant_conv.bias",         zero          },
};

void autoencoder_fill(const struct autoencoder *autoencoder,
                      const struct layout_tensor *tensor, const struct value_run *run,
                      float *target)
{
    for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i) {
        if (!strstr(tensor->name, layers[i].name)) continue;
        for (int64_t k = 0; k < run->count; ++k)
            target[k] = (float)layers[i].value(autoencoder, tensor,
                                               element_at(tensor, run->start + k));
        return;
    }
}
