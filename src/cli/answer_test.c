#include "answer.h"

#include "check.h"

static const char *text_of(json_t *value_take)
{
    static char text[8192];
    const char *const got = json_string_value(value_take);
    (void)snprintf(text, sizeof text, "%s", got ? got : "(none)");
    json_decref(value_take);
    return text;
}

static void mends_text_that_is_not_utf8(void)
{
    check_str(text_of(answer_text("plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80")),
              "plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80");
    check_str(text_of(answer_text("a\xFFz")), "a\xEF\xBF\xBDz");
    check_str(text_of(answer_text("a\xC3")), "a\xEF\xBF\xBD");
    check_str(text_of(answer_text("\xED\xA0\x80")), /* a surrogate */
              "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    check_str(text_of(answer_text("\xC0\xAF")), "\xEF\xBF\xBD\xEF\xBF\xBD");
    check_str(text_of(answer_text("\xF0\x9F\x98z")),
              "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
    check_str(text_of(answer_text("")), "");
}

/* Every byte string becomes text that JSON takes. */
static void mends_any_bytes(void)
{
    const unsigned seed = 777;
    fprintf(stderr, "seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; ++round) {
        char bytes[24];
        const int length = rand() % 23;
        for (int i = 0; i < length; ++i)
            bytes[i] = (char)(1 + rand() % 255);
        bytes[length] = '\0';
        json_t *const value = answer_text(bytes);
        check(json_is_string(value));
        json_t *const again = json_string(json_string_value(value));
        check(again != NULL);
        json_decref(again);
        json_decref(value);
    }
}

/* jansson has no number above 2^63 - 1; the line has. */
static void prints_every_seed(void)
{
    static const uint64_t seeds[] = {
        0, 7, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX - 1, UINT64_MAX};
    static const char expected[] =
        "[{\"path\":\"\\\"seed\\\":-5\",\"seed\":0},"
        "{\"path\":\"\\\"seed\\\":-5\",\"seed\":7},"
        "{\"path\":\"\\\"seed\\\":-5\",\"seed\":9223372036854775807},"
        "{\"path\":\"\\\"seed\\\":-5\",\"seed\":9223372036854775808},"
        "{\"path\":\"\\\"seed\\\":-5\",\"seed\":18446744073709551614},"
        "{\"path\":\"\\\"seed\\\":-5\",\"seed\":18446744073709551615}]\n";
    static struct dr_image_info images[6];
    for (int i = 0; i < 6; ++i) {
        images[i].seed = seeds[i];
        (void)snprintf(images[i].path, sizeof images[i].path, "\"seed\":-5");
    }
    char line[1024] = "";
    FILE *const stream = tmpfile();
    json_t *const list = answer_images(images, 6);
    for (size_t i = 0; i < 6; ++i)
        check(answer_seed(json_object_get(json_array_get(list, i), "seed")) ==
              seeds[i]);
    check(answer_print(list, stream));
    rewind(stream);
    check(fgets(line, sizeof line, stream) != NULL);
    check_str(line, expected);
    json_decref(list);
    (void)fclose(stream);
}

static void prints_one_line(void)
{
    char line[512];
    FILE *const stream = tmpfile();
    json_t *const object = json_object();
    answer_set_text(object, "path", "a\nb\"c\\");
    answer_set_bytes(object, "bytes", (uint64_t)1 << 60);
    answer_set_bytes(object, "start", 0x7FFF12345000);
    check(answer_print(object, stream));
    rewind(stream);
    check(fgets(line, sizeof line, stream) != NULL);
    check_str(line, "{\"path\":\"a\\nb\\\"c\\\\\",\"bytes\":1152921504606846976,"
                    "\"start\":140733498806272}\n");
    check(fgets(line, sizeof line, stream) == NULL);
    (void)fclose(stream);
    json_decref(object);
}

static void says_that_memory_ran_out(void)
{
    char line[512];
    FILE *const stream = tmpfile();
    check(answer_print(NULL, stream));
    rewind(stream);
    check(fgets(line, sizeof line, stream) != NULL);
    check_has(line, "no_memory");
    (void)fclose(stream);
}

static void a_full_disk_is_noticed(void)
{
    FILE *const full = fopen("/dev/full", "w");
    if (!full) return;
    json_t *const object = json_object();
    check(!answer_print(object, full));
    json_decref(object);
    (void)fclose(full);
}

static void errors_have_code_and_message(void)
{
    const struct dr_error err = {DR_OVER_BUDGET, "needs more"};
    json_t *const object = answer_error(&err);
    check_str(json_string_value(json_object_get(object, "code")), "over_budget");
    check_str(json_string_value(json_object_get(object, "message")), "needs more");
    json_decref(object);
}

int main(void)
{
    check_run(mends_text_that_is_not_utf8);
    check_run(mends_any_bytes);
    check_run(prints_one_line);
    check_run(prints_every_seed);
    check_run(says_that_memory_ran_out);
    check_run(a_full_disk_is_noticed);
    check_run(errors_have_code_and_message);
    return check_done();
}
