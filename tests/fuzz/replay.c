/* replay — a fuzz target without a fuzzer: every file of the corpus, once.
 *
 *     NAME_replay FILE-OR-FOLDER...
 *
 * So that what a fuzzer once found stays found, on machines that have none. Each input lies in
 * a block of exactly its size, for the sanitizers. No inputs at all is a failure: a corpus that
 * was moved must not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum {
    MAX_INPUT_BYTES = 64 * 1024 * 1024
};

static int input_count;

static int complain(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    return 1;
}

static int replay_file(const char *path, size_t bytes)
{
    if (bytes > MAX_INPUT_BYTES) return complain(path, "is larger than 64 MiB");
    FILE *const file = fopen(path, "rb");
    if (!file) return complain(path, strerror(errno));
    uint8_t *const data = malloc(bytes > 0 ? bytes : 1);
    const int is_read = data && fread(data, 1, bytes, file) == bytes;
    (void)fclose(file);
    if (is_read) {
        fprintf(stderr, "%s\n", path); /* before: so that a crash has a name */
        (void)LLVMFuzzerTestOneInput(data, bytes);
        ++input_count;
    }
    free(data);
    return is_read ? 0 : complain(path, "cannot be read");
}

static int replay_folder(const char *folder)
{
    DIR *const entries = opendir(folder);
    if (!entries) return complain(folder, strerror(errno));
    int failed = 0;
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        char path[4096];
        struct stat status;
        const int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof path || stat(path, &status) != 0)
            failed |= complain(folder, "has a file that cannot be looked at");
        else if (S_ISREG(status.st_mode))
            failed |= replay_file(path, (size_t)status.st_size);
    }
    (void)closedir(entries);
    return failed;
}

int main(int argument_count, char **arguments)
{
    int failed = 0;
    for (int i = 1; i < argument_count; ++i) {
        struct stat status;
        if (stat(arguments[i], &status) != 0)
            failed |= complain(arguments[i], strerror(errno));
        else if (S_ISDIR(status.st_mode))
            failed |= replay_folder(arguments[i]);
        else
            failed |= replay_file(arguments[i], (size_t)status.st_size);
    }
    fprintf(stderr, "%d inputs replayed\n", input_count);
    return failed != 0 || input_count == 0;
}
