#include "base/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

static const char mark[] = "\xEF\xBB\xBF";

/* All that is there, at most room bytes. False with errno set. */
static bool read_all(int descriptor, char *text, size_t room, size_t *count)
{
    *count = 0;
    while (*count < room) {
        const ssize_t got = read(descriptor, text + *count, room - *count);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        *count += (size_t)got;
    }
    return true;
}

static enum dr_code check_text(const char *path, const char *text, size_t bytes,
                               struct dr_error *err)
{
    size_t line = 1;
    for (size_t i = 0; i < bytes;) {
        const size_t length = text[i] ? utf8_length(text + i, bytes - i) : 0;
        if (length == 0)
            return error_set(err, DR_BAD_INPUT,
                             "line %zu of %.600s is not UTF-8 text: byte 0x%02X; save "
                             "the file as UTF-8",
                             line, path, (unsigned)(unsigned char)text[i]);
        line += text[i] == '\n';
        i += length;
    }
    return DR_OK;
}

static enum dr_code read_open(int descriptor, const char *path, size_t most_bytes,
                              char **text, size_t *bytes, struct dr_error *err)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return error_set_errno(err, DR_IO, errno, "cannot read %.600s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, DR_BAD_INPUT, "%.600s is not a file", path);
    char *const all = malloc(most_bytes + 1);
    if (!all) return error_set(err, DR_NOMEM, "no memory to read %.600s", path);
    *text = all;
    /* One byte more than may be there shows that there is more. */
    if (!read_all(descriptor, all, most_bytes + 1, bytes))
        return error_set_errno(err, DR_IO, errno, "cannot read %.600s", path);
    if (*bytes > most_bytes)
        return error_set(err, DR_BAD_INPUT,
                         "%.600s is too long for a text: it has more than %zu bytes",
                         path, most_bytes);
    const size_t skip = sizeof mark - 1;
    if (*bytes >= skip && memcmp(all, mark, skip) == 0) {
        *bytes -= skip;
        memmove(all, all + skip, *bytes);
    }
    all[*bytes] = '\0';
    return check_text(path, all, *bytes, err);
}

enum dr_code text_file_read(const char *path, size_t most_bytes, char **text,
                            size_t *bytes, struct dr_error *err)
{
    *text = NULL;
    *bytes = 0;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return error_set_errno(err, errno == ENOENT ? DR_NOT_FOUND : DR_IO, errno,
                               "cannot open %.600s", path);
    const enum dr_code code = read_open(descriptor, path, most_bytes, text, bytes, err);
    (void)close(descriptor);
    if (code != DR_OK) {
        free(*text);
        *text = NULL;
    }
    return code;
}
