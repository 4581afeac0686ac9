/* step_bench — where the time of one network goes, by kind of operator.
 *
 *     step_bench CHECKPOINT [--part unet|decode|encode|text] [--dtype bf16|f32]
 *                [--weights auto|f32|f16] [--size WxH] [--batch N] [--runs N] [--threads N] [--detail]
 *                [--exact]           (no Winograd)
 *                [--whole SIZE]      (a VAE's larger maps are made in bands)
 *                [--most SIZE]       (with --whole: maps kept and taller bands, in an arena of this size)
 *
 * Default: one guided UNet step at 512x512 in bf16 (batch 2), 3 runs after a warm-up. Inputs
 * are noise: time depends on no value. The table is the mean of all runs; --detail adds
 * a line for each shape. FLOP counts 2 for a multiply-add of products and convolutions.
 * With --threads 1 the totals are of the thread's own processor time, which other work on the
 * machine does not lengthen; the table's lines are of the wall clock.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "library_rate.h"
#include "network_bench.h"

#include "base/size.h"
#include "compute/compute.h"
#include "mem/region.h"
#include "model/clip_text.h"
#include "model/unet.h"
#include "model/vae.h"

const char bench_name[] = "step_bench";

enum part {
    PART_UNET,
    PART_DECODE,
    PART_ENCODE,
    PART_TEXT
};
static const char *const part_names[] = {"unet", "decode", "encode", "text"};

struct options {
    const char *path;
    enum part part;
    enum dtype dtype;
    enum component_storage storage;
    int32_t width, height, batch, runs;
    int threads;
    bool detail, exact;
    size_t whole_bytes, most_bytes;
};

/* A network with weights, a bound plan and filled inputs. */
struct network {
    struct checkpoint checkpoint;
    struct ledger ledger;
    struct region weights, arena;
    struct unet_spec *unet;
    struct vae_spec *vae;
    struct clip_text_spec *text;
    struct unet_plan unet_plan;
    struct vae_decode_plan decode_plan;
    struct vae_encode_plan encode_plan;
    struct clip_text_plan text_plan;
    struct plan *plan; /* the one of the four that is there */
};

/* ---- options ---- */

static const char usage[] =
    "usage: step_bench CHECKPOINT [--part unet|decode|encode|text] [--dtype bf16|f32]\n"
    "                  [--weights auto|f32|f16] [--size WxH] [--batch N] [--runs N] [--threads N] [--detail] [--exact]\n"
    "                  [--whole SIZE] [--most SIZE]\n";

static int32_t number(const char *text)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > 1 << 20) fail(usage);
    return (int32_t)value;
}

static size_t bytes(const char *text)
{
    size_t count;
    if (!size_parse(text, &count)) fail(usage);
    return count;
}

static enum part part_of(const char *text)
{
    for (size_t i = 0; i < sizeof part_names / sizeof part_names[0]; ++i)
        if (strcmp(text, part_names[i]) == 0) return (enum part)i;
    fail(usage);
    return PART_UNET;
}

static struct options parse(int count, char **arguments)
{
    static const struct option longs[] = {
        {"part",    required_argument, NULL, 'p'},
        {"dtype",   required_argument, NULL, 'd'},
        {"weights", required_argument, NULL, 'W'},
        {"size",    required_argument, NULL, 's'},
        {"batch",   required_argument, NULL, 'b'},
        {"runs",    required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"detail",  no_argument,       NULL, 'D'},
        {"exact",   no_argument,       NULL, 'e'},
        {"whole",   required_argument, NULL, 'w'},
        {"most",    required_argument, NULL, 'm'},
        {NULL,      0,                 NULL, 0  },
    };
    struct options options = {
        .width = 512, .height = 512, .runs = 3, .dtype = DTYPE_BF16};
    int letter;
    while ((letter = getopt_long(count, arguments, "", longs, NULL)) != -1) {
        switch (letter) {
        case 'p': options.part = part_of(optarg); break;
        case 'd':
            options.dtype = strcmp(optarg, "f32") == 0 ? DTYPE_F32 : DTYPE_BF16;
            break;
        case 'W':
            options.storage = strcmp(optarg, "f32") == 0   ? STORAGE_COMPUTED
                              : strcmp(optarg, "f16") == 0 ? STORAGE_F16
                                                           : STORAGE_FILE;
            break;
        case 's':
            if (sscanf(optarg, "%dx%d", &options.width, &options.height) != 2)
                fail(usage);
            break;
        case 'b': options.batch = number(optarg); break;
        case 'r': options.runs = number(optarg); break;
        case 't': options.threads = number(optarg); break;
        case 'D': options.detail = true; break;
        case 'e': options.exact = true; break;
        case 'w': options.whole_bytes = bytes(optarg); break;
        case 'm': options.most_bytes = bytes(optarg); break;
        default: fail(usage);
        }
    }
    if (optind + 1 != count || options.runs < 1) fail(usage);
    options.path = arguments[optind];
    if (options.batch == 0)
        options.batch = options.part == PART_UNET || options.part == PART_TEXT ? 2 : 1;
    return options;
}

