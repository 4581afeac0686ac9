#include "service/json_body.h"

#include "check.h"

/* R0lGOA== is "GIF8" and UE5HIQ== is "PNG!": any bytes will do here. */
static const char first[] = "R0lGOA==";

/* A body, with its text in a block of exactly its size. */
struct parsed {
    char *text;
    struct json_body body;
    struct dr_error err;
    enum dr_code code;
};

static struct parsed parse_bytes(const char *text, size_t count)
{
    struct parsed parsed = {.text = malloc(count ? count : 1)};
    if (!parsed.text) abort();
    memcpy(parsed.text, text, count);
    parsed.code = json_body_parse(&parsed.body, parsed.text, count, &parsed.err);
    return parsed;
}

static struct parsed parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void finish(struct parsed *parsed)
{
    json_body_finish(&parsed->body);
    free(parsed->text);
}

static const struct json_body_blob *blob_of(const struct parsed *parsed,
                                            const char *key)
{
    return json_body_blob(&parsed->body, json_object_get(parsed->body.value, key));
}

static void check_blob(const struct json_body_blob *blob, const char *bytes)
{
    check(blob != NULL);
    if (!blob) return;
    check(blob->problem == NULL);
    check(blob->byte_count == strlen(bytes) &&
          memcmp(blob->bytes, bytes, blob->byte_count) == 0);
}

static void check_problem(const char *text, const char *part)
{
    struct parsed parsed = parse(text);
    check_int(parsed.code, ==, DR_OK);
    const struct json_body_blob *const blob = blob_of(&parsed, "mask");
    check(blob != NULL);
    if (blob) check_has(blob->problem, part);
    finish(&parsed);
}

static void check_refused(const char *text, const char *part)
{
    struct parsed parsed = parse(text);
    check_int(parsed.code, ==, DR_BAD_INPUT);
    check_has(parsed.err.message, part);
    check(parsed.body.value == NULL && parsed.body.blobs == NULL);
    finish(&parsed);
}

static void pictures_are_taken_out_and_decoded(void)
{
    struct parsed parsed =
        parse("{\"prompt\": \"a #0\",\n \"init_images\": [\"R0lGOA==\"],"
              "\"mask\":\"UE5HIQ==\", \"steps\": 2}");
    check_int(parsed.code, ==, DR_OK);
    check_int(parsed.body.blob_count, ==, 2);
    json_t *const list = json_object_get(parsed.body.value, "init_images");
    check_blob(json_body_blob(&parsed.body, json_array_get(list, 0)), "GIF8");
    check_blob(blob_of(&parsed, "mask"), "PNG!");
    check_str(json_string_value(json_object_get(parsed.body.value, "prompt")), "a #0");
    check(blob_of(&parsed, "prompt") == NULL && blob_of(&parsed, "steps") == NULL);
    finish(&parsed);
}

/* ControlNet's pictures stand in its arguments, extra-batch-images' in imageList. */
static void pictures_are_found_at_any_depth(void)
{
    struct parsed parsed = parse(
        "{\"alwayson_scripts\":{\"ControlNet\":{\"args\":[{\"image\":\"R0lGOA==\"}]}},"
        "\"imageList\":[{\"data\":\"UE5HIQ==\",\"name\":\"R0lGOA==\"}],"
        "\"data\":\"R0lGOA==\",\"init_images\":[[\"R0lGOA==\"]]}");
    check_int(parsed.code, ==, DR_OK);
    check_int(parsed.body.blob_count, ==, 3);
    json_t *const item =
        json_array_get(json_object_get(parsed.body.value, "imageList"), 0);
    check_blob(json_body_blob(&parsed.body, json_object_get(item, "data")), "PNG!");
    check_str(json_string_value(json_object_get(item, "name")), first);
    check_str(json_string_value(json_object_get(parsed.body.value, "data")), first);
    finish(&parsed);
}

static void no_text_of_a_client_stands_for_a_picture(void)
{
    static const char *const bodies[] = {
        "{\"init_images\":[\"R0lGOA==\"],\"mask\":\"#0\"}",
        "{\"init_images\":[\"R0lGOA==\"],\"ma\\u0073k\":\"#0\"}",
        "{\"init_images\":[\"R0lGOA==\"],\"mask\":\"\\u0023\\u0030\"}"};
    for (size_t i = 0; i < 3; ++i) {
        struct parsed parsed = parse(bodies[i]);
        check_int(parsed.body.blob_count, ==, 2);
        const struct json_body_blob *const blob = blob_of(&parsed, "mask");
        check(blob && blob->problem && blob->byte_count == 0);
        finish(&parsed);
    }
}

