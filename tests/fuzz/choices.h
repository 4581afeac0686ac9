/* choices.h — for fuzz targets that build what they test: a fuzzer's bytes as a row of decisions. */
#ifndef FUZZ_CHOICES_H
#define FUZZ_CHOICES_H

#include <stddef.h>
#include <stdint.h>

struct choices {
    const uint8_t *at;
    size_t left;
};

/* 0 .. count-1; 0 where nothing is left. */
static inline int choose(struct choices *choices, int count)
{
    if (choices->left == 0) return 0;
    --choices->left;
    return *choices->at++ % count;
}

#endif
