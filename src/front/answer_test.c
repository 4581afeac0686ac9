#include "front/answer.h"

#include "check.h"
#include "front/member.h"

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
    char line[1024] = "";
    FILE *const stream = tmpfile();
    json_t *const list = json_array();
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; ++i) {
        json_t *const image = json_object();
        member_set_text(image, "path", "\"seed\":-5");
        member_set_seed(image, seeds[i]);
        check(member_seed(json_object_get(image, "seed")) == seeds[i]);
        (void)json_array_append_new(list, image);
    }
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
    member_set_text(object, "path", "a\nb\"c\\");
    member_set_bytes(object, "bytes", (uint64_t)1 << 60);
    member_set_bytes(object, "start", 0x7FFF12345000);
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
    if (!full) {
        check_skip_case("there is no /dev/full");
        return;
    }
    json_t *const object = json_object();
    check(!answer_print(object, full));
    json_decref(object);
    (void)fclose(full);
}

/* The answer on its line, without its end. */
static const char *line_of(json_t *answer_take)
{
    static char line[512];
    FILE *const stream = tmpfile();
    check(answer_print(answer_take, stream));
    rewind(stream);
    if (!fgets(line, sizeof line, stream)) line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    (void)fclose(stream);
    answer_free(answer_take);
    return line;
}

static void success_has_the_fields(void)
{
    json_t *const fields = answer_fields();
    member_set_integer(fields, "pid", 7);
    check_str(line_of(answer_create("memory", 12.5, NULL, fields)),
              "{\"ok\":true,\"command\":\"memory\",\"ms\":12.5,\"pid\":7}");
    answer_free(fields);
    check_str(line_of(answer_create("quit", 0.0, NULL, NULL)),
              "{\"ok\":true,\"command\":\"quit\",\"ms\":0.0}");
}

static void failure_has_code_and_message(void)
{
    const struct dr_error err = {DR_OVER_BUDGET, "needs more\xFF"};
    json_t *const fields = answer_fields();
    member_set_integer(fields, "pid", 7);
    check_str(line_of(answer_create("a\xFF", 1.0, &err, fields)),
              "{\"ok\":false,\"command\":\"a\xEF\xBF\xBD\",\"ms\":1.0,\"error\":{"
              "\"code\":\"over_budget\",\"message\":\"needs more\xEF\xBF\xBD\"},"
              "\"pid\":7}");
    check_str(line_of(answer_create("", 1.0, &err, NULL)),
              "{\"ok\":false,\"command\":\"\",\"ms\":1.0,\"error\":{"
              "\"code\":\"over_budget\",\"message\":\"needs more\xEF\xBF\xBD\"}}");
    answer_free(fields);
}

/* Every code has a name of its own in an answer. */
static void errors_name_every_code(void)
{
#define X(name, text, http, exit_code)                                      \
    {                                                                       \
        const struct dr_error err = {.code = DR_##name};                    \
        json_t *const error = answer_error(&err);                           \
        check_str(json_string_value(json_object_get(error, "code")), text); \
        answer_free(error);                                                 \
    }
    DR_CODES(X)
#undef X
}

int main(void)
{
    check_run(prints_one_line);
    check_run(prints_every_seed);
    check_run(says_that_memory_ran_out);
    check_run(a_full_disk_is_noticed);
    check_run(success_has_the_fields);
    check_run(failure_has_code_and_message);
    check_run(errors_name_every_code);
    return check_done();
}
