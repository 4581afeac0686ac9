#include "model/outline.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/component.h"

static struct outline_path path_of(const char *format, va_list arguments)
{
    struct outline_path path;
    const int length = vsnprintf(path.text, sizeof path.text, format, arguments);
    assert(length >= 0 && length < OUTLINE_MAX_NAME_BYTES);
    (void)length;
    return path;
}

struct outline_path outline_path(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const struct outline_path path = path_of(format, arguments);
    va_end(arguments);
    return path;
}

/* Names are sorted bytewise, so those with one prefix lie together. */
static bool has_prefix(const struct component_index *index, const char *prefix)
{
    const size_t prefix_bytes = strlen(prefix);
    size_t low = 0, high = index->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(index->tensors[middle].name, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < index->count &&
           strncmp(index->tensors[low].name, prefix, prefix_bytes) == 0;
}

bool outline_has(const struct component_index *index, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const struct outline_path prefix = path_of(format, arguments);
    va_end(arguments);
    return has_prefix(index, prefix.text);
}

int32_t outline_count(const struct component_index *index, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const struct outline_path prefix = path_of(format, arguments);
    va_end(arguments);

    int32_t count = 0;
    for (int32_t i = 0; i < OUTLINE_MAX_BLOCKS; ++i)
        if (outline_has(index, "%s%d.", prefix.text, i)) count = i + 1;
    return count;
}

int32_t outline_dim(const struct component_index *index, int32_t axis,
                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const struct outline_path name = path_of(format, arguments);
    va_end(arguments);

    const struct tensor *const tensor = component_find(index, name.text);
    if (!tensor || axis >= tensor->rank) return -1;
    const int64_t dim = tensor->dims[axis];
    return dim <= COMPONENT_MAX_DIM ? (int32_t)dim : -1;
}
