#include "talk.h"

#include <jansson.h>

#include "check.h"

static FILE *stream;
static struct talk talk;

static void begin(bool json, bool quiet, int verbose)
{
    stream = tmpfile();
    talk_init(&talk, stream);
    talk_begin(&talk, json, quiet, verbose);
}

/* What was said; closes the stream. */
static const char *said(void)
{
    static char text[65536];
    talk_end(&talk);
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    (void)fclose(stream);
    return text;
}

static void report(enum dr_stage stage, int32_t step, double share, double elapsed_ms)
{
    const struct dr_progress progress = {.stage = stage,
                                         .image_count = 2,
                                         .step = step,
                                         .step_count = 20,
                                         .share = share,
                                         .elapsed_ms = elapsed_ms,
                                         .left_ms = -1.0};
    talk_progress(&talk, &progress);
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; ++text)
        lines += *text == '\n';
    return lines;
}

static void formats_times(void)
{
    char out[16];
    check_str(talk_format_time(0.0, out), "0:00");
    check_str(talk_format_time(65400.0, out), "1:05");
    check_str(talk_format_time(59999.0, out), "1:00");
    check_str(talk_format_time(7207000.0, out), "2:00:07");
    check_str(talk_format_time(-5.0, out), "0:00");
    check_str(talk_format_time(1e30, out), "100000:00:00");
}

/* 20 steps of a second each: a line at the change of stage, then one every five seconds. */
static void plain_lines_are_few(void)
{
    begin(false, false, 0);
    report(DR_STAGE_TEXT, 0, 0.0, 0.0);
    for (int32_t i = 0; i <= 20; ++i)
        report(DR_STAGE_UNET, i, i / 20.0, 1000.0 * (i + 1));
    report(DR_STAGE_DECODE, 0, 0.5, 22000.0);
    const char *const text = said();
    check_int(lines_of(text), ==, 7);
    check_has(text, "unet  10/20  1.00 s/step  image 1/2\n");
    check_has(text, "decode  50%  image 1/2\n");
    check(!strchr(text, '\r') && !strchr(text, '\033'));
}

static void json_lines_parse(void)
{
    begin(true, false, 0);
    for (int32_t i = 0; i <= 20; ++i)
        report(DR_STAGE_UNET, i, i / 20.0, 1000.0 * i);
    talk_log(&talk, DR_LOG_WARNING, "a \"warning\"\n");
    char *const text = strdup(said());
    check_int(lines_of(text), ==, 22);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *const event = json_loads(line, 0, NULL);
        check(json_is_object(event));
        check(json_is_string(json_object_get(event, "event")));
        json_decref(event);
    }
    free(text);
}

/* What is read. */
static void readings(void)
{
    const struct dr_load_progress half = {.component = "unet",
                                          .done_bytes = 3 << 20,
                                          .total_bytes = 6 << 20,
                                          .elapsed_ms = 100.0};
    begin(false, false, 0);
    check_int(talk_load(&talk, &half), ==, 0);
    check_int(talk_load(&talk, &half), ==, 0); /* too soon for another line */
    check_str(said(), "load  3.00 MiB of 6.00 MiB  unet\n");

    begin(true, false, 0);
    (void)talk_load(&talk, &half);
    json_t *event = json_loads(said(), 0, NULL);
    check_str(json_string_value(json_object_get(event, "stage")), "load");
    check_str(json_string_value(json_object_get(event, "component")), "unet");
    check_int(json_integer_value(json_object_get(event, "done_bytes")), ==, 3 << 20);
    check_int(json_integer_value(json_object_get(event, "total_bytes")), ==, 6 << 20);
    check(json_real_value(json_object_get(event, "share")) == 0.5);
    check(!json_object_get(event, "image"));
    json_decref(event);

    begin(false, true, 0); /* quiet */
    (void)talk_load(&talk, &half);
    check_str(said(), "");
}

static void levels_and_quiet(void)
{
    static const struct {
        bool quiet;
        int verbose, lines;
    } cases[] = {
        {true,  0, 1},
        {false, 0, 2},
        {false, 1, 3},
        {false, 2, 4}
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        begin(false, cases[i].quiet, cases[i].verbose);
        talk_log(&talk, DR_LOG_ERROR, "one");
        talk_log(&talk, DR_LOG_WARNING, "two");
        talk_log(&talk, DR_LOG_INFO, "three");
        talk_log(&talk, DR_LOG_DEBUG, "four");
        check_int(lines_of(said()), ==, cases[i].lines);
    }
    begin(false, true, 0);
    report(DR_STAGE_UNET, 1, 0.5, 1.0);
    check_str(said(), "");
}

/* As on a terminal: the bar is redrawn in place, and gone at the end. */
static void bar_is_cleared(void)
{
    begin(false, false, 0);
    talk.is_terminal = true;
    report(DR_STAGE_UNET, 5, 0.25, 100.0);
    report(DR_STAGE_UNET, 6, 0.30, 110.0); /* too soon */
    report(DR_STAGE_UNET, 10, 0.5, 300.0);
    talk_log(&talk, DR_LOG_WARNING, "in between");
    const char *const text = said();
    check_has(text, "unet   [#####...............]  5/20  image 1/2");
    check_has(text, "[##########..........]  10/20");
    check(!strstr(text, "6/20"));
    check_has(text, "\r\033[Kdarkroom: warning: in between\n");
    check_int(lines_of(text), ==, 1);
}

/* Before the first step, once for each job, and where it ends early. */
static void seeds_and_ends_are_told_once(void)
{
    struct dr_progress progress = {.stage = DR_STAGE_TEXT,
                                   .image_count = 3,
                                   .left_ms = -1.0,
                                   .has_seed = 1,
                                   .seed = UINT64_MAX};
    begin(false, false, 0);
    talk.is_terminal = true;
    talk_progress(&talk, &progress);
    progress.stage = DR_STAGE_UNET;
    progress.image = 1;
    progress.seed = 0;
    progress.left_ms = 65000.0;
    talk_progress(&talk, &progress);
    progress.finishing_count = 2;
    progress.stage = DR_STAGE_DECODE;
    talk_progress(&talk, &progress);
    progress.finishing_count = 1;
    talk_progress(&talk, &progress);
    talk_begin_job(&talk);
    progress.image = progress.finishing_count = 0;
    progress.image_count = 1;
    progress.seed = 7;
    talk_progress(&talk, &progress);
    const char *const text = said();
    check_has(text, "seeds 18446744073709551615 to 1\n");
    check_has(text, "0/0  1:05 left  image 2/3");
    check_has(text,
              "\r\033[Kstopping; 2 finished pictures are decoded and written first "
              "(Ctrl-C again stops at once)\n");
    check_has(text, "\r\033[Kseed 7\n");
    check_int(lines_of(text), ==, 3);
    begin(true, false, 0);
    const struct dr_image_info image = {.path = "a.png", .seed = 7};
    talk_progress(&talk, &progress);
    talk_written(&talk, 0, &image);
    const char *const lines = said();
    check_has(lines, "\"seed\":7,");
    check_has(lines, "\n{\"event\":\"written\",\"image\":0,");
    check_int(lines_of(lines), ==, 2);
}

int main(void)
{
    check_run(formats_times);
    check_run(plain_lines_are_few);
    check_run(json_lines_parse);
    check_run(readings);
    check_run(levels_and_quiet);
    check_run(bar_is_cleared);
    check_run(seeds_and_ends_are_told_once);
    return check_done();
}
