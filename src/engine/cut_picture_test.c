/* A picture that is cut is the first rows and columns of the whole one, in its file, for the callback, and in its text. An
 * init picture that is cropped or padded gives what its crop or its padded copy gives. */
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

/* The size that is written counts, and one that was left open too: the model's is 512x512. */
static void a_picture_of_more_pixels_is_refused(void)
{
    struct dr_engine *engine = open_engine();
    struct dr_generate_result result;
    load(engine, "a.safetensors");
    struct dr_generate_options options = options_for("small.png");
    cut(&options);
    options.most_pixels = (int64_t)CUT_WIDTH * CUT_HEIGHT;
    run(engine, &options, CUT_WIDTH, CUT_HEIGHT, NULL);
    --options.most_pixels;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_BAD_INPUT);
    options = options_for("never.png");
    options.width = options.height = 0;
    options.most_pixels = 512 * 512 - 1;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==,
              DR_BAD_INPUT);
    check_has(
        problem.message,
        "width 512 and height 512 are too large: pictures may have at most 262143");
    dr_engine_close(&engine);
}

/* ---- init pictures ----------------------------------------------------------------------- */

enum {
    WIDE = 96,
    HIGH = 64
};

/* A part of an endless picture that is plain beyond WIDE x HIGH: from left, top. */
struct part {
    int32_t left, top, width;
};

static void get_row(void *cookie, int32_t y, float *row)
{
    const struct part *const part = cookie;
    const int32_t from_y = part->top + y;
    const int32_t at_y = from_y < 0 ? 0 : from_y < HIGH ? from_y : HIGH - 1;
    for (int32_t x = 0; x < part->width; ++x) {
        const int32_t from_x = part->left + x;
        const int32_t at_x = from_x < 0 ? 0 : from_x < WIDE ? from_x : WIDE - 1;
        row[3 * x] = (float)(2 * at_x) / 255;
        row[3 * x + 1] = (float)(3 * at_y) / 255;
        row[3 * x + 2] = (float)((at_x * at_y) % 200) / 255;
    }
}

static const char *write_part(const char *name, int32_t left, int32_t top,
                              int32_t width, int32_t height)
{
    struct part part = {left, top, width};
    const struct image_write_options options = {
        .format = IMAGE_PNG, .width = width, .height = height, .bits = 8};
    const struct image_rows rows = {get_row, &part};
    check_int(image_write_rows(in_root(name), &options, &rows, &problem), ==, DR_OK);
    return name;
}

static void make_from(struct dr_engine *engine, const char *init, enum dr_fit fit,
                      const char *output)
{
    struct dr_generate_options options = options_for(output);
    struct dr_generate_result result;
    options.width = options.height = 64;
    options.init = in_root(init);
    options.init_fit = fit;
    check_int(dr_engine_generate(engine, &options, &result, &problem), ==, DR_OK);
    check_int(result.planned_private_bytes, ==, result.peak_private_bytes);
    dr_generate_result_free(&result);
}

static void an_init_picture_is_cropped_or_padded(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const char *const wide = write_part("wide.png", 0, 0, WIDE, HIGH);
    make_from(engine, wide, DR_FIT_STRETCH, "stretched.png");
    make_from(engine, wide, DR_FIT_CROP, "cropped.png");
    make_from(engine, wide, DR_FIT_PAD, "padded.png");
    make_from(engine, write_part("crop.png", (WIDE - HIGH) / 2, 0, HIGH, HIGH),
              DR_FIT_STRETCH, "of-crop.png");
    make_from(engine, write_part("pad.png", 0, (HIGH - WIDE) / 2, WIDE, WIDE),
              DR_FIT_STRETCH, "of-pad.png");
    check(same_file("cropped.png", "of-crop.png"));
    check(same_file("padded.png", "of-pad.png"));
    check(!same_file("cropped.png", "stretched.png"));
    check(!same_file("padded.png", "stretched.png"));
    check_memory(engine);
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(a_cut_picture_is_a_part_of_the_whole);
    check_run(a_cut_of_more_is_refused);
    check_run(a_picture_of_more_pixels_is_refused);
    check_run(an_init_picture_is_cropped_or_padded);
    return check_done();
}
