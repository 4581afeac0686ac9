/* What lies in a folder, in folders made for each case: order, links in circles, limits, cancels. */
#include "switch/vae_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_fixture.h"
#include "check.h"
#include "scratch_folder.h"
#include "switch/vae_resolution.h"

static struct folder_listing there;
static struct dr_error problem;
static char left_out[DR_TEXT_BYTES];

static void make_folder(const char *name)
{
    check_int(mkdir(scratch_path(name), 0777), ==, 0);
}

static void touch(const char *name)
{
    const int file = open(scratch_path(name), O_WRONLY | O_CREAT, 0666);
    check_int(close(file), ==, 0);
}

static void read_folder(const char *name)
{
    folder_listing_free(&there);
    check_int(vae_folder_read(&there, scratch_path(name), NULL, &problem), ==, DR_OK);
    vae_folder_left_out(&there, left_out);
}

static void check_names(const char *const *names, size_t count)
{
    check_int(there.count, ==, count);
    for (size_t i = 0; i < count && i < there.count; ++i)
        check_str(there.entries[i].name, names[i]);
}

static void lists_what_a_name_could_mean(void)
{
    static const char *const names[] = {"a.safetensors", "whole", "z.PT",
                                        "deep.safetensors"};
    char path[DR_PATH_BYTES];
    make_folder("plain");
    make_folder("plain/below");
    make_folder("plain/whole");
    touch("plain/z.PT");
    touch("plain/a.safetensors");
    touch("plain/.hidden.safetensors");
    touch("plain/notes.txt");
    touch("plain/below/deep.safetensors");
    touch("plain/whole/config.json");
    touch("plain/whole/diffusion_pytorch_model.safetensors");
    read_folder("plain");
    check_names(names, 4);
    check(there.entries[1].is_folder && !there.entries[0].is_folder);
    (void)snprintf(path, sizeof path, "%s", scratch_path("plain/whole"));
    check_str(there.entries[1].path, path);
    check_str(left_out, "");
    check_int(there.refused, ==, 0);
    folder_listing_free(&there);
    check_int(vae_folder_read(&there, NULL, NULL, &problem), ==, DR_OK);
    check_int(there.count, ==, 0);
    read_folder("none");
    check_int(there.count, ==, 0);
    check_int(there.refused, ==, ENOENT);
}

/* Two links to itself in each of two folders: followed by path that is some hundred files. */
static void links_in_circles_end(void)
{
    static const char *const names[] = {"one.safetensors", "two.safetensors"};
    make_folder("circle");
    make_folder("circle/below");
    touch("circle/one.safetensors");
    touch("circle/below/two.safetensors");
    check_int(symlink(".", scratch_path("circle/x")), ==, 0);
    check_int(symlink(".", scratch_path("circle/y")), ==, 0);
    check_int(symlink("..", scratch_path("circle/below/x")), ==, 0);
    check_int(symlink("../below", scratch_path("circle/below/y")), ==, 0);
    read_folder("circle");
    check_names(names, 2);
    check_str(left_out, "");
}

static void what_lies_too_deep_is_said(void)
{
    static const char *const names[] = {"here.pt"};
    char path[200] = "deep";
    make_folder(path);
    for (int level = 1; level <= 7; ++level) {
        (void)strcat(path, "/d");
        make_folder(path);
        if (level < 6) continue;
        char file[220];
        (void)snprintf(file, sizeof file, "%s/%s.pt", path,
                       level == 6 ? "here" : "beyond");
        touch(file);
    }
    read_folder("deep");
    check_names(names, 1);
    check_has(left_out, "6 levels");
}

static enum dr_code resolve(const char *choice, struct vae_resolution *resolution)
{
    char checkpoint[600], folder[600];
    (void)snprintf(checkpoint, sizeof checkpoint, "%s", scratch_path("m.safetensors"));
    (void)snprintf(folder, sizeof folder, "%s", scratch_path("many"));
    const struct vae_resolution_request request = {.choice = choice,
                                                   .checkpoint = checkpoint,
                                                   .vae_folder = folder};
    return vae_resolve(resolution, &request, &problem);
}

/* Files that are no VAEs count, too: somebody has to look at them. */
static void where_the_look_ends_is_said(void)
{
    enum {
        FILES = 20010
    };
    struct vae_resolution resolution;
    make_folder("many");
    touch("many/0.safetensors");
    for (int i = 1; i < FILES; ++i) {
        char name[40];
        (void)snprintf(name, sizeof name, "many/f%05d.txt", i);
        touch(name);
    }
    touch("many/z.safetensors");
    read_folder("many");
    check_int(there.count, ==, 1);
    check_has(left_out, "only the first 20000");
    check_int(resolve("z", &resolution), ==, DR_NOT_FOUND);
    check_has(problem.message, "only the first 20000");
    check_int(resolve("0", &resolution), ==, DR_OK);
    check_has(resolution.reason, "only the first 20000");
    check_int(resolve("automatic", &resolution), ==, DR_OK);
    check(resolution.is_base);
    check_has(resolution.reason, "only the first 20000");
}

static void a_cancel_ends_the_look(void)
{
    const struct cancel flag = {0};
    enum dr_code code = DR_CANCELLED;
    int cancelled = 0;
    for (int nth = 1; code == DR_CANCELLED && nth < 100; ++nth) {
        folder_listing_free(&there);
        fault_arm(1u << FAULT_CANCEL, nth, FAULT_FROM_THEN_ON);
        code = vae_folder_read(&there, scratch_path("plain"), &flag, &problem);
        fault_disarm();
        if (code == DR_CANCELLED) check_int(there.count, ==, 0);
        cancelled += code == DR_CANCELLED;
    }
    check_int(code, ==, DR_OK);
    check_int(there.count, ==, 4);
    check_int(cancelled, ==, 6); /* one look an entry */
}

int main(void)
{
    check_run(lists_what_a_name_could_mean);
    check_run(links_in_circles_end);
    check_run(what_lies_too_deep_is_said);
    check_run(where_the_look_ends_is_said);
    check_run_with_faults(a_cancel_ends_the_look);
    folder_listing_free(&there);
    return check_done();
}
