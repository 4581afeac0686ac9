#include "forecast_text.h"

#include "check.h"

/* A forecast whose verdicts and budget are these. */
#define FORECAST(fits, verdict, ram, budget)                                          \
    "{\"forecast\":{\"width\":512,\"height\":768,\"levels\":["                        \
    "{\"manner\":\"all resident\",\"budget_bytes\":62914560,\"peak_bytes\":"          \
    "11534336,\"work\":1.0},"                                                         \
    "{\"manner\":\"in bands\",\"budget_bytes\":55054337,\"peak_bytes\":3674113,"      \
    "\"work\":1.747}],\"fits\":" fits ",\"verdict\":\"" verdict                       \
    "\",\"ram\":{\"private_bytes\":62914560,\"mapped_bytes\":2147483648,"             \
    "\"step_bytes\":1073741824,\"machine_bytes\":null,\"available_bytes\":"           \
    "21474836480,\"reason\":\"MemAvailable\"," ram "}},\"budget\":{\"bytes\":" budget \
    ",\"reason\":\"as given\"}}"

static const char *printed(const char *json)
{
    static char text[4096];
    json_error_t problem;
    FILE *const stream = tmpfile();
    json_t *const object = json_loads(json, 0, &problem);
    if (!object) check_fail_at("the test's JSON: %s", problem.text);
    check(forecast_text_fits(object));
    check(forecast_text_print(object, stream));
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    json_decref(object);
    return text;
}

static void the_answer_comes_first(void)
{
    check_str(
        printed(FORECAST("true", "fits with all resident",
                         "\"fit\":\"fits\",\"verdict\":\"fits\"", "1073741824")),
        "512x768: fits with all resident\n"
        "  private memory   60.0 MiB  buffers, and weights without packs; 49.0 MiB of "
        "it are for the process itself\n"
        "  mapped weights   2.00 GiB  in packs; the kernel can drop them and read them "
        "again\n"
        "  RAM for a step   1.00 GiB  so that it runs at full speed: with the UNet's "
        "weights\n"
        "  available        20.0 GiB  MemAvailable\n"
        "  budget           1.00 GiB  as given\n"
        "smallest budgets\n"
        "  --budget 60M    all resident\n"
        "  --budget 53M    in bands; 1.75 times the computation\n");
}

static const char *first_line(const char *json)
{
    static char line[512];
    const char *const text = printed(json);
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    return line;
}

/* One verdict, whichever of budget and machine it is. */
static void the_verdict_is_one(void)
{
    check_str(first_line(FORECAST("false", "needs at least",
                                  "\"fit\":\"fits\",\"verdict\":\"would fit\"",
                                  "\"51 MiB\"")),
              "512x768: does not fit the budget of 51 MiB; the least that is "
              "sufficient is --budget 53M");
    check_str(first_line(FORECAST("true", "fits with all resident",
                                  "\"fit\":\"rereads\",\"verdict\":\"fits, but slow\"",
                                  "1073741824")),
              "512x768: fits, but slow");
    check_str(first_line(FORECAST(
                  "false", "needs at least",
                  "\"fit\":\"does_not_fit\",\"verdict\":\"does not fit: 1\"", "1000")),
              "512x768: does not fit: 1");
}

static void other_answers_are_not(void)
{
    json_t *const object = json_pack("{s{si}}", "budget", "bytes", 1);
    check(!forecast_text_fits(object));
    json_decref(object);
    /* A job of the service. */
    json_t *const job = json_pack("{ss s{si sb}}", "state", "queued", "forecast",
                                  "private_bytes", 1, "fits", 1);
    check(!forecast_text_fits(job));
    json_decref(job);
}

int main(void)
{
    check_run(the_answer_comes_first);
    check_run(the_verdict_is_one);
    check_run(other_answers_are_not);
    return check_done();
}
