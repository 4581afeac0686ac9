/* The VAEs of a directory, without a model. */
#include <sys/stat.h>

#include "check.h"
#include "darkroom/darkroom.h"
#include "scratch_folder.h"

static struct dr_error problem;
static struct dr_vae_files list;

static const struct dr_vae_file *file(const char *name)
{
    static char none[] = "(not listed)";
    static const struct dr_vae_file missing = {.name = none, .path = none};
    for (size_t i = 0; i < list.count; ++i)
        if (strcmp(list.files[i].name, name) == 0) return &list.files[i];
    return &missing;
}

static void files_and_directories_are_listed(void)
{
    check_int(dr_vae_files_list(scratch_path("vae"), "", &list, &problem), ==, DR_OK);
    check_str(list.folder, scratch_path("vae"));
    check_int(list.count, ==, 3);
    check_str(file("sharp.safetensors")->path, scratch_path("vae/sharp.safetensors"));
    check_int(file("sharp.safetensors")->bytes, ==, 5);
    check_str(file("below.pt")->path, scratch_path("vae/more/below.pt"));
    check_str(file("diffusers")->path, scratch_path("vae/diffusers"));
    check_int(file("diffusers")->bytes, ==, 0);
    dr_vae_files_free(&list);
    check_int(list.count, ==, 0);
}

static void a_directory_that_is_not_there_has_none(void)
{
    check_int(dr_vae_files_list(scratch_path("missing"), "", &list, &problem), ==,
              DR_OK);
    check_int(list.count, ==, 0);
    dr_vae_files_free(&list);
}

static void damaged_settings_are_an_error(void)
{
    scratch_write(scratch_path("settings.json"), "{", 1);
    check_int(dr_vae_files_list(NULL, scratch_path("settings.json"), &list, &problem),
              ==, DR_BAD_INPUT);
    check_int(list.count, ==, 0);
    check(list.files == NULL);
}

int main(void)
{
    check_int(mkdir(scratch_path("vae"), 0700), ==, 0);
    check_int(mkdir(scratch_path("vae/more"), 0700), ==, 0);
    check_int(mkdir(scratch_path("vae/diffusers"), 0700), ==, 0);
    scratch_write(scratch_path("vae/sharp.safetensors"), "sharp", 5);
    scratch_write(scratch_path("vae/notes.txt"), "notes", 5);
    scratch_write(scratch_path("vae/more/below.pt"), "below", 5);
    scratch_write(scratch_path("vae/diffusers/config.json"), "{}", 2);
    scratch_write(scratch_path("vae/diffusers/diffusion_pytorch_model.safetensors"),
                  "x", 1);
    check_run(files_and_directories_are_listed);
    check_run(a_directory_that_is_not_there_has_none);
    check_run(damaged_settings_are_an_error);
    return check_done();
}
