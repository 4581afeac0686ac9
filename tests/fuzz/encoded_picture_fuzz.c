/* encoded_picture_fuzz — any bytes as the text of a picture: base64 or a URL.
 *
 * What is decoded lies in the text, and encoded again is the text without blanks, but for its padding and the bits that
 * base64 does not use.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "service/base64.h"
#include "service/encoded_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_decoded(const uint8_t *data, size_t bytes,
                          const unsigned char *decoded, size_t count)
{
    const char *const comma = bytes ? memchr(data, ',', bytes) : NULL;
    const char *from = comma ? comma + 1 : (const char *)data;
    const char *const end = (const char *)data + bytes;
    const size_t length = base64_length(count);
    char *const again = malloc(length);
    if (!again) abort();
    base64_encode_into(decoded, count, again);
    /* The last digit before the padding may have bits that are not used. */
    const size_t digits = (count * 8 + 5) / 6;
    for (size_t i = 0; i + 1 < digits; ++i, ++from) {
        while (from < end && strchr(" \t\r\n", *from))
            ++from;
        assert(from < end && *from == again[i]);
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const unsigned char *decoded = NULL;
    size_t count = 0;
    char *const text = malloc(bytes ? bytes : 1);
    if (!text) abort();
    memcpy(text, data, bytes);
    const char *const problem = encoded_picture_decode(text, bytes, &decoded, &count);
    if (problem) {
        assert(problem[0] != '\0');
    } else {
        assert(count > 0 && (const char *)decoded >= text &&
               (const char *)decoded + count <= text + bytes);
        check_decoded(data, bytes, decoded, count);
    }
    free(text);
    return 0;
}
