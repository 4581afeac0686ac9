/* With CLIP's own vocabulary, which is not in the tree: in $DARKROOM_SHARED/clip-tokenizer, or
 * beside the source tree in shared/clip-tokenizer. */
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

int main(void)
{
    const char *const source = getenv("DARKROOM_SOURCE");
    const char *const shared = getenv("DARKROOM_SHARED");
    (void)snprintf(folder, sizeof folder, "%s%s/clip-tokenizer",
                   shared   ? shared
                   : source ? source
                            : ".",
                   shared ? "" : "/../shared");
    if (access(folder, R_OK) != 0)
        return check_skip(
            "CLIP's vocabulary is not here; DARKROOM_SHARED says where it is");
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
