#include "budget_text.h"

#include <darkroom/darkroom.h>

#include "check.h"

static void a_budget_keeps_its_unit(void)
{
    char text[BUDGET_TEXT_BYTES];
    check_str(budget_text_of("1500M", text), "1500 MiB");
    check_str(budget_text_of("1.5g", text), "1.5 GiB");
    check_str(budget_text_of("512K", text), "512 KiB");
    check_str(budget_text_of("500000", text), "500000 B");
}

/* What is named is enough, whatever the unit. */
static void what_is_named_is_enough(void)
{
    static const char *const typed[] = {"1", "1K", "1M", "1G", "2g"};
    static const uint64_t needs[] = {1,          1023,       1024,
                                     104857600,  107374183,  107374182,
                                     1073741824, 1181116007, 9999999999};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; ++i)
        for (size_t k = 0; k < sizeof needs / sizeof *needs; ++k) {
            char text[BUDGET_TEXT_BYTES];
            struct dr_error err;
            uint64_t bytes = 0;
            check_int(dr_parse_bytes(budget_text_for(needs[k], typed[i], text), &bytes,
                                     &err),
                      ==, DR_OK);
            check_int(bytes, >=, needs[k]);
        }
}

static void a_refusal_names_the_unit(void)
{
    char message[200] = "it needs more: a budget of 1234567890 bytes is sufficient";
    budget_text_complete(message, sizeof message, "512M");
    check_str(message,
              "it needs more: a budget of 1234567890 bytes is sufficient (1178M; "
              "512M was given)");
    char small[200] = "a budget of 6291456 bytes leaves nothing";
    budget_text_complete(small, sizeof small, "6M");
    check_str(small, "a budget of 6 MiB leaves nothing");
    char other[200] = "another error";
    budget_text_complete(other, sizeof other, "512M");
    check_str(other, "another error");
    char none[200] = "a budget of 1234567890 bytes is sufficient";
    budget_text_complete(none, sizeof none, NULL);
    check_str(none, "a budget of 1234567890 bytes is sufficient");
}

int main(void)
{
    check_run(a_budget_keeps_its_unit);
    check_run(what_is_named_is_enough);
    check_run(a_refusal_names_the_unit);
    return check_done();
}
