/* A picture that is cut is the first rows and columns of the whole one, in its file, for the callback, and in its text. */
#include "engine/engine_fixture.h"

#include "image/image.h"

enum {
    CUT_SIDE = 72,
    CUT_WIDTH = 70,
    CUT_HEIGHT = 65
};

static struct dr_generate_options options_for(const char *name)
{
    struct dr_generate_options options = dr_generate_options_default();
    options.prompt = "a red circle";
    options.output = in_root(name);
    options.width = options.height = CUT_SIDE;
    options.steps = 2;
    options.seed = 7;
    return options;
}

static void cut(struct dr_generate_options *options)
{
    options->cut_width = CUT_WIDTH;
    options->cut_height = CUT_HEIGHT;
}

struct shown {
    int32_t width, height;
    float rgb[CUT_SIDE * CUT_SIDE * 3];
};

static void take_image(void *cookie, int32_t index, uint64_t seed, const float *rgb,
                       int32_t width, int32_t height)
{
    struct shown *const shown = cookie;
    (void)seed;
    check_int(index, ==, 0);
    shown->width = width;
    shown->height = height;
    memcpy(shown->rgb, rgb, sizeof *rgb * 3 * (size_t)width * (size_t)height);
}

/* planned: of the job. */
static void run(struct dr_engine *engine, const struct dr_generate_options *options,
                int32_t width, int32_t height, uint64_t *planned)
{
    struct dr_generate_result result;
    check_int(dr_engine_generate(engine, options, &result, &problem), ==, DR_OK);
    check_int(result.width, ==, width);
    check_int(result.height, ==, height);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    if (planned) *planned = result.planned_private_bytes;
    dr_generate_result_free(&result);
}

static void compare(const struct shown *whole, const struct shown *part)
{
    check_int(part->width, ==, CUT_WIDTH);
    check_int(part->height, ==, CUT_HEIGHT);
    for (size_t y = 0; y < CUT_HEIGHT; ++y)
        check_bytes(part->rgb + y * 3 * CUT_WIDTH, whole->rgb + y * 3 * CUT_SIDE,
                    3 * CUT_WIDTH * sizeof(float));
}

static void check_text(const char *name)
{
    struct dr_parameters parameters;
    check_int(dr_read_picture(in_root(name), &parameters, &problem), ==, DR_OK);
    check_int(parameters.width, ==, CUT_WIDTH);
    check_int(parameters.height, ==, CUT_HEIGHT);
    dr_parameters_free(&parameters);
}

static void a_cut_picture_is_a_part_of_the_whole(void)
{
    static struct shown whole, part;
    struct dr_engine *engine = open_engine();
    uint64_t planned, planned_cut;
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("whole.png");
    options.image = take_image;
    options.image_cookie = &whole;
    run(engine, &options, CUT_SIDE, CUT_SIDE, &planned);
    options.output = in_root("cut.png");
    options.image_cookie = &part;
    cut(&options);
    run(engine, &options, CUT_WIDTH, CUT_HEIGHT, &planned_cut);
    check_int(planned_cut, ==, planned);
    compare(&whole, &part);
    check_text("cut.png");
    /* The same file without the callback, which moves the rows in the arena. */
    options = options_for("cut-alone.png");
    cut(&options);
    run(engine, &options, CUT_WIDTH, CUT_HEIGHT, NULL);
    check(same_file("cut.png", "cut-alone.png"));
    dr_engine_close(&engine);
}

static void a_cut_of_more_is_refused(void)
{
    static const struct {
        int32_t width, cut_width, height, cut_height;
    } cases[] = {
        {72, 64, 72, 72},
        {72, 73, 72, 72},
        {72, -1, 72, 72},
        {72, 72, 72, 64},
        {0,  70, 72, 70}
    };
    struct dr_engine *engine = open_engine();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct dr_generate_options options = options_for("never.png");
        struct dr_job *job = NULL;
        options.width = cases[i].width;
        options.cut_width = cases[i].cut_width;
        options.height = cases[i].height;
        options.cut_height = cases[i].cut_height;
        check_int(dr_job_create_generate(engine, &options, &job, &problem), ==,
                  DR_BAD_INPUT);
        check_has(problem.message, "cannot be cut");
    }
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(a_cut_picture_is_a_part_of_the_whole);
    check_run(a_cut_of_more_is_refused);
    return check_done();
}
