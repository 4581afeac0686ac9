#include "options.h"

#include "check.h"

static struct options options;
static struct dr_error err;

#define PARSE(command, ...) parse((command), (const char *const[]){__VA_ARGS__, NULL})

static enum dr_code parse(unsigned command, const char *const *words)
{
    int count = 0;
    while (words[count])
        ++count;
    options = options_default();
    err = (struct dr_error){0};
    return options_parse(&options, command, count, words, &err);
}

static void takes_values_in_each_form(void)
{
    check_int(PARSE(FOR_GENERATE, "--seed", "7"), ==, DR_OK);
    check_int(options.seed, ==, 7);
    check_int(PARSE(FOR_GENERATE, "--seed=8"), ==, DR_OK);
    check_int(options.seed, ==, 8);
    check_int(PARSE(FOR_GENERATE, "-s", "9"), ==, DR_OK);
    check_int(options.seed, ==, 9);
    check_int(PARSE(FOR_GENERATE, "-s10"), ==, DR_OK);
    check_int(options.seed, ==, 10);
    uint64_t seeds[2];
    for (int i = 0; i < 2; ++i) { /* 32 random bits: 0 would be one in 2^32 */
        check_int(PARSE(FOR_GENERATE, "-s", "-1"), ==, DR_OK);
        seeds[i] = options.seed;
        check(options.seed <= UINT32_MAX);
    }
    check(seeds[0] != seeds[1]);
    check_int(PARSE(FOR_GENERATE, "--prompt="), ==, DR_OK);
    check_str(options.prompt, "");
    check_int(PARSE(FOR_GENERATE, "-p", "--not an option"), ==, DR_OK);
    check_str(options.prompt, "--not an option");
    check_int(PARSE(FOR_GENERATE, "--prompt=a=b"), ==, DR_OK);
    check_str(options.prompt, "a=b");
}

static void takes_every_kind(void)
{
    check_int(PARSE(FOR_GENERATE, "--cfg", "1.5", "--rng", "cpu", "--prediction", "v",
                    "--budget", "1.5G", "--precision", "f32", "--steps", "3", "-W",
                    "64", "-H", "128", "--force", "--json", "-q", "-v", "-v", "--seed",
                    "4294967296"),
              ==, DR_OK);
    check_real(options.cfg, ==, 1.5);
    check_int(options.rng, ==, DR_RNG_CPU);
    check_int(options.prediction, ==, DR_PREDICTION_V);
    check_int(options.budget, ==, 3ull << 29);
    check(options.budget_given && options.force && options.json && options.quiet);
    check_int(options.precision, ==, DR_PRECISION_F32);
    check_int(options.steps, ==, 3);
    check_int(options.width, ==, 64);
    check_int(options.height, ==, 128);
    check_int(options.verbose, ==, 2);
    check_int(options.seed, ==, 4294967296);
    check_int(PARSE(FOR_GENERATE, "-s", "18446744073709551615"), ==, DR_OK);
    check(options.seed == UINT64_MAX);
    check_int(PARSE(FOR_GENERATE, "-s", "9223372036854775808"), ==, DR_OK);
    check(options.seed == (uint64_t)1 << 63);
}

static void takes_two_numbers_as_one_value(void)
{
    check_int(PARSE(FOR_GENERATE, "--original-size", "1024x768", "--crop=32,16",
                    "--target-size", "640x512"),
              ==, DR_OK);
    check_int(options.original[0], ==, 1024);
    check_int(options.original[1], ==, 768);
    check_int(options.crop[0], ==, 32);
    check_int(options.crop[1], ==, 16);
    check_int(options.target[0], ==, 640);
    check_int(options.target[1], ==, 512);
    static const char *const wrong[] = {
        "1024",  "x768", "1024x",     "1024,768", "-1x5",
        "1x2x3", "axb",  "1024x768 ", "",         "99999999999999999999x1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        check_int(PARSE(FOR_GENERATE, "--original-size", wrong[i]), ==, DR_BAD_INPUT);
        check_has(err.message, "WxH");
    }
}

static void no_negative_prompt_is_told_from_an_empty_one(void)
{
    check_int(PARSE(FOR_GENERATE, "-p", "x"), ==, DR_OK);
    check(options.negative == NULL);
    check_int(PARSE(FOR_GENERATE, "-p", "x", "-n", ""), ==, DR_OK);
    check_str(options.negative, "");
}

static void defaults_are_the_librarys(void)
{
    const struct dr_generate_options job = dr_generate_options_default();
    check_int(parse(FOR_GENERATE, (const char *const[]){NULL}), ==, DR_OK);
    check_int(options.steps, ==, job.steps);
    check_real(options.cfg, ==, job.cfg);
    check(!options.sampler && !job.sampler); /* not given */
    check_int(options.rng, ==, job.rng);
    check_int(options.prediction, ==, job.prediction);
    check_int(options.quality, ==, job.quality);
    check(!options.budget_given && !options.strength_given);
}

