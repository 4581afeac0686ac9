/* What the kernel keeps of files that are let go of, as the kernel counts it. */
#include "engine/engine_fixture.h"
#include "pipeline/cache_drop.h"

#include <fcntl.h>

static uint64_t resident(const char *name)
{
    uint64_t bytes = 0;
    const int descriptor = open(in_root(name), O_RDONLY | O_CLOEXEC);
    check(descriptor >= 0);
    check_int(page_cache_resident(descriptor, &bytes, &problem), ==, DR_OK);
    (void)close(descriptor);
    return bytes;
}

/* Written out, so that its pages can be dropped, and read, so that they are there. */
static void warm(const char *name)
{
    run_command("sync '%s' && cat '%s' > /dev/null", in_root(name), in_root(name));
    check_int(resident(name), >, 0);
}

static const char *const files[] = {"a.safetensors", "b.safetensors",
                                    "vae/sharp.safetensors", "vae/soft.safetensors"};

static void warm_all(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i)
        warm(files[i]);
}

static bool kernel_drops_here(void)
{
    struct page_cache_count count = {0};
    warm("a.safetensors");
    const int descriptor = open(in_root("a.safetensors"), O_RDONLY | O_CLOEXEC);
    const enum dr_code code = page_cache_drop(descriptor, &count, &problem);
    (void)close(descriptor);
    return code == DR_OK && count.resident_after == 0 && count.resident_before > 0;
}

static struct dr_engine *open_dropping(int drop_cache)
{
    struct dr_engine *engine;
    static char tokenizer[512];
    const char *const source = getenv("DARKROOM_SOURCE");
    struct dr_engine_options options = dr_engine_options_default();
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/data/tiny-tokenizer",
                   source ? source : ".");
    options.tokenizer_folder = tokenizer;
    options.vae_folder = in_root("vae");
    options.thread_count = 1;
    options.drop_cache = drop_cache;
    check_int(dr_engine_open(&engine, &options, &problem), ==, DR_OK);
    return engine;
}

static void choose_with(struct dr_engine *engine, const char *vae,
                        struct dr_receipt *receipt)
{
    check_int(dr_engine_choose_vae(engine, vae, 0, NULL, receipt, &problem), ==, DR_OK);
}

/* The kernel may have taken some of the pages for others since they were counted. */
static uint64_t at_least(uint64_t counted)
{
    return counted - counted / 4;
}

static void check_dropped(const struct dr_receipt *receipt, uint64_t counted)
{
    check_int(receipt->dropped_cache_bytes, <=, counted);
    check_int(receipt->dropped_cache_bytes, >=, at_least(counted));
}

static void switches_drop_what_they_leave(void)
{
    struct dr_engine *engine = open_dropping(1);
    struct dr_receipt receipt;
    struct dr_load_result loaded;
    warm_all();
    load(engine, "a.safetensors");

    /* Its own VAE goes, but the checkpoint is in use. */
    choose_with(engine, "sharp", &receipt);
    check_int(receipt.dropped_cache_bytes, ==, 0);
    check_int(resident("a.safetensors"), >, 0);

    const uint64_t sharp = resident("vae/sharp.safetensors");
    choose_with(engine, "soft", &receipt);
    check_dropped(&receipt, sharp);
    check_has(receipt.reason, "page cache: ");
    check_int(resident("vae/sharp.safetensors"), ==, 0);
    check_int(resident("vae/soft.safetensors"), >, 0);

    /* A job's own VAE, gone with the job; the setting's stays. */
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root("x.png");
    options.width = options.height = 64;
    options.steps = 1;
    options.vae = "sharp";
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    check_dropped(&result.receipt, sharp);
    dr_generate_result_free(&result);
    check_int(resident("vae/sharp.safetensors"), ==, 0);
    check_int(resident("vae/soft.safetensors"), >, 0);

    /* The next model has the same VAE set: that stays. */
    const uint64_t a = resident("a.safetensors");
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, &loaded,
                             &problem),
              ==, DR_OK);
    check_dropped(&loaded.receipt, a);
    check_has(loaded.receipt.reason, "files still in use stay in it");
    dr_load_result_free(&loaded);
    check_int(resident("a.safetensors"), ==, 0);
    check_int(resident("b.safetensors"), >, 0);
    check_int(resident("vae/soft.safetensors"), >, 0);
    dr_engine_close(&engine);
}

