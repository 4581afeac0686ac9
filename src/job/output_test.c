/* For mount (Linux) and mkdtemp, which glibc shows by default. */
#define _DEFAULT_SOURCE
#include "job/output.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "check.h"
#include "image/image.h"
#include "sampling/latent.h"
#include "scratch_folder.h"

enum {
    SIDE = 192,
    NOBODY = 65534
};

static struct dr_error problem;

static enum dr_code check_any(const char *path, int32_t batch)
{
    problem = (struct dr_error){0};
    return output_check(&(struct dr_output){.path = path, .batch = batch, .bits = 8},
                        &problem);
}

static enum dr_code check_public(const char *path, enum dr_output_kind kind,
                                 int32_t batch, int32_t bits)
{
    return dr_check_output(
        &(struct dr_output){.path = path, .batch = batch, .kind = kind, .bits = bits},
        NULL);
}

/* What the system says of a disk, for the code under test too; or one on which all that is free is kept
 * for the superuser. */
static bool keeps_the_rest;

int statvfs(const char *path, struct statvfs *system)
{
    const int folder = open(path, O_RDONLY | O_DIRECTORY);
    const int result = folder < 0 ? -1 : fstatvfs(folder, system);
    if (folder >= 0) (void)close(folder);
    if (result == 0 && keeps_the_rest) system->f_bavail = 0;
    return result;
}

#define refuse(path, batch, code, part)              \
    do {                                             \
        check_int(check_any(path, batch), ==, code); \
        check_has(problem.message, part);            \
    } while (0)

static int file_count(const char *folder)
{
    int count = 0;
    DIR *const stream = opendir(folder);
    while (stream && readdir(stream))
        ++count;
    if (stream) (void)closedir(stream);
    return count - 2;
}

/* ---- names and directories --------------------------------------------------------------- */

