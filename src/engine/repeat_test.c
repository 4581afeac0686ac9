/* Doing it again: the model that is loaded, the VAE that is chosen, a release of what is
 * released. Nothing is read twice or kept twice, and no failure leaves a descriptor open. */
#include "engine/engine_fixture.h"

#include <dirent.h>
#include <errno.h>

#include "base/fault_fixture.h"

static struct dr_receipt load_again(struct dr_engine *engine, const char *path)
{
    struct dr_load_result result = {0};
    const enum dr_code code =
        dr_engine_load(engine, path, DR_LOAD_EAGER, &result, &problem);
    if (code != DR_OK) check_str(problem.message, "");
    check_int(code, ==, DR_OK);
    (void)check_memory(engine);
    const struct dr_receipt receipt = result.receipt;
    dr_load_result_free(&result);
    return receipt;
}

/* A request that names the model each time must not pay for it each time, however the path is
 * spelled. */
static void the_same_model_again_reads_nothing(void)
{
    struct dr_engine *engine = open_engine();
    const char *const spellings[] = {in_root("a.safetensors"),
                                     in_root("./a.safetensors"),
                                     in_root("vae/..//a.safetensors"),
                                     in_root("link-to-folder/a.safetensors")};
    if (symlink(fixture_root, in_root("link-to-folder")) != 0) exit(1);
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "want.png");
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; ++i) {
        fault_arm(1U << FAULT_READ | 1U << FAULT_REGION | 1U << FAULT_MAP, 1,
                  FAULT_FROM_THEN_ON);
        const struct dr_receipt receipt = load_again(engine, spellings[i]);
        check(!fault_has_struck());
        fault_disarm();
        check_int(receipt.acquired_bytes, ==, 0);
        check_int(receipt.released_bytes, ==, 0);
        check_has(receipt.reason, "already loaded");
        check_int(check_memory(engine), ==, bytes);
    }
    picture(engine, "again.png");
    check(same_file("want.png", "again.png"));
    /* The control: a file that was written to since is another model, in whatever spelling. */
    run_command("cp '%s' '%s'", in_root("a.safetensors"), in_root("copy.safetensors"));
    load(engine, "copy.safetensors");
    run_command("touch -d '2001-02-03' '%s'", in_root("copy.safetensors"));
    check_int(load_again(engine, in_root("./copy.safetensors")).acquired_bytes, >,
              8 << 20);
    /* So is a link to it: its name and its neighbours are its own. */
    if (symlink("copy.safetensors", in_root("alias.safetensors")) != 0) exit(1);
    check_int(load_again(engine, in_root("alias.safetensors")).acquired_bytes, >,
              8 << 20);
    check_int(unlink(in_root("link-to-folder")), ==, 0);
    dr_engine_close(&engine);
}

/* Nothing is loaded twice on the way to a model with a VAE of its own either. */
static void a_first_load_reads_each_part_once(void)
{
    struct dr_engine *engine = open_engine();
    check_int(choose(engine, "sharp"), ==, DR_OK);
    const struct dr_receipt receipt = load_again(engine, in_root("a.safetensors"));
    check_int(receipt.acquired_bytes, ==, receipt.after.ledger_private_bytes);
    struct dr_memory memory;
    check_int(dr_engine_memory(engine, &memory, &problem), ==, DR_OK);
    int weights = 0;
    for (size_t i = 0; i < memory.region_count; ++i)
        weights += strcmp(memory.regions[i].tag, "weights") == 0;
    check_int(weights, ==, memory.component_count);
    /* one set of weights and the scratch through which a file passes */
    check_int(memory.ledger.peak_private_bytes, <=,
              memory.ledger.private_bytes + (4 << 20));
    dr_memory_free(&memory);
    dr_engine_close(&engine);
}

static void unload(struct dr_engine *engine, enum dr_unload_what what, bool is_loaded)
{
    struct dr_receipt receipt;
    for (int i = 0; i < 3; ++i) {
        check_int(dr_engine_unload(engine, what, &receipt, &problem), ==, DR_OK);
        check_int(receipt.acquired_bytes, ==, 0);
        if (i == 0 && is_loaded)
            check_int(receipt.released_bytes, >, 0);
        else
            check_int(receipt.released_bytes, ==, 0);
        (void)check_memory(engine);
    }
}

