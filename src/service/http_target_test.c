#include "service/http_target.h"

#include "check.h"

static void a_path_is_decoded_once(void)
{
    static const struct {
        const char *target, *path; /* NULL: refused */
    } trials[] = {
        {"/a/b",              "/a/b"             },
        {"/a%20b+c",          "/a b+c"           },
        {"/%e2%82%AC",        "/\xe2\x82\xac"    },
        {"/%252e",            "/%2e"             },
        {"/%2E%2e",           "/.."              },
        {"/\xf0\x9f\x98\x80", "/\xf0\x9f\x98\x80"},
        {"/%",                NULL               },
        {"/%2",               NULL               },
        {"/%2g",              NULL               },
        {"/%00",              NULL               },
        {"/%0a",              NULL               },
        {"/%7f",              NULL               },
        {"/%80",              NULL               },
        {"/%c0%80",           NULL               },
        {"/%e0%80%af",        NULL               },
        {"/%ed%a0%80",        NULL               },
        {"/%f0%80%80%af",     NULL               },
        {"/%f4%90%80%80",     NULL               },
        {"/%f5%80%80%80",     NULL               },
        {"/%e2%82",           NULL               },
        {"/\xe2\x82",         NULL               },
    };
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i) {
        char path[64] = "before";
        const bool is_decoded = http_target_path(trials[i].target, path, sizeof path);
        if (is_decoded != (trials[i].path != NULL))
            check_fail_at("%s: %d", trials[i].target, is_decoded);
        check_str(path, trials[i].path ? trials[i].path : "");
    }
}

static void a_path_that_does_not_fit_is_refused(void)
{
    char path[5];
    check(http_target_path("/abc", path, sizeof path));
    check(!http_target_path("/abcd", path, sizeof path));
    check_str(path, "");
    check(http_target_path("/%61bc", path, sizeof path));
    check_str(path, "/abc");
}

static void a_query_has_plus_for_a_blank(void)
{
    struct http_field fields[] = {
        {"a+b",    "%2Bc%26"},
        {"",       ""       },
        {"wrong",  "a%0"    },
        {"nul%00", "x"      },
        {"q",      "\xc3"   }
    };
    char *const text = http_target_decode_fields(fields, 5);
    check_str(fields[0].name, "a b");
    check_str(fields[0].value, "+c&");
    check_str(fields[1].name, "");
    check_str(fields[2].value, "");
    check_str(fields[3].name, "");
    check_str(fields[3].value, "x");
    check_str(fields[4].value, "");
    free(text);
    free(http_target_decode_fields(fields, 0));
}

int main(void)
{
    check_run(a_path_is_decoded_once);
    check_run(a_path_that_does_not_fit_is_refused);
    check_run(a_query_has_plus_for_a_blank);
    return check_done();
}
