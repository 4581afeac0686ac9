/* Checkpoints and VAEs that change on disk under an open engine: replaced by another file, rewritten
 * in place with the same size, cut short; before their weights are read, between two reads, in the
 * middle of one; in each layout that they come in. The answer is an error that names the file; never
 * other weights, never those of two files, never a crash. Afterwards the engine works. */
#include "engine/engine_fixture.h"

#include <sys/stat.h>

#include "base/fault_fixture.h"

enum change {
    CHANGE_REPLACE,
    CHANGE_REWRITE,
    CHANGE_CUT,
    CHANGE_COUNT
};

/* What is loaded, and which file of it changes: one that has to be found out by itself. */
static const struct layout {
    const char *kind, *path, *victim;
} layouts[] = {
    {"safetensors", "m.safetensors",                 "m.safetensors"                                  },
    {"zip",         "m-zip.ckpt",                    "m-zip.ckpt"                                     },
    {"legacy",      "m-legacy.ckpt",                 "m-legacy.ckpt"                                  },
    {"index",       "shards.safetensors.index.json", "shards-00002-of-00002.safetensors"              },
    {"safetensors", "folder",                        "folder/unet/diffusion_pytorch_model.safetensors"},
};
enum {
    LAYOUT_COUNT = sizeof layouts / sizeof layouts[0]
};

/* ---- files ---- */

static void make_layout(const char *kind, const char *checkpoint, const char *target)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    run_command("python3 '%s/tests/cli/layouts.py' sd15 %s '%s' '%s'",
                source ? source : ".", kind, in_root(checkpoint), in_root(target));
}

/* One seed's checkpoint in every layout, in a folder of its own. */
static void make_layouts(const char *folder, int seed)
{
    char options[64], name[64], target[300];
    run_command("mkdir '%s'", in_root(folder));
    (void)snprintf(options, sizeof options, "--family sd15 --size least --seed %d",
                   seed);
    (void)snprintf(name, sizeof name, "%s/m.safetensors", folder);
    make_checkpoint(name, options);
    for (int i = 1; i < LAYOUT_COUNT; ++i) {
        (void)snprintf(target, sizeof target, "%s/%s", folder, layouts[i].path);
        make_layout(layouts[i].kind, name, target);
    }
}

static const char *now_path(const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof path, "now/%s", name);
    return in_root(path);
}

static const char *new_path(const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof path, "new/%s", name);
    return in_root(path);
}

/* now/'s file is old/'s again, stamp and all: one that is written to afterwards has another stamp,
 * however coarse the clock. */
static void restore_file(const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof path, "old/%s", name);
    run_command("rm -f '%s' && cp -p '%s' '%s'", now_path(name), in_root(path),
                now_path(name));
}

/* The same inode and size, other bytes. */
static void rewrite(const char *name)
{
    struct stat now, fresh;
    check_int(stat(now_path(name), &now), ==, 0);
    check_int(stat(new_path(name), &fresh), ==, 0);
    check_int(now.st_size, ==, fresh.st_size); /* or it would be found out too easily */
    run_command("dd if='%s' of='%s' bs=1M conv=notrunc status=none", new_path(name),
                now_path(name));
}

static void change_file(enum change change, const char *name)
{
    struct stat status;
    switch (change) {
    case CHANGE_REPLACE:
        run_command("cp '%s' '%s.part' && mv '%s.part' '%s'", new_path(name),
                    now_path(name), now_path(name), now_path(name));
        return;
    case CHANGE_REWRITE: rewrite(name); return;
    case CHANGE_CUT:
        check_int(stat(now_path(name), &status), ==, 0);
        check_int(truncate(now_path(name), status.st_size / 2), ==, 0);
        return;
    case CHANGE_COUNT: break;
    }
    check(false);
}

/* ---- engines ---- */

