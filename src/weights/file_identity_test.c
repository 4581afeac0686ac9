#include "check.h"
#include "scratch_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/file_identity.h"

static struct dr_error error;

/* A fresh file of 100 bytes, open, with its identity. */
static int make(const char **path, struct file_identity *identity)
{
    static const char zeros[100];
    static int serial;
    char name[32];
    (void)snprintf(name, sizeof name, "file-%d", serial++);
    *path = scratch_path(name);
    scratch_write(*path, zeros, sizeof zeros);
    const int descriptor = open(*path, O_RDWR);
    check(descriptor >= 0);
    check_int(file_identity_read(identity, descriptor, *path, &error), ==, DR_OK);
    check_int(identity->bytes, ==, 100);
    return descriptor;
}

static enum dr_code look(const struct file_identity *identity, int descriptor,
                         const char *path)
{
    error = (struct dr_error){0};
    return file_identity_check(identity, descriptor, path, &error);
}

static void knows_the_same(void)
{
    const char *path;
    struct file_identity identity;
    const int descriptor = make(&path, &identity);
    check_int(look(&identity, descriptor, path), ==, DR_OK);
    char byte;
    check_int(pread(descriptor, &byte, 1, 0), ==, 1); /* reading changes nothing */
    check_int(chmod(path, 0600), ==, 0);
    check_int(look(&identity, descriptor, path), ==, DR_OK);
    close(descriptor);
}

static void sees_other_sizes(void)
{
    const char *path;
    struct file_identity identity;
    const int descriptor = make(&path, &identity);
    check_int(ftruncate(descriptor, 40), ==, 0);
    check_int(look(&identity, descriptor, path), ==, DR_CHANGED);
    check_has(error.message, "from 100 to 40 bytes");
    check_has(error.message, path);
    check_int(ftruncate(descriptor, 101), ==, 0);
    check_int(look(&identity, descriptor, path), ==, DR_CHANGED);
    check_has(error.message, "from 100 to 101 bytes");
    close(descriptor);
}

static void sees_writes(void)
{
    const char *path;
    struct file_identity identity;
    const int descriptor = make(&path, &identity);
    /* The clock that stamps files may be coarse: move the stamp by one nanosecond. */
    struct stat status;
    check_int(fstat(descriptor, &status), ==, 0);
    const struct timespec later[2] = {
        status.st_atim,
        {status.st_mtim.tv_sec, (status.st_mtim.tv_nsec + 1) % 1000000000}
    };
    check_int(futimens(descriptor, later), ==, 0);
    check_int(look(&identity, descriptor, path), ==, DR_CHANGED);
    check_has(error.message, "was modified");
    close(descriptor);
}

static void sees_replacement(void)
{
    const char *path, *other_path;
    struct file_identity identity, other;
    const int descriptor = make(&path, &identity);
    const int other_descriptor = make(&other_path, &other);
    check_int(rename(other_path, path), ==, 0);
    check_int(look(&identity, descriptor, path), ==, DR_CHANGED);
    check_has(error.message, "was replaced by another file");
    check_int(unlink(path), ==, 0);
    check_int(look(&identity, descriptor, path), ==, DR_CHANGED);
    check_has(error.message, "was removed or renamed");
    close(descriptor);
    close(other_descriptor);
}

static void follows_links(void)
{
    const char *path;
    struct file_identity identity;
    const int descriptor = make(&path, &identity);
    const char *const link = scratch_path("link");
    check_int(symlink(path, link), ==, 0);
    check_int(look(&identity, descriptor, link), ==, DR_OK);
    close(descriptor);
}

static void reports_bad_descriptors(void)
{
    struct file_identity identity;
    check_int(file_identity_read(&identity, -1, "name", &error), ==, DR_IO);
    check_has(error.message, "name");
}

int main(void)
{
    check_run(knows_the_same);
    check_run(sees_other_sizes);
    check_run(sees_writes);
    check_run(sees_replacement);
    check_run(follows_links);
    check_run(reports_bad_descriptors);
    return check_done();
}
