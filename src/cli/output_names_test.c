#include "output_names.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "scratch_folder.h"

static struct dr_error problem;
static const uint64_t seeds[] = {9, 98, 7};
static const char *folder_of_default = "";

/* The names of three jobs of two pictures, or fewer, with a space after each. */
static const char *names_of(const char *output, int32_t jobs, int32_t batch)
{
    static char text[4096];
    struct output_names names;
    const struct output_naming naming = {.output = output,
                                         .model = "/models/x l/ba\x01se.v2.safetensors",
                                         .folder = folder_of_default,
                                         .extension = ".png",
                                         .seeds = seeds,
                                         .job_count = jobs,
                                         .batch = batch};
    text[0] = '\0';
    problem = (struct dr_error){0};
    if (output_names_make(&names, &naming, &problem) != DR_OK) return problem.message;
    for (int32_t i = 0; i < names.count; ++i) {
        (void)strncat(text, names.paths[i], 600);
        (void)strncat(text, " ", 2);
    }
    if (names.batch == batch) check(output_names_of(&names, 0) != NULL);
    output_names_finish(&names);
    output_names_finish(&names);
    return text;
}

static void a_name_gets_numbers(void)
{
    check_str(names_of("x.png", 1, 1), "x.png ");
    check_str(names_of("a.b/x.png", 1, 3), "a.b/x.png a.b/x-2.png a.b/x-3.png ");
    check_str(names_of("x.jpg", 3, 2),
              "x.jpg x-2.jpg x-3.jpg x-4.jpg x-5.jpg x-6.jpg ");
    check_str(names_of("x.SFT", 2, 3), "x.SFT x-2.SFT "); /* a file for each job */
    check_str(names_of(NULL, 2, 2), "darkroom-9.png darkroom-9-2.png darkroom-98.png "
                                    "darkroom-98-2.png ");
    folder_of_default = "/pictures";
    check_str(names_of(NULL, 1, 1), "/pictures/darkroom-9.png ");
    folder_of_default = "";
}

static void a_pattern_is_filled_in(void)
{
    char today[32], expected[128];
    const time_t now = time(NULL);
    struct tm day;
    (void)strftime(today, sizeof today, "%Y-%m-%d", localtime_r(&now, &day));
    (void)snprintf(expected, sizeof expected, "%s/ba_se.v2.png ", today);
    check_str(names_of("{date}/{model}.png", 1, 1), expected);
    /* numbers are as long as the longest */
    check_str(names_of("{seed}.png", 3, 2),
              "09.png 10.png 98.png 99.png 07.png 08.png ");
    check_str(names_of("{index}-{seed}.png", 1, 2), "1-09.png 2-10.png ");
    check_has(names_of("{index}.png", 3, 4), "01.png 02.png ");
    check_str(names_of("{seed}.sft", 3, 2), "09.sft 98.sft 07.sft ");
    /* without a number of its own, a name that comes again has one */
    check_str(names_of("{model}.png", 1, 2), "ba_se.v2.png ba_se.v2-2.png ");
    /* braces that are none */
    check_str(names_of("a{{seed}b{.png", 1, 1), "a{seed}b{.png ");
    check(!output_names_is_pattern("a{{seed}b{.png"));
    check(output_names_is_pattern("a/{x}"));
    check(!output_names_is_pattern(NULL));
}

static void what_stands_for_nothing_is_named(void)
{
    check_has(names_of("a-{x}.png", 1, 1), "{x}; known are {seed}, {index}, {model}");
    check_int(problem.code, ==, DR_BAD_INPUT);
    check_has(names_of("{}.png", 1, 1), "has {}");
    check_has(names_of("{Seed}.png", 1, 1), "has {Seed}");
}

/* x-2.png is what a second x.png would be. */
static void no_two_are_the_same(void)
{
    static const uint64_t same[] = {1, 1, 1};
    struct output_names names;
    const struct output_naming naming = {.output = "x-{seed}.png",
                                         .folder = "",
                                         .model = "m",
                                         .extension = ".png",
                                         .seeds = same,
                                         .job_count = 3,
                                         .batch = 2};
    /* x-1, x-2, x-1-2, x-2-2, ... */
    check_int(output_names_make(&names, &naming, &problem), ==, DR_OK);
    check_str(names.paths[2], "x-1-2.png");
    check_str(names.paths[5], "x-2-3.png");
    output_names_finish(&names);
    static const uint64_t odd[] = {1, 1, 2};
    const struct output_naming clash = {.output = "x{{-{seed}.png",
                                        .folder = "",
                                        .model = "m",
                                        .extension = ".png",
                                        .seeds = odd,
                                        .job_count = 3,
                                        .batch = 1};
    check_int(output_names_make(&names, &clash, &problem), ==, DR_OK);
    check_str(names.paths[1], "x{-1-2.png");
    output_names_finish(&names);
}

