/* The list of models: where each lies, what is known of it, and the hash that was computed before. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "check.h"
#include "darkroom/darkroom.h"
#include "pack_folder.h"
#include "ready_checkpoint.h"
#include "scratch_folder.h"
#include "weights/pack_store.h"

static struct dr_error problem;
static struct dr_model_list list;

static void link_checkpoint(const char *name)
{
    char ready[512];
    ready_checkpoint_path(ready, sizeof ready, "--family sd15 --size least --seed 1");
    check_int(symlink(ready, scratch_path(name)), ==, 0);
}

/* The first half of one. */
static void cut_checkpoint(const char *name)
{
    char ready[512], command[2048];
    ready_checkpoint_path(ready, sizeof ready, "--family sd15 --size least --seed 1");
    (void)snprintf(command, sizeof command,
                   "head -c $(($(stat -L -c %%s '%s') / 2)) '%s' > '%s'", ready, ready,
                   scratch_path(name));
    check_int(system(command), ==, 0);
}

static void look(void)
{
    static char folders[300];
    (void)snprintf(folders, sizeof folders, "%s:%s", scratch_path("one"),
                   scratch_path("two"));
    const struct dr_models_options options = {.model_folders = folders,
                                              .vae_folder = scratch_path("vae"),
                                              .pack_folder = pack_folder(),
                                              .settings_path = ""};
    dr_model_list_free(&list);
    check_int(dr_models_list(&options, &list, &problem), ==, DR_OK);
}

static const struct dr_listed_model *model(const char *file)
{
    static char none[] = "(not listed)";
    static const struct dr_listed_model missing = {
        .name = none, .path = none, .file = none, .vae = none, .problem = none};
    for (size_t i = 0; i < list.count; ++i)
        if (strcmp(list.models[i].file, file) == 0) return &list.models[i];
    return &missing;
}

static void models_are_named_by_the_path_below_their_directory(void)
{
    look();
    check_int(list.folder_count, ==, 2);
    check_str(list.folder_paths[0], scratch_path("one"));
    check_str(list.folder_paths[1], scratch_path("two"));
    check_int(list.count, ==, 4);
    check_str(model("a.safetensors")->name, "a");
    check_str(model("a.safetensors")->family, "sd15");
    check_str(model("a.safetensors")->path, scratch_path("one/a.safetensors"));
    check_str(model("a.safetensors")->vae, "its own");
    check_str(model("a.safetensors")->problem, "");
    check(model("a.safetensors")->bytes > 0);
    check_str(model("below/b.safetensors")->name, "b");
    check_str(model("c.safetensors")->path, scratch_path("two/c.safetensors"));
    check_has(model("torn.safetensors")->problem, "torn.safetensors");
    check_str(model("torn.safetensors")->family, "");
}

/* As the job that writes a picture remembers it. */
static void remember(const char *path, const uint8_t digest[DIGEST_BYTES])
{
    struct pack_store store;
    struct checkpoint checkpoint = {0};
    pack_store_open(&store, pack_folder());
    check_int(checkpoint_open(&checkpoint, path, &problem), ==, DR_OK);
    pack_store_remember_file(&store, &checkpoint.file.shards[0], digest);
    checkpoint_close(&checkpoint);
}

