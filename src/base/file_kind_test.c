#include "base/file_kind.h"

#include "check.h"
#include "scratch_folder.h"

static char words[FILE_KIND_TEXT];

static bool tell(const char *start)
{
    return file_kind_tell(start, strlen(start), words);
}

static void knows_nothing_of_some(void)
{
    check(!file_kind_tell("", 0, words));
    check_str(words, "");
    check(!tell("\1\2\3\4\5\6\7\10\11"));
    check_str(words, "");
    check(!tell("short"));
    check(!file_kind_tell("\0\0\0\0", 4, words)); /* too few to say that all are zero */
    check(!file_kind_tell("a text with \0 in it", 19, words));
    check(!tell("a text that is no UTF-8: \xff\xfe"));
}

/* Each beginning of a telling one is read within its bytes (the sanitizers look), and none is
 * taken for what its whole is not. */
static void reads_no_further(void)
{
    static const char page[] = "\xef\xbb\xbf \n<!-- a --><!DOCTYPE html><html>";
    for (size_t bytes = 0; bytes < sizeof page; ++bytes) {
        char *const copy = malloc(bytes ? bytes : 1);
        if (!copy) abort();
        memcpy(copy, page, bytes);
        (void)file_kind_tell(copy, bytes, words);
        free(copy);
    }
    check(tell(page));
    check_has(words, "a web page (HTML)");
}

static void quotes_a_texts_first_line(void)
{
    check(tell("  404: Not Found\nmore"));
    check_str(
        words,
        "in no format that darkroom reads: a text file that begins with \"404: Not "
        "Found\"; download the file again");
    char text[FILE_KIND_BYTES];
    for (size_t shift = 0; shift < 4;
         ++shift) { /* a character that the end would cut */
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 3 <= sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        const size_t whole = shift + (sizeof text - shift) / 3 * 3;
        check(file_kind_tell(text, whole, words));
        check(strstr(words, "\"; download") != NULL);
        check(!strstr(words, "\xe2\x82\"") && !strstr(words, "\xe2\""));
    }
}

static void looks_beside(void)
{
    const char *const path = scratch_path("a.safetensors");
    check(!file_kind_has_notes(path, words));
    check(!file_kind_is_unfinished(path, words));
    scratch_write(scratch_path("a.safetensors.aria2"), "x", 1);
    check(file_kind_has_notes(path, words));
    check(file_kind_is_unfinished(path, words));
    check_has(words, "resume it");
    check(file_kind_is_unfinished("b.safetensors.PART", words));
    check_has(words, "ends in .PART");
    check(!file_kind_is_unfinished("part", words));
    char name[256]; /* as long as a name may be: none has .aria2 behind it */
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    scratch_write(scratch_path(name), "x", 1);
    check(!file_kind_has_notes(scratch_path(name), words));
}

int main(void)
{
    check_run(knows_nothing_of_some);
    check_run(reads_no_further);
    check_run(quotes_a_texts_first_line);
    check_run(looks_beside);
    return check_done();
}
