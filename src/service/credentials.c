#include "service/credentials.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "service/failure.h"

enum {
    DIGEST_BYTES = 32,
    MOST_BYTES = 64 * 1024, /* of the file */
    MOST_ENTRIES = 256,
    MOST_HEADER = 1024, /* of what an Authorization header says */
    PEER_BYTES = 64,
    PEER_COUNT = 128
};

/* A peer may fail so often at once, and once more for each of these later. */
static const double failures_at_once = 10.0, one_more_ms = 6000.0;

struct entry {
    char name[CREDENTIALS_NAME_BYTES];
    unsigned char digest[DIGEST_BYTES]; /* of "user:password", or of the key */
    bool is_key;
};

/* Failed logins of a peer: the count drains with time. */
struct failures {
    char peer[PEER_BYTES];
    double count, at_ms;
};

struct credentials {
    struct entry *entries;
    size_t count;
    pthread_mutex_t *lock; /* of failures: pointers, since asking changes them alone */
    struct failures *failures;
};

static bool digest_of(const char *text, size_t length,
                      unsigned char digest[DIGEST_BYTES])
{
    return EVP_Digest(text, length, digest, NULL, EVP_sha256(), NULL) == 1;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Its text, malloc'ed, with room for the end. */
static enum dr_code read_file(const char *path, char **text, struct dr_error *err)
{
    struct stat status;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return failure(err, errno == ENOENT ? DR_NOT_FOUND : DR_IO,
                       "cannot read the users in %.200s: %s", path, strerror(errno));
    enum dr_code code = DR_OK;
    char *bytes = NULL;
    ssize_t count = 0;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        code = failure(err, DR_BAD_INPUT, "%.200s is not a file of users", path);
    else if (status.st_mode & 07)
        code =
            failure(err, DR_BAD_INPUT,
                    "everybody on this machine can read or write %.200s: run chmod 600 "
                    "on it",
                    path);
    else if (status.st_size > MOST_BYTES)
        code = failure(err, DR_BAD_INPUT,
                       "%.200s has %lld bytes; a file of users may have "
                       "%d",
                       path, (long long)status.st_size, MOST_BYTES);
    else if (!(bytes = malloc(MOST_BYTES + 1)))
        code = failure(err, DR_NOMEM, "out of memory for the users in %.200s", path);
    else if ((count = read(file, bytes, MOST_BYTES)) < 0)
        code = failure(err, DR_IO, "cannot read the users in %.200s: %s", path,
                       strerror(errno));
    (void)close(file);
    if (code != DR_OK) {
        free(bytes);
        return code;
    }
    bytes[count] = '\0';
    *text = bytes;
    return DR_OK;
}

/* NULL, or what is wrong with the line. */
static const char *add_line(struct credentials *credentials, char *line)
{
    char *const colon = strchr(line, ':');
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r') line[--length] = '\0';
    if (line[strspn(line, " \t")] == '\0' || line[0] == '#') return NULL;
    if (!colon || colon == line || !colon[1])
        return "it has to be user:password, or key:TOKEN";
    if (credentials->count == MOST_ENTRIES) return "there are more than 256 users";
    struct entry *const entry = &credentials->entries[credentials->count];
    entry->is_key = strncmp(line, "key:", 4) == 0;
    const size_t name = (size_t)(colon - line);
    if (!entry->is_key && name >= CREDENTIALS_NAME_BYTES)
        return "the user's name has more than 63 bytes";
    for (const char *c = line; *c; ++c)
        if ((unsigned char)*c < ' ' || *c == 0x7f) return "it has a control character";
    const char *const secret = entry->is_key ? colon + 1 : line;
    if (strlen(secret) > MOST_HEADER / 2) return "it has more than 512 bytes";
    if (!digest_of(secret, strlen(secret), entry->digest)) return "there is no SHA-256";
    size_t keys = 1;
    for (size_t i = 0; i < credentials->count; ++i)
        keys += credentials->entries[i].is_key;
    if (entry->is_key)
        (void)snprintf(entry->name, sizeof entry->name, "key %zu", keys);
    else
        (void)snprintf(entry->name, sizeof entry->name, "%.*s", (int)name, line);
    ++credentials->count;
    return NULL;
}

static enum dr_code read_lines(struct credentials *credentials, const char *path,
                               char *text, struct dr_error *err)
{
    char *next = text;
    for (int number = 1; next; ++number) {
        char *const line = next;
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        const char *const problem = add_line(credentials, line);
        if (problem)
            return failure(err, DR_BAD_INPUT, "%.200s, line %d: %s", path, number,
                           problem);
    }
    if (credentials->count > 0) return DR_OK;
    return failure(err, DR_BAD_INPUT,
                   "%.200s names nobody: add a line user:password or key:TOKEN", path);
}

static struct credentials *create(void)
{
    struct credentials *const credentials = calloc(1, sizeof *credentials);
    if (!credentials) return NULL;
    credentials->entries = calloc(MOST_ENTRIES, sizeof *credentials->entries);
    credentials->failures = calloc(PEER_COUNT, sizeof *credentials->failures);
    credentials->lock = calloc(1, sizeof *credentials->lock);
    if (credentials->entries && credentials->failures && credentials->lock &&
        pthread_mutex_init(credentials->lock, NULL) == 0)
        return credentials;
    free(credentials->lock);
    credentials->lock = NULL;
    credentials_destroy(credentials);
    return NULL;
}

enum dr_code credentials_read(const char *path, struct credentials **out,
                              struct dr_error *err)
{
    char *text = NULL;
    *out = NULL;
    enum dr_code code = read_file(path, &text, err);
    if (code != DR_OK) return code;
    struct credentials *credentials = create();
    code = credentials
               ? read_lines(credentials, path, text, err)
               : failure(err, DR_NOMEM, "out of memory for the users in %.200s", path);
    OPENSSL_cleanse(text, strlen(text));
    free(text);
    if (code != DR_OK) {
        credentials_destroy(credentials);
        credentials = NULL;
    }
    *out = credentials;
    return code;
}

void credentials_destroy(struct credentials *credentials)
{
    if (!credentials) return;
    if (credentials->lock) (void)pthread_mutex_destroy(credentials->lock);
    free(credentials->lock);
    free(credentials->entries);
    free(credentials->failures);
    free(credentials);
}

size_t credentials_count(const struct credentials *credentials)
{
    return credentials->count;
}

/* ---- failed logins -------------------------------------------------------------------------- */

/* An IPv6 peer has a whole /64 to itself. */
static void name_peer(const char *peer, char name[PEER_BYTES])
{
    struct in6_addr address;
    (void)snprintf(name, PEER_BYTES, "%s", peer);
    if (inet_pton(AF_INET6, peer, &address) != 1) return;
    memset(address.s6_addr + 8, 0, 8);
    (void)inet_ntop(AF_INET6, &address, name, PEER_BYTES);
}

/* The peer's entry, or the one that was quiet longest. */
static struct failures *failures_of(const struct credentials *credentials,
                                    const char *peer, double now_ms)
{
    char name[PEER_BYTES];
    struct failures *oldest = &credentials->failures[0];
    name_peer(peer, name);
    for (size_t i = 0; i < PEER_COUNT; ++i) {
        struct failures *const at = &credentials->failures[i];
        if (strcmp(at->peer, name) == 0) return at;
        if (at->at_ms < oldest->at_ms) oldest = at;
    }
    *oldest = (struct failures){.at_ms = now_ms};
    (void)snprintf(oldest->peer, sizeof oldest->peer, "%s", name);
    return oldest;
}

/* Counts a failure (or none), and says whether there were too many. */
static bool has_failed_often(const struct credentials *credentials, const char *peer,
                             double now_ms, double more)
{
    (void)pthread_mutex_lock(credentials->lock);
    struct failures *const failures = failures_of(credentials, peer, now_ms);
    failures->count -= (now_ms - failures->at_ms) / one_more_ms;
    if (failures->count < 0.0) failures->count = 0.0;
    failures->at_ms = now_ms;
    const bool is_often = failures->count + 1.0 > failures_at_once;
    if (!is_often) failures->count += more;
    (void)pthread_mutex_unlock(credentials->lock);
    return is_often;
}

/* ---- a header ------------------------------------------------------------------------------ */

/* Base64 into text [MOST_HEADER]. Only the one spelling that an encoder writes: the library also takes spaces
 * around it, and anything in the bits that are left over. */
static bool decode_base64(const char *said, char *text, size_t *length)
{
    unsigned char bytes[MOST_HEADER + 4], again[MOST_HEADER + 4];
    const size_t count = strlen(said);
    if (count == 0 || count % 4 != 0 || count > MOST_HEADER) return false;
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)said, (int)count);
    for (size_t i = 1; decoded > 0 && i <= 2 && said[count - i] == '='; ++i)
        --decoded;
    if (decoded <= 0) return false;
    memcpy(text, bytes, (size_t)decoded);
    *length = (size_t)decoded;
    const bool is_canonical = EVP_EncodeBlock(again, bytes, decoded) == (int)count &&
                              CRYPTO_memcmp(again, said, count) == 0;
    OPENSSL_cleanse(bytes, sizeof bytes);
    OPENSSL_cleanse(again, sizeof again);
    return is_canonical;
}

