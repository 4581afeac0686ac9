/* The words against those that NumPy 2.4 prints. */
#include "base/seed_sequence.h"

#include "check.h"

static void words_are_numpys(void)
{
    static const struct {
        struct seed_sequence sequence;
        uint32_t words[3];
    } rows[] = {
        {{.entropy = 0, .pool_words = 4},                                       {0xb0f478be, 0xdb2cd7e7, 0x2c71ba49}},
        {{.entropy = 42, .pool_words = 24},                                     {0x171c9ae3, 0x97323715, 0xf31e2760}},
        {{.entropy = 1099511627783, .pool_words = 24},
         {0xd281515a, 0xb2f910e4, 0x5a4400bf}                                                                       },
        {{.entropy = UINT64_MAX, .pool_words = 24, .key_count = 2},
         {0xb068acae, 0x902e74df, 0x0cee089b}                                                                       },
        {{.entropy = 1234, .pool_words = 24, .key_count = 2, .keys = {5, 3}},
         {0x6ee70d3b, 0x33d00eec, 0x75855c01}                                                                       },
        {{.entropy = 1234, .pool_words = 24, .key_count = 2},
         {0x3212e8aa, 0xfb583361, 0xa905152d}                                                                       },
        {{.entropy = 7, .pool_words = 8, .key_count = 2, .keys = {123456, 17}},
         {0xe746b48b, 0x79a43866, 0x5418a43b}                                                                       },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        uint32_t got[3];
        seed_sequence_generate(&rows[i].sequence, got, 3);
        for (size_t k = 0; k < 3; ++k)
            check_int(got[k], ==, rows[i].words[k]);
    }
}

/* More words go round the pool again, and do not repeat. */
static void words_go_on_behind_the_pool(void)
{
    const struct seed_sequence sequence = {.entropy = 5, .pool_words = 4};
    uint32_t few[4], many[12];
    seed_sequence_generate(&sequence, few, 4);
    seed_sequence_generate(&sequence, many, 12);
    check_bytes(few, many, sizeof few);
    for (size_t i = 4; i < 12; ++i)
        check(many[i] != many[i - 4]);
}

int main(void)
{
    check_run(words_are_numpys);
    check_run(words_go_on_behind_the_pool);
    return check_done();
}