/* ---- the network ---- */

static const struct component_spec *make_spec(struct network *network,
                                              const struct options *options)
{
    struct dr_error err = {0};
    const struct component_index *const components = network->checkpoint.components;
    const enum family family = network->checkpoint.family;
    switch (options->part) {
    case PART_UNET:
        must(unet_spec_create(&network->unet, &components[ROLE_UNET], family,
                              options->dtype, &err),
             &err);
        must(unet_spec_store(network->unet, options->storage, &err), &err);
        return unet_component(network->unet);
    case PART_DECODE:
    case PART_ENCODE:
        must(vae_spec_create(&network->vae, &components[ROLE_VAE], family,
                             options->dtype, &err),
             &err);
        must(vae_spec_store(network->vae, options->storage, &err), &err);
        return vae_component(network->vae);
    case PART_TEXT:
        must(clip_text_spec_create(&network->text, &components[ROLE_TEXT], family,
                                   options->dtype, &err),
             &err);
        must(clip_text_spec_store(network->text, options->storage, &err), &err);
        return clip_text_component(network->text);
    }
    return NULL;
}

static void make_plan(struct network *network, const struct options *options)
{
    struct dr_error err = {0};
    const int32_t height = options->height / 8, width = options->width / 8;
    const struct unet_shape shape = {options->batch, height, width, 77, options->exact, NULL};
    const struct vae_plan_options vae_options = {.n = options->batch,
                                                 .latent_height = height,
                                                 .latent_width = width,
                                                 .exact_convolutions = options->exact,
                                                 .whole_bytes = options->whole_bytes,
                                                 .most_bytes = options->most_bytes,
                                                 .profile = true};
    switch (options->part) {
    case PART_UNET:
        must(unet_plan_create(&network->unet_plan, network->unet, &shape, true, &err),
             &err);
        network->plan = network->unet_plan.plan;
        break;
    case PART_DECODE:
        must(vae_decode_plan_create(&network->decode_plan, network->vae, &vae_options,
                                    &err),
             &err);
        network->plan = network->decode_plan.plan;
        break;
    case PART_ENCODE:
        must(vae_encode_plan_create(&network->encode_plan, network->vae, &vae_options,
                                    &err),
             &err);
        network->plan = network->encode_plan.plan;
        break;
    case PART_TEXT:
        must(clip_text_plan_create(&network->text_plan, network->text,
                                   &(struct clip_text_shape){.n = options->batch,
                                                             .clip_skip = 1,
                                                             .profile = true},
                                   &err),
             &err);
        network->plan = network->text_plan.plan;
        break;
    }
}

static void fill_inputs(struct network *network, const struct options *options)
{
    struct plan *const plan = network->plan;
    switch (options->part) {
    case PART_UNET:
        fill_noise(plan, network->unet_plan.latent);
        fill_noise(plan, network->unet_plan.context);
        fill_noise(plan, network->unet_plan.vector);
        unet_plan_set_time(&network->unet_plan, 500.0F);
        break;
    case PART_DECODE: fill_noise(plan, network->decode_plan.latent); break;
    case PART_ENCODE: fill_noise(plan, network->encode_plan.image); break;
    case PART_TEXT:
        plan_clear(plan, network->text_plan.ids, 0, (size_t)options->batch * 77);
        break;
    }
}

static void open_network(struct network *network, const struct options *options)
{
    struct dr_error err = {0};
    uint8_t digest[DIGEST_BYTES];
    must(checkpoint_open(&network->checkpoint, options->path, &err), &err);
    const struct component_spec *const spec = make_spec(network, options);
    const struct component_load_options load = {.ledger = &network->ledger,
                                                .name = "bench"};
    double start = now();
    must(component_load(spec, &load, &network->weights, digest, &err), &err);
    const double load_s = now() - start;

    start = now();
    make_plan(network, options);
    const double plan_s = now() - start;
    const struct region_options arena = {
        .bytes = plan_bytes(network->plan),
        .tag = REGION_ACTIVATIONS,
        .component = "bench",
    };
    must(region_open(&network->arena, &network->ledger, &arena, &err), &err);
    must(plan_bind(network->plan, network->arena.data,
                   (const void *[]){network->weights.data}, 1, &err),
         &err);
    fill_inputs(network, options);
    printf("%s %dx%d batch %d %s; %s\n", part_names[options->part], options->width,
           options->height, options->batch, dtype_name(options->dtype),
           compute_description());
    printf("weights %.1f MiB (loaded in %.2f s), arena %.1f MiB, planned in %.2f s, "
           "%.2f times the least work\n",
           (double)spec->weights_bytes / 1048576, load_s,
           (double)plan_bytes(network->plan) / 1048576, plan_s,
           plan_flop(network->plan) / plan_whole_flop(network->plan));
}