static void keeps_operands(void)
{
    check_int(PARSE(FOR_ENCODE, "in.png", "-o", "x.safetensors", "--", "-odd.png"), ==,
              DR_OK);
    check_int(options.operand_count, ==, 2);
    check_str(options.operands[0], "in.png");
    check_str(options.operands[1], "-odd.png");
    check_int(PARSE(FOR_INSPECT, "-"), ==, DR_OK);
    check_str(options.operands[0], "-");
    check_int(PARSE(FOR_PLAIN, "1", "2", "3", "4", "5", "6", "7", "8", "9"), ==,
              DR_BAD_INPUT);
    check_has(err.message, "\"9\"");
}

static void an_option_of_serve_may_be_repeated(void)
{
    check_int(PARSE(FOR_SERVE, "--models", "a", "--models=b", "--vae-dir", "c"), ==,
              DR_OK);
    check_str(options.serve.models.list[0], "a");
    check_str(options.serve.models.list[1], "b");
    check(!options.serve.models.list[2] && !options.serve.cors_origins.list[0]);
    check_str(options.serve.vae_dirs.list[0], "c");
    check(!options.models && !options.vae_dir); /* those of other commands */
    const char *words[2 * OPTIONS_MAX_WORDS + 3] = {NULL};
    for (int i = 0; i <= OPTIONS_MAX_WORDS; ++i) {
        words[2 * i] = "--allowed-host";
        words[2 * i + 1] = "x";
    }
    check_int(parse(FOR_SERVE, words), ==, DR_BAD_INPUT);
    check_has(err.message, "--allowed-host can be given 16 times");
    check_int(PARSE(FOR_SERVE, "--cors-origin", ""), ==, DR_BAD_INPUT);
}

static void a_time_has_a_unit(void)
{
    static const struct {
        const char *text;
        int32_t seconds;
    } times[] = {
        {"90",  90  },
        {"90s", 90  },
        {"5m",  300 },
        {"2h",  7200},
        {"0",   0   },
        {"-1",  -1  }
    };
    static const char *const wrong[] = {"",     "m",   "5x",           "5mm",    "-2",
                                        "1.5m", "-1m", "99999999999h", "600000h"};
    for (size_t i = 0; i < sizeof times / sizeof *times; ++i) {
        check_int(PARSE(FOR_SERVE, "--keep-alive", times[i].text), ==, DR_OK);
        check_int(options.serve.keep_alive_s, ==, times[i].seconds);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i)
        if (PARSE(FOR_SERVE, "--keep-alive", wrong[i]) != DR_BAD_INPUT)
            check_fail_at("--keep-alive took \"%s\"", wrong[i]);
    check_int(PARSE(FOR_SERVE, "--exit-idle", "-1"), ==, DR_BAD_INPUT);
    check_has(err.message, "such as 90s, 5m or 2h");
    check_int(PARSE(FOR_SERVE, "--max-connections", "3"), ==, DR_BAD_INPUT);
    check_int(PARSE(FOR_SERVE, "--queue", "0"), ==, DR_BAD_INPUT);
}

static void refuses_by_name(void)
{
    static const struct {
        const char *option, *value, *part;
    } cases[] = {
        {"--steps",     "0",                        "0 is out of range; the minimum is 1"    },
        {"--cfg",       "-1",                       "-1 is out of range; the minimum is 0"   },
        {"-W",          "0",                        "0 is out of range; the minimum is 64"   },
        {"-H",          "0",                        "--height: 0 is out of range"            },
        {"--steps",     "many",                     "--steps takes a whole number"           },
        {"--steps",     "2.5",                      "--steps takes a whole number"           },
        {"--steps",     "99999999999",              "--steps"                                },
        {"--steps",     "",                         "--steps"                                },
        {"--cfg",       "x",                        "--cfg takes a number"                   },
        {"--rng",       "gpu",                      "--rng takes cuda|cpu"                   },
        {"--rng",       "c",                        "--rng takes cuda|cpu"                   },
        {"--precision", "f16",                      "auto|bf16|f32"                          },
        {"--budget",    "lots",                     "--budget"                               },
        {"--seed",      "1e3",                      "--seed takes a whole number"            },
        {"--seed",      "99999999999999999999999",
         "--seed: 99999999999999999999999 is out of range; the maximum is"                   },
        {"--seed",      "-99999999999999999999999", "the minimum is"                         },
        {"--steps",     "4294967297",               "out of range; the maximum is 2147483647"},
        {"--steps",     "-2147483649",              "the minimum is -2147483648"             },
        {"--cfg",       "1e999",                    "--cfg: 1e999 is out of range"           },
        {"--crop",      "1,9999999999",
         "1,9999999999 is out of range: each must be 0 to 2147483647"                        },
        {"--crop",      "-1,1",                     "out of range: each must be 0 to"        },
        {"--crop",      "1,x",                      "takes two whole numbers"                },
        {"--budget",    "99999999999G",             "out of range"                           },
        {"--budget",    "99999999999999999999999",  "out of range"                           },
        {"--nonsense",  "1",                        "unknown option --nonsense"              },
        {"-z",          "1",                        "unknown option -z"                      },
        {"--jso",       "1",                        "unknown option --jso"                   },
        {"--digest",    "1",                        "unknown option --digest"                },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        check_int(PARSE(FOR_GENERATE, cases[i].option, cases[i].value), ==,
                  DR_BAD_INPUT);
        check_has(err.message, cases[i].part);
    }
    check_int(PARSE(FOR_GENERATE, "--cfg", "1e-999"), ==, DR_OK);
    check_int(PARSE(FOR_GENERATE, "--json=yes"), ==, DR_BAD_INPUT);
    check_has(err.message, "--json takes no value");
    check_int(PARSE(FOR_GENERATE, "-qv"), ==, DR_BAD_INPUT);
    check_has(err.message, "-q takes no value");
    check_int(PARSE(FOR_GENERATE, "--prompt"), ==, DR_BAD_INPUT);
    check_has(err.message, "--prompt needs a value");
    check_int(PARSE(FOR_GENERATE, "-o", ""), ==, DR_BAD_INPUT);
    check_has(err.message, "--output needs a value: FILE");
}

