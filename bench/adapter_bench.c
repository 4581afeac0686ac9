/* adapter_bench — what LoRAs cost: a guided UNet step with them against one without, and applying them.
 *
 *     adapter_bench CHECKPOINT LORA... [--dtype bf16|f32] [--size WxH] [--runs N] [--threads N]
 *                   [--weights auto|computed] [--cpu]
 *
 * Two plans of one UNet take turns, so that whatever else the machine does slows both; each pair of runs is
 * one ratio. Times are of the wall clock; with --cpu or --threads 1 they are processor time of all threads, which other
 * programs hardly lengthen (run it with OMP_WAIT_POLICY=passive, or waiting counts too). Then
 * the files are opened, matched and read into memory --runs times, as a job does before its first step. Inputs are
 * noise: time depends on no value.
 *
 * bench/random_lora.py makes LoRAs of any rank.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network_bench.h"

#include "base/size.h"
#include "compute/compute.h"
#include "mem/region.h"
#include "model/adapter.h"
#include "model/unet.h"

const char bench_name[] = "adapter_bench";

enum {
    MOST_LORAS = 16,
    MOST_RUNS = 1000
};

struct options {
    const char *path, *loras[MOST_LORAS];
    int32_t lora_count, width, height, runs;
    enum dtype dtype;
    enum component_storage storage;
    int threads;
};

/* One plan, with an arena of its own. */
struct network {
    struct unet_plan unet;
    struct region arena;
};

struct opened {
    struct adapter_file file;
    struct adapter_spec *spec;
    struct region tables;
};

struct bench {
    struct ledger ledger;
    struct checkpoint checkpoint;
    struct unet_spec *spec;
    struct region weights;
    struct opened loras[MOST_LORAS];
    int32_t lora_count;
    struct weight_delta *items;
    struct weight_deltas deltas;
    struct network without, with;
};

/* ---- options ---- */

static const char usage[] =
    "usage: adapter_bench CHECKPOINT LORA... [--dtype bf16|f32] [--size WxH]\n"
    "                     [--runs N] [--threads N] [--weights auto|computed] [--cpu]\n";

static int32_t number(const char *text, int32_t most)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > most) fail(usage);
    return (int32_t)value;
}

static struct options parse(int count, char **arguments)
{
    static const struct option longs[] = {
        {"dtype",   required_argument, NULL, 'd'},
        {"size",    required_argument, NULL, 's'},
        {"runs",    required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"weights", required_argument, NULL, 'w'},
        {"cpu",     no_argument,       NULL, 'c'},
        {NULL,      0,                 NULL, 0  },
    };
    struct options options = {
        .width = 512, .height = 512, .runs = 5, .dtype = DTYPE_BF16};
    int letter;
    while ((letter = getopt_long(count, arguments, "", longs, NULL)) != -1) {
        switch (letter) {
        case 'd':
            options.dtype = strcmp(optarg, "f32") == 0 ? DTYPE_F32 : DTYPE_BF16;
            break;
        case 's':
            if (sscanf(optarg, "%dx%d", &options.width, &options.height) != 2)
                fail(usage);
            break;
        case 'r': options.runs = number(optarg, MOST_RUNS); break;
        case 't': options.threads = number(optarg, 1024); break;
        case 'w':
            options.storage =
                strcmp(optarg, "computed") == 0 ? STORAGE_COMPUTED : STORAGE_FILE;
            break;
        case 'c': clock_used = CLOCK_PROCESS_CPUTIME_ID; break;
        default: fail(usage);
        }
    }
    options.lora_count = count - optind - 1;
    if (options.lora_count < 1 || options.lora_count > MOST_LORAS) fail(usage);
    options.path = arguments[optind];
    for (int32_t i = 0; i < options.lora_count; ++i)
        options.loras[i] = arguments[optind + 1 + i];
    return options;
}

/* ---- LoRAs ---- */

/* As a job does before its first step. Returns the seconds. */
static double apply(struct bench *bench, const struct options *options)
{
    struct dr_error err = {0};
    uint8_t digest[DIGEST_BYTES];
    const double start = now();
    for (int32_t i = 0; i < options->lora_count; ++i) {
        struct opened *const lora = &bench->loras[i];
        const struct adapter_networks networks = {
            .components = {[ROLE_UNET] = unet_component(bench->spec)},
            .family = bench->checkpoint.family};
        must(adapter_file_open(&lora->file, options->loras[i], &err), &err);
        must(adapter_spec_create(&lora->spec, &lora->file, &networks, i + 1, &err),
             &err);
        must(component_load(adapter_component(lora->spec),
                            &(struct component_load_options){.ledger = &bench->ledger,
                                                             .name = "lora"},
                            &lora->tables, digest, &err),
             &err);
    }
    bench->lora_count = options->lora_count;
    return now() - start;
}

