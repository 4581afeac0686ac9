#include "check.h"
#include "scratch_folder.h"

#include "base/text_file.h"

static void put(const char *name, const char *text, size_t bytes)
{
    scratch_write(scratch_path(name), text, bytes);
}

static void reads_a_text(void)
{
    struct dr_error err;
    char *text;
    size_t bytes;
    put("a.txt", "\xEF\xBB\xBFone\ntw\xC3\xB6", 11);
    check_int(text_file_read(scratch_path("a.txt"), 100, &text, &bytes, &err), ==,
              DR_OK);
    check_str(text, "one\ntw\xC3\xB6");
    check_int(bytes, ==, 8);
    free(text);
    put("none.txt", "", 0);
    check_int(text_file_read(scratch_path("none.txt"), 0, &text, &bytes, &err), ==,
              DR_OK);
    check_str(text, "");
    free(text);
    check_int(text_file_read(scratch_path("a.txt"), 11, &text, &bytes, &err), ==,
              DR_OK);
    free(text);
}

static void refused(const char *name, size_t most, enum dr_code code, const char *part)
{
    struct dr_error err;
    char *text;
    size_t bytes;
    check_int(text_file_read(scratch_path(name), most, &text, &bytes, &err), ==, code);
    check(!text);
    check_has(err.message, part);
}

static void what_is_no_text_is_refused(void)
{
    put("long.txt", "123456", 6);
    put("latin.txt", "one\ntw\xF6\n", 8);
    put("zero.txt", "one\n\0", 5);
    refused("long.txt", 5, DR_BAD_INPUT, "more than 5 bytes");
    refused("latin.txt", 100, DR_BAD_INPUT, "line 2 of ");
    refused("latin.txt", 100, DR_BAD_INPUT, "byte 0xF6");
    refused("zero.txt", 100, DR_BAD_INPUT, "line 2 of ");
    refused("gone.txt", 100, DR_NOT_FOUND, "gone.txt");
    refused(".", 100, DR_BAD_INPUT, "is not a file");
}

int main(void)
{
    check_run(reads_a_text);
    check_run(what_is_no_text_is_refused);
    return check_done();
}
