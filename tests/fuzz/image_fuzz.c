/* image_fuzz — any bytes as a picture: both decoders, their heads and all pixels.
 *
 * Nothing is expected but an answer, within bounds: the sanitizers and the allocation limit
 * of the fuzzer watch. Pictures above a million pixels are left unread, for speed.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct image_reader *reader = NULL;
    struct image_head head;
    struct dr_error err = {.message = ""};
    enum dr_code code = image_reader_open_memory(&reader, &head, data, bytes, &err);
    assert((code == DR_OK) == (reader != NULL));
    assert((code == DR_OK) == (err.message[0] == '\0'));
    if (code != DR_OK) return 0;
    assert(head.width > 0 && head.height > 0);
    assert(head.width <= IMAGE_MAX_SIDE && head.height <= IMAGE_MAX_SIDE);
    const int64_t pixels = (int64_t)head.width * head.height;
    if (pixels <= 1 << 20) {
        float *const rgb = malloc(3 * sizeof *rgb * (size_t)pixels);
        assert(rgb);
        code = image_reader_pixels(reader, rgb, &err);
        for (int64_t i = 0; code == DR_OK && i < 3 * pixels; ++i)
            assert(rgb[i] >= 0.0f && rgb[i] <= 1.0f); /* all written, and in range */
        free(rgb);
    }
    image_reader_close(&reader);
    assert(reader == NULL);
    return 0;
}
