#include "check.h"
#include "scratch_folder.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "switch/embedding_folder.h"

static void put(const char *name)
{
    scratch_write(scratch_path(name), "x", 1);
}

static bool lists(const struct folder_listing *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; ++i)
        if (strcmp(folder->entries[i].name, name) == 0) return true;
    return false;
}

static void files_are_found_below_it(void)
{
    struct dr_error err;
    struct folder_listing folder;
    (void)mkdir(scratch_path("style"), 0700);
    put("easy.safetensors");
    put("old.PT");
    put("style/sks.bin");
    put("notes.txt");
    put("model.gguf");
    put(".pt");
    check_int(embedding_folder_read(&folder, scratch_folder(), &err), ==, DR_OK);
    check_int(folder.count, ==, 3);
    check(lists(&folder, "easy.safetensors"));
    check(lists(&folder, "old.PT"));
    check(lists(&folder, "sks.bin"));
    folder_listing_free(&folder);
    check_int(embedding_folder_read(&folder, scratch_path("none"), &err), ==, DR_OK);
    check_int(folder.count, ==, 0);
    folder_listing_free(&folder);
}

static void the_directory_is_the_options_or_the_environments(void)
{
    char path[DR_PATH_BYTES];
    check_int(setenv("DARKROOM_EMBEDDING_DIR", "/said", 1), ==, 0);
    embedding_folder_find("/option", path);
    check_str(path, "/option");
    embedding_folder_find(NULL, path);
    check_str(path, "/said");
    check_int(unsetenv("DARKROOM_EMBEDDING_DIR"), ==, 0);
    check_int(setenv("XDG_DATA_HOME", "/data", 1), ==, 0);
    embedding_folder_find(NULL, path);
    check_str(path, "/data/darkroom/embeddings");
}

int main(void)
{
    check_run(files_are_found_below_it);
    check_run(the_directory_is_the_options_or_the_environments);
    return check_done();
}
