/* psnr — how far one picture is from another: peak signal to noise ratio in dB, over all channels
 * and pixels, peak 1. "inf" where they are the same.
 *
 *     psnr A.png B.png
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/image.h"

static float *read_picture(const char *path, struct image_head *head)
{
    struct dr_error err;
    struct image_reader *reader = NULL;
    float *rgb = NULL;
    enum dr_code code = image_reader_open(&reader, head, path, &err);
    if (code == DR_OK) {
        rgb = malloc(sizeof *rgb * 3 * (size_t)head->width * (size_t)head->height);
        if (!rgb) exit(1);
        code = image_reader_pixels(reader, rgb, &err);
    }
    image_reader_close(&reader);
    if (code == DR_OK) return rgb;
    fprintf(stderr, "psnr: %s\n", err.message);
    exit(1);
}

int main(int argc, char **argv)
{
    struct image_head head_a, head_b;
    if (argc != 3) {
        fprintf(stderr, "usage: psnr A.png B.png\n");
        return 2;
    }
    float *const a = read_picture(argv[1], &head_a);
    float *const b = read_picture(argv[2], &head_b);
    if (head_a.width != head_b.width || head_a.height != head_b.height) {
        fprintf(stderr, "psnr: %s is %dx%d, %s is %dx%d\n", argv[1], (int)head_a.width,
                (int)head_a.height, argv[2], (int)head_b.width, (int)head_b.height);
        return 1;
    }
    const size_t count = 3 * (size_t)head_a.width * (size_t)head_a.height;
    double sum = 0.0;
    for (size_t i = 0; i < count; ++i) {
        const double difference = (double)a[i] - (double)b[i];
        sum += difference * difference;
    }
    printf("%.2f\n", sum > 0.0 ? -10.0 * log10(sum / (double)count) : HUGE_VAL);
    free(a);
    free(b);
    return 0;
}
