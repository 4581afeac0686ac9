#include "model/tokenizer_file.h"

#include "base/fault.h"
#include "base/file_kind.h"
#include "base/path_error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_all(int descriptor, struct tokenizer_file *file)
{
    size_t done = 0;
    while (done < file->count) {
        const ssize_t got = read(descriptor, file->bytes + done, file->count - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        done += (size_t)got;
    }
    file->count = done; /* less, where the file was cut short meanwhile */
    file->bytes[done] = '\0';
    return true;
}

static void skip_mark(struct tokenizer_file *file)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (strncmp(file->bytes, mark, sizeof mark - 1) != 0) return;
    file->bytes += sizeof mark - 1;
    file->count -= sizeof mark - 1;
}

static enum dr_code read_open(struct tokenizer_file *file, struct pool *pool,
                              const char *path, int descriptor, struct dr_error *err)
{
    struct stat status;
    if (fault_strikes(FAULT_READ))
        errno = EIO;
    else if (fstat(descriptor, &status) == 0) {
        if (!S_ISREG(status.st_mode) || status.st_size > TOKENIZER_FILE_MAX_BYTES)
            return error_set(err, DR_CORRUPT,
                             "%s is not a regular file of at most %d bytes", path,
                             TOKENIZER_FILE_MAX_BYTES);
        file->count = (size_t)status.st_size;
        file->bytes = pool_alloc(pool, file->count + 1);
        if (!file->bytes) return error_set(err, DR_NOMEM, "no memory for %s", path);
        if (read_all(descriptor, file)) {
            skip_mark(file);
            return DR_OK;
        }
    }
    return error_set_errno(err, DR_IO, errno, "cannot read %s", path);
}

static bool path_of(char path[static PATH_MAX], const char *folder, const char *name)
{
    const int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return length >= 0 && length < PATH_MAX;
}

/* A link to nothing is an error, not a missing file: the tokenizer must not be opened without it. */
static enum dr_code refuse(int errno_value, const char *folder, const char *path,
                           struct dr_error *err)
{
    enum dr_code code = path_error_set(err, errno_value, "cannot open", path);
    if (path_is_broken(path) || path_is_broken(folder)) code = DR_IO;
    if (err) err->code = code;
    return code;
}

enum dr_code tokenizer_file_read(struct tokenizer_file *file, struct pool *pool,
                                 const char *folder, const char *name,
                                 struct dr_error *err)
{
    char path[PATH_MAX];
    if (!path_of(path, folder, name))
        return error_set(err, DR_IO, "%s/%s: the path is too long", folder, name);
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return refuse(errno, folder, path, err);
    const enum dr_code code = read_open(file, pool, path, descriptor, err);
    (void)close(descriptor);
    return code;
}

static enum dr_code parse(json_t **out, const struct tokenizer_file *file,
                          const char *folder, const char *name, struct dr_error *err)
{
    json_error_t fault;
    json_t *const root =
        json_loadb(file->bytes, file->count, JSON_REJECT_DUPLICATES, &fault);
    if (!root && json_error_code(&fault) == json_error_out_of_memory)
        return error_set(err, DR_NOMEM, "no memory for %s/%s", folder, name);
    char words[FILE_KIND_TEXT];
    const bool is_json = file->bytes[0] == '{' || file->bytes[0] == '[';
    if (!root && !is_json && file_kind_tell(file->bytes, file->count, words))
        return error_set(err, DR_CORRUPT, "%s/%s is %s", folder, name, words);
    if (!root)
        return error_set(err, DR_CORRUPT, "%s/%s, line %d: %s", folder, name,
                         fault.line, fault.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, DR_CORRUPT, "%s/%s is not a JSON object", folder, name);
    }
    *out = root;
    return DR_OK;
}

enum dr_code tokenizer_file_json(json_t **out, const char *folder, const char *name,
                                 struct dr_error *err)
{
    struct pool pool = {0};
    struct tokenizer_file file = {0};
    enum dr_code code = tokenizer_file_read(&file, &pool, folder, name, err);
    if (code == DR_OK) code = parse(out, &file, folder, name, err);
    pool_finish(&pool);
    return code;
}

void tokenizer_stamp_take(struct tokenizer_stamp *stamp, const char *folder)
{
    static const char *const names[TOKENIZER_FILES] = {
        "vocab.json",        "merges.txt",
        "added_tokens.json", "tokenizer_config.json",
        "tokenizer.json",    "special_tokens_map.json"};
    *stamp = (struct tokenizer_stamp){0};
    for (int i = 0; i < TOKENIZER_FILES; ++i) {
        char path[PATH_MAX];
        struct stat status;
        if (!path_of(path, folder, names[i]) || stat(path, &status) != 0) continue;
        stamp->files[i].device = (uint64_t)status.st_dev;
        stamp->files[i].inode = (uint64_t)status.st_ino;
        stamp->files[i].bytes = (uint64_t)status.st_size;
        stamp->files[i].modified_ns =
            (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    }
}

bool tokenizer_stamp_is(const struct tokenizer_stamp *stamp, const char *folder)
{
    struct tokenizer_stamp now;
    tokenizer_stamp_take(&now, folder);
    return memcmp(stamp, &now, sizeof now) == 0;
}
