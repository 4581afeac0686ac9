/* With CLIP's own vocabulary, which is not in the tree: in $DARKROOM_SHARED/clip-tokenizer, in
 * shared/clip-tokenizer beside the source tree, or where darkroom vocabulary puts it. */
#include "golden_tokens.h"
#include "model/tokenizer.h"

#include <unistd.h>

static struct tokenizer *clip;
static char folder[2048];

static void equals_the_reference(void)
{
    golden_check_list(clip, "tests/golden/tokens.json");
}

static void a_mebibyte_is_no_trouble(void)
{
    golden_check_mebibytes(clip);
}

static void opens_fast_and_gives_its_memory_back(void)
{
    golden_check_memory(folder, 2 << 20);
}

static bool is_here(const char *root, const char *rest)
{
    if (!root) return false;
    (void)snprintf(folder, sizeof folder, "%s/%s", root, rest);
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/vocab.json", folder);
    return access(path, R_OK) == 0;
}

static bool find_folder(void)
{
    return is_here(getenv("DARKROOM_SHARED"), "clip-tokenizer") ||
           is_here(getenv("DARKROOM_SOURCE"), "../shared/clip-tokenizer") ||
           is_here(getenv("XDG_DATA_HOME"), "darkroom/tokenizer") ||
           is_here(getenv("HOME"), ".local/share/darkroom/tokenizer");
}

int main(void)
{
    if (!find_folder())
        return check_skip(
            "CLIP's vocabulary is not here: darkroom vocabulary fetches it");
    struct dr_error err;
    if (tokenizer_open(&clip, folder, &err) != DR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    check_int(tokenizer_vocabulary(clip), ==, 49408);
    check_run(equals_the_reference);
    check_run(a_mebibyte_is_no_trouble);
    check_run(opens_fast_and_gives_its_memory_back);
    tokenizer_close(&clip);
    return check_done();
}
