/* The files of the gallery: names, opening, thumbnails, syncing. */
#include "service/gallery.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/store_sql.h"

enum {
    NAME_BYTES = STORE_ID_BYTES + 8
};

/* Ids follow from the job's, which is random. */
void gallery_id(const char *job, int32_t index, char id[STORE_ID_BYTES])
{
    char text[64];
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const int length = snprintf(text, sizeof text, "picture %s %d", job, index);
    SHA256((const unsigned char *)text, (size_t)length, digest);
    for (size_t i = 0; i < (STORE_ID_BYTES - 1) / 2; ++i)
        (void)snprintf(id + 2 * i, 3, "%02x", digest[i]);
}

static void file_name(const char *id, bool is_jpeg, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%s.%s", id, is_jpeg ? "jpg" : "png");
}

void gallery_path(const struct store *store, const char *id, bool is_jpeg, char *path,
                  size_t path_bytes)
{
    char name[NAME_BYTES];
    file_name(id, is_jpeg, name);
    (void)snprintf(path, path_bytes, "%s/%s", store_image_folder(store), name);
}

/* A regular file in the folder, nothing that a link leads to. */
static enum dr_code open_file(int folder, const char *name, const char *folder_path,
                              int *file, struct dr_error *err)
{
    struct stat status;
    const int opened =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (opened < 0 && errno != ENOENT && errno != ELOOP)
        return failure(err, DR_IO, "cannot read %s/%s: %s", folder_path, name,
                       strerror(errno));
    if (opened < 0 || fstat(opened, &status) != 0 || !S_ISREG(status.st_mode)) {
        if (opened >= 0) (void)close(opened);
        return failure(err, DR_NOT_FOUND, "the file of the picture is gone: %s", name);
    }
    *file = opened;
    return DR_OK;
}

enum dr_code gallery_open(struct store *store, const struct gallery_picture *picture,
                          int *file, struct dr_error *err)
{
    char name[NAME_BYTES];
    file_name(picture->id, picture->is_jpeg, name);
    return open_file(store->image_folder, name, store->image_path, file, err);
}

enum dr_code gallery_open_thumbnail(struct store *store,
                                    const struct gallery_picture *picture, int *file,
                                    struct dr_error *err)
{
    char name[NAME_BYTES];
    file_name(picture->id, true, name);
    return open_file(store->thumbnail_folder, name, "thumbnails", file, err);
}

static bool write_all(int file, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t written = write(file, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}

/* Two threads may write one thumbnail at once: each its own part, and the last stays. */
enum dr_code gallery_write_thumbnail(struct store *store, const char *id,
                                     const unsigned char *bytes, size_t byte_count,
                                     struct dr_error *err)
{
    char part[STORE_ID_BYTES], name[NAME_BYTES];
    store_new_id(part);
    file_name(id, true, name);
    const int file = openat(store->thumbnail_folder, part,
                            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_written = file >= 0 && write_all(file, bytes, byte_count);
    int error = errno;
    if (file >= 0 && close(file) != 0 && is_written) {
        is_written = false;
        error = errno;
    }
    if (is_written &&
        renameat(store->thumbnail_folder, part, store->thumbnail_folder, name) == 0)
        return DR_OK;
    if (is_written) error = errno;
    if (file >= 0) (void)unlinkat(store->thumbnail_folder, part, 0);
    return failure(err, DR_IO, "cannot write the thumbnail of a picture: %s",
                   strerror(error));
}

void gallery_remove_files(struct store *store, const char *id, bool is_jpeg)
{
    char name[NAME_BYTES];
    file_name(id, is_jpeg, name);
    (void)unlinkat(store->image_folder, name, 0);
    file_name(id, true, name);
    (void)unlinkat(store->thumbnail_folder, name, 0);
}

enum dr_code gallery_sync(struct store *store, struct gallery_picture *picture,
                          struct dr_error *err)
{
    struct stat status;
    int file = -1;
    gallery_id(picture->job, picture->index, picture->id);
    enum dr_code code = gallery_open(store, picture, &file, err);
    if (code) return code;
    if (fsync(file) != 0 || fstat(file, &status) != 0 ||
        fsync(store->image_folder) != 0)
        code = failure(err, DR_IO, "cannot write picture %s to the disk: %s",
                       picture->id, strerror(errno));
    else
        picture->bytes = (uint64_t)status.st_size;
    (void)close(file);
    return code;
}
