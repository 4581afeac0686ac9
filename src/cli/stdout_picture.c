/* For mkdtemp, which glibc shows by default. */
#define _DEFAULT_SOURCE
#include "stdout_picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

enum dr_code stdout_picture_open(struct stdout_picture *picture, struct dr_error *err)
{
    const char *const place = getenv("TMPDIR");
    *picture = (struct stdout_picture){0};
    if (isatty(STDOUT_FILENO))
        return command_fail(err, DR_BAD_INPUT,
                            "-o - writes a picture to standard output, which is a "
                            "terminal; send it to a file or a program");
    (void)snprintf(picture->folder, sizeof picture->folder, "%s/darkroom-XXXXXX",
                   place && *place ? place : "/tmp");
    if (!mkdtemp(picture->folder)) {
        const int refused = errno;
        const enum dr_code code =
            command_fail(err, DR_IO, "cannot make a directory %.400s: %s",
                         picture->folder, strerror(refused));
        picture->folder[0] = '\0';
        return code;
    }
    (void)snprintf(picture->path, sizeof picture->path, "%s/picture.png",
                   picture->folder);
    return DR_OK;
}

enum dr_code stdout_picture_send(const struct stdout_picture *picture,
                                 struct dr_error *err)
{
    char block[1 << 14];
    size_t got;
    FILE *const file = fopen(picture->path, "rb");
    if (!file)
        return command_fail(err, DR_IO, "cannot read %.400s: %s", picture->path,
                            strerror(errno));
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        (void)fwrite(block, 1, got, stdout);
    const bool is_read = !ferror(file);
    (void)fclose(file);
    if (is_read && fflush(stdout) == 0 && !ferror(stdout)) return DR_OK;
    return command_fail(err, DR_IO,
                        "the picture could not be written to standard output: %s",
                        strerror(errno));
}

void stdout_picture_close(struct stdout_picture *picture)
{
    if (picture->path[0]) (void)unlink(picture->path);
    if (picture->folder[0]) (void)rmdir(picture->folder);
    *picture = (struct stdout_picture){0};
}
