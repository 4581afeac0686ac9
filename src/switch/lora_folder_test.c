#include "check.h"
#include "scratch_folder.h"

#include <math.h>
#include <sys/stat.h>

#include "switch/lora_folder.h"

static void split(const char *text, const char *name, double unet, double words)
{
    double a = 0, b = 0;
    const size_t bytes = lora_text_split(text, &a, &b);
    check_int(bytes, ==, strlen(name));
    check(strncmp(text, name, bytes) == 0);
    check((isnan(a) && isnan(unet)) || fabs(a - unet) < 1e-12);
    check((isnan(b) && isnan(words)) || fabs(b - words) < 1e-12);
}

static void weights_are_split_off(void)
{
    split("ink", "ink", 1, 1);
    split("ink:0.5", "ink", 0.5, 0.5);
    split("ink:0.5:-2", "ink", 0.5, -2);
    split("a:b", "a:b", 1, 1);
    split("a:b:0.5", "a:b", 0.5, 0.5);
    split("a:b:0.5:1", "a:b", 0.5, 1);
    split("a:1:2:3", "a:1", 2, 3);
    split("/x/y.safetensors:1e9", "/x/y.safetensors", 1e9, 1e9);
    split("ink:nan", "ink", NAN, NAN);
    split("ink:", "ink:", 1, 1);
    split(":1", ":1", 1, 1);
    split("", "", 1, 1);
}

static void put(const char *name)
{
    scratch_write(scratch_path(name), "x", 1);
}

static void names_mean_files(void)
{
    struct dr_error err;
    struct folder_listing folder;
    char path[DR_PATH_BYTES];
    (void)mkdir(scratch_path("sub"), 0700);
    put("Ink.safetensors");
    put("wash.safetensors");
    put("sub/wash.safetensors");
    put("notes.txt");
    check_int(lora_folder_read(&folder, scratch_folder(), &err), ==, DR_OK);
    check_int(folder.count, ==, 3);
    check_int(lora_folder_match(&folder, "d", "Ink", path, &err), ==, DR_OK);
    check(strstr(path, "/Ink.safetensors") != NULL);
    check_int(lora_folder_match(&folder, "d", "ink", path, &err), ==, DR_OK);
    check_int(lora_folder_match(&folder, "d", "Ink.safetensors", path, &err), ==,
              DR_OK);
    check_int(lora_folder_match(&folder, "d", "wash", path, &err), ==, DR_BAD_INPUT);
    check_int(lora_folder_match(&folder, "d", "../Ink", path, &err), ==, DR_NOT_FOUND);
    check_int(lora_folder_match(&folder, "d", "", path, &err), ==, DR_NOT_FOUND);
    folder_listing_free(&folder);
}

static void several_directories_are_as_one(void)
{
    struct dr_error err;
    struct folder_listing folder;
    char list[3 * DR_PATH_BYTES], path[DR_PATH_BYTES];
    (void)mkdir(scratch_path("first"), 0700);
    (void)mkdir(scratch_path("second"), 0700);
    put("first/brush.safetensors");
    put("second/chalk.safetensors");
    /* The second is named twice, and looked into once. */
    (void)snprintf(list, sizeof list, "%s/first/::%s/second:%s/second",
                   scratch_folder(), scratch_folder(), scratch_folder());
    check_int(lora_folder_read(&folder, list, &err), ==, DR_OK);
    check_int(folder.count, ==, 2);
    check_int(lora_folder_match(&folder, list, "brush", path, &err), ==, DR_OK);
    check_int(lora_folder_match(&folder, list, "chalk", path, &err), ==, DR_OK);
    check_str(folder_listing_below(list, path), "chalk.safetensors");
    folder_listing_free(&folder);
}

static void a_path_is_named_below_its_directory(void)
{
    check_str(folder_listing_below("/a", "/a/b/x.pt"), "b/x.pt");
    check_str(folder_listing_below("/a/", "/a//x.pt"), "x.pt");
    check_str(folder_listing_below("/b:/a", "/a/x.pt"), "x.pt");
    check_str(folder_listing_below("/a", "/ab/x.pt"), "/ab/x.pt");
    check_str(folder_listing_below("", "/x.pt"), "/x.pt");
}

int main(void)
{
    check_run(weights_are_split_off);
    check_run(names_mean_files);
    check_run(several_directories_are_as_one);
    check_run(a_path_is_named_below_its_directory);
    return check_done();
}