static void an_unload_drops_what_no_component_is_from(void)
{
    struct dr_engine *engine = open_dropping(0);
    struct dr_receipt receipt;
    warm_all();
    load(engine, "a.safetensors");
    check_int(dr_engine_unload(engine, DR_UNLOAD_VAE | DR_UNLOAD_DROP_CACHE, &receipt,
                               &problem),
              ==, DR_OK);
    check_int(receipt.dropped_cache_bytes, ==, 0);
    check_has(receipt.reason, "still in use");
    check_int(resident("a.safetensors"), >, 0);

    choose_with(engine, "sharp", &receipt);
    const uint64_t sharp = resident("vae/sharp.safetensors");
    check_int(dr_engine_unload(engine, DR_UNLOAD_VAE | DR_UNLOAD_DROP_CACHE, &receipt,
                               &problem),
              ==, DR_OK);
    check_dropped(&receipt, sharp);
    check_int(resident("vae/sharp.safetensors"), ==, 0);

    const uint64_t a = resident("a.safetensors");
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL | DR_UNLOAD_DROP_CACHE, &receipt,
                               &problem),
              ==, DR_OK);
    check_dropped(&receipt, a);
    check_int(resident("a.safetensors"), ==, 0);
    picture(engine, "y.png"); /* it comes back by itself */

    /* Dirty pages, and those that a process has mapped, are told apart from what went. */
    warm("a.safetensors");
    const int descriptor = open(in_root("a.safetensors"), O_RDONLY | O_CLOEXEC);
    struct ledger ledger = {0};
    struct region view = {0};
    const struct region_options mapped = {.bytes = 2 * region_page_bytes(),
                                          .tag = REGION_SCRATCH,
                                          .component = "view"};
    check_int(region_map(&view, &ledger, descriptor, 0, &mapped, &problem), ==, DR_OK);
    (void)*(const volatile unsigned char *)view.data;
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL | DR_UNLOAD_DROP_CACHE, &receipt,
                               &problem),
              ==, DR_OK);
    check_int(resident("a.safetensors"), >, 0);
    check_has(receipt.reason, " stay (");
    region_close(&view);
    (void)close(descriptor);
    dr_engine_close(&engine);
}

/* The control: nobody asked, and nothing is dropped or said. */
static void unasked_nothing_is_dropped(void)
{
    struct dr_engine *engine = open_dropping(0);
    struct dr_receipt receipt;
    uint64_t before[4];
    warm_all();
    for (int i = 0; i < 4; ++i)
        before[i] = resident(files[i]);
    load(engine, "a.safetensors");
    choose_with(engine, "sharp", &receipt);
    choose_with(engine, "soft", &receipt);
    check_int(receipt.dropped_cache_bytes, ==, 0);
    check(!strstr(receipt.reason, "page cache"));
    load(engine, "b.safetensors");
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, &receipt, &problem), ==, DR_OK);
    check_int(receipt.dropped_cache_bytes, ==, 0);
    for (int i = 0; i < 4; ++i)
        check_int(resident(files[i]), >=, at_least(before[i]));
    check_int(dr_engine_unload(engine, 7, &receipt, &problem), ==, DR_BAD_INPUT);
    dr_engine_close(&engine);
}

/* A kernel that does not count a file's pages: here since there is no file behind the descriptor. */
static void what_is_not_counted_is_unknown(void)
{
    char text[200];
    struct tensor_shard shard = {.path = "x", .descriptor = -1};
    const struct tensor_file file = {.shards = &shard, .shard_count = 1};
    struct cache_drop drop = {.is_wanted = true};
    check_int(cache_drop_bytes(&drop), ==, 0);
    cache_drop_file(&drop, &file, NULL, CACHE_KEEP_NAMED);
    check(cache_drop_bytes(&drop) == DR_UNKNOWN_BYTES);
    cache_drop_describe(&drop, text, sizeof text);
    check_has(text, "unknown");
    check_has(text, "cannot look at a file");
}

/* Other tests read the build's checkpoints at the same time, and their pages stay. */
static void own_files(void)
{
    run_command(
        "cd '%s' && for file in *.safetensors vae/*.safetensors; do "
        "cp --remove-destination \"$(readlink \"$file\")\" \"$file\" || exit; done",
        fixture_root);
}

int main(void)
{
    fixture_begin();
    own_files();
    check_run(what_is_not_counted_is_unknown);
    if (!kernel_drops_here())
        return check_skip("the file system of TMPDIR keeps its pages, or hides them");
    check_run(switches_drop_what_they_leave);
    check_run(an_unload_drops_what_no_component_is_from);
    check_run(unasked_nothing_is_dropped);
    return check_done();
}
