/* code_point — what Unicode says of one code point, as CLIP's tokenizer sees it.
 *
 * The tables are utf8proc's (Unicode 15.0 in Debian 12). The tokenizer that darkroom equals is
 * made of three libraries, each with its own edition of Unicode: Oniguruma's classes are of
 * Unicode 16, Rust's lower case of Unicode 17, and the normalisation of Unicode 9. What these
 * editions say otherwise is listed in the .c file; the test walks all code points.
 *
 * Pure functions: no state, any thread. A point is in 0..0x10FFFF and no surrogate.
 */
#ifndef MODEL_CODE_POINT_H
#define MODEL_CODE_POINT_H

#include <stdbool.h>
#include <stdint.h>

enum code_point_class {
    CODE_POINT_OTHER, /* punctuation, marks, symbols, controls, unassigned */
    CODE_POINT_LETTER,
    CODE_POINT_NUMBER,
    CODE_POINT_SPACE,
};

/* The class in CLIP's pattern: \p{L}, \p{N}, \s or none of them. */
enum code_point_class code_point_class(int32_t point);

/* Lower case of one code point alone: no final sigma. U+0130 (I with a dot above) is the only
 * one that becomes two, "i" and CODE_POINT_DOT_ABOVE: the "i" is returned. */
int32_t code_point_lower(int32_t point);

enum {
    CODE_POINT_I_DOT = 0x130,
    CODE_POINT_DOT_ABOVE = 0x307
};

/* Younger than the normalisation's edition of Unicode: it neither decomposes, nor moves, nor
 * composes with what is beside it. */
bool code_point_is_late(int32_t point);

/* Canonical combining class; 0 for starters, and for late marks. */
int code_point_combining(int32_t point);

/* Canonical decomposition, complete: its length. points NULL only counts. */
enum {
    CODE_POINT_MAX_DECOMPOSED = 4
};
int code_point_decompose(int32_t point, int32_t points[CODE_POINT_MAX_DECOMPOSED]);

#endif
