#include "packs_text.h"

#include "check.h"

static const char *printed(const char *json)
{
    static char text[512];
    json_error_t problem;
    FILE *const stream = tmpfile();
    json_t *const object = json_loads(json, 0, &problem);
    if (!object) check_fail_at("the test's JSON: %s", problem.text);
    check(packs_text_is_prune(object) || packs_text_is_verify(object));
    check(packs_text_print(object, stream));
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    json_decref(object);
    return text;
}

static void a_prune_is_one_line(void)
{
    check_str(printed("{\"removed_bytes\":3145728,\"removed_count\":6,"
                      "\"kept_bytes\":2097152,\"kept_count\":5}"),
              "removed 6 packs (3.00 MiB), kept 5 (2.00 MiB)\n");
    check_str(printed("{\"removed_bytes\":1024,\"removed_count\":1,"
                      "\"kept_bytes\":2097152,\"kept_count\":2,"
                      "\"in_use_bytes\":1048576,\"in_use_count\":1}"),
              "removed 1 pack (1.00 KiB), kept 2 (2.00 MiB), of which 1 is in use "
              "(1.00 MiB)\n");
}

static void that_all_are_good_is_said(void)
{
    check_str(printed("{\"verified_count\":11}"),
              "all 11 packs were read, and they are good\n");
    check_str(printed("{\"verified_count\":1}"), "the pack was read, and it is good\n");
    check_str(printed("{\"verified_count\":0}"), "there are no packs\n");
}

static void a_list_is_neither(void)
{
    json_t *const object = json_pack("{s[]}", "packs");
    check(!packs_text_is_prune(object) && !packs_text_is_verify(object));
    json_decref(object);
}

int main(void)
{
    check_run(a_prune_is_one_line);
    check_run(that_all_are_good_is_said);
    check_run(a_list_is_neither);
    return check_done();
}