static struct dr_engine *open_lazily(const char *path)
{
    struct dr_engine *const engine = open_engine();
    if (dr_engine_load(engine, now_path(path), DR_LOAD_LAZY, NULL, &problem) != DR_OK)
        check_str(problem.message, "");
    return engine;
}

static void check_refused(enum dr_code code, const char *victim)
{
    check_int(code, ==, DR_CHANGED);
    check_has(problem.message, now_path(victim));
}

/* The engine takes the file as it is now, or says what is wrong with it. */
static void check_recovers(struct dr_engine *engine, const struct layout *layout,
                           enum change change)
{
    problem = (struct dr_error){0};
    const enum dr_code code =
        dr_engine_load(engine, now_path(layout->path), DR_LOAD_EAGER, NULL, &problem);
    if (change == CHANGE_CUT) {
        check(code != DR_OK);
        check_has(problem.message, now_path(layout->victim));
    } else {
        check_int(code, ==, DR_OK);
    }
    (void)check_memory(engine);
    load(engine, "old/m.safetensors");
    picture(engine, "recovered.png");
    check(same_file("recovered.png", "old.png"));
}

/* ---- the checkpoint ---- */

static void each_change(void (*test)(const struct layout *layout, enum change change))
{
    for (int i = 0; i < LAYOUT_COUNT; ++i)
        for (int change = 0; change < CHANGE_COUNT; ++change) {
            /* Under a sanitizer one change to each. */
            if (!kernel_is_measured && (i + change) % CHANGE_COUNT != 0) continue;
            test(&layouts[i], (enum change)change);
            restore_file(layouts[i].victim);
        }
}

static void change_before(const struct layout *layout, enum change change)
{
    struct dr_engine *engine = open_lazily(layout->path);
    change_file(change, layout->victim);
    check_refused(picture_with(engine, "x.png", NULL, NULL), layout->victim);
    dr_engine_close(&engine);
}

static void a_change_before_the_load(void)
{
    each_change(change_before);
}

static void change_between(const struct layout *layout, enum change change)
{
    struct dr_engine *engine = open_lazily(layout->path);
    picture(engine, "first.png");
    check_int(dr_engine_unload(engine, DR_UNLOAD_MODEL, NULL, &problem), ==, DR_OK);
    change_file(change, layout->victim);
    check_refused(picture_with(engine, "x.png", NULL, NULL), layout->victim);
    if (layout == layouts || strcmp(layout->path, "folder") == 0)
        check_recovers(engine, layout, change);
    dr_engine_close(&engine);
}

static void a_change_between_two_loads(void)
{
    each_change(change_between);
}

/* Weights that are in memory are the old ones, whatever becomes of the file. */
static void change_loaded(const struct layout *layout, enum change change)
{
    struct dr_engine *engine = open_engine();
    check_int(dr_engine_load(engine, now_path(layout->path), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_OK);
    picture(engine, "before.png");
    change_file(change, layout->victim);
    picture(engine, "after.png");
    check(same_file("before.png", "after.png"));
    dr_engine_close(&engine);
}

static void a_change_after_the_load(void)
{
    for (int change = 0; change < CHANGE_COUNT; ++change) {
        change_loaded(&layouts[0], (enum change)change);
        restore_file(layouts[0].victim);
    }
}

/* The file changes at the nth piece that is read. */
struct meddler {
    enum change change;
    const char *victim;
    int at, piece_count;
};

static void meddle(void *cookie, const struct dr_progress *progress)
{
    struct meddler *const meddler = cookie;
    if (progress->stage != DR_STAGE_LOAD) return;
    if (++meddler->piece_count == meddler->at)
        change_file(meddler->change, meddler->victim);
}

static enum dr_code meddled_picture(struct dr_engine *engine, const char *name,
                                    const char *vae, struct meddler *meddler)
{
    struct dr_generate_result result;
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.negative = "fog";
    options.output = in_root(name);
    options.width = options.height = 64;
    options.steps = 2;
    options.seed = 7;
    options.vae = vae;
    options.progress = meddle;
    options.progress_cookie = meddler;
    problem = (struct dr_error){0};
    const enum dr_code code = dr_engine_generate(engine, &options, &result, &problem);
    if (code == DR_OK) dr_generate_result_free(&result);
    (void)check_memory(engine);
    return code;
}

/* The pieces that an undisturbed job reads. */
static int count_pieces(const char *path)
{
    struct meddler none = {.at = -1};
    struct dr_engine *engine = open_lazily(path);
    check_int(meddled_picture(engine, "x.png", NULL, &none), ==, DR_OK);
    dr_engine_close(&engine);
    check_int(none.piece_count, >, 100);
    return none.piece_count;
}

static int piece_counts[LAYOUT_COUNT];

static void change_during(const struct layout *layout, enum change change)
{
    const int count = piece_counts[layout - layouts];
    const int places[] = {1, count / 3, count - 2};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; ++i) {
        struct meddler meddler = {change, layout->victim, places[i], 0};
        restore_file(layout->victim);
        struct dr_engine *engine = open_lazily(layout->path);
        check_refused(meddled_picture(engine, "never.png", NULL, &meddler),
                      layout->victim);
        check(access(in_root("never.png"), F_OK) != 0);
        check_int(meddler.piece_count, >=, places[i]);
        dr_engine_close(&engine);
    }
}