/* Elsewhere a model that was unloaded could not be switched any more, or its button did nothing.
 * Here the choice stays, the bytes go, and everything works from there. */
static void what_is_unloaded_is_gone_and_comes_back(void)
{
    struct dr_engine *engine = open_engine();
    unload(engine, DR_UNLOAD_MODEL, false);
    unload(engine, DR_UNLOAD_VAE, false);
    load(engine, "b.safetensors");
    picture(engine, "want-b.png");
    load(engine, "a.safetensors");
    picture(engine, "want-a.png");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    picture(engine, "want-sharp.png");
    const uint64_t bytes = check_memory(engine);

    unload(engine, DR_UNLOAD_VAE, true);
    picture(engine, "out.png");
    check(same_file("out.png", "want-sharp.png"));
    unload(engine, DR_UNLOAD_MODEL, true);
    check_int(check_memory(engine), ==, 0);
    picture(engine, "out.png");
    check(same_file("out.png", "want-sharp.png"));
    check_int(check_memory(engine), ==, bytes);

    /* unloaded, then another VAE, then another model, then back */
    unload(engine, DR_UNLOAD_MODEL, true);
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "out.png");
    check(same_file("out.png", "want-a.png"));
    unload(engine, DR_UNLOAD_MODEL, true);
    load(engine, "b.safetensors");
    unload(engine, DR_UNLOAD_VAE, true);
    picture(engine, "out.png");
    check(same_file("out.png", "want-b.png"));
    unload(engine, DR_UNLOAD_MODEL, true);
    load(engine, "a.safetensors");
    picture(engine, "out.png");
    check(same_file("out.png", "want-a.png"));
    dr_engine_close(&engine);
}

/* A VAE by a link, a hard link and its own name is one VAE: chosen again it is not read again.
 * A link that points elsewhere by now is another. */
static void a_link_is_the_file_it_points_to(void)
{
    static const char *const names[] = {"soft-link", "hard-link", "sharp"};
    struct dr_engine *engine = open_engine();
    if (symlink("sharp.safetensors", in_root("vae/soft-link.safetensors")) != 0 ||
        link(in_root("vae/sharp.safetensors"), in_root("vae/hard-link.safetensors")) !=
            0)
        exit(1);
    load(engine, "a.safetensors");
    check_int(choose(engine, "soft"), ==, DR_OK);
    picture(engine, "want-soft.png");
    const struct dr_vae_info soft = vae_state(engine);
    check_int(choose(engine, "sharp"), ==, DR_OK);
    const uint64_t bytes = check_memory(engine);
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        fault_arm(1U << FAULT_READ | 1U << FAULT_REGION | 1U << FAULT_MAP, 1,
                  FAULT_FROM_THEN_ON);
        check_int(choose(engine, names[i]), ==, DR_OK);
        check(!fault_has_struck());
        fault_disarm();
        check_int(check_memory(engine), ==, bytes);
    }
    check_int(choose(engine, "soft-link"), ==, DR_OK);
    check_int(unlink(in_root("vae/soft-link.safetensors")), ==, 0);
    if (symlink("soft.safetensors", in_root("vae/soft-link.safetensors")) != 0) exit(1);
    check_int(choose(engine, "soft-link"), ==, DR_OK);
    check_str(vae_state(engine).digest, soft.digest);
    /* the name by which it was loaded goes, and the bytes are asked for by the other */
    check_int(unlink(in_root("vae/soft-link.safetensors")), ==, 0);
    check_int(dr_engine_unload(engine, DR_UNLOAD_VAE, NULL, &problem), ==, DR_OK);
    check_int(choose(engine, "soft"), ==, DR_OK);
    picture(engine, "out.png");
    check(same_file("out.png", "want-soft.png"));

    /* links to nothing and to themselves are no files; the system says which is which */
    if (symlink("nothing.safetensors", in_root("vae/dangling.safetensors")) != 0 ||
        symlink("circle.safetensors", in_root("vae/circle.safetensors")) != 0)
        exit(1);
    check_int(choose(engine, "dangling"), ==, DR_NOT_FOUND);
    check_int(choose(engine, in_root("vae/circle.safetensors")), ==, DR_IO);
    check_has(problem.message, strerror(ELOOP));
    check_str(vae_state(engine).digest, soft.digest);
    check_int(unlink(in_root("vae/hard-link.safetensors")), ==, 0);
    check_int(unlink(in_root("vae/dangling.safetensors")), ==, 0);
    check_int(unlink(in_root("vae/circle.safetensors")), ==, 0);
    dr_engine_close(&engine);
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *const folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        ++count;
    if (folder) (void)closedir(folder);
    return count;
}

