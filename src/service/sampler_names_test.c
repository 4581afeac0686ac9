#include "service/sampler_names.h"

#include "check.h"

/* "sampler" or "sampler+schedule"; "?" where it is not found. */
static const char *found(const char *said)
{
    static char text[64];
    const struct schedule_entry *schedule;
    const struct sampler_entry *const sampler = sampler_names_find(said, &schedule);
    (void)snprintf(text, sizeof text, "%s%s%s", sampler ? sampler->name : "?",
                   schedule ? "+" : "", schedule ? schedule->name : "");
    return text;
}

static void samplers_have_many_names(void)
{
    static const char *const names[][2] = {
        {"Euler a",                  "euler-a"                 },
        {"EULER A",                  "euler-a"                 },
        {"euler_a",                  "euler-a"                 },
        {"k_euler_ancestral",        "euler-a"                 },
        {"Euler",                    "euler"                   },
        {"k_euler",                  "euler"                   },
        {"DPM++ 2M",                 "dpmpp-2m"                },
        {"dpm++2m",                  "dpmpp-2m"                },
        {"dpmpp-2m",                 "dpmpp-2m"                },
        {"k_dpmpp_2m",               "dpmpp-2m"                },
        {"DPM++ 2M SDE",             "dpmpp-2m-sde"            },
        {"DPM++ 2M Karras",          "dpmpp-2m+karras"         },
        {"k_dpmpp_2m karras",        "dpmpp-2m+karras"         },
        {"DPM++ 2M SDE Exponential", "dpmpp-2m-sde+exponential"},
        {"DPM++ 2M SGM Uniform",     "dpmpp-2m+sgm-uniform"    },
        {"Euler a Karras",           "euler-a+karras"          },
        {"ddim_trailing",            "ddim+trailing"           },
        {"UniPC",                    "unipc"                   },
        {"lcm",                      "lcm"                     },
        {"DPM++ SDE",                "dpmpp-sde"               },
        {"DPM++ SDE Karras",         "dpmpp-sde+karras"        },
        {"DPM++ 2M SDE Heun",        "dpmpp-2m-sde-heun"       },
        {"DPM++ 2M SDE Heun Karras", "dpmpp-2m-sde-heun+karras"},
        {"DPM++ 3M SDE Exponential", "dpmpp-3m-sde+exponential"},
        {"DPM++ 2S a Karras",        "dpmpp-2s-a+karras"       },
        {"DPM2 a Karras",            "dpm2-a+karras"           },
        {"k_dpm_2_ancestral",        "dpm2-a"                  },
        {"LMS Karras",               "lms+karras"              },
        {"Euler a Beta",             "euler-a+beta"            },
        {"PLMS",                     "plms"                    },
        {"TCD",                      "tcd"                     },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        check_str(found(names[i][0]), names[i][1]);
}

static void other_samplers_are_not_found(void)
{
    static const char *const names[] = {"",         "Euler b",      "Euler a Gits",
                                        "DPM fast", "DPM adaptive", "Eul\xC3\xA9r",
                                        "DPM",      "Karras",       "+"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        check_str(found(names[i]), "?");
}

/* Whatever is offered is understood, under each of its names. */
static void what_is_offered_is_found(void)
{
    const struct sampler_entry *sampler;
    const struct schedule_entry *schedule, *other;
    size_t count = 0;
    for (; (sampler = sampler_names_at(count)) != NULL; ++count) {
        check(sampler_names_find(sampler->label, &other) == sampler);
        for (size_t k = 0; sampler->aliases[k]; ++k)
            check(sampler_names_find(sampler->aliases[k], &other) == sampler);
        check(sampler_names_of(sampler->name) == sampler);
        check(
            sampler_names_accepts(sampler->name, dr_sampler_automatic(sampler->name)));
    }
    for (int32_t i = 0; dr_sampler_name(i); ++i) /* and the engine has no other */
        check(sampler_names_of(dr_sampler_name(i)) != NULL && (size_t)i < count);
    for (size_t i = 0; (schedule = schedule_names_at(i)) != NULL; ++i) {
        check_int(schedule_names_find(schedule->key, &other), ==, SCHEDULE_FOUND);
        check(other == schedule);
        check_int(schedule_names_find(schedule->label, &other), ==, SCHEDULE_FOUND);
        check(other == schedule);
        check(schedule_names_of(schedule->name) == schedule);
    }
    for (int32_t i = 0; dr_sampler_name(i); ++i)
        for (int32_t k = 0; dr_sampler_schedule(dr_sampler_name(i), k); ++k)
            check(schedule_names_of(dr_sampler_schedule(dr_sampler_name(i), k)) !=
                  NULL);
}

static void schedules_have_other_names(void)
{
    const struct schedule_entry *schedule;
    check_int(schedule_names_find("discrete", &schedule), ==, SCHEDULE_FOUND);
    check_str(schedule->name, "normal");
    check_int(schedule_names_find("AUTOMATIC", &schedule), ==, SCHEDULE_FOUND);
    check_str(schedule->name, "automatic");
    check_int(schedule_names_find("Align Your Steps", &schedule), ==, SCHEDULE_FOUND);
    check_str(schedule->name, "align-your-steps");
    check_int(schedule_names_find("beta57", &schedule), ==, SCHEDULE_FOREIGN);
    check_str(schedule->name, "automatic");
    check_int(schedule_names_find("no such", &schedule), ==, SCHEDULE_UNKNOWN);
}

static void a_schedule_is_one_that_goes_with_the_sampler(void)
{
    const struct sampler_entry *const dpmpp = sampler_names_of("dpmpp-2m"),
                                      *const ddim = sampler_names_of("ddim"),
                                      *const euler = sampler_names_of("euler");
    check_str(sampler_names_schedule(dpmpp, ""), "karras"); /* A1111's choice */
    check_str(sampler_names_schedule(dpmpp, "automatic"), "karras");
    check_str(sampler_names_schedule(dpmpp, "trailing"), "trailing");
    check_str(sampler_names_schedule(euler, ""), "normal");
    check_str(sampler_names_schedule(ddim, "karras"), "leading");
    check(!sampler_names_accepts("ddim", "karras"));
    check(sampler_names_accepts("ddim", "trailing"));
}

int main(void)
{
    check_run(samplers_have_many_names);
    check_run(other_samplers_are_not_found);
    check_run(what_is_offered_is_found);
    check_run(schedules_have_other_names);
    check_run(a_schedule_is_one_that_goes_with_the_sampler);
    return check_done();
}
