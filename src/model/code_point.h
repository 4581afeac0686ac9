/* code_point — Unicode properties of one code point, as CLIP's tokenizer uses them.
 *
 * The tables are utf8proc's (Unicode 15.0 in Debian 12). The reference tokenizer
 * uses three libraries, each with its own version of Unicode: Oniguruma's classes are those of
 * Unicode 16, Rust's lower case that of Unicode 17, and the normalisation that of Unicode 9. The .c
 * file lists the differences between these versions; the test checks all code points.
 *
 * Pure functions: no state, any thread. A point is in 0..0x10FFFF and not a surrogate.
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

/* Is it newer than the normalisation's version of Unicode? Then it is not decomposed, reordered or
 * composed. */
bool code_point_is_late(int32_t point);

/* Canonical combining class; 0 for starters, and for late marks. */
int code_point_combining(int32_t point);

/* Canonical decomposition, complete: its length. points NULL only counts. */
enum {
    CODE_POINT_MAX_DECOMPOSED = 4
};
int code_point_decompose(int32_t point, int32_t points[CODE_POINT_MAX_DECOMPOSED]);

#endif