static void pictures_may_be_written_in_several_ways(void)
{
    static const char *const bodies[] = {
        "{\"mask\":\"UE5HIQ==\"}",
        "{\"mask\":\"data:image/png;base64,UE5HIQ==\"}",
        "{\"mask\":\"DATA:image/jpeg;charset=x;BASE64,UE5HIQ==\"}",
        "{\"mask\":\"UE5H\\nIQ==\\r\\n\"}",
        "{\"mask\":\"\\u0055E5HIQ\\u003d\\u003D\"}",
        "{\"mask\":\"R0lGOA==\", \"mask\":\"UE5HIQ==\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; ++i) {
        struct parsed parsed = parse(bodies[i]);
        check_int(parsed.code, ==, DR_OK);
        check_blob(blob_of(&parsed, "mask"), "PNG!");
        finish(&parsed);
    }
    struct parsed parsed = parse("{\"mask\":\"\\/+8=\"}");
    check_blob(blob_of(&parsed, "mask"), "\xff\xef");
    finish(&parsed);
}

static void what_is_no_picture_is_said(void)
{
    check_problem("{\"mask\":\"http://127.0.0.1/a.png\"}", "URL");
    check_problem("{\"mask\":\"HTTPS://host/a.png\"}", "URL");
    check_problem("{\"mask\":\"file:///etc/passwd\"}", "URL");
    check_problem("{\"mask\":\"gopher:x\"}", "URL");
    check_problem("{\"mask\":\"//host/a.png\"}", "base64");
    check_problem("{\"mask\":\"data:text/html;base64,UE5HIQ==\"}", "another type");
    check_problem("{\"mask\":\"data:image/svg+xml;base64,UE5HIQ==\"}", "another type");
    check_problem("{\"mask\":\"data:image/png,UE5HIQ==\"}", "without base64");
    check_problem("{\"mask\":\"data:image/png;base64\"}", "comma");
    check_problem("{\"mask\":\"data:image/png;base64,\"}", "empty");
    check_problem("{\"mask\":\"\\u00e9E5H\"}", "not base64");
    check_problem("{\"mask\":\"#\"}", "not base64");
}

static void no_picture_is_null_or_empty(void)
{
    struct parsed parsed = parse("{\"mask\":\"\",\"image\":null,\"init_images\":[]}");
    check_int(parsed.code, ==, DR_OK);
    check_int(parsed.body.blob_count, ==, 0);
    check(blob_of(&parsed, "mask") == NULL && blob_of(&parsed, "image") == NULL);
    finish(&parsed);
}

static void bodies_without_an_object_are_read(void)
{
    struct parsed parsed = parse("");
    check(parsed.code == DR_OK && parsed.body.value == NULL);
    finish(&parsed);
    struct json_body none;
    check_int(json_body_parse(&none, NULL, 0, NULL), ==, DR_OK);
    check(none.value == NULL);
    parsed = parse(" \r\n");
    check(parsed.code == DR_OK && parsed.body.value == NULL);
    finish(&parsed);
    parsed = parse("\"\"");
    check_str(json_string_value(parsed.body.value), "");
    finish(&parsed);
    parsed = parse("\xef\xbb\xbf{\"a\":1}");
    check(json_object_get(parsed.body.value, "a") != NULL);
    finish(&parsed);
}

/* T14: the reply is UTF-8 whatever was sent. */
static void T14_lone_surrogates_and_zeros_are_replaced(void)
{
    struct parsed parsed = parse(
        "{\"prompt\":\"\\ud83d\\ude00 \\ud83d \\ude00\\u0000\\ud800\\u0041 \\\\ud800\","
        "\"\\u0000\":1}");
    check_int(parsed.code, ==, DR_OK);
    check_str(json_string_value(json_object_get(parsed.body.value, "prompt")),
              "\xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
              "A \\ud800");
    finish(&parsed);
}