static void a_change_in_the_middle_of_a_load(void)
{
    for (int i = 0; i < LAYOUT_COUNT; ++i)
        piece_counts[i] = count_pieces(layouts[i].path);
    each_change(change_during);
}

/* ---- an override, and the original ---- */

static const struct layout vaes[] = {
    {"safetensors", "vae.safetensors", "vae.safetensors"                              },
    {"safetensors", "other",           "other/vae/diffusion_pytorch_model.safetensors"},
};

/* The checkpoint of these tests stays as it is. */
static struct dr_engine *open_beside(void)
{
    struct dr_engine *const engine = open_engine();
    check_int(dr_engine_load(engine, in_root("old/m.safetensors"), DR_LOAD_LAZY, NULL,
                             &problem),
              ==, DR_OK);
    return engine;
}

static void check_base(struct dr_engine *engine)
{
    check_int(choose(engine, "none"), ==, DR_OK);
    picture(engine, "base.png");
    check(same_file("base.png", "old.png"));
}

static void change_override(const struct layout *vae, enum change change, bool read)
{
    struct dr_engine *engine = open_beside();
    check_int(choose(engine, now_path(vae->path)), ==, DR_OK);
    if (read) {
        picture(engine, "first.png");
        check(!same_file("first.png", "old.png"));
        check_int(dr_engine_unload(engine, DR_UNLOAD_VAE, NULL, &problem), ==, DR_OK);
    }
    change_file(change, vae->victim);
    check_refused(picture_with(engine, "x.png", NULL, NULL), vae->victim);
    check_base(engine);
    dr_engine_close(&engine);
}

static void change_override_during(const struct layout *vae, enum change change)
{
    struct dr_engine *engine = open_beside();
    picture(engine, "first.png"); /* what is read from now on is the VAE's */
    struct meddler meddler = {change, vae->victim, 20, 0};
    check_refused(meddled_picture(engine, "x.png", now_path(vae->path), &meddler),
                  vae->victim);
    check_int(meddler.piece_count, >=, 20);
    check_base(engine);
    dr_engine_close(&engine);
}

static void an_override_that_changes(void)
{
    for (size_t i = 0; i < sizeof vaes / sizeof vaes[0]; ++i)
        for (int change = 0; change < CHANGE_COUNT; ++change) {
            change_override(&vaes[i], (enum change)change, false);
            restore_file(vaes[i].victim);
            change_override(&vaes[i], (enum change)change, true);
            restore_file(vaes[i].victim);
            change_override_during(&vaes[i], (enum change)change);
            restore_file(vaes[i].victim);
        }
}

