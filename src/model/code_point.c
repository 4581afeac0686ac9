/* The three tables below hold what the reference's editions of Unicode say otherwise than
 * utf8proc's Unicode 15.0. They were found by asking the reference about every code point
 * (tools/golden/tokens.py writes its answers down for the test). A younger utf8proc that knows
 * these points agrees with the tables; only letters and digits of Unicode 17 and later would
 * then be taken for what the reference does not yet call them, and the test would say so.
 */
#include "model/code_point.h"

#include <assert.h>
#include <stddef.h>
#include <utf8proc.h>

struct range {
    int32_t first, last;
};

static const struct range letters_of_unicode_16[] = {
    {0x1C89,  0x1C8A },
    {0xA7CB,  0xA7CD },
    {0xA7DA,  0xA7DC },
    {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65},
    {0x10D6F, 0x10D85},
    {0x10EC2, 0x10EC4},
    {0x11380, 0x11389},
    {0x1138B, 0x1138B},
    {0x1138E, 0x1138E},
    {0x11390, 0x113B5},
    {0x113B7, 0x113B7},
    {0x113D1, 0x113D1},
    {0x113D3, 0x113D3},
    {0x11BC0, 0x11BE0},
    {0x13460, 0x143FA},
    {0x16100, 0x1611D},
    {0x16D40, 0x16D6C},
    {0x18CFF, 0x18CFF},
    {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0},
    {0x2EBF0, 0x2EE5D},
};

static const struct range numbers_of_unicode_16[] = {
    {0x10D40, 0x10D49},
    {0x116D0, 0x116E3},
    {0x11BF0, 0x11BF9},
    {0x16130, 0x16139},
    {0x16D70, 0x16D79},
    {0x1CCF0, 0x1CCF9},
    {0x1E5F1, 0x1E5FA},
};

/* Marks with a combining class, and the parts and the whole of one composition, that came
 * after Unicode 9. */
static const struct range late[] = {
    {0x7FD,   0x7FD  },
    {0x898,   0x89F  },
    {0x8CA,   0x8D3  },
    {0x9FE,   0x9FE  },
    {0xC3C,   0xC3C  },
    {0xD3B,   0xD3C  },
    {0xEBA,   0xEBA  },
    {0x1715,  0x1715 },
    {0x1ABF,  0x1ACE },
    {0x1DF6,  0x1DFA },
    {0xA82C,  0xA82C },
    {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC},
    {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50},
    {0x10F82, 0x10F85},
    {0x11070, 0x11070},
    {0x1133B, 0x1133B},
    {0x1145E, 0x1145E},
    {0x11839, 0x1183A},
    {0x11930, 0x11930},
    {0x11938, 0x11938},
    {0x1193D, 0x1193E},
    {0x11943, 0x11943},
    {0x119E0, 0x119E0},
    {0x11A34, 0x11A34},
    {0x11A47, 0x11A47},
    {0x11A99, 0x11A99},
    {0x11D42, 0x11D42},
    {0x11D44, 0x11D45},
    {0x11D97, 0x11D97},
    {0x11F41, 0x11F42},
    {0x16FF0, 0x16FF1},
    {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF},
    {0x1E4EC, 0x1E4EF},
};

/* Upper-case letters of Unicode 16 and 17, and those whose small letter came with them. */
static const struct {
    struct range upper;
    int32_t to_lower; /* added */
} lower_of_unicode_17[] = {
    {{0x1C89, 0x1C89},   1     },
    {{0xA7CB, 0xA7CB},   -42343},
    {{0xA7CC, 0xA7CC},   1     },
    {{0xA7CE, 0xA7CE},   1     },
    {{0xA7D2, 0xA7D2},   1     },
    {{0xA7D4, 0xA7D4},   1     },
    {{0xA7DA, 0xA7DA},   1     },
    {{0xA7DC, 0xA7DC},   -42561},
    {{0x10D50, 0x10D65}, 32    },
    {{0x16EA0, 0x16EB8}, 27    },
};

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

static bool is_in(const struct range ranges[], size_t count, int32_t point)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (point > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && point >= ranges[low].first;
}

/* Unicode's White_Space, which is settled. */
static bool is_space(int32_t point)
{
    switch (point) {
    case ' ':
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000: return true;
    default:
        return (point >= 0x9 && point <= 0xD) || (point >= 0x2000 && point <= 0x200A);
    }
}

enum code_point_class code_point_class(int32_t point)
{
    if (is_space(point)) return CODE_POINT_SPACE;
    const int category = (int)utf8proc_category(point);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return CODE_POINT_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
        return CODE_POINT_NUMBER;
    if (point < letters_of_unicode_16[0].first) return CODE_POINT_OTHER;
    if (is_in(letters_of_unicode_16, LENGTH(letters_of_unicode_16), point))
        return CODE_POINT_LETTER;
    if (is_in(numbers_of_unicode_16, LENGTH(numbers_of_unicode_16), point))
        return CODE_POINT_NUMBER;
    return CODE_POINT_OTHER;
}

int32_t code_point_lower(int32_t point)
{
    if (point < 0x80) return point >= 'A' && point <= 'Z' ? point + ('a' - 'A') : point;
    if (point == CODE_POINT_I_DOT) return 'i';
    for (size_t i = 0; i < LENGTH(lower_of_unicode_17); ++i) {
        const struct range upper = lower_of_unicode_17[i].upper;
        if (point >= upper.first && point <= upper.last)
            return point + lower_of_unicode_17[i].to_lower;
    }
    return utf8proc_tolower(point);
}

bool code_point_is_late(int32_t point)
{
    return point >= late[0].first && is_in(late, LENGTH(late), point);
}

int code_point_combining(int32_t point)
{
    const int combining = utf8proc_get_property(point)->combining_class;
    return combining > 0 && code_point_is_late(point) ? 0 : combining;
}

int code_point_decompose(int32_t point, int32_t points[CODE_POINT_MAX_DECOMPOSED])
{
    int32_t parts[CODE_POINT_MAX_DECOMPOSED] = {point};
    int count = 1;
    if (point >= 0xC0 && !code_point_is_late(point)) {
        int boundary = 0; /* of grapheme clusters, unused */
        const utf8proc_option_t options = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE;
        count = (int)utf8proc_decompose_char(point, parts, CODE_POINT_MAX_DECOMPOSED,
                                             options, &boundary);
        /* Unicode's longest canonical decomposition has four points, for good. */
        assert(count >= 1 && count <= CODE_POINT_MAX_DECOMPOSED);
    }
    for (int i = 0; points && i < count; ++i)
        points[i] = parts[i];
    return count;
}
