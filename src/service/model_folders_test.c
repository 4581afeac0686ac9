/* Lists of real files: a directory that changes, one that is held meanwhile, and names in both directions. */
#include "service/model_folders.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "ready_checkpoint.h"
#include "scratch_folder.h"

static struct dr_error problem;
static const char *model_paths[3], *vae_paths[3];

static void link_checkpoint(const char *name)
{
    char ready[512];
    ready_checkpoint_path(ready, sizeof ready, "--family sd15 --size least --seed 1");
    check_int(symlink(ready, scratch_path(name)), ==, 0);
}

static struct model_folders *open_folders(const char *model)
{
    const struct model_folders_options options = {.models = model_paths,
                                                  .vaes = vae_paths,
                                                  .model = model,
                                                  .pack_folder = "",
                                                  .settings_path = ""};
    struct model_folders *folders = NULL;
    check_int(model_folders_create(&folders, &options, &problem), ==, DR_OK);
    return folders;
}

static void models_and_vaes_have_names_that_differ(void)
{
    struct model_folders *const folders = open_folders(NULL);
    const struct model_snapshot *const list = model_folders_hold(folders);
    check_int(list->model_count, ==, 3);
    check_str(list->models[0].title, "base.safetensors");
    check_str(list->models[0].name, "base");
    check_str(list->models[0].family, "sd15");
    check_str(list->models[0].vae, "its own");
    check_str(list->models[0].sha256, "");
    check_str(list->models[1].title, "xl/base.safetensors");
    check_str(list->models[1].name, "xl_base");
    check_str(list->models[2].title,
              "two/base.safetensors"); /* of the other directory */
    check_str(list->models[2].path, scratch_path("two/base.safetensors"));
    check_int(list->vae_count, ==, 3);
    check_str(list->vaes[0].name, "sharp.safetensors");
    check_int(list->vaes[0].bytes, ==, 5);
    check_str(list->vaes[1].name, "more/sharp.safetensors");
    check_str(list->vaes[2].name, "soft.pt");
    model_folders_drop(folders, list);
    model_folders_destroy(folders);
}

static void names_go_both_ways(void)
{
    char path[DR_PATH_BYTES], title[MODEL_TITLE_BYTES], sha256[DR_DIGEST_CHARS];
    struct model_folders *const folders = open_folders(NULL);
    check_int(model_folders_find(folders, "xl_base", path, &problem), ==, DR_OK);
    check_str(path, scratch_path("one/xl/base.safetensors"));
    model_folders_title(folders, path, title);
    check_str(title, "xl/base.safetensors");
    model_folders_sha256(folders, path, sha256);
    check_str(sha256, "");
    model_folders_title(folders, "", title);
    check_str(title, "");
    model_folders_title(folders, "/elsewhere/gone.safetensors", title);
    check_str(title, "gone.safetensors");
    check_int(model_folders_find_vae(folders, "soft", path, &problem), ==, DR_OK);
    check_str(path, scratch_path("vae2/soft.pt"));
    model_folders_vae_name(folders, path, title);
    check_str(title, "soft.pt");
    model_folders_vae_name(folders, "automatic", title);
    check_str(title, "Automatic");
    model_folders_vae_name(folders, "none", title);
    check_str(title, "None");
    check_int(model_folders_find(folders, "nothing", path, &problem), ==, DR_NOT_FOUND);
    model_folders_destroy(folders);
}

static void a_model_that_lies_elsewhere_is_listed(void)
{
    char path[DR_PATH_BYTES];
    struct model_folders *folders = open_folders(scratch_path("alone.safetensors"));
    check_int(model_folders_find(folders, "alone", path, &problem), ==, DR_OK);
    check_str(path, scratch_path("alone.safetensors"));
    model_folders_destroy(folders);
    folders = open_folders(scratch_path("one/base.safetensors")); /* it lies in one */
    const struct model_snapshot *const list = model_folders_hold(folders);
    check_int(list->model_count, ==, 3);
    model_folders_drop(folders, list);
    model_folders_destroy(folders);
}

static void wait_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Does a new list have so many models within some seconds? */
static bool shows(struct model_folders *folders, size_t count)
{
    for (int tries = 0; tries < 200; ++tries) {
        const struct model_snapshot *const list = model_folders_hold(folders);
        const bool has = list->model_count == count;
        model_folders_drop(folders, list);
        if (has) return true;
        wait_ms(50);
    }
    return false;
}

