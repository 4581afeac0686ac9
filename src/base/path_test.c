#include "base/path.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static void parts_of_a_path(void)
{
    char stem[64];
    path_stem("/a/b.c/model.v2.safetensors", stem, sizeof stem);
    check_str(stem, "model.v2");
    path_stem("/a/folder//", stem, sizeof stem);
    check_str(stem, "folder");
    path_stem("plain", stem, sizeof stem);
    check_str(stem, "plain");
    path_stem(".hidden", stem, sizeof stem);
    check_str(stem, ".hidden");
    check_str(path_name("/a/b"), "b");
    check_str(path_name("b"), "b");
}

static void one_entry_however_it_is_spelled(void)
{
    char folder[300], link[300], file[300], other[300], alias[300];
    (void)snprintf(folder, sizeof folder, "%s/real", scratch_folder());
    (void)snprintf(link, sizeof link, "%s/link", scratch_folder());
    check_int(mkdir(folder, 0755), ==, 0);
    check_int(symlink("real", link), ==, 0);
    (void)snprintf(file, sizeof file, "%s/real/m.ckpt", scratch_folder());
    (void)snprintf(other, sizeof other, "%s/link/m.ckpt", scratch_folder());
    (void)snprintf(alias, sizeof alias, "%s/real/alias.ckpt", scratch_folder());
    scratch_write(file, "a", 1);
    check_int(symlink("m.ckpt", alias), ==, 0);
    check(path_is_same(file, other));
    check(path_is_same_file(file, alias));
    check(!path_is_same(file, alias));
    check(!path_is_same_file(file, folder));
}

int main(void)
{
    check_run(parts_of_a_path);
    check_run(one_entry_however_it_is_spelled);
    return check_done();
}