/* One round of what opens files, half of it in vain. */
static void open_and_fail(struct dr_engine *engine)
{
    struct dr_inspection inspection;
    load(engine, "b.safetensors");
    load(engine, "a.safetensors");
    check_int(choose(engine, "sharp"), ==, DR_OK);
    check_int(choose(engine, "cut"), !=, DR_OK);
    check_int(choose(engine, "gone"), !=, DR_OK);
    check_int(picture_with(engine, "x.png", "soft", NULL), ==, DR_OK);
    check_int(picture_with(engine, "x.png", "soft", in_root("x.png")), ==, DR_OK);
    check_int(picture_with(engine, "x.png", "cut", NULL), !=, DR_OK);
    check_int(picture_with(engine, "x.png", NULL, in_root("vae/cut.safetensors")), !=,
              DR_OK);
    check_int(picture_with(engine, "no-folder/x.png", NULL, NULL), !=, DR_OK);
    check_int(dr_engine_load(engine, in_root("vae/cut.safetensors"), DR_LOAD_EAGER,
                             NULL, &problem),
              !=, DR_OK);
    check_int(dr_inspect(in_root("vae/cut.safetensors"), NULL, &inspection, &problem),
              !=, DR_OK);
    check_int(dr_inspect(in_root("a.safetensors"),
                         &(struct dr_inspect_options){.flags = DR_INSPECT_DIGESTS},
                         &inspection, &problem),
              ==, DR_OK);
    dr_inspection_free(&inspection);
    fault_arm(1U << FAULT_READ, 9, FAULT_ONCE);
    check_int(choose(engine, "soft"), !=, DR_OK);
    fault_arm(1U << FAULT_READ, 40, FAULT_ONCE);
    check_int(dr_engine_load(engine, in_root("b.safetensors"), DR_LOAD_EAGER, NULL,
                             &problem),
              !=, DR_OK);
    fault_arm(1U << FAULT_WRITE, 1, FAULT_FROM_THEN_ON);
    check_int(picture_with(engine, "x.png", "soft", NULL), !=, DR_OK);
    check(fault_has_struck());
    fault_disarm();
    check_int(choose(engine, "none"), ==, DR_OK);
}

static void no_round_leaves_a_descriptor(void)
{
    const int before = count_descriptors();
    struct dr_engine *engine = open_engine();
    run_command("head -c 20000 '%s' >'%s'", in_root("vae/sharp.safetensors"),
                in_root("vae/cut.safetensors"));
    open_and_fail(engine);
    const int first = count_descriptors();
    check_int(first, >, before); /* the checkpoint's: what is counted can be seen */
    for (int i = 0; i < 4; ++i)
        open_and_fail(engine);
    check_int(count_descriptors(), ==, first);
    dr_engine_close(&engine);
    check_int(count_descriptors(), ==, before);
    check_int(unlink(in_root("vae/cut.safetensors")), ==, 0);
}

int main(void)
{
    fixture_size = "tiny";
    fixture_begin();
    check_run_with_faults(the_same_model_again_reads_nothing);
    check_run(a_first_load_reads_each_part_once);
    check_run(what_is_unloaded_is_gone_and_comes_back);
    check_run_with_faults(a_link_is_the_file_it_points_to);
    check_run_with_faults(no_round_leaves_a_descriptor);
    return check_done();
}