static void start_options_stay_at_the_start(void)
{
    static const char *const fixed[] = {"--precision", "--threads", "--tokenizer",
                                        "--vae-dir"};
    static const char *const values[] = {"f32", "2", "there", "there"};
    for (int i = 0; i < 4; ++i) {
        check_int(PARSE(FOR_GENERATE, fixed[i], values[i]), ==, DR_OK);
        check_int(PARSE(FOR_SHELL, fixed[i], values[i]), ==, DR_OK);
        check_int(PARSE(FOR_GENERATE | IN_SHELL, fixed[i], values[i]), ==,
                  DR_BAD_INPUT);
        check_has(err.message, "when the shell starts");
    }
    check_int(PARSE(FOR_GENERATE | IN_SHELL, "--budget", "1G"), ==, DR_OK);
}

/* Reads what a printing function prints. */
static const char *printed(void (*print)(FILE *, unsigned), unsigned command)
{
    static char text[16384];
    FILE *const stream = tmpfile();
    print(stream, command);
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    return text;
}

/* Each sampler and each schedule, as the library names them: the help of the options has them as text. */
static const char *lacks_a_name(unsigned command)
{
    static char help[1 << 16];
    (void)snprintf(help, sizeof help, "%s", printed(options_print_help, command));
    for (int32_t i = 0; dr_sampler_name(i); ++i) {
        const char *const sampler = dr_sampler_name(i), *schedule;
        if (!strstr(help, sampler)) return sampler;
        const char *const schedules = strstr(help, "--scheduler NAME");
        const char *const end = schedules ? strstr(schedules, "\n      --") : NULL;
        for (int32_t k = 0; (schedule = dr_sampler_schedule(sampler, k)) != NULL; ++k) {
            const char *const at = schedules ? strstr(schedules, schedule) : NULL;
            if (!at || !end || at > end) return schedule;
        }
    }
    return NULL;
}

static void help_lists_what_is_taken(void)
{
    const char *help = printed(options_print_help, FOR_GENERATE);
    check_has(help, "-p, --prompt TEXT");
    check_has(help, "--sampler NAME");
    check(!lacks_a_name(FOR_GENERATE) && !lacks_a_name(FOR_SETTINGS));
    check(!strstr(help, "--digest"));
    help = printed(options_print_help, FOR_GENERATE | IN_SHELL);
    check(!strstr(help, "--precision"));
    check_has(help, "--budget SIZE");
    const char *const names = printed(options_print_names, FOR_INSPECT);
    check_has(names, "--digest\n");
    check(!strstr(names, "--prompt"));
}

static const char *values_of(const char *option)
{
    static char text[1024];
    FILE *const stream = tmpfile();
    options_print_values(stream, option);
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    return text;
}

static void values_complete(void)
{
    check_str(values_of("--rng"), "cuda\ncpu\n");
    check_str(values_of("-o"), "FILE\n");
    check_str(values_of("--tokenizer"), "DIR\n");
    check_str(values_of("--json"), "");
    check_str(values_of("--steps"), "VALUE\n");
    check_str(values_of("-p"), "VALUE\n");
    check_str(values_of("--nonsense"), "");
    check_str(values_of("word"), "");
    check_str(values_of("--vae"), "automatic\nnone\nFILE\n");
    check_has(values_of("--sampler"), "dpmpp-2m-sde\n");
    check_str(
        values_of("--scheduler"),
        "automatic\nnormal\nkarras\nexponential\npolyexponential\nsgm-uniform\nsimple\n"
        "beta\nkl-optimal\nalign-your-steps\nleading\ntrailing\nlcm\n");
}

int main(void)
{
    check_run(takes_values_in_each_form);
    check_run(takes_every_kind);
    check_run(takes_two_numbers_as_one_value);
    check_run(no_negative_prompt_is_told_from_an_empty_one);
    check_run(defaults_are_the_librarys);
    check_run(keeps_operands);
    check_run(an_option_of_serve_may_be_repeated);
    check_run(a_time_has_a_unit);
    check_run(refuses_by_name);
    check_run(start_options_stay_at_the_start);
    check_run(help_lists_what_is_taken);
    check_run(values_complete);
    return check_done();
}
