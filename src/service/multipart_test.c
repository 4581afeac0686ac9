#include "service/multipart.h"

#include "check.h"

#define PART(disposition, bytes) \
    "--x\r\nContent-Disposition: form-data; " disposition "\r\n\r\n" bytes "\r\n"

static const char type[] = "multipart/form-data; boundary=x";

/* A form, with its body in a block of exactly its size. */
struct parsed {
    char *body;
    struct multipart form;
    struct dr_error err;
    enum dr_code code;
};

static struct parsed parse(const char *content_type, const char *body, size_t count)
{
    struct parsed parsed = {.body = malloc(count ? count : 1)};
    if (!parsed.body) abort();
    memcpy(parsed.body, body, count);
    parsed.code =
        multipart_parse(&parsed.form, content_type, parsed.body, count, &parsed.err);
    return parsed;
}

static void finish(struct parsed *parsed)
{
    multipart_finish(&parsed->form);
    free(parsed->body);
}

static void check_part(const struct parsed *parsed, const char *name, size_t idx,
                       const char *bytes)
{
    const struct multipart_part *const part = multipart_find(&parsed->form, name, idx);
    check(part != NULL);
    if (!part) return;
    check_int(part->byte_count, ==, strlen(bytes));
    check_str((const char *)part->bytes, bytes);
}

static void check_refused(const char *content_type, const char *body, const char *words)
{
    struct parsed parsed = parse(content_type, body, strlen(body));
    check_int(parsed.code, ==, DR_BAD_INPUT);
    check_has(parsed.err.message, words);
    check(parsed.form.parts == NULL && parsed.form.part_count == 0);
    finish(&parsed);
}

/* T70: as httpx, curl and browsers send it. */
static void fields_stand_before_and_after_files(void)
{
    static const char body[] = PART("name=\"prompt\"", "a cat")
        PART("name=\"image[]\"; filename=\"a.png\"", "one")
            PART("filename=\"b.png\"; name=\"image[]\"", "two")
                PART("name=n", "2") "--x--\r\nepilogue";
    struct parsed parsed = parse(type, body, sizeof body - 1);
    check_int(parsed.code, ==, DR_OK);
    check_int(parsed.form.part_count, ==, 4);
    check_part(&parsed, "prompt", 0, "a cat");
    check_part(&parsed, "image[]", 0, "one");
    check_part(&parsed, "image[]", 1, "two");
    check_part(&parsed, "n", 0, "2");
    check(multipart_find(&parsed.form, "image[]", 2) == NULL);
    check(multipart_find(&parsed.form, "mask", 0) == NULL);
    check(multipart_find(&parsed.form, "image[]", 0)->is_file &&
          !multipart_find(&parsed.form, "prompt", 0)->is_file);
    finish(&parsed);
}

static void any_boundary_is_read(void)
{
    static const struct {
        const char *type, *body;
    } forms[] = {
        {"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk",
         "------WebKitFormBoundary7MA4YWxk\r\ncontent-disposition: form-data; "
         "name=\"a\"\r\n\r\nv\r\n------WebKitFormBoundary7MA4YWxk--\r\n"                   },
        {"Multipart/Form-Data; charset=utf-8; Boundary=\"a b: \\\"c\"",
         "--a b: \"c \t\r\nContent-Type: text/plain\r\nContent-Disposition:form-data;"
         "name=a\r\n\r\nv\r\n--a b: \"c--"                                                 },
        {"multipart/form-data;boundary=-",
         "preamble\r\n---\r\nContent-Disposition: form-data; name=\"a\";\r\n\r\nv\r\n-----"}
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; ++i) {
        struct parsed parsed =
            parse(forms[i].type, forms[i].body, strlen(forms[i].body));
        check_int(parsed.code, ==, DR_OK);
        check_part(&parsed, "a", 0, "v");
        finish(&parsed);
    }
}

