/* wildcard_fuzz — any bytes as a prompt with wildcards. The first byte is the seed, and the directory has the files a.txt, b.txt,
 * c/d.txt and loop.txt.
 *
 * Whatever the bytes: either an error in words, or a text without a wildcard whose file is there, and as long as it may be. A
 * second time it is the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../scratch_folder.h"
#include "switch/wildcard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void put(const char *name, const char *text)
{
    scratch_write(scratch_path(name), text, strlen(text));
}

static void put_files(void)
{
    (void)mkdir(scratch_path("c"), 0700);
    put("a.txt", "one\n# comment\n two \n\nthree");
    put("b.txt", "b __a__ __c/d__\n__a");
    put("c/d.txt", "_\n__");
    put("loop.txt", "__loop__ x");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static int has_files;
    struct dr_error err = {0};
    char *once, *twice;
    int32_t count, again;
    if (bytes == 0) return 0;
    if (!has_files) put_files();
    has_files = 1;
    char *const text = malloc(bytes);
    if (!text) abort();
    memcpy(text, data + 1, bytes - 1);
    text[bytes - 1] = '\0';
    enum dr_code code =
        wildcard_expand(text, scratch_folder(), data[0], &once, &count, &err);
    if (code == DR_OK) {
        assert(once && count >= 0 && count <= WILDCARD_MAX_COUNT);
        assert(count > 0 || strcmp(once, text) == 0);
        code = wildcard_expand(text, scratch_folder(), data[0], &twice, &again, &err);
        assert(code == DR_OK && again == count && strcmp(once, twice) == 0);
        free(twice);
    } else {
        assert(!once && err.message[0]);
        assert(code == DR_BAD_INPUT || code == DR_NOT_FOUND);
    }
    free(once);
    free(text);
    return 0;
}
