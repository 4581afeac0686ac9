/* What the kernel says after everything is given back: the promises of release, held against
 * smaps and not against our own books. Skipped under sanitizers, whose own memory is in the way.
 *
 * Threads are two here, as in real runs: their stacks and the allocator's arenas are part of
 * what has to come back. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "engine/engine_fixture.h"

#include <sys/mman.h>

#include "compute/compute.h"

static const int64_t mebibyte = 1 << 20;

static struct dr_memory memory_of(struct dr_engine *engine)
{
    struct dr_memory memory;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    struct dr_memory figures = memory; /* without the lists */
    figures.regions = NULL;
    figures.components = NULL;
    dr_memory_free(&memory);
    return figures;
}

static int64_t kernel_private(struct dr_engine *engine)
{
    return (int64_t)memory_of(engine).kernel.private_bytes;
}

static struct dr_engine *open_engine_two_threads(void)
{
    struct dr_engine *const engine = open_engine();
    check_int(compute_init(2, &problem), ==, DR_OK);
    return engine;
}

static void print_residual(const char *when, const struct dr_memory *memory)
{
    fprintf(
        stderr,
        "     %-22s %6.0f KiB private: ledger %.0f, image %.0f, heap %.0f, stacks %.0f, "
        "jit %.0f, other %.0f\n",
        when, (double)memory->kernel.private_bytes / 1024,
        (double)memory->ledger.private_bytes / 1024,
        (double)memory->residual.image_bytes / 1024,
        (double)memory->residual.heap_bytes / 1024,
        (double)memory->residual.stack_bytes / 1024,
        (double)memory->residual.jit_bytes / 1024,
        (double)memory->residual.other_bytes / 1024);
}

/* After `unload model` private memory is within 1 MiB of what it was after start plus one
 * earlier load, picture and unload; the five cycles differ in all they can. */
static void unload_gives_back_what_a_cycle_took(void)
{
    struct dr_engine *engine = open_engine_two_threads();
    struct dr_memory first = {0};
    for (int cycle = 0; cycle <= 5; ++cycle) {
        struct dr_receipt receipt;
        load(engine, cycle % 2 ? "b.safetensors" : "a.safetensors");
        check_int(choose(engine, cycle % 3 ? "sharp" : "none"), ==, DR_OK);
        picture(engine, "x.png");
        if (cycle % 2)
            check_int(picture_with(engine, "y.png", "soft", in_root("x.png")), ==,
                      DR_OK);
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, &receipt, &problem), ==,
                  DR_OK);
        check_int(receipt.after.ledger_private_bytes, ==, 0);
        check_int(receipt.released_bytes, ==, receipt.before.ledger_private_bytes);
        const struct dr_memory memory = memory_of(engine);
        print_residual("after unload", &memory);
        if (cycle == 0) first = memory;
        check_int((int64_t)memory.kernel.private_bytes, <=,
                  (int64_t)first.kernel.private_bytes + mebibyte);
    }
    /* The control: the same figure sees a region that was forgotten. */
    struct ledger ledger = {0};
    struct region forgotten = {0};
    const struct region_options options = {.bytes = 2 << 20,
                                           .tag = REGION_SCRATCH,
                                           .component = "forgotten"};
    check_int(region_open(&forgotten, &ledger, &options, &problem), ==, DR_OK);
    check_int(kernel_private(engine), >,
              (int64_t)first.kernel.private_bytes + mebibyte);
    check_int(memory_of(engine).residual.other_bytes, >=, 2 * mebibyte);
    region_close(&forgotten);
    dr_engine_close(&engine);
}

static void the_items_add_up(struct dr_engine *engine)
{
    const struct dr_memory memory = memory_of(engine);
    check_int(memory.residual.image_bytes + memory.residual.heap_bytes +
                  memory.residual.stack_bytes + memory.residual.jit_bytes +
                  memory.residual.shmem_bytes + memory.residual.other_bytes,
              ==, memory.residual.total_bytes);
}

