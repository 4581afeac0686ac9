/* digest — SHA-256 (FIPS 180-4, by libcrypto) in pieces.
 *
 *     struct digest d;
 *     digest_init(&d); digest_add(&d, data, bytes); digest_end(&d, out);
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX   65 /* 64 digits and the end */

struct digest {
    void *context; /* private */
};

void digest_init(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t bytes);
/* Writes the result and releases the context. Call once for each init, also on error
 * paths (out may be NULL then). */
void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES]);

/* Lower-case hexadecimal; returns out. */
char *digest_hex(const uint8_t digest[static DIGEST_BYTES],
                 char out[static DIGEST_HEX]);

#endif