static void a_hash_is_known_once_it_was_computed(void)
{
    uint8_t digest[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    for (size_t i = 0; i < sizeof digest; ++i)
        digest[i] = (uint8_t)(16 * i + 3);
    struct pack_store store;
    pack_store_open(&store, pack_folder());
    if (!pack_store_is_on(&store)) {
        check_skip_case("packs are off here");
        return;
    }
    look();
    check_str(model("a.safetensors")->sha256, "");
    remember(model("a.safetensors")->path, digest);
    look();
    check_str(model("a.safetensors")->sha256, digest_hex(digest, hex));
    check_str(model("torn.safetensors")->sha256, "");
}

/* One of thousands is as long as one alone. */
static void names_of_any_length_are_listed(void)
{
    char name[220] = "one/", stem[200];
    memset(stem, 'n', sizeof stem);
    stem[199] = '\0';
    (void)snprintf(name, sizeof name, "one/%s.safetensors", stem);
    link_checkpoint(name);
    look();
    check_str(model(name + 4)->name, stem);
    check_int(unlink(scratch_path(name)), ==, 0);
}

/* What an earlier list says of a file counts until the file changes: here it says something that no file does. */
static void files_that_are_as_they_were_are_not_read_again(void)
{
    char folder[300];
    (void)snprintf(folder, sizeof folder, "%s", scratch_path("two"));
    struct dr_model_list before, now;
    struct dr_models_options options = {.model_folders = folder,
                                        .vae_folder = scratch_path("vae"),
                                        .pack_folder = pack_folder(),
                                        .settings_path = ""};
    char ready[512], command[2048];
    ready_checkpoint_path(ready, sizeof ready, "--family sd15 --size least --seed 1");
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", ready,
                   scratch_path("two/own.safetensors"));
    check_int(system(command), ==, 0);
    check_int(dr_models_list(&options, &before, &problem), ==, DR_OK);
    check_int(before.count, ==, 3);
    for (size_t i = 0; i < before.count; ++i)
        (void)snprintf(before.models[i].family, sizeof before.models[i].family, "told");
    options.before = &before;
    const char *const expected[][3] = {
        {"told", "told", ""},
        {"told", "sd15", ""}
    };
    for (size_t round = 0; round < 2; ++round) {
        check_int(dr_models_list(&options, &now, &problem), ==, DR_OK);
        check_int(now.count, ==, 3);
        check_str(now.models[0].file, "c.safetensors");
        check_str(now.models[1].file, "own.safetensors");
        check_str(now.models[2].file, "torn.safetensors");
        for (size_t i = 0; i < 3; ++i)
            check_str(now.models[i].family, expected[round][i]);
        check_int(now.models[1].bytes, ==, before.models[1].bytes);
        check_str(now.models[1].vae, "its own");
        check_has(now.models[2].problem, "torn.safetensors"); /* it is read again */
        dr_model_list_free(&now);
        (void)snprintf(command, sizeof command, "touch -d @1 '%s'",
                       scratch_path("two/own.safetensors"));
        check_int(system(command), ==, 0);
    }
    scratch_write(scratch_path("two/c.yaml"), "model: {}\n", 10);
    check_int(dr_models_list(&options, &now, &problem), ==, DR_OK);
    check(strcmp(now.models[0].family, "told") != 0); /* a config came */
    dr_model_list_free(&now);
    dr_model_list_free(&before);
    check_int(unlink(scratch_path("two/c.yaml")), ==, 0);
    check_int(unlink(scratch_path("two/own.safetensors")), ==, 0);
}

static void a_model_alone_stands_for_a_directory(void)
{
    const struct dr_models_options options = {.model_folders =
                                                  scratch_path("one/a.safetensors"),
                                              .settings_path = ""};
    dr_model_list_free(&list);
    check_int(dr_models_list(&options, &list, &problem), ==, DR_OK);
    check_int(list.count, ==, 1);
    check_str(model("a.safetensors")->path, scratch_path("one/a.safetensors"));
    check_str(model("a.safetensors")->name, "a");
}

int main(void)
{
    check_int(mkdir(scratch_path("one"), 0700), ==, 0);
    check_int(mkdir(scratch_path("one/below"), 0700), ==, 0);
    check_int(mkdir(scratch_path("two"), 0700), ==, 0);
    link_checkpoint("one/a.safetensors");
    link_checkpoint("one/below/b.safetensors");
    link_checkpoint("two/c.safetensors");
    cut_checkpoint("two/torn.safetensors");
    check_run(models_are_named_by_the_path_below_their_directory);
    check_run(a_hash_is_known_once_it_was_computed);
    check_run(names_of_any_length_are_listed);
    check_run(files_that_are_as_they_were_are_not_read_again);
    check_run(a_model_alone_stands_for_a_directory);
    dr_model_list_free(&list);
    return check_done();
}
