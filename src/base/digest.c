#include "base/digest.h"

#include <openssl/evp.h>

#include <assert.h>

/* libcrypto can refuse only for want of some hundred bytes; a wrong digest would be worse
 * than the end of the process, so that is asserted. */
void digest_init(struct digest *digest)
{
    EVP_MD_CTX *const context = EVP_MD_CTX_new();
    const int done = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    assert(done);
    (void)done;
    digest->context = context;
}

void digest_add(struct digest *digest, const void *data, size_t bytes)
{
    const int done = EVP_DigestUpdate(digest->context, data, bytes);
    assert(done);
    (void)done;
}

void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES])
{
    if (out) {
        const int done = EVP_DigestFinal_ex(digest->context, out, NULL);
        assert(done);
        (void)done;
    }
    EVP_MD_CTX_free(digest->context);
    digest->context = NULL;
}

char *digest_hex(const uint8_t digest[static DIGEST_BYTES], char out[static DIGEST_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST_BYTES; ++i) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[DIGEST_HEX - 1] = '\0';
    return out;
}
