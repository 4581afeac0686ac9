#include "job/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/path.h"
#include "base/path_error.h"
#include "base/size.h"
#include "base/temporary_file.h"
#include "image/image.h"
#include "sampling/latent.h"

enum {
    MOST_NAMES = 256 /* of a batch, whose size is checked elsewhere */
};

bool output_is_latent(const char *path)
{
    const char *const dot = strrchr(path_name(path), '.');
    return dot &&
           (strcasecmp(dot, ".safetensors") == 0 || strcasecmp(dot, ".sft") == 0);
}

void output_path(const char *output, int32_t idx, char path[static DR_PATH_BYTES])
{
    const char *const name = path_name(output);
    const char *const dot = strrchr(name, '.');
    if (idx == 0 || !dot)
        (void)snprintf(path, DR_PATH_BYTES, "%s", output);
    else
        (void)snprintf(path, DR_PATH_BYTES, "%.*s-%d%s", (int)(dot - output), output,
                       (int)idx + 1, dot);
}

void output_name(const struct dr_output *output, int32_t idx,
                 char path[static DR_PATH_BYTES])
{
    if (output->paths)
        (void)snprintf(path, DR_PATH_BYTES, "%s", output->paths[idx]);
    else
        output_path(output->path, idx, path);
}

bool output_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

/* The first name; all have its kind. */
static const char *first_name(const struct dr_output *output)
{
    return output->paths ? output->paths[0] : output->path;
}

static int32_t file_count(const struct dr_output *output)
{
    return output_is_latent(first_name(output)) ? 1 : output->batch;
}

/* ---- names and directories --------------------------------------------------------------- */

static bool is_picture_or_latents(const char *path)
{
    static const unsigned char png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    static const unsigned char jpeg[] = {0xFF, 0xD8, 0xFF};
    unsigned char head[sizeof png] = {0};
    struct latent_head latents;
    FILE *const file = fopen(path, "rb");
    if (!file) return false;
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    if (got == sizeof png && memcmp(head, png, sizeof png) == 0) return true;
    if (got >= sizeof jpeg && memcmp(head, jpeg, sizeof jpeg) == 0) return true;
    return latent_file_head(path, &latents, NULL) == DR_OK;
}

/* What the caller wants of a regular file that is there. */
static enum dr_code check_existing(const char *path, enum dr_existing existing,
                                   struct dr_error *err)
{
    switch (existing) {
    case DR_EXISTING_ANY: return DR_OK;
    case DR_EXISTING_NONE:
        return error_set(err, DR_BAD_INPUT,
                         "%.600s exists, and --no-clobber keeps it; name another "
                         "output",
                         path);
    case DR_EXISTING_PICTURES: break;
    }
    if (is_picture_or_latents(path)) return DR_OK;
    return error_set(err, DR_BAD_INPUT,
                     "%.600s exists and is not a picture or a latent file; name "
                     "another output, or replace it with --overwrite",
                     path);
}

/* An existing file may be replaced if it is a regular file that may be written. */
static enum dr_code check_target(const char *path, enum dr_existing existing,
                                 struct dr_error *err)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        if (errno == ENAMETOOLONG)
            return error_set(err, DR_BAD_INPUT,
                             "%.600s: the name is too long for the file system", path);
        return errno == ENOENT ? DR_OK
                               : path_error_set(err, errno, "cannot write", path);
    }
    if (S_ISDIR(status.st_mode))
        return error_set(err, DR_BAD_INPUT, "%.600s is a directory; name a file", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, DR_BAD_INPUT,
                         "%.600s is not a regular file; name a file to write or "
                         "replace",
                         path);
    if (access(path, W_OK) != 0)
        return error_set_errno(err, DR_IO, errno, "%.600s exists and is not writable",
                               path);
    return check_existing(path, existing, err);
}

static void folder_of(const char *path, char folder[static DR_PATH_BYTES])
{
    const int length = (int)(path_name(path) - path);
    (void)snprintf(folder, DR_PATH_BYTES, "%.*s", length ? length : 1,
                   length ? path : ".");
}