static void files_come_and_go(void)
{
    char path[DR_PATH_BYTES];
    struct model_folders *const folders = open_folders(NULL);
    const struct model_snapshot *const held = model_folders_hold(folders);
    link_checkpoint("one/xl/new.safetensors");
    check_int(held->model_count, ==, 3);
    check_int(model_folders_refresh(folders, &problem), ==, DR_OK);
    check_int(model_folders_find(folders, "new", path, &problem), ==, DR_OK);
    check_int(unlink(scratch_path("one/xl/new.safetensors")), ==, 0);
    check(shows(folders, 3)); /* without a refresh */
    link_checkpoint("one/other.safetensors");
    check(shows(folders, 4));
    check_int(held->model_count, ==, 3); /* as it was, as long as it is held */
    check_str(held->models[1].title, "xl/base.safetensors");
    model_folders_drop(folders, held);
    check_int(unlink(scratch_path("one/other.safetensors")), ==, 0);
    check(shows(folders, 3));
    model_folders_destroy(folders);
}

/* A model that is there before the first question is in its answer, though it came after model_folders_create: the
 * directories are read when they are asked for. */
static void the_first_list_is_made_when_it_is_asked_for(void)
{
    struct model_folders *const folders = open_folders(NULL);
    link_checkpoint("one/late.safetensors");
    const struct model_snapshot *const list = model_folders_hold(folders);
    bool is_there = false;
    for (size_t i = 0; i < list->model_count; ++i)
        is_there = is_there || strcmp(list->models[i].name, "late") == 0;
    check(is_there);
    check_int(unlink(scratch_path("one/late.safetensors")), ==, 0);
    model_folders_drop(folders, list);
    model_folders_destroy(folders);
}

static void *look_often(void *cookie)
{
    struct model_folders *const folders = cookie;
    size_t count = 0;
    for (int i = 0; i < 300; ++i) {
        const struct model_snapshot *const list = model_folders_hold(folders);
        for (size_t k = 0; k < list->model_count; ++k)
            count += strlen(list->models[k].title);
        model_folders_drop(folders, list);
    }
    return count ? folders : NULL;
}

static void threads_share_a_list(void)
{
    pthread_t threads[4];
    struct model_folders *const folders = open_folders(NULL);
    for (size_t i = 0; i < 4; ++i)
        check_int(pthread_create(&threads[i], NULL, look_often, folders), ==, 0);
    for (int i = 0; i < 5; ++i)
        check_int(model_folders_refresh(folders, &problem), ==, DR_OK);
    for (size_t i = 0; i < 4; ++i) {
        void *result = NULL;
        check_int(pthread_join(threads[i], &result), ==, 0);
        check(result == folders);
    }
    model_folders_destroy(folders);
}

static void a_separator_in_a_name_is_refused(void)
{
    static const char *const paths[] = {"/models:old", NULL};
    const struct model_folders_options options = {.models = paths, .settings_path = ""};
    struct model_folders *folders = NULL;
    check_int(model_folders_create(&folders, &options, &problem), ==, DR_BAD_INPUT);
    check(folders == NULL);
    check_has(problem.message, "/models:old");
}

static void directories_that_are_not_there_are_empty(void)
{
    static const char *const paths[] = {"/nothing/here", NULL};
    const struct model_folders_options options = {
        .models = paths, .vaes = paths, .pack_folder = "", .settings_path = ""};
    struct model_folders *folders = NULL;
    check_int(model_folders_create(&folders, &options, &problem), ==, DR_OK);
    const struct model_snapshot *const list = model_folders_hold(folders);
    check_int(list->model_count + list->vae_count, ==, 0);
    check_has(list->folders, "/nothing/here");
    model_folders_drop(folders, list);
    model_folders_destroy(folders);
}

int main(void)
{
    static const char *const made[] = {"one", "one/xl",   "two",
                                       "vae", "vae/more", "vae2"};
    for (size_t i = 0; i < sizeof made / sizeof *made; ++i)
        check_int(mkdir(scratch_path(made[i]), 0700), ==, 0);
    link_checkpoint("one/base.safetensors");
    link_checkpoint("one/xl/base.safetensors");
    link_checkpoint("two/base.safetensors");
    link_checkpoint("alone.safetensors");
    scratch_write(scratch_path("vae/sharp.safetensors"), "sharp", 5);
    scratch_write(scratch_path("vae/more/sharp.safetensors"), "sharp", 5);
    scratch_write(scratch_path("vae2/soft.pt"), "soft", 4);
    static char paths[4][512];
    static const char *const roots[] = {"one", "two", "vae", "vae2"};
    for (size_t i = 0; i < 4; ++i)
        (void)snprintf(paths[i], sizeof paths[i], "%s", scratch_path(roots[i]));
    model_paths[0] = paths[0];
    model_paths[1] = paths[1];
    vae_paths[0] = paths[2];
    vae_paths[1] = paths[3];
    check_run(models_and_vaes_have_names_that_differ);
    check_run(names_go_both_ways);
    check_run(a_model_that_lies_elsewhere_is_listed);
    check_run(files_come_and_go);
    check_run(the_first_list_is_made_when_it_is_asked_for);
    check_run(threads_share_a_list);
    check_run(a_separator_in_a_name_is_refused);
    check_run(directories_that_are_not_there_are_empty);
    return check_done();
}