static double remove_all(struct bench *bench)
{
    const double start = now();
    for (int32_t i = 0; i < bench->lora_count; ++i) {
        struct opened *const lora = &bench->loras[i];
        region_close(&lora->tables);
        adapter_spec_destroy(&lora->spec);
        adapter_file_close(&lora->file);
    }
    return now() - start;
}

static int compare_targets(const void *left, const void *right)
{
    const struct weight_delta *const a = left, *const b = right;
    return (a->target > b->target) - (a->target < b->target);
}

static void gather(struct bench *bench)
{
    size_t total = 0, count = 0, filled = 0;
    for (int32_t i = 0; i < bench->lora_count; ++i) {
        (void)adapter_deltas(bench->loras[i].spec, ROLE_UNET, &count);
        total += count;
    }
    bench->items = calloc(total + 1, sizeof *bench->items);
    if (!bench->items) fail("no memory");
    for (int32_t i = 0; i < bench->lora_count; ++i) {
        const struct weight_delta *const own =
            adapter_deltas(bench->loras[i].spec, ROLE_UNET, &count);
        memcpy(bench->items + filled, own, count * sizeof *own);
        filled += count;
    }
    qsort(bench->items, filled, sizeof *bench->items, compare_targets);
    bench->deltas = (struct weight_deltas){bench->items, filled};
}

static void print_sizes(const struct bench *bench)
{
    for (int32_t i = 0; i < bench->lora_count; ++i) {
        const struct opened *const lora = &bench->loras[i];
        const double file = (double)lora->file.bytes;
        const double held = (double)adapter_component(lora->spec)->weights_bytes;
        printf(
            "%s: %d layers, %d of them of the model, rank %d; %.1f MiB in the file, %.1f MiB in memory (%+.2f %%)\n",
            lora->file.file.path, (int)lora->file.layer_count,
            (int)adapter_info(lora->spec)->used_count, (int)lora->file.layers[0].rank,
            file / 1048576, held / 1048576, 100 * (held / file - 1));
    }
}

/* ---- the network ---- */

/* As a job plans it: what depends on the context alone is kept from step to step. */
static void open_plan(struct bench *bench, const struct options *options,
                      const struct weight_deltas *deltas, struct network *network)
{
    struct dr_error err = {0};
    const struct unet_shape shape = {.n = 2,
                                     .height = options->height / 8,
                                     .width = options->width / 8,
                                     .tokens = 77,
                                     .deltas = deltas};
    const void *regions[MOST_LORAS + 1] = {bench->weights.data};
    must(unet_plan_create(&network->unet, bench->spec, &shape, true, &err), &err);
    must(plan_keep_steady(network->unet.plan, true, &err), &err);
    must(region_open(&network->arena, &bench->ledger,
                     &(struct region_options){.bytes = plan_bytes(network->unet.plan),
                                              .tag = REGION_ACTIVATIONS,
                                              .component = "bench"},
                     &err),
         &err);
    for (int32_t i = 0; i < bench->lora_count; ++i)
        regions[i + 1] = bench->loras[i].tables.data;
    must(plan_bind(network->unet.plan, network->arena.data, regions,
                   bench->lora_count + 1, &err),
         &err);
    fill_noise(network->unet.plan, network->unet.latent);
    fill_noise(network->unet.plan, network->unet.context);
    fill_noise(network->unet.plan, network->unet.vector);
    unet_plan_set_time(&network->unet, 500.0F);
}

static void close_plan(struct network *network)
{
    unet_plan_destroy(&network->unet);
    region_close(&network->arena);
}

static void open_network(struct bench *bench, const struct options *options)
{
    struct dr_error err = {0};
    uint8_t digest[DIGEST_BYTES];
    must(checkpoint_open(&bench->checkpoint, options->path, &err), &err);
    must(unet_spec_create(&bench->spec, &bench->checkpoint.components[ROLE_UNET],
                          bench->checkpoint.family, options->dtype, &err),
         &err);
    must(unet_spec_store(bench->spec, options->storage, &err), &err);
    must(component_load(unet_component(bench->spec),
                        &(struct component_load_options){.ledger = &bench->ledger,
                                                         .name = "unet"},
                        &bench->weights, digest, &err),
         &err);
}