/* All entries are compared, whichever fits, so that the time says nothing. */
static bool find(const struct credentials *credentials, bool is_key, const char *text,
                 size_t length, char name[CREDENTIALS_NAME_BYTES])
{
    unsigned char digest[DIGEST_BYTES];
    bool is_found = false;
    if (!digest_of(text, length, digest)) return false;
    for (size_t i = 0; i < credentials->count; ++i) {
        const struct entry *const entry = &credentials->entries[i];
        const bool is_same = CRYPTO_memcmp(entry->digest, digest, DIGEST_BYTES) == 0 &&
                             entry->is_key == is_key;
        if (is_same) memcpy(name, entry->name, CREDENTIALS_NAME_BYTES);
        is_found |= is_same;
    }
    return is_found;
}

static bool admit_basic(const struct credentials *credentials, const char *said,
                        char name[CREDENTIALS_NAME_BYTES])
{
    char text[MOST_HEADER];
    size_t length = 0;
    if (!decode_base64(said, text, &length)) return false;
    const char *const colon = memchr(text, ':', length);
    const bool is_user = find(credentials, false, text, length, name);
    bool is_key = false;
    if (!is_user && colon)
        is_key = find(credentials, true, colon + 1, length - (size_t)(colon + 1 - text),
                      name);
    OPENSSL_cleanse(text, sizeof text);
    return is_user || is_key;
}

bool credentials_admit(const struct credentials *credentials, const char *authorization,
                       const char *peer, double now_ms,
                       char name[CREDENTIALS_NAME_BYTES])
{
    name[0] = '\0';
    if (!authorization) return false; /* nothing was tried */
    if (has_failed_often(credentials, peer, now_ms, 0.0)) return false;
    const char *const blank = strchr(authorization, ' ');
    const char *const said = blank ? blank + strspn(blank, " ") : "";
    bool is_known = false;
    if (strncasecmp(authorization, "Basic ", 6) == 0)
        is_known = admit_basic(credentials, said, name);
    else if (strncasecmp(authorization, "Bearer ", 7) == 0 &&
             strlen(said) <= MOST_HEADER)
        is_known = find(credentials, true, said, strlen(said), name);
    if (!is_known) (void)has_failed_often(credentials, peer, now_ms, 1.0);
    return is_known;
}