static void close_network(struct network *network)
{
    unet_plan_destroy(&network->unet_plan);
    vae_decode_plan_destroy(&network->decode_plan);
    vae_encode_plan_destroy(&network->encode_plan);
    clip_text_plan_destroy(&network->text_plan);
    region_close(&network->arena);
    region_close(&network->weights);
    unet_spec_destroy(&network->unet);
    vae_spec_destroy(&network->vae);
    clip_text_spec_destroy(&network->text);
    checkpoint_close(&network->checkpoint);
}

/* ---- the table ---- */

struct row {
    char name[80];
    int32_t ops;
    double flop, seconds;
};

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const struct row *)a)->seconds,
                 y = ((const struct row *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void name_row(char name[static 80], const struct plan_op_profile *op,
                     bool detail)
{
    if (!detail) {
        snprintf(name, 80, "%s", op->kind);
        return;
    }
    snprintf(name, 80, "%s %dx%dx%d %d->%d", op->kind, op->shape.n, op->shape.h,
             op->shape.w, op->in, op->shape.c);
}

static void print_table(const struct plan *plan, bool detail)
{
    size_t count = 0, row_count = 0;
    const struct plan_op_profile *const ops = plan_profile(plan, &count);
    struct row *const rows = calloc(count + 1, sizeof *rows);
    if (!rows) fail("no memory");
    double seconds = 0;
    for (size_t i = 0; i < count; ++i) {
        struct row row = {.ops = 1, .flop = ops[i].flop};
        row.seconds = ops[i].runs > 0 ? ops[i].seconds / (double)ops[i].runs : 0;
        name_row(row.name, &ops[i], detail);
        seconds += row.seconds;
        size_t j = 0;
        while (j < row_count && strcmp(rows[j].name, row.name) != 0)
            ++j;
        if (j == row_count) {
            rows[row_count++] = row;
            continue;
        }
        ++rows[j].ops;
        rows[j].flop += row.flop;
        rows[j].seconds += row.seconds;
    }
    qsort(rows, row_count, sizeof *rows, by_seconds);
    printf("\n%-40s %5s %9s %9s %9s %6s\n", "kind", "ops", "GFLOP", "ms", "GFLOP/s",
           "share");
    for (size_t j = 0; j < row_count; ++j)
        printf("%-40s %5d %9.2f %9.2f %9.1f %5.1f%%\n", rows[j].name, rows[j].ops,
               rows[j].flop / 1e9, rows[j].seconds * 1e3,
               rows[j].flop / 1e9 / rows[j].seconds, 100 * rows[j].seconds / seconds);
    free(rows);
}

/* The yardstick, in the same run: the library's convolutions, each at its best. */
static double library_rate(int bf16)
{
    double rates[6];
    for (size_t i = 0; i < 6; ++i)
        rates[i] = library_conv_rate(&library_convs[i], bf16, 3, clock_used);
    return library_median(rates);
}

static void run(struct network *network, const struct options *options)
{
    struct dr_error err = {0};
    double best = INFINITY, sum = 0;
    must(plan_run(network->plan, NULL, &err), &err); /* warm */
    for (int32_t i = 0; i < options->runs; ++i) {
        const double start = now();
        must(plan_run(network->plan, NULL, &err), &err);
        const double seconds = now() - start;
        best = fmin(best, seconds);
        sum += seconds;
    }
    const double flop = plan_flop(network->plan);
    printf("%.1f GFLOP: best %.3f s (%.1f GFLOP/s), mean of %d runs %.3f s\n",
           flop / 1e9, best, flop / 1e9 / best, options->runs, sum / options->runs);
    const double rate = library_rate(options->dtype == DTYPE_BF16);
    printf("library's own rate %.1f GFLOP/s; this is %.2f of it\n", rate / 1e9,
           flop / best / rate);
}

int main(int count, char **arguments)
{
    const struct options options = parse(count, arguments);
    struct dr_error err = {0};
    if (options.threads == 1) clock_used = CLOCK_THREAD_CPUTIME_ID;
    must(compute_init(options.threads, &err), &err);
    static struct network network;
    open_network(&network, &options);
    run(&network, &options);
    print_table(network.plan, false);
    if (options.detail) print_table(network.plan, true);
    close_network(&network);
    return 0;
}