/* ---- times ---- */

static int compare_numbers(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double step(const struct network *network)
{
    struct dr_error err = {0};
    const double start = now();
    must(plan_run(network->unet.plan, NULL, &err), &err);
    return now() - start;
}

static void compare_steps(const struct bench *bench, int32_t runs)
{
    static double without[MOST_RUNS], with[MOST_RUNS], ratios[MOST_RUNS];
    (void)step(&bench->without);
    (void)step(&bench->with);
    for (int32_t i = 0; i < runs; ++i) {
        without[i] = step(&bench->without);
        with[i] = step(&bench->with);
        ratios[i] = with[i] / without[i];
    }
    qsort(without, (size_t)runs, sizeof *without, compare_numbers);
    qsort(with, (size_t)runs, sizeof *with, compare_numbers);
    qsort(ratios, (size_t)runs, sizeof *ratios, compare_numbers);
    printf("a step: %.3f s without, %.3f s with (best of %d); +%.1f %% by the best, "
           "+%.1f %% by the median of pairs (%.1f to %.1f)\n",
           without[0], with[0], (int)runs, 100 * (with[0] / without[0] - 1),
           100 * (ratios[runs / 2] - 1), 100 * (ratios[0] - 1),
           100 * (ratios[runs - 1] - 1));
    printf("arena %.1f MiB without, %.1f MiB with\n",
           (double)plan_bytes(bench->without.unet.plan) / 1048576,
           (double)plan_bytes(bench->with.unet.plan) / 1048576);
}

/* Of each kind of operator: without and with. */
static void compare_kinds(const struct bench *bench)
{
    size_t count = 0, with_count = 0;
    const struct plan_op_profile *const without =
        plan_profile(bench->without.unet.plan, &count);
    const struct plan_op_profile *const with =
        plan_profile(bench->with.unet.plan, &with_count);
    if (count != with_count) fail("the plans differ");
    for (size_t i = 0; i < count; ++i) {
        double sums[2] = {0};
        bool is_first = true;
        for (size_t k = 0; k < i; ++k)
            if (strcmp(without[k].kind, without[i].kind) == 0) is_first = false;
        for (size_t k = i; k < count && is_first; ++k) {
            if (strcmp(without[k].kind, without[i].kind) != 0) continue;
            sums[0] += without[k].seconds / (double)without[k].runs;
            sums[1] += with[k].seconds / (double)with[k].runs;
        }
        if (is_first)
            printf("  %-24s %8.1f ms %8.1f ms\n", without[i].kind, 1e3 * sums[0],
                   1e3 * sums[1]);
    }
}

static void time_applying(struct bench *bench, const struct options *options)
{
    static double applied[MOST_RUNS], removed[MOST_RUNS];
    for (int32_t i = 0; i < options->runs; ++i) {
        removed[i] = remove_all(bench);
        applied[i] = apply(bench, options);
    }
    qsort(applied, (size_t)options->runs, sizeof *applied, compare_numbers);
    qsort(removed, (size_t)options->runs, sizeof *removed, compare_numbers);
    printf("applied in %.1f ms (median %.1f), removed in %.1f ms (median %.1f)\n",
           1e3 * applied[0], 1e3 * applied[options->runs / 2], 1e3 * removed[0],
           1e3 * removed[options->runs / 2]);
}

int main(int count, char **arguments)
{
    const struct options options = parse(count, arguments);
    static struct bench bench;
    struct dr_error err = {0};
    if (options.threads == 1) clock_used = CLOCK_PROCESS_CPUTIME_ID;
    must(compute_init(options.threads, &err), &err);
    open_network(&bench, &options);
    printf("%dx%d, guided, %s; %s; %s time\n", options.width, options.height,
           dtype_name(options.dtype), compute_description(),
           clock_used == CLOCK_MONOTONIC ? "wall" : "processor");
    (void)apply(&bench, &options);
    print_sizes(&bench);
    gather(&bench);
    open_plan(&bench, &options, NULL, &bench.without);
    open_plan(&bench, &options, &bench.deltas, &bench.with);
    compare_steps(&bench, options.runs);
    compare_kinds(&bench);
    close_plan(&bench.with);
    close_plan(&bench.without);
    time_applying(&bench, &options);
    (void)remove_all(&bench);
    free(bench.items);
    region_close(&bench.weights);
    unet_spec_destroy(&bench.spec);
    checkpoint_close(&bench.checkpoint);
    return 0;
}