/* Shared memory is private to the kernel's count, so it is in the total: and an item of its own. */
static void the_residuals_items_add_up(void)
{
    struct dr_engine *engine = open_engine();
    the_items_add_up(engine);
    void *const shared = mmap(NULL, (size_t)(2 * mebibyte), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) abort();
    memset(shared, 1, (size_t)(2 * mebibyte));
    the_items_add_up(engine);
    check_int(memory_of(engine).residual.shmem_bytes, >=, 2 * mebibyte);
    (void)munmap(shared, (size_t)(2 * mebibyte));
    dr_engine_close(&engine);
}

/* What a call says it released is gone from the kernel's figure when it returns: nothing waits
 * for an idle moment, a collector or the next call. */
static void check_fall(const struct dr_receipt *receipt)
{
    enum {
        SLACK_BYTES =
            256 << 10 /* an override's index, and what its first probe leaves */
    };
    const int64_t ledger = (int64_t)receipt->before.ledger_private_bytes -
                           (int64_t)receipt->after.ledger_private_bytes;
    const int64_t kernel = (int64_t)receipt->before.kernel_private_bytes -
                           (int64_t)receipt->after.kernel_private_bytes;
    check_int(ledger, ==,
              (int64_t)receipt->released_bytes - (int64_t)receipt->acquired_bytes);
    check_int(kernel, >=, ledger - SLACK_BYTES);
}

static void a_release_is_in_the_kernels_figure_when_the_call_returns(void)
{
    struct dr_engine *engine = open_engine_two_threads();
    struct dr_receipt receipt;
    load(engine, "a.safetensors");
    picture(engine, "x.png");
    check_int(dr_engine_choose_vae(engine, "sharp", 0, NULL, &receipt, &problem), ==,
              DR_OK);
    check_fall(&receipt);
    check_int(dr_engine_unload(engine, DR_UNLOAD_VAE, &receipt, &problem), ==, DR_OK);
    check_int(receipt.released_bytes, >, 128 << 10);
    check_fall(&receipt);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, &receipt, &problem), ==, DR_OK);
    check_int(receipt.released_bytes, >, mebibyte);
    check_fall(&receipt);

    /* The control: the same bytes, struck off one ledger while another still holds them. */
    load(engine, "a.safetensors");
    const int64_t before = kernel_private(engine);
    struct ledger ledger = {0};
    struct region kept = {0};
    const struct region_options options = {
        .bytes = (size_t)memory_of(engine).ledger.private_bytes,
        .tag = REGION_SCRATCH,
        .component = "kept"};
    check_int(region_open(&kept, &ledger, &options, &problem), ==, DR_OK);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, &receipt, &problem), ==, DR_OK);
    check_int(before - kernel_private(engine), <,
              (int64_t)receipt.released_bytes - mebibyte);
    region_close(&kept);
    dr_engine_close(&engine);
}

/* After a release malloc keeps next to nothing of what was given back to it. */
static void a_release_leaves_no_kept_heap(void)
{
    enum {
        KEPT_BYTES = 1 << 20,
        COUNT = 200
    };
    struct dr_engine *engine = open_engine_two_threads();
    void *blocks[COUNT];
    load(engine, "a.safetensors");
    picture(engine, "x.png");
    for (int i = 0; i < COUNT; ++i) {
        blocks[i] = malloc(20000);
        if (!blocks[i]) abort();
        memset(blocks[i], 1, 20000);
    }
    for (int i = 0; i + 1 < COUNT; ++i) /* the last one pins the others from above */
        free(blocks[i]);
    /* The control: a heap that was not trimmed shows. */
    const struct dr_memory kept = memory_of(engine);
    check_int(kept.residual.heap_retained_bytes, >, 2 * mebibyte);
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    const struct dr_memory after = memory_of(engine);
    fprintf(stderr, "     heap used %llu KiB, kept %llu KiB\n",
            (unsigned long long)after.residual.heap_used_bytes / 1024,
            (unsigned long long)after.residual.heap_retained_bytes / 1024);
    check_int(after.residual.heap_used_bytes, >, 0);
    check_int(after.residual.heap_retained_bytes, <, KEPT_BYTES);
    free(blocks[COUNT - 1]);
    dr_engine_close(&engine);
}

