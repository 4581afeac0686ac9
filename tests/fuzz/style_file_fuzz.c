/* style_file_fuzz — any bytes as a table of styles.
 *
 * Whatever the bytes: either an error in words, or styles whose names are all different, none empty and none a comment, which are
 * together not longer than the table, and are found by their names. Applied to a prompt, each gives one with the prompt's words in
 * it, not longer than was allowed, or none.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "switch/style_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_applied(const char *style)
{
    enum {
        MOST = 10000
    };
    char *const text = style_file_apply(style, "a cat", MOST);
    assert(text || strlen(style) > MOST / 2);
    assert(!text || (strlen(text) <= MOST && strstr(text, "a cat")));
    free(text);
}

static void check_styles(const struct dr_style_list *list, size_t bytes)
{
    size_t length = 0;
    assert(list->count <= STYLE_FILE_MAX_STYLES);
    for (size_t i = 0; i < list->count; ++i) {
        const struct dr_style *const style = &list->styles[i];
        assert(style->name[0] && style->name[0] != '#');
        assert(style_file_match(list, style->name) == style);
        length += strlen(style->name) + strlen(style->prompt) + strlen(style->negative);
        check_applied(style->prompt);
        check_applied(style->negative);
    }
    assert(length <= bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct dr_style_list list = {0};
    struct dr_error err = {0};
    if (memchr(data, '\0', bytes)) return 0; /* text_file_read lets no zero in */
    char *const text = malloc(bytes + 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    const enum dr_code code = style_file_parse(&list, "s.csv", text, bytes, &err);
    if (code == DR_OK)
        check_styles(&list, bytes);
    else
        assert(code == DR_BAD_INPUT && strstr(err.message, "s.csv"));
    dr_style_list_free(&list);
    free(text);
    return 0;
}
