#include "summary.h"

#include <string.h>

#include "front/member.h"
#include "listing.h"

static const char *text_at(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool summary_fits(const json_t *answer)
{
    return json_is_array(json_object_get(answer, "images")) ||
           *text_at(answer, "latents");
}

/* How many of the images from `first` on are in the same file: more than one only in a file of latents. */
static size_t count_in_file(const json_t *images, size_t first)
{
    const char *const path = text_at(json_array_get(images, first), "path");
    size_t end = first + 1;
    while (end < json_array_size(images) &&
           strcmp(text_at(json_array_get(images, end), "path"), path) == 0)
        ++end;
    return end - first;
}

static int longest_path(const json_t *images)
{
    int longest = 0;
    for (size_t i = 0; i < json_array_size(images); ++i) {
        const int columns = listing_columns(text_at(json_array_get(images, i), "path"));
        if (columns > longest) longest = columns;
    }
    return longest;
}

static void print_seeds(const json_t *first, const json_t *last, int pad, FILE *stream)
{
    const json_t *const from = json_object_get(first, "seed");
    const json_t *const to = json_object_get(last, "seed");
    if (!from) return; /* decode */
    fprintf(stream, "%*s  seed%s %llu", pad, "", first == last ? "" : "s",
            (unsigned long long)member_seed(from));
    if (first != last) fprintf(stream, " to %llu", (unsigned long long)member_seed(to));
}

static void print_images(const json_t *images, enum summary_detail detail, FILE *stream)
{
    const int width = longest_path(images);
    size_t count;
    for (size_t i = 0; i < json_array_size(images); i += count) {
        const json_t *const image = json_array_get(images, i);
        const char *const path = text_at(image, "path");
        count = count_in_file(images, i);
        listing_print_text(path, 0, stream);
        if (detail != SUMMARY_PATHS)
            print_seeds(image, json_array_get(images, i + count - 1),
                        width - listing_columns(path), stream);
        if (detail != SUMMARY_PATHS && json_is_true(json_object_get(image, "replaced")))
            fputs("  (replaced)", stream);
        fputc('\n', stream);
    }
}

/* A VAE that was named and that another took the place of has its reason. */
static void print_vae(const json_t *vae, FILE *stream)
{
    const char *const choice = text_at(vae, "choice");
    const bool is_named =
        strcmp(choice, "automatic") != 0 && strcmp(choice, "none") != 0;
    if (strcmp(text_at(vae, "active"), "override") == 0) {
        listing_print_text(text_at(vae, "path"), 0, stream);
    } else {
        fputs("the checkpoint's own", stream);
        if (is_named) {
            fputs(": ", stream);
            listing_print_text(text_at(vae, "reason"), 0, stream);
        }
    }
}

/* Of a picture that was made again. */
static void print_differences(const json_t *answer, FILE *stream)
{
    size_t idx;
    const json_t *one;
    const char *const picture = text_at(answer, "again");
    json_t *const differences = json_object_get(answer, "differences");
    if (!*picture) return;
    fputs(json_is_true(json_object_get(answer, "identical")) ? "identical to "
          : json_array_size(differences) > 0                 ? "differs from "
                                                             : "same parameters as ",
          stream);
    listing_print_text(picture, 0, stream);
    fputs(json_array_size(differences) > 0 ? ":\n" : "\n", stream);
    json_array_foreach(differences, idx, one)
    {
        fprintf(stream, "  %s: ", text_at(one, "what"));
        listing_print_text(text_at(one, "was"), 4, stream);
        fputs(" -> ", stream);
        listing_print_text(text_at(one, "is"), 4, stream);
        fputc('\n', stream);
    }
}

bool summary_print(const json_t *answer, double ms, enum summary_detail detail,
                   FILE *stream)
{
    const json_t *const images = json_object_get(answer, "images");
    const json_t *const vae = json_object_get(answer, "vae");
    /* No VAE ran where generate was asked for latents. */
    const bool made_latents = images && *text_at(answer, "latents");
    if (images) {
        print_images(images, detail, stream);
    } else {
        listing_print_text(text_at(answer, "latents"), 0, stream);
        if (detail != SUMMARY_PATHS &&
            json_is_true(json_object_get(answer, "replaced")))
            fputs("  (replaced)", stream);
        fputc('\n', stream);
    }
    if (detail == SUMMARY_LINES) {
        fprintf(stream, "%.*f s", ms < 10000.0 ? 2 : 1, ms / 1000.0);
        if (vae && !made_latents) {
            fputs(", VAE: ", stream);
            print_vae(vae, stream);
        }
        fputc('\n', stream);
        print_differences(answer, stream);
    }
    return fflush(stream) == 0 && !ferror(stream);
}