/* sdnext#3272 in figures: thirty switches, a picture in between. */
static void thirty_switches_grow_nothing(void)
{
    struct dr_engine *engine = open_engine_two_threads();
    static const char *const choices[] = {"sharp", "none", "soft", "automatic"};
    int64_t tenth = 0, last = 0;
    load(engine, "a.safetensors");
    for (int i = 1; i <= 30; ++i) {
        check_int(choose(engine, choices[i % 4]), ==, DR_OK);
        picture(engine, "x.png");
        last = kernel_private(engine);
        if (i == 10) tenth = last;
    }
    fprintf(stderr, "     growth from switch 10 to 30: %lld bytes\n",
            (long long)(last - tenth));
    check_int(last - tenth, <=, 64 * 1024);
    dr_engine_close(&engine);
}

/* Pictures alone: other sizes, prompts and formats, nothing is switched. Elsewhere each left
 * something. The heap takes some tens of pictures to find its shape where all differ (what malloc
 * keeps for each thread counts as used), so the bound is 8 KiB a picture. */
static void pictures_alone_grow_nothing(void)
{
    struct dr_engine *engine = open_engine_two_threads();
    int64_t early = 0, last = 0;
    load(engine, "a.safetensors");
    for (int i = 1; i <= 50; ++i) {
        struct dr_generate_result result;
        struct dr_generate_options options = dr_generate_options_default();
        char prompt[32];
        (void)snprintf(prompt, sizeof prompt, "prompt %d", i);
        options.prompt = prompt;
        options.width = 64 + 8 * (i % 3);
        options.height = 64;
        options.steps = 1;
        options.batch = 1 + i % 2;
        options.output = in_root(i % 4 ? "x.png" : "x.jpg");
        check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
        dr_generate_result_free(&result);
        last = kernel_private(engine);
        if (i == 20) early = last;
    }
    fprintf(stderr, "     growth from picture 20 to 50: %lld bytes\n",
            (long long)(last - early));
    check_int(last - early, <=, 30 * 8 * 1024);
    dr_engine_close(&engine);
}

/* Each time another model: elsewhere the same two were fine, and the tenth was too much. */
static void many_models_grow_nothing(void)
{
    struct dr_engine *engine = open_engine_two_threads();
    int64_t third = 0, last = 0;
    char name[64];
    for (int i = 1; i <= 12; ++i) {
        (void)snprintf(name, sizeof name, "model-%d.safetensors", i);
        if (link(in_root(i % 2 ? "b.safetensors" : "a.safetensors"), in_root(name)) !=
            0)
            exit(1);
        load(engine, name);
        picture(engine, "x.png");
        last = kernel_private(engine);
        if (i == 3) third = last;
    }
    check_int(last - third, <=, 64 * 1024);
    dr_engine_close(&engine);
}

/* ---- while a job runs -------------------------------------------------------------------- */

/* The engine is busy in a callback, so the kernel is asked directly. */
struct watch {
    const struct dr_engine *engine;
    int64_t most_total, most_other;
    int looks;
};

static void look(void *cookie, const struct dr_progress *progress)
{
    struct watch *const watch = cookie;
    struct kernel_view view;
    (void)progress;
    kernel_view_read(&view, &watch->engine->resources.ledger);
    check(view.regions_known && view.regions_agree);
    const int64_t total = (int64_t)view.residual.total_bytes;
    const int64_t other = (int64_t)view.residual.other_bytes;
    if (total > watch->most_total) watch->most_total = total;
    if (other > watch->most_other) watch->most_other = other;
    ++watch->looks;
}