/* What looks like a delimiter is none without a line of its own. */
static void bytes_of_a_part_are_any(void)
{
    static const char body[] = PART("name=a", "--x\r\n--xy\r\r\n--x z\n--x") "--x--";
    struct parsed parsed = parse(type, body, sizeof body - 1);
    check_int(parsed.code, ==, DR_OK);
    check_part(&parsed, "a", 0, "--x\r\n--xy\r\r\n--x z\n--x");
    finish(&parsed);
    static const char zeros[] = PART("name=a", "\0\r\n\0") PART("name=b", "") "--x--";
    parsed = parse(type, zeros, sizeof zeros - 1);
    const struct multipart_part *const part = multipart_find(&parsed.form, "a", 0);
    check(part && part->byte_count == 4 && memcmp(part->bytes, "\0\r\n\0", 4) == 0);
    check_part(&parsed, "b", 0, "");
    finish(&parsed);
}

static void quotes_in_names_are_resolved(void)
{
    static const char body[] =
        PART("name=\"a\\\"b\\\\c\\d\"; filename=\"\"", "v") "--x--";
    struct parsed parsed = parse(type, body, sizeof body - 1);
    check_part(&parsed, "a\"b\\c\\d", 0, "v");
    check(parsed.form.parts && parsed.form.parts[0].is_file);
    finish(&parsed);
}

static void an_empty_form_has_no_parts(void)
{
    struct parsed parsed = parse(type, "--x--\r\n", 7);
    check_int(parsed.code, ==, DR_OK);
    check_int(parsed.form.part_count, ==, 0);
    finish(&parsed);
}

static void what_is_no_form_is_refused(void)
{
    check_refused("application/json", "{}", "multipart/form-data");
    check_refused("multipart/form-data", "--x--", "no boundary");
    check_refused("multipart/form-data; boundary=", "--x--", "1 to 200");
    check_refused("multipart/form-data; boundary=\"x", "--x--", "no boundary");
    check_refused("multipart/form-databoundary=x", "--x--", "no boundary");
    check_refused(type, "", "no part");
    struct multipart none;
    struct dr_error err = {0};
    check_int(multipart_parse(&none, type, NULL, 0, &err), ==, DR_BAD_INPUT);
    check_refused(type, "--xy\r\n", "no part");
    check_refused(type, "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv",
                  "no end");
    check_refused(type, "--x\r\nContent-Disposition: form-data; name=a", "headers");
    check_refused(type, PART("name=a", "v") "--x\r\n", "part 2");
    check_refused(type, PART("size=1", "v") "--x--", "no name");
    check_refused(type, PART("name=\"a", "v") "--x--", "cannot be read");
    check_refused(type, PART("name=a b=c", "v") "--x--", "cannot be read");
    check_refused(type, PART("name=a\x01", "v") "--x--", "control character");
    check_refused(type, "--x\r\nnothing\r\n\r\nv\r\n--x--", "without a name");
    check_refused(type,
                  "--x\r\nContent-Disposition: attachment; name=a\r\n\r\nv\r\n--x--",
                  "form-data");
    check_refused(type,
                  "--x\r\nContent-Disposition: form-data; name=a\r\n"
                  "Content-Transfer-Encoding: base64\r\n\r\nv\r\n--x--",
                  "encoded");
}

static void everything_has_a_limit(void)
{
    static char body[80 * 64 + 8192];
    char *to = body;
    for (size_t i = 0; i <= MULTIPART_PARTS; ++i)
        to += sprintf(to, PART("name=a", "v"));
    strcpy(to, "--x--");
    check_refused(type, body, "more than 64 parts");
    to = body + sprintf(body, "--x\r\nX: ");
    memset(to, 'y', MULTIPART_HEADER_BYTES);
    strcpy(to + MULTIPART_HEADER_BYTES, "\r\n\r\nv\r\n--x--");
    check_refused(type, body, "4096 bytes");
    to = body + sprintf(body, "multipart/form-data; boundary=");
    memset(to, 'y', 400);
    to[400] = '\0';
    check_refused(body, "--x--", "400 characters");
    memset(to, 'y', 4000);
    to[4000] = '\0';
    check_refused(body, "--x--", "longer than");
}

int main(void)
{
    check_run(fields_stand_before_and_after_files);
    check_run(any_boundary_is_read);
    check_run(bytes_of_a_part_are_any);
    check_run(quotes_in_names_are_resolved);
    check_run(an_empty_form_has_no_parts);
    check_run(what_is_no_form_is_refused);
    check_run(everything_has_a_limit);
    return check_done();
}