static void a_model_is_its_last_part(void)
{
    static const char *const rows[][2] = {
        {"sd15",             "sd15"        },
        {"/m/diffusers-xl/", "diffusers-xl"},
        {"a/b.ckpt",         "b"           },
        {"v1.5",             "v1.5"        },
        {".safetensors",     ".safetensors"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct output_names names;
        char expected[64];
        const struct output_naming naming = {.output = "{model}.png",
                                             .model = rows[i][0],
                                             .folder = "",
                                             .extension = ".png",
                                             .seeds = seeds,
                                             .job_count = 1,
                                             .batch = 1};
        check_int(output_names_make(&names, &naming, &problem), ==, DR_OK);
        (void)snprintf(expected, sizeof expected, "%s.png", rows[i][1]);
        check_str(names.paths[0], expected);
        output_names_finish(&names);
    }
}

static void a_directory_counts_on(void)
{
    char output[600], expected[1400];
    const char *const folder = scratch_path("out");
    (void)snprintf(output, sizeof output, "%s/", folder);
    (void)snprintf(expected, sizeof expected, "%s/00001-9.png %s/00002-10.png ", folder,
                   folder);
    check_str(names_of(output, 1, 2), expected); /* it is not there yet */
    struct output_names names;
    const struct output_naming naming = {.output = output,
                                         .folder = "",
                                         .model = "m",
                                         .extension = ".png",
                                         .seeds = seeds,
                                         .job_count = 1,
                                         .batch = 1};
    check_int(output_names_make(&names, &naming, &problem), ==, DR_OK);
    check_int(output_names_make_folders(&names, output, &problem), ==, DR_OK);
    output_names_finish(&names);
    scratch_write(scratch_path("out/00041-7.png"), "", 0);
    scratch_write(scratch_path("out/7777.png"), "", 0);
    scratch_write(scratch_path("out/99999999999999-1.png"), "", 0);
    (void)snprintf(expected, sizeof expected, "%s/00042-9.png ", folder);
    check_str(names_of(output, 1, 1), expected);
}

/* Those that a slash at the end or a pattern names are made, and no others. */
static void directories_are_made(void)
{
    static const struct {
        const char *output;
        bool is_made;
    } rows[] = {
        {"made/deep/",             true },
        {"p-{seed}/q/{index}.png", true },
        {"plain/{seed}.png",       false},
        {"plain/x.png",            false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct output_names names;
        const struct output_naming naming = {.output = scratch_path(rows[i].output),
                                             .folder = "",
                                             .model = "m",
                                             .extension = ".png",
                                             .seeds = seeds,
                                             .job_count = 1,
                                             .batch = 1};
        char folder[600];
        check_int(output_names_make(&names, &naming, &problem), ==, DR_OK);
        check_int(output_names_make_folders(&names, naming.output, &problem), ==,
                  DR_OK);
        (void)snprintf(folder, sizeof folder, "%.*s",
                       (int)(strrchr(names.paths[0], '/') - names.paths[0]),
                       names.paths[0]);
        check_int(access(folder, W_OK) == 0, ==, rows[i].is_made);
        output_names_finish(&names);
    }
    scratch_write(scratch_path("file"), "", 0);
    struct output_names names;
    const struct output_naming naming = {.output = scratch_path("file/below/"),
                                         .folder = "",
                                         .model = "m",
                                         .extension = ".png",
                                         .seeds = seeds,
                                         .job_count = 1,
                                         .batch = 1};
    check_int(output_names_make(&names, &naming, &problem), ==, DR_OK);
    check_int(output_names_make_folders(&names, naming.output, &problem), ==, DR_IO);
    check_has(problem.message, "cannot make the directory");
    output_names_finish(&names);
}

int main(void)
{
    check_run(a_name_gets_numbers);
    check_run(a_pattern_is_filled_in);
    check_run(what_stands_for_nothing_is_named);
    check_run(no_two_are_the_same);
    check_run(a_model_is_its_last_part);
    check_run(a_directory_counts_on);
    check_run(directories_are_made);
    return check_done();
}