/* The saved original is bytes in a file: when they are gone the override stays, and says so. */
static void change_original(const struct layout *layout, enum change change)
{
    struct dr_engine *engine = open_engine();
    check_int(dr_engine_load(engine, now_path(layout->path), DR_LOAD_EAGER, NULL,
                             &problem),
              ==, DR_OK);
    check_int(choose(engine, new_path("vae.safetensors")), ==, DR_OK);
    picture(engine, "first.png");
    change_file(change, layout->victim);
    check_refused(choose(engine, "none"), layout->victim);
    check(vae_state(engine).override_active);
    picture(engine, "second.png");
    check(same_file("first.png", "second.png"));
    dr_engine_close(&engine);
}

static void an_original_that_changes(void)
{
    each_change(change_original);
}

/* ---- negative controls ---- */

/* With the look at the identity gone a rewritten file is taken for the old one: wholly where it was
 * rewritten before, and for half where it was rewritten in the middle. So the tests above can fail. */
static void without_identity_other_weights_come(void)
{
    struct dr_engine *engine = open_lazily("m.safetensors");
    change_file(CHANGE_REWRITE, "m.safetensors");
    fault_arm(1U << FAULT_IDENTITY, 1, FAULT_FROM_THEN_ON);
    check_int(picture_with(engine, "x.png", NULL, NULL), ==, DR_OK);
    fault_disarm();
    check(same_file("x.png", "new.png"));
    dr_engine_close(&engine);

    restore_file("m.safetensors");
    const int count = count_pieces("m.safetensors");
    engine = open_lazily("m.safetensors");
    struct meddler meddler = {CHANGE_REWRITE, "m.safetensors", count / 2, 0};
    fault_arm(1U << FAULT_IDENTITY, 1, FAULT_FROM_THEN_ON);
    check_int(meddled_picture(engine, "x.png", NULL, &meddler), ==, DR_OK);
    fault_disarm();
    check(!same_file("x.png", "new.png"));
    check(!same_file("x.png", "old.png"));
    dr_engine_close(&engine);
    restore_file("m.safetensors");
}

/* What was read once is held against its digest, too: here that alone finds the change. */
static void without_identity_a_restore_is_still_verified(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "now/m.safetensors");
    check_int(choose(engine, new_path("vae.safetensors")), ==, DR_OK);
    change_file(CHANGE_REWRITE, "m.safetensors");
    fault_arm(1U << FAULT_IDENTITY, 1, FAULT_FROM_THEN_ON);
    const enum dr_code code = choose(engine, "none");
    fault_disarm();
    check_refused(code, "m.safetensors");
    check_has(problem.message, "has changed");
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_folder();
    make_layouts("old", 1);
    make_layouts("new", 2);
    make_checkpoint("old/vae.safetensors",
                    "--family sd15 --size least --part vae --seed 3");
    make_checkpoint("new/vae.safetensors",
                    "--family sd15 --size least --part vae --seed 4");
    make_layout("safetensors", "new/m.safetensors", "old/other");
    make_layout("safetensors", "old/m.safetensors", "new/other");
    run_command("cp -rp '%s' '%s'", in_root("old"), in_root("now"));
    struct dr_engine *engine = open_engine();
    load(engine, "old/m.safetensors");
    picture(engine, "old.png");
    load(engine, "new/m.safetensors");
    picture(engine, "new.png");
    dr_engine_close(&engine);
    check(!same_file("old.png", "new.png"));

    check_run(a_change_before_the_load);
    check_run(a_change_between_two_loads);
    check_run(a_change_after_the_load);
    check_run(a_change_in_the_middle_of_a_load);
    check_run(an_override_that_changes);
    check_run(an_original_that_changes);
    check_run_with_faults(without_identity_other_weights_come);
    check_run_with_faults(without_identity_a_restore_is_still_verified);
    fixture_end();
    return check_done();
}
