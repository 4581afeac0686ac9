#include "base/digest.h"

#include "check.h"

static const char *hex_of(const void *data, size_t bytes, char out[static DIGEST_HEX])
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    digest_init(&digest);
    digest_add(&digest, data, bytes);
    digest_end(&digest, result);
    return digest_hex(result, out);
}

/* The examples that NIST publishes with FIPS 180-4. */
static void agrees_with_the_standard(void)
{
    char hex[DIGEST_HEX];
    check_str(hex_of("", 0, hex),
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_str(hex_of("abc", 3, hex),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    static const char longer[] =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check_str(hex_of(longer, sizeof longer - 1, hex),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void takes_a_million_in_pieces(void)
{
    static char piece[997];
    memset(piece, 'a', sizeof piece);
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    digest_init(&digest);
    for (size_t left = 1000000; left > 0;) {
        const size_t bytes = left < sizeof piece ? left : sizeof piece;
        digest_add(&digest, piece, bytes);
        left -= bytes;
    }
    digest_end(&digest, result);
    check_str(digest_hex(result, hex),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void ends_without_a_result(void)
{
    struct digest digest;
    digest_init(&digest);
    digest_add(&digest, "x", 1);
    digest_end(&digest, NULL);
    check(digest.context == NULL);
}

int main(void)
{
    check_run(agrees_with_the_standard);
    check_run(takes_a_million_in_pieces);
    check_run(ends_without_a_result);
    return check_done();
}
