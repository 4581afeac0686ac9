/* latent_file_fuzz — any bytes as the file of latents that decode reads.
 *
 * What the head says is within the limits, and all of it can be read: as many bytes as the file
 * has at that place. What is refused leaves a sentence.
 */
#define _GNU_SOURCE /* memmem */
#include <assert.h>
#include <string.h>

#include "input_file.h"
#include "sampling/latent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_read(const char *path, const struct latent_head *head,
                       const uint8_t *data, size_t bytes)
{
    struct latent_head other = *head;
    const size_t count =
        (size_t)head->n * LATENT_CHANNELS * (size_t)head->height * (size_t)head->width;
    assert(count <= bytes / sizeof(float)); /* the file has them all */
    float *const latents = malloc(count * sizeof *latents);
    if (!latents) abort();
    enum dr_code code = latent_file_read(path, head, latents, NULL);
    assert(code == DR_OK);
    assert(memmem(data, bytes, latents, count * sizeof *latents));
    (void)latent_is_finite(latents, count);
    other.width += 1;
    code = latent_file_read(path, &other, latents, NULL);
    assert(code == DR_CHANGED);
    free(latents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *const path = input_file(data, bytes);
    struct latent_head head = {0};
    struct dr_error err = {.message = ""};
    const enum dr_code code = latent_file_head(path, &head, &err);
    assert((code == DR_OK) == (err.message[0] == '\0'));
    if (code != DR_OK) {
        assert(head.n == 0 && head.height == 0 && head.width == 0);
        return 0;
    }
    assert(head.n >= 1 && head.n <= 1024);
    assert(head.height >= 1 && head.height <= 4096);
    assert(head.width >= 1 && head.width <= 4096);
    check_read(path, &head, data, bytes);
    return 0;
}