/* What a budget takes off for primitives, heap and the like is never exceeded. */
static void a_running_job_stays_within_the_stated_residual(void)
{
    static const int32_t sizes[][2] = {
        {64,  64 },
        {256, 128}
    };
    struct dr_engine *engine = open_engine_two_threads();
    struct watch watch = {.engine = engine};
    const int64_t baseline = (int64_t)memory_of(engine).residual.baseline_bytes;
    load(engine, "a.safetensors");
    for (int i = 0; i < 4; ++i) {
        struct dr_generate_result result;
        struct dr_generate_options options = dr_generate_options_default();
        options.prompt = i % 2 ? "one" : "two";
        options.width = sizes[i / 2][0];
        options.height = sizes[i / 2][1];
        options.steps = 2;
        options.output = in_root("x.png");
        options.init = i % 2 ? in_root("init.png") : NULL;
        options.progress = look;
        options.progress_cookie = &watch;
        check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
        dr_generate_result_free(&result);
        if (i == 0) run_command("cp '%s' '%s'", in_root("x.png"), in_root("init.png"));
    }
    fprintf(stderr,
            "     baseline %lld KiB, most residual %lld KiB, most other %lld KiB\n",
            (long long)baseline / 1024, (long long)watch.most_total / 1024,
            (long long)watch.most_other / 1024);
    check_int(watch.looks, >, 20);
    check_int(watch.most_total - baseline, <, (int64_t)ENGINE_RESIDUAL_BYTES);
    check_int(watch.most_other, <, mebibyte);
    dr_engine_close(&engine);
}

/* The same at the true shapes, on demand: DARKROOM_FULL_MODEL names an SD1.5 checkpoint. */
static void a_full_model_stays_within_the_stated_residual(void)
{
    const char *const path = getenv("DARKROOM_FULL_MODEL");
    if (!path) {
        check_skip_case(
            "on demand: DARKROOM_FULL_MODEL names a checkpoint of full size");
        return;
    }
    struct dr_engine *engine = open_engine_two_threads();
    struct watch watch = {.engine = engine};
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    const int64_t baseline = (int64_t)memory_of(engine).residual.baseline_bytes;
    options.prompt = "one";
    options.steps = 2;
    options.output = in_root("x.png");
    options.progress = look;
    options.progress_cookie = &watch;
    for (int i = 0; i < 2; ++i) {
        check_int(dr_engine_load(engine, path, DR_LOAD_EAGER, NULL, &problem), ==,
                  DR_OK);
        check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
        check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
        fprintf(stderr, "     peak %lld MiB of regions\n",
                (long long)result.peak_private_bytes / mebibyte);
        dr_generate_result_free(&result);
        struct dr_memory memory = memory_of(engine);
        print_residual("after a picture", &memory);
        check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
        memory = memory_of(engine);
        print_residual("after unload", &memory);
    }
    fprintf(stderr,
            "     baseline %lld KiB, most residual %lld KiB, most other %lld KiB\n",
            (long long)baseline / 1024, (long long)watch.most_total / 1024,
            (long long)watch.most_other / 1024);
    check_int(watch.most_total - baseline, <, (int64_t)ENGINE_RESIDUAL_BYTES);
    check_int(watch.most_other, <, mebibyte);
    dr_engine_close(&engine);
}

static void engines_come_and_go(void)
{
    struct kernel_totals totals;
    int64_t second = 0, last = 0;
    for (int i = 0; i < 4; ++i) {
        struct dr_engine *engine = open_engine_two_threads();
        load(engine, "a.safetensors");
        picture(engine, "x.png");
        dr_engine_close(&engine);
        check_int(kernel_totals_read(&totals, &problem), ==, DR_OK);
        last = (int64_t)totals.private_bytes;
        if (i == 1) second = last;
    }
    check_int(last - second, <=, 256 * 1024);
}

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
    return check_skip("the sanitizer's own memory hides what is measured here");
#endif
    fixture_begin();
    check_run(the_residuals_items_add_up);
    check_run(unload_gives_back_what_a_cycle_took);
    check_run(a_release_is_in_the_kernels_figure_when_the_call_returns);
    check_run(a_release_leaves_no_kept_heap);
    check_run(thirty_switches_grow_nothing);
    check_run(pictures_alone_grow_nothing);
    check_run(many_models_grow_nothing);
    check_run(a_running_job_stays_within_the_stated_residual);
    check_run(engines_come_and_go);
    check_run(a_full_model_stays_within_the_stated_residual);
    return check_done();
}
