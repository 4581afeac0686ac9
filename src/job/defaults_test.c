#include "job/defaults.h"

#include "check.h"

static char warning[DR_TEXT_BYTES];

/* What a file with these two entries gives to a job that gives `given`. NULL: no entry. */
static struct job_defaults filled(struct job_defaults given, const char *key,
                                  const char *text, const char *key2, const char *text2)
{
    struct tensor_metadata metadata[] = {
        {.key = key,                 .text = text },
        {.key = key2 ? key2 : "any", .text = text2}
    };
    const struct tensor_file file = {.metadata = metadata, .metadata_count = 2};
    const struct job_defaults family = job_defaults_of_family(FAMILY_SD15);
    job_defaults_fill_from_file(&given, &file, warning);
    job_defaults_fill(&given, &family);
    return given;
}

static struct job_defaults from(const char *key, const char *text)
{
    return filled(job_defaults_none(), key, text, NULL, NULL);
}

static void check_family(struct job_defaults found)
{
    check_int(found.width, ==, 512);
    check_int(found.height, ==, 512);
    check_int(found.steps, ==, 20);
    check_real(found.cfg, ==, 7.0);
    check_str(found.sampler, "euler-a");
    check(!found.scheduler);
}

static void a_file_that_says_nothing_leaves_the_family(void)
{
    check_family(from("format", "pt"));
    check_str(warning, "");
    check_int(job_defaults_of_family(FAMILY_SDXL).width, ==, 1024);
}

static void a_file_says_what_is_open(void)
{
    check_int(from("darkroom.default.size", "128x64").width, ==, 128);
    check_int(from("darkroom.default.size", "128x64").height, ==, 64);
    check_int(from("darkroom.default.steps", "12").steps, ==, 12);
    check_real(from("darkroom.default.cfg", "4.5").cfg, ==, 4.5);
    check_real(from("darkroom.default.cfg", "0").cfg, ==, 0.0);
    check_str(from("darkroom.default.sampler", "ddim").sampler, "ddim");
    check_str(from("darkroom.default.scheduler", "karras").scheduler, "karras");
    check_str(warning, "");
}

static void what_is_given_wins(void)
{
    struct job_defaults given = {
        .width = 64, .steps = 3, .cfg = 0.0, .sampler = "heun", .scheduler = "normal"};
    const struct job_defaults found =
        filled(given, "darkroom.default.size", "128x96", "darkroom.default.cfg", "4");
    check_int(found.width, ==, 64);
    check_int(found.height, ==, 96); /* each side by itself */
    check_int(found.steps, ==, 3);
    check_real(found.cfg, ==, 0.0);
    check_str(found.sampler, "heun");
    check_str(found.scheduler, "normal");
}

/* A scheduler belongs to its sampler. */
static void another_sampler_has_its_own_scheduler(void)
{
    static const char sampler[] = "darkroom.default.sampler";
    static const char scheduler[] = "darkroom.default.scheduler";
    struct job_defaults given = job_defaults_none();
    check_str(filled(given, sampler, "dpmpp-2m", scheduler, "karras").scheduler,
              "karras");
    given.sampler = "dpmpp-2m";
    check_str(filled(given, sampler, "dpmpp-2m", scheduler, "karras").scheduler,
              "karras");
    given.sampler = "ddim";
    check(!filled(given, sampler, "dpmpp-2m", scheduler, "karras").scheduler);
    check(!filled(given, scheduler, "karras", NULL, NULL).scheduler);
}

static void a_value_of_no_use_is_reported_and_left(void)
{
    static const struct {
        const char *name, *text, *wanted;
    } values[] = {
        {"size",      "",                      "WIDTHxHEIGHT"     },
        {"size",      "128",                   "WIDTHxHEIGHT"     },
        {"size",      "128x",                  "WIDTHxHEIGHT"     },
        {"size",      "128x128x128",           "WIDTHxHEIGHT"     },
        {"size",      "128 x 128",             "WIDTHxHEIGHT"     },
        {"size",      "-128x128",              "WIDTHxHEIGHT"     },
        {"size",      "100x100",               "a multiple of 8"  },
        {"size",      "56x56",                 "64 to 8192"       },
        {"size",      "8200x64",               "64 to 8192"       },
        {"size",      "4294967424x4294967424", "64 to 8192"       },
        {"steps",     "0",                     "1 to 1000"        },
        {"steps",     "1001",                  "1 to 1000"        },
        {"steps",     "-4",                    "1 to 1000"        },
        {"steps",     "many",                  "1 to 1000"        },
        {"steps",     "99999999999999999999",  "1 to 1000"        },
        {"cfg",       "-1",                    "0 to 1000"        },
        {"cfg",       "nan",                   "0 to 1000"        },
        {"cfg",       "1e9",                   "0 to 1000"        },
        {"cfg",       "",                      "0 to 1000"        },
        {"sampler",   "eular",                 "no such sampler"  },
        {"scheduler", "karas",                 "no such scheduler"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        char key[64];
        (void)snprintf(key, sizeof key, "darkroom.default.%s", values[i].name);
        check_family(from(key, values[i].text));
        check_has(warning, key);
        check_has(warning, values[i].wanted);
    }
    const struct job_defaults both =
        filled(job_defaults_none(), "darkroom.default.sampler", "ddim",
               "darkroom.default.scheduler", "karras");
    check_str(both.sampler, "ddim");
    check(!both.scheduler);
    check_has(warning, "does not go with its sampler");
    /* Nobody needs to hear of what is not needed. */
    struct job_defaults given = job_defaults_none();
    given.steps = 4;
    check_int(filled(given, "darkroom.default.steps", "many", NULL, NULL).steps, ==, 4);
    check_str(warning, "");
}

static void a_long_warning_is_cut(void)
{
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    (void)filled(job_defaults_none(), "darkroom.default.steps", text,
                 "darkroom.default.size", text);
    check(strlen(warning) < sizeof warning);
    check_has(warning, "darkroom.default.size");
}

int main(void)
{
    check_run(a_file_that_says_nothing_leaves_the_family);
    check_run(a_file_says_what_is_open);
    check_run(what_is_given_wins);
    check_run(another_sampler_has_its_own_scheduler);
    check_run(a_value_of_no_use_is_reported_and_left);
    check_run(a_long_warning_is_cut);
    return check_done();
}