static enum dr_code check_folder(const char *path, struct dr_error *err)
{
    struct stat status;
    char folder[DR_PATH_BYTES];
    folder_of(path, folder);
    if (stat(folder, &status) != 0) {
        const int refused = errno;
        const enum dr_code code = path_error_set(err, refused, "cannot open", folder);
        if (refused != ENOENT && refused != ENOTDIR) return code;
        error_prefix(err, "there is no directory %.200s to write %.100s in", folder,
                     path_name(path));
        if (err) err->code = DR_NOT_FOUND;
        return DR_NOT_FOUND;
    }
    if (access(folder, W_OK | X_OK) != 0)
        return error_set_errno(err, DR_IO, errno,
                               "the directory %.600s is not "
                               "writable",
                               folder);
    /* Remove partial files that killed writers left. */
    (void)temporary_file_sweep(folder);
    return DR_OK;
}

/* Checking permissions is not enough, because of quotas, file servers, and names that the file system
 * refuses. */
static enum dr_code try_writing(const char *path, struct dr_error *err)
{
    struct temporary_file file;
    const enum dr_code code = temporary_file_open(&file, path, err);
    temporary_file_discard(&file);
    return code;
}

static enum dr_code check_kind(const char *path, enum dr_output_kind kind, int32_t bits,
                               struct dr_error *err)
{
    enum image_format format;
    const bool is_latent = output_is_latent(path);
    const bool is_picture = image_format_from_path(path, &format);
    if (kind == DR_OUTPUT_LATENTS && !is_latent)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: latents are written to a .safetensors (or .sft) "
                         "file",
                         path);
    if (kind == DR_OUTPUT_PICTURES && is_latent)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: decode writes a picture, .png or .jpg", path);
    struct stat status;
    if (!is_latent && !is_picture && stat(path, &status) == 0 &&
        S_ISDIR(status.st_mode))
        return error_set(err, DR_BAD_INPUT,
                         "%.600s is a directory; name a file in it, such as "
                         "picture.png (generate also takes a directory that ends in "
                         "a slash)",
                         path);
    const char *const dot = strrchr(path_name(path), '.');
    if (!is_latent && !is_picture)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: the output needs a file name extension%s%.40s%s: "
                         ".png or .jpg for a picture, .safetensors or .sft for latents",
                         path, dot ? " that can be written, which " : "",
                         dot ? dot : "", dot ? " is not" : "");
    if (is_picture && format == IMAGE_JPEG && bits == 16)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s: JPEG has 8 bits per channel; write a .png", path);
    return DR_OK;
}

/* One name of the output, but for its extension. */
static enum dr_code check_name(const struct dr_output *output, int32_t idx,
                               struct dr_error *err)
{
    char path[DR_PATH_BYTES];
    output_name(output, idx, path);
    enum dr_code code = DR_OK;
    if (idx == 0 || output->paths) code = check_folder(path, err);
    if (code == DR_OK) code = check_target(path, output->existing, err);
    return code;
}

enum dr_code output_check(const struct dr_output *output, struct dr_error *err)
{
    enum dr_code code = DR_OK;
    const int32_t count = file_count(output);
    for (int32_t i = 0; code == DR_OK && i < (output->paths ? count : 1); ++i) {
        const char *const path = output->paths ? output->paths[i] : output->path;
        if (strlen(path) >= DR_PATH_BYTES - 16)
            return error_set(err, DR_BAD_INPUT,
                             "the output's path is longer than %d bytes",
                             DR_PATH_BYTES - 17);
        code = check_kind(path, output->kind, output->bits, err);
    }
    for (int32_t i = 0; code == DR_OK && i < count; ++i)
        code = check_name(output, i, err);
    return code == DR_OK ? try_writing(first_name(output), err) : code;
}

enum dr_code dr_check_output(const struct dr_output *output, struct dr_error *err)
{
    struct dr_output checked = *output;
    const char *const first =
        output->paths && output->batch > 0 ? output->paths[0] : output->path;
    if (!first || !*first) return error_set(err, DR_BAD_INPUT, "no output was given");
    if (checked.batch > MOST_NAMES) checked.batch = MOST_NAMES;
    return output_check(&checked, err);
}

/* ---- space ------------------------------------------------------------------------------- */

/* Of a picture's uncompressed bytes. A PNG of noise is larger than they are; a smooth one is a sixteenth,
 * and a 16-bit one's lower bytes are noise always. JPEG at quality 100 of noise, and of next to
 * nothing: two bits of a coefficient and two of the block's end, 64 pixels of 3 channels. */
enum {
    PNG_LEAST_SHARE = 16,
    PNG_16_LEAST_SHARE = 4,
    JPEG_LEAST_SHARE = 128,
    LEAST_HEADER_BYTES =
        64,          /* of a latent file: its length, its names, shape and type */
    HEAD_BYTES = 512 /* signatures, tables, a latent file's header */
};

