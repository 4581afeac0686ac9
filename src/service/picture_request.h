/* picture_request — what a client asked for, whichever API it spoke: with types and limits checked, and complete, so that
 * the same request gives the same picture after a restart.
 *
 * It is what the database keeps of a job (as JSON) and what the worker runs. What the client left open is still open (0,
 * "", DR_CFG_DEFAULT); model, VAE and seed are not: they are fixed when the request is accepted.
 */
#ifndef SERVICE_PICTURE_REQUEST_H
#define SERVICE_PICTURE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <darkroom/darkroom.h>
#include <jansson.h>

enum picture_kind {
    PICTURE_TXT2IMG,
    PICTURE_IMG2IMG,
    PICTURE_UPSCALE
};
/* "txt2img", "img2img", "upscale" */
const char *picture_kind_name(enum picture_kind kind);

enum picture_format {
    PICTURE_PNG,
    PICTURE_JPEG
};

/* How long the model stays after the job: seconds, or one of these. */
enum {
    KEEP_ALIVE_DEFAULT = -2,
    KEEP_ALIVE_ALWAYS = -1
};

enum picture_resize {
    PICTURE_STRETCH, /* A1111's resize_mode 0 */
    PICTURE_CROP,    /* 1: fill, and crop what is over */
    PICTURE_FILL,    /* 2: fit, and repeat the edge */
};

struct picture_request {
    enum picture_kind kind;
    char *prompt, *negative; /* never NULL */
    char *styles; /* names of those that are in both by now, "Ink\nNight"; NULL: none */
    int32_t width,
        height; /* of the picture, any number of pixels; 0: open. The engine makes the next multiple of 8,
                              * and the picture is cut */
    int32_t steps;                   /* 0: open */
    double cfg;                      /* DR_CFG_DEFAULT: open */
    char sampler[24], scheduler[24]; /* the engine's names; "": open */
    uint64_t seed;
    struct dr_sampling sampling;
    int32_t batch_size, batch_count; /* pictures: their product */
    int32_t clip_skip;               /* 1: none */
    enum dr_emphasis emphasis;
    bool pads;       /* as dr_generate_options.pad_prompts */
    double strength; /* img2img */
    enum picture_resize resize;
    double upscale; /* upscale: factor; 0: width and height say */
    char *init;     /* img2img, upscale: name of a file under inputs/; NULL: none */
    char *model;    /* path; "": none was chosen */
    char *vae;      /* a choice as dr_generate_options.vae; "": the engine's */
    enum picture_format format;
    int32_t quality;      /* JPEG */
    bool keeps;           /* the pictures stay in the gallery */
    int32_t keep_alive_s; /* or KEEP_ALIVE_... */
    /* What was asked for and is not done, for `warnings` of the answer: sentences, "" for none. */
    char warnings[DR_TEXT_BYTES];
};

struct picture_request picture_request_default(void);
void picture_request_finish(struct picture_request *request);

/* A seed as JSON: a number, or text where it is above 2^53 - 1, which readers with doubles do not keep exact. */
json_t *picture_seed_json(uint64_t seed);
/* The names of its styles: a new array. */
json_t *picture_styles_json(const struct picture_request *request);
/* A new value; NULL where memory runs out. As the own API shows it (`request` of a job). */
json_t *picture_request_json(const struct picture_request *request);
/* From such a value. Errors: DR_CORRUPT (names the member), DR_NOMEM. */
enum dr_code picture_request_from_json(struct picture_request *request,
                                       const json_t *value,
                                       struct dr_error *err) DR_MUST_CHECK;

enum {
    PICTURE_PROMPT_BYTES =
        32 *
        1024 /* of a prompt, at most: an answer has it several times for each picture */
};

struct picture_limits {
    int64_t most_pixels; /* of one picture */
    int32_t most_batch, most_steps;
};
/* Is it within the limits? Errors: DR_BAD_INPUT with the field, the value and the limit. */
enum dr_code picture_request_check(const struct picture_request *request,
                                   const struct picture_limits *limits,
                                   const char **field,
                                   struct dr_error *err) DR_MUST_CHECK;

#endif
