/* Which files in the model directories are models, and which of them a name means. */
#include "switch/model_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"
#include "switch/settings.h"

static struct dr_error problem;
static struct dr_settings settings;
static struct model_folder folder;

static void put(const char *name)
{
    scratch_write(scratch_path(name), "x", 1);
}

static void make(const char *name)
{
    check_int(mkdir(scratch_path(name), 0777), ==, 0);
}

static void read_with(const char *option)
{
    model_folder_free(&folder);
    check_int(model_folder_read(&folder, option, &settings, &problem), ==, DR_OK);
}

static size_t count(void)
{
    size_t found = 0;
    while (model_folder_at(&folder, found))
        ++found;
    return found;
}

static void the_first_that_says_where_counts(void)
{
    char one[] = "/settings", *paths[] = {one}, text[DR_TEXT_BYTES];
    settings = settings_none();
    check_int(setenv("XDG_DATA_HOME", "/data", 1), ==, 0);
    read_with(NULL);
    check_int(folder.path_count, ==, 1);
    check_str(folder.paths[0], "/data/darkroom/models");
    settings.model_folders = paths;
    settings.model_folder_count = 1;
    read_with(NULL);
    check_str(folder.paths[0], "/settings");
    check_int(setenv("DARKROOM_MODELS", "/environment::/second", 1), ==, 0);
    read_with(NULL);
    check_int(folder.path_count, ==, 2);
    check_str(folder.paths[1], "/second");
    read_with("/option");
    check_int(folder.path_count, ==, 1);
    check_str(model_folder_describe(&folder, text), "/option (does not exist)");
    check_int(unsetenv("DARKROOM_MODELS"), ==, 0);
    settings = settings_none();
}

static void files_and_pipelines_count(void)
{
    char both[2048];
    make("m");
    make("m/deep");
    make("m/pipeline");
    make("m/pipeline/unet");
    make("n");
    put("m/sd15.safetensors");
    put("m/deep/other.ckpt");
    put("m/pipeline/model_index.json");
    put("m/pipeline/unet/diffusion_pytorch_model.safetensors");
    put("m/readme.txt");
    put("n/third.SFT");
    (void)snprintf(both, sizeof both, "%s", scratch_path("m"));
    const size_t used = strlen(both);
    (void)snprintf(both + used, sizeof both - used, ":%s", scratch_path("n"));
    read_with(both);
    check_int(count(), ==, 4);
    check_str(model_folder_at(&folder, 0)->name, "pipeline");
    check(model_folder_at(&folder, 0)->is_folder);
    check_str(model_folder_at(&folder, 1)->name, "sd15.safetensors");
    check_str(model_folder_at(&folder, 2)->name, "other.ckpt");
    check_str(model_folder_at(&folder, 3)->name, "third.SFT");
}

static void a_name_is_exact_or_begins(void)
{
    char name[] = "sd15.v2.safetensors", plain[] = "sd15.v2";
    const struct folder_entry file = {.name = name}, pipeline = {plain, plain, true};
    char stem[64];
    check_int(model_folder_match(&file, "sd15.v2"), ==, MODEL_NAME);
    check_int(model_folder_match(&file, "sd15.v2.safetensors"), ==, MODEL_NAME);
    check_int(model_folder_match(&file, "sd15"), ==, MODEL_PREFIX);
    check_int(model_folder_match(&file, "sd15.v2.safe"), ==, MODEL_PREFIX);
    check_int(model_folder_match(&file, "d15"), ==, MODEL_NO_MATCH);
    check_int(model_folder_match(&file, ""), ==, MODEL_NO_MATCH);
    check_int(model_folder_match(&pipeline, "sd15.v2"), ==, MODEL_NAME);
    check_int(model_folder_match(&pipeline, "sd15"), ==, MODEL_PREFIX);
    check_str(model_folder_stem(name, stem, sizeof stem), "sd15.v2");
    check_str(model_folder_stem(plain, stem, sizeof stem), "sd15.v2");
}

int main(void)
{
    check_run(the_first_that_says_where_counts);
    check_run(files_and_pipelines_count);
    check_run(a_name_is_exact_or_begins);
    model_folder_free(&folder);
    return check_done();
}