static void extensions_say_what_is_written(void)
{
    static const struct {
        const char *name;
        enum dr_output_kind kind;
        enum dr_code code;
    } rows[] = {
        {"a.png",         DR_OUTPUT_ANY,      DR_OK       },
        {"a.JPG",         DR_OUTPUT_ANY,      DR_OK       },
        {"a.jpeg",        DR_OUTPUT_PICTURES, DR_OK       },
        {"a.safetensors", DR_OUTPUT_ANY,      DR_OK       },
        {"a.SafeTensors", DR_OUTPUT_LATENTS,  DR_OK       },
        {"a.png",         DR_OUTPUT_LATENTS,  DR_BAD_INPUT},
        {"a.safetensors", DR_OUTPUT_PICTURES, DR_BAD_INPUT},
        {"a.sft",         DR_OUTPUT_LATENTS,  DR_OK       },
        {"a.webp",        DR_OUTPUT_ANY,      DR_BAD_INPUT},
        {"a",             DR_OUTPUT_ANY,      DR_BAD_INPUT},
        {".png/a",        DR_OUTPUT_ANY,      DR_BAD_INPUT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
        check_int(check_public(scratch_path(rows[i].name), rows[i].kind, 1, 8), ==,
                  rows[i].code);
    check_int(check_public(scratch_path("a.jpg"), DR_OUTPUT_ANY, 1, 16), ==,
              DR_BAD_INPUT);
    check_int(check_public(scratch_path("a.png"), DR_OUTPUT_ANY, INT32_MAX, 16), ==,
              DR_OK);
    check_int(check_public("", DR_OUTPUT_ANY, 1, 8), ==, DR_BAD_INPUT);
    check_int(check_public(NULL, DR_OUTPUT_ANY, 1, 8), ==, DR_BAD_INPUT);
    check_int(file_count(scratch_folder()), ==, 0);
}

static void what_cannot_be_written_is_named(void)
{
    refuse(scratch_path("none/a.png"), 1, DR_NOT_FOUND, "there is no directory");
    check_int(symlink("/nowhere", scratch_path("gone")), ==, 0);
    refuse(scratch_path("gone/a.png"), 1, DR_NOT_FOUND,
           "gone is a symbolic link to /nowhere, which is missing");
    scratch_write(scratch_path("file"), "x", 1);
    refuse(scratch_path("file/a.png"), 1, DR_NOT_FOUND, "/file is a file");
    const char *const loop = scratch_path("loop");
    check_int(symlink(loop, loop), ==, 0);
    refuse(scratch_path("loop/a.png"), 1, DR_IO, "Too many levels");
    check_int(symlink(scratch_path("loop.png"), scratch_path("loop.png")), ==, 0);
    refuse(scratch_path("loop.png"), 1, DR_IO, "Too many levels");

    refuse(scratch_folder(), 1, DR_BAD_INPUT, "is a directory; name a file in it");

    /* a batch: the third file's place is taken; the second's name is one byte too long */
    check_int(mkdir(scratch_path("b-3.png"), 0755), ==, 0);
    check_int(check_any(scratch_path("b.png"), 2), ==, DR_OK);
    refuse(scratch_path("b.png"), 3, DR_BAD_INPUT, "b-3.png is a directory");
    char name[300];
    memset(name, 'n', 251);
    strcpy(name + 251, ".png");
    check_int(check_any(scratch_path(name), 1), ==, DR_OK);
    refuse(scratch_path(name), 2, DR_BAD_INPUT, "too long for the file system");
    check_int(check_any("/proc/a.png", 1), !=, DR_OK);
    check_int(file_count(scratch_folder()), ==, 5);
}

/* Root may write everywhere, so it becomes somebody else for this. */
static void closed_directories_are_named(void)
{
    const char *const closed = scratch_path("closed");
    const uid_t me = geteuid();
    check_int(mkdir(closed, 0555), ==, 0);
    check_int(chmod(scratch_folder(), 0755), ==, 0);
    if (me == 0) check_int(seteuid(NOBODY), ==, 0);
    refuse(scratch_path("closed/a.png"), 1, DR_IO, "/closed");
    check(strstr(problem.message, "Permission denied") != NULL);
    if (me == 0) check_int(seteuid(me), ==, 0);
    check_int(rmdir(closed), ==, 0);
}

static void read_only_disks_are_named(void)
{
    const char *const folder = scratch_path("read-only");
    check_int(mkdir(folder, 0755), ==, 0);
    if (mount("darkroom-test", folder, "tmpfs", MS_RDONLY, "size=64k") != 0) {
        check_skip_case("no file system can be mounted here");
        return;
    }
    refuse(scratch_path("read-only/a.png"), 1, DR_IO, "Read-only file system");
    check_int(umount(folder), ==, 0);
}

/* ---- what is there ------------------------------------------------------------------------- */

static enum dr_code check_over(const char *name, enum dr_existing existing)
{
    problem = (struct dr_error){0};
    return output_check(&(struct dr_output){.path = scratch_path(name),
                                            .batch = 1,
                                            .bits = 8,
                                            .existing = existing},
                        &problem);
}

/* By content, not by name: a picture called x.safetensors, and latents called x.png, may go; a model, a
 * text and an empty file only where that was said; nothing where nothing may. */
static void what_is_there_is_looked_at(void)
{
    static const char png[] = "\x89PNG\r\n\x1A\n....", jpeg[] = "\xFF\xD8\xFF\xE0";
    static const char model[] =
        "\x40\0\0\0\0\0\0\0"
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}        .....";
    static const float latents[LATENT_CHANNELS * 64] = {0};
    scratch_write(scratch_path("p.safetensors"), png, sizeof png - 1);
    scratch_write(scratch_path("j.png"), jpeg, sizeof jpeg - 1);
    check_int(latent_file_write(scratch_path("l.safetensors"), latents, 1, 8, 8, NULL),
              ==, DR_OK);
    check_int(rename(scratch_path("l.safetensors"), scratch_path("l.png")), ==, 0);
    scratch_write(scratch_path("m.safetensors"), model, sizeof model - 1);
    scratch_write(scratch_path("t.png"), "dear diary", 10);
    scratch_write(scratch_path("e.png"), "", 0);
    static const struct {
        const char *name;
        bool is_ours;
    } rows[] = {
        {"p.safetensors", true },
        {"j.png",         true },
        {"l.png",         true },
        {"m.safetensors", false},
        {"t.png",         false},
        {"e.png",         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        const char *const name = rows[i].name;
        check_int(check_over(name, DR_EXISTING_PICTURES), ==,
                  rows[i].is_ours ? DR_OK : DR_BAD_INPUT);
        if (!rows[i].is_ours) check_has(problem.message, "--overwrite");
        check_int(check_over(name, DR_EXISTING_ANY), ==, DR_OK);
        check_int(check_over(name, DR_EXISTING_NONE), ==, DR_BAD_INPUT);
        check_has(problem.message, "--no-clobber");
    }
    check_int(check_over("new.png", DR_EXISTING_NONE), ==, DR_OK);
    /* each of a batch, by number and by its own name */
    check_int(rename(scratch_path("t.png"), scratch_path("n-3.png")), ==, 0);
    refuse(scratch_path("n.png"), 3, DR_BAD_INPUT, "n-3.png exists and is not");
    const char *const names[] = {"nowhere.png", "n-3.png", "last.png"};
    const char *paths[3];
    for (int i = 0; i < 3; ++i)
        paths[i] = scratch_path(names[i]);
    struct dr_output output = {.paths = paths, .batch = 3, .bits = 8};
    check_int(output_check(&output, &problem), ==, DR_BAD_INPUT);
    check_has(problem.message, "n-3.png exists and is not");
    output.batch = 1;
    check_int(output_check(&output, &problem), ==, DR_OK);
    paths[1] = scratch_path("nowhere/n.png");
    output.batch = 3;
    check_int(output_check(&output, &problem), ==, DR_NOT_FOUND);
    paths[1] = scratch_path("n.txt");
    check_int(output_check(&output, &problem), ==, DR_BAD_INPUT);
    char name[DR_PATH_BYTES];
    output_name(&output, 2, name);
    check_str(name, paths[2]);
    output = (struct dr_output){.path = "a.b/x.png", .batch = 3};
    output_name(&output, 2, name);
    check_str(name, "a.b/x-3.png");
}

/* ---- room -------------------------------------------------------------------------------- */

static uint64_t bytes_of(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) abort();
    return (uint64_t)status.st_size;
}

/* What is written lies between the least and the most: a smooth picture with a little noise, and
 * noise, which no format makes smaller. */
static void estimates_hold(void)
{
    static float rgb[3 * SIDE * SIDE], latents[2 * LATENT_CHANNELS * 64];
    static const struct {
        const char *name;
        int32_t bits, quality;
    } rows[] = {
        {"e.png", 8,  0  },
        {"e.png", 16, 0  },
        {"e.jpg", 8,  95 },
        {"e.jpg", 8,  100},
        {"e.jpg", 8,  1  }
    };
    const char text[] = "a lighthouse";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
        for (int noise = 0; noise < 2; ++noise) {
            const char *const path = scratch_path(rows[i].name);
            uint64_t random = 1;
            for (size_t k = 0; k < sizeof rgb / sizeof *rgb; ++k) {
                random = random * 6364136223846793005U + 1442695040888963407U;
                const float value = (float)(random >> 40) / (float)(1 << 24);
                rgb[k] = noise ? value
                               : (float)(k / (3 * (size_t)SIDE)) / SIDE + value / 64.0F;
            }
            struct image_write_options options = {.width = SIDE,
                                                  .height = SIDE,
                                                  .bits = rows[i].bits,
                                                  .quality = rows[i].quality,
                                                  .parameters = text};
            check(image_format_from_path(path, &options.format));
            check_int(image_write(path, &options, rgb, &problem), ==, DR_OK);
            const struct output_range range = output_file_bytes(
                &(struct dr_output){.path = path, .batch = 1, .bits = rows[i].bits},
                &(struct output_size){
                    .width = SIDE, .height = SIDE, .text_bytes = sizeof text - 1});
            check_int(range.least, <, bytes_of(path));
            check_int(range.most, >, bytes_of(path));
        }
    const char *const path = scratch_path("e.safetensors");
    check_int(latent_file_write(path, latents, 2, 8, 8, &problem), ==, DR_OK);
    const struct output_range range =
        output_file_bytes(&(struct dr_output){.path = path, .batch = 2},
                          &(struct output_size){.latent_bytes = sizeof latents / 2});
    check_int(range.least, >, sizeof latents);
    check_int(range.least, <=, bytes_of(path));
    check_int(range.most, >=, bytes_of(path));
}

static enum dr_code room_for(const char *path, int32_t side, int32_t batch,
                             char warning[static DR_TEXT_BYTES])
{
    problem = (struct dr_error){0};
    return output_check_room(
        &(struct dr_output){.path = path, .batch = batch, .bits = 8},
        &(struct output_size){.width = side, .height = side, .latent_bytes = 4096},
        warning, &problem);
}

static void what_is_kept_for_the_superuser_is_not_for_others(void)
{
    char warning[DR_TEXT_BYTES];
    const uid_t me = geteuid();
    keeps_the_rest = true;
    if (me == 0) {
        check_int(room_for(scratch_path("a.png"), 64, 1, warning), ==, DR_OK);
        check_str(warning, "");
        check_int(chmod(scratch_folder(), 0755), ==, 0);
        check_int(seteuid(NOBODY), ==, 0);
    }
    check_int(room_for(scratch_path("a.png"), 64, 1, warning), ==, DR_IO);
    check_has(problem.message, "has 0 B free");
    if (me == 0) check_int(seteuid(me), ==, 0);
    keeps_the_rest = false;
}

static void a_small_disk_is_measured(void)
{
    char warning[DR_TEXT_BYTES];
    const char *const folder = scratch_path("small");
    const char *const picture = scratch_path("small/a.png");
    const char *const latents = scratch_path("small/a.safetensors");
    check_int(mkdir(folder, 0755), ==, 0);
    check_int(room_for(scratch_path("small/a.png"), 64, 1, warning), ==, DR_OK);
    check_str(warning, "");
    if (mount("darkroom-test", folder, "tmpfs", 0, "size=64k") != 0) {
        check_skip_case("no file system can be mounted here");
        return;
    }
    check_int(room_for(picture, 64, 1, warning), ==, DR_OK);
    check_str(warning, "");
    check_int(room_for(picture, 256, 1, warning), ==, DR_OK); /* 192 KiB as they are */
    check_has(warning, "64.0 KiB free");
    check_int(room_for(picture, 1024, 1, warning), ==, DR_IO);
    check_has(problem.message, "no space for");
    check_has(problem.message, "at least 192.0 KiB (196608 bytes)");
    check_has(problem.message, "has 64.0 KiB free (65536 bytes)");
    check_int(room_for(picture, 256, 6, warning), ==, DR_IO); /* six of 12 KiB */
    check_int(room_for(latents, 64, 15, warning), ==, DR_OK);
    check_str(warning, "");
    check_int(room_for(latents, 64, 16, warning), ==, DR_IO);
    check_has(problem.message, "69632 bytes");

    /* What a batch replaces comes back, but for one. */
    static const char page[12288];
    for (int i = 0; i < 4; ++i) {
        char name[DR_PATH_BYTES];
        output_path(picture, i, name);
        scratch_write(name, page, sizeof page);
    }
    check_int(room_for(picture, 256, 4, warning), ==, DR_OK);
    check_int(room_for(scratch_path("small/b.png"), 256, 4, warning), ==, DR_IO);

    /* Full to the last page. */
    const int filler = open(scratch_path("small/filler"), O_CREAT | O_WRONLY, 0600);
    while (write(filler, page, 4096) > 0)
        ;
    (void)close(filler);
    check_int(room_for(scratch_path("small/b.png"), 64, 1, warning), ==, DR_IO);
    check_has(problem.message, "has 0 B free");
    check_int(umount(folder), ==, 0);
}

static void the_limit_for_files_counts(void)
{
    char warning[DR_TEXT_BYTES];
    struct rlimit before, low;
    check_int(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    low = before;
    low.rlim_cur = 1000;
    check_int(setrlimit(RLIMIT_FSIZE, &low), ==, 0);
    check_int(room_for(scratch_path("f.png"), 1024, 1, warning), ==, DR_IO);
    check_has(problem.message,
              "at least 196608 bytes, and the limit on file sizes is 1000");
    check_int(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    check_int(room_for(scratch_path("f.png"), 1024, 1, warning), ==, DR_OK);
}

int main(void)
{
    check_run(extensions_say_what_is_written);
    check_run(what_cannot_be_written_is_named);
    check_run(closed_directories_are_named);
    check_run(read_only_disks_are_named);
    check_run(what_is_there_is_looked_at);
    check_run(estimates_hold);
    check_run(what_is_kept_for_the_superuser_is_not_for_others);
    check_run(a_small_disk_is_measured);
    check_run(the_limit_for_files_counts);
    return check_done();
}
