/* thumbnail_fuzz — any bytes as a picture's file, of which a thumbnail is made. Nothing is expected but an answer. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "input_file.h"
#include "service/thumbnail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *path;
    const int file = input_file_open(&path);
    unsigned char *jpeg = NULL;
    size_t count = 0;
    struct dr_error err = {.message = ""};
    (void)input_file(data, bytes);
    const enum dr_code code = thumbnail_make(file, &jpeg, &count, &err);
    assert((code == DR_OK) == (jpeg != NULL));
    assert((code == DR_OK) == (err.message[0] == '\0'));
    assert(code != DR_OK || (count > 4 && jpeg[0] == 0xff && jpeg[1] == 0xd8));
    free(jpeg);
    return 0;
}
