#include "weights/file_identity.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"

static struct file_identity from_status(const struct stat *status)
{
    return (struct file_identity){
        .device = (uint64_t)status->st_dev,
        .inode = (uint64_t)status->st_ino,
        .bytes = (uint64_t)status->st_size,
        .modified_ns =
            (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec,
        .changed_ns =
            (int64_t)status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec,
    };
}

enum dr_code file_identity_read(struct file_identity *identity, int descriptor,
                                const char *path, struct dr_error *err)
{
    struct stat status;
    if (fstat(descriptor, &status))
        return error_set_errno(err, DR_IO, errno, "cannot look at %s", path);
    *identity = from_status(&status);
    return DR_OK;
}

/* The descriptor's file: was it written to since? */
static enum dr_code check_content(const struct file_identity *then,
                                  const struct file_identity *now, const char *path,
                                  struct dr_error *err)
{
    if (now->bytes != then->bytes)
        return error_set(err, DR_CHANGED,
                         "%s changed while it was in use: its size changed from %llu "
                         "to %llu bytes; load it again",
                         path, (unsigned long long)then->bytes,
                         (unsigned long long)now->bytes);
    if (now->modified_ns != then->modified_ns)
        return error_set(err, DR_CHANGED,
                         "%s was modified while it was in use; load it again", path);
    return DR_OK;
}

enum dr_code file_identity_check(const struct file_identity *identity, int descriptor,
                                 const char *path, struct dr_error *err)
{
    struct file_identity now;
    if (fault_strikes(FAULT_IDENTITY)) return DR_OK;
    enum dr_code code = file_identity_read(&now, descriptor, path, err);
    if (!code) code = check_content(identity, &now, path, err);
    if (code) return code;

    struct stat status;
    if (stat(path, &status)) {
        if (errno == ENOENT || errno == ENOTDIR)
            return error_set(err, DR_CHANGED,
                             "%s was removed or renamed while it was in use", path);
        return error_set_errno(err, DR_IO, errno, "cannot look at %s", path);
    }
    now = from_status(&status);
    if (now.device != identity->device || now.inode != identity->inode)
        return error_set(
            err, DR_CHANGED,
            "%s was replaced by another file while it was in use; load it again", path);
    return DR_OK;
}