static struct output_range picture_bytes(const struct dr_output *output,
                                         const struct output_size *size)
{
    enum image_format format = IMAGE_PNG;
    (void)image_format_from_path(first_name(output), &format);
    const uint64_t raw = (uint64_t)size->width * (uint64_t)size->height * 3U *
                         (uint64_t)(output->bits / 8);
    const uint64_t share = format == IMAGE_JPEG ? JPEG_LEAST_SHARE
                           : output->bits == 16 ? PNG_16_LEAST_SHARE
                                                : PNG_LEAST_SHARE;
    const uint64_t grown =
        format == IMAGE_JPEG ? raw / 2 : raw / 500 + (uint64_t)size->height;
    return (struct output_range){.least = raw / share + size->text_bytes,
                                 .most =
                                     raw + grown + 2 * size->text_bytes + HEAD_BYTES};
}

struct output_range output_file_bytes(const struct dr_output *output,
                                      const struct output_size *size)
{
    const uint64_t latents = (uint64_t)size->latent_bytes * (uint64_t)output->batch;
    return output_is_latent(first_name(output))
               ? (struct output_range){.least = latents + LEAST_HEADER_BYTES,
                                       .most = latents + HEAD_BYTES}
               : picture_bytes(output, size);
}

/* Bytes that become free when this file is replaced. */
static uint64_t replaced_bytes(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_nlink == 1
               ? (uint64_t)status.st_blocks * 512U
               : 0;
}

static uint64_t in_blocks(uint64_t bytes, uint64_t block)
{
    return (bytes + block - 1) / block * block;
}

/* The maximum at one time: each file is written completely before the old one is removed. */
static uint64_t peak_bytes(const struct dr_output *output, uint64_t each,
                           uint64_t block)
{
    const int32_t count = file_count(output);
    uint64_t taken = 0, freed = 0, peak = 0;
    for (int32_t i = 0; i < count; ++i) {
        char name[DR_PATH_BYTES];
        output_name(output, i, name);
        taken += in_blocks(each, block);
        if (taken > freed && taken - freed > peak) peak = taken - freed;
        freed += replaced_bytes(name);
    }
    return peak;
}

/* Checked here, because the system would send SIGXFSZ. */
static enum dr_code check_limit(const char *path, uint64_t least, struct dr_error *err)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_FSIZE, &most) != 0 || most.rlim_cur == RLIM_INFINITY ||
        least <= most.rlim_cur)
        return DR_OK;
    return error_set(err, DR_IO,
                     "%.600s cannot be written: it takes at least %llu bytes, and "
                     "the limit on file sizes is %llu (ulimit -f)",
                     path, (unsigned long long)least,
                     (unsigned long long)most.rlim_cur);
}

enum dr_code output_check_room(const struct dr_output *output,
                               const struct output_size *size,
                               char warning[static DR_TEXT_BYTES], struct dr_error *err)
{
    char folder[DR_PATH_BYTES], need[16], have[16];
    struct statvfs system;
    const char *const path = first_name(output);
    const struct output_range each = output_file_bytes(output, size);
    warning[0] = '\0';
    const enum dr_code code = check_limit(path, each.least, err);
    if (code != DR_OK) return code;
    folder_of(path, folder);
    /* A file system that reports no number of blocks does not report free space either. */
    if (statvfs(folder, &system) != 0 || system.f_blocks == 0 || system.f_frsize == 0)
        return DR_OK;
    const uint64_t block = system.f_frsize;
    /* Some file systems reserve a part for the superuser. */
    const uint64_t free_bytes =
        (uint64_t)(geteuid() == 0 ? system.f_bfree : system.f_bavail) * block;
    const uint64_t least = peak_bytes(output, each.least, block);
    const uint64_t most = peak_bytes(output, each.most, block);
    (void)size_format((size_t)free_bytes, have);
    if (least > free_bytes)
        return error_set(
            err, DR_IO,
            "no space for %.400s: it takes at least %s (%llu bytes), the disk of "
            "%.200s has %s free (%llu bytes); free some space, or write to another "
            "disk",
            path, size_format((size_t)least, need), (unsigned long long)least, folder,
            have, (unsigned long long)free_bytes);
    if (most > free_bytes)
        (void)snprintf(warning, DR_TEXT_BYTES,
                       "The disk of %.200s has %s free, but the output may need up "
                       "to %s.",
                       folder, have, size_format((size_t)most, need));
    return DR_OK;
}