static void T23_malformed_text_is_refused_with_its_place(void)
{
    check_refused("{\"a\":1,\n \"b\":}", "line 2, column 6");
    check_refused("{\"image\":\"R0lGOA==\",\"mask\":\"UE5HIQ==\" 1}", "column 39");
    check_refused("{\"a\":\"x", "without an end");
    check_refused("{\"a\":\"x\\q\"}", "escape");
    check_refused("{\"a\":\"x\\u12\"}", "escape");
    check_refused("{\"a\":\"x\ny\"}", "control character");
    check_refused("{\"image\":\"R0l\nGOA==\"}", "control character");
    check_refused("{} {}", "end of file");
    check_refused("]", "not opened");
    check_refused("{\"a\":\"\xff\"}", "line 1, column 6");
    check_refused("nul", "'nul'");
    struct parsed parsed = parse_bytes("{\"a\":1}\0", 8);
    check_int(parsed.code, ==, DR_BAD_INPUT);
    finish(&parsed);
}

static void T21_a_number_that_is_none_names_its_member(void)
{
    check_refused("{\"cfg_scale\": NaN}", "after \"cfg_scale\"");
    check_refused("{\"cfg_scale\": -Infinity}", "invalid token");
    check_refused("{\"seed\": 99999999999999999999}", "after \"seed\"");
    check_refused("{\"seed\": -9223372036854775809}", "too large");
    check_refused("{\"cfg_scale\": 1e400}", "overflow");
    check_refused("{\"seed\": 00000000000000000001}", "line 1");
}

static void seeds_of_64_bits_keep_their_digits(void)
{
    struct parsed parsed =
        parse("{\"a\":18446744073709551615,\"b\":9223372036854775807,"
              "\"c\":-9223372036854775808}");
    check_int(parsed.code, ==, DR_OK);
    check_str(json_string_value(json_object_get(parsed.body.value, "a")),
              "18446744073709551615");
    check_int(json_integer_value(json_object_get(parsed.body.value, "b")), ==,
              INT64_MAX);
    check_int(json_integer_value(json_object_get(parsed.body.value, "c")), ==,
              INT64_MIN);
    finish(&parsed);
}

/* count times the unit, between two texts. */
static char *repeated(const char *before, const char *unit, size_t count,
                      const char *after)
{
    const size_t length = strlen(unit);
    char *const text = malloc(strlen(before) + count * length + strlen(after) + 1);
    if (!text) abort();
    char *to = text + sprintf(text, "%s", before);
    for (size_t i = 0; i < count; ++i, to += length)
        memcpy(to, unit, length);
    strcpy(to, after);
    return text;
}

static void check_limit(char *text_take, const char *part)
{
    check_refused(text_take, part);
    free(text_take);
}

static void T23_R26_everything_has_a_limit(void)
{
    check_limit(repeated("", "[", 100000, ""), "nested deeper than 64");
    check_limit(repeated("{\"n\":", "9", 50000000, "}"), "50000000");
    check_limit(repeated("[0", ",1", 70000, "]"), "more than 65536 values");
    check_limit(repeated("\"", "x", 9000000, "\""), "more than 8388608 bytes");
    check_limit(repeated("{\"init_images\":[\"R0lGOA==\"", ",\"R0lGOA==\"", 256, "]}"),
                "more than 256 pictures");
    char *const deepest = repeated("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "[", 32,
                                   "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                                   "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    struct parsed parsed = parse(deepest);
    check_int(parsed.code, ==, DR_OK);
    finish(&parsed);
    free(deepest);
    /* A picture may be larger than all limits of the text. */
    char *const large = repeated("{\"mask\":\"", "AAAA", 4000000, "\"}");
    parsed = parse(large);
    const struct json_body_blob *const blob = blob_of(&parsed, "mask");
    check(blob && !blob->problem && blob->byte_count == 12000000);
    finish(&parsed);
    free(large);
}

static void duplicate_members_are_read_once(void)
{
    struct parsed parsed = parse("{\"steps\":1,\"steps\":2}");
    check_int(json_integer_value(json_object_get(parsed.body.value, "steps")), ==, 2);
    finish(&parsed);
}

int main(void)
{
    check_run(pictures_are_taken_out_and_decoded);
    check_run(pictures_are_found_at_any_depth);
    check_run(no_text_of_a_client_stands_for_a_picture);
    check_run(pictures_may_be_written_in_several_ways);
    check_run(what_is_no_picture_is_said);
    check_run(no_picture_is_null_or_empty);
    check_run(bodies_without_an_object_are_read);
    check_run(T14_lone_surrogates_and_zeros_are_replaced);
    check_run(T23_malformed_text_is_refused_with_its_place);
    check_run(T21_a_number_that_is_none_names_its_member);
    check_run(seeds_of_64_bits_keep_their_digits);
    check_run(T23_R26_everything_has_a_limit);
    check_run(duplicate_members_are_read_once);
    return check_done();
}
