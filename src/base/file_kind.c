/* First bytes are from the formats' specifications; those of file(1)'s magic agree. */
#include "base/file_kind.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/path_error.h"
#include "base/utf8.h"

#define AGAIN  "download the file again"
#define ITSELF "download the file itself"
#define UNPACK "unpack it first"

struct magic {
    size_t at, bytes;
    const char *start, *what;
};

static const struct magic magics[] = {
    {0,   23, "version https://git-lfs",
     "a Git LFS pointer, not the file itself: run git lfs pull, or " ITSELF                          },
    {0,   15, "/annex/objects/",
     "a git-annex pointer, not the file itself: run git annex get"                                   },
    {0,   4,  "GGUF",                     "a GGUF file, which holds a model's tensors"               },
    {0,   4,  "lmgg",
     "a GGML file, which darkroom does not read: use a .safetensors file"                            },
    {0,   4,  "tjgg",
     "a GGML file, which darkroom does not read: use a .safetensors file"                            },
    {0,   4,  "\x89HDF",
     "an HDF5 file (Keras), which darkroom does not read: use a .safetensors "
     "file"                                                                                          },
    {0,   6,  "\x93NUMPY",
     "a NumPy array, which darkroom does not read: use a .safetensors file"                          },
    {4,   4,  "TFL3",
     "a TensorFlow Lite file, which darkroom does not read: use a .safetensors "
     "file"                                                                                          },
    {0,   2,  "\x1f\x8b",                 "a gzip file: " UNPACK                                     },
    {0,   6,  "7z\xbc\xaf\x27\x1c",       "a 7z archive: " UNPACK                                    },
    {0,   6,  "Rar!\x1a\x07",             "a RAR archive: " UNPACK                                   },
    {0,   6,
     "\xfd"
     "7zXZ",                              "an xz file: " UNPACK                                      },
    {0,   4,  "\x28\xb5\x2f\xfd",         "a Zstandard file: " UNPACK                                },
    {0,   4,  "\x04\x22\x4d\x18",         "an LZ4 file: " UNPACK                                     },
    {0,   3,  "BZh",                      "a bzip2 file: " UNPACK                                    },
    {257, 5,  "ustar",                    "a tar archive: " UNPACK                                   },
    {0,   4,  "PK\003\004",               "a zip archive: " UNPACK                                   },
    {0,   4,  "\x89PNG",                  "a PNG picture"                                            },
    {0,   3,  "\xff\xd8\xff",             "a JPEG picture"                                           },
    {8,   4,  "WEBP",                     "a WebP picture"                                           },
    {0,   4,  "GIF8",                     "a GIF picture"                                            },
    {0,   4,  "%PDF",                     "a PDF document"                                           },
    {4,   4,  "ftyp",                     "a video, or a picture of a video format (MP4, HEIF, AVIF)"},
    {0,   15, "SQLite format 3",          "an SQLite database"                                       },
    {0,   4,
     "\x7f"
     "ELF",                               "a program (ELF)"                                          },
    {0,   8,  "\0\x05\x16\x07\0\2\0\0",
     "macOS metadata of a file (AppleDouble), not the file itself: use the file "
     "whose name does not begin with ._"                                                             },
    {0,   18, "[InternetShortcut]",
     "a link to a web page (Windows shortcut), not the file itself: " ITSELF                         },
    {0,   8,  "\x4c\0\0\0\x01\x14\x02\0",
     "a Windows shortcut, not the file itself: use the file that it points to"                       },
    {0,   8,  "bplist00",
     "an Apple property list (a shortcut?), not the file itself: " ITSELF                            },
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool begins(const char *text, size_t bytes, const char *word)
{
    const size_t length = strlen(word);
    return bytes >= length && strncasecmp(text, word, length) == 0;
}

/* Past a byte order mark and blanks. */
static size_t skip_blanks(const char *start, size_t bytes)
{
    size_t at = bytes >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < bytes && start[at] && strchr(" \t\r\n\f", start[at]))
        ++at;
    return at;
}

static bool holds(const char *text, size_t bytes, const char *word)
{
    for (size_t i = 0; i < bytes; ++i)
        if (begins(text + i, bytes - i, word)) return true;
    return false;
}

static const char *markup(const char *text, size_t bytes)
{
    static const char *const tags[] = {"<!doctype html", "<html",   "<head", "<body",
                                       "<title",         "<script", "<meta"};
    for (size_t i = 0; i < COUNT(tags); ++i)
        if (begins(text, bytes, tags[i]) ||
            (begins(text, bytes, "<") && holds(text, bytes, tags[i])))
            return "a web page (HTML) that was saved instead of the file: " ITSELF;
    if (begins(text, bytes, "<?xml") || begins(text, bytes, "<error") ||
        begins(text, bytes, "<!doctype"))
        return "an XML document, probably a server's error message instead of the "
               "file: " AGAIN;
    return NULL;
}

/* d8:announce... : a dictionary of the BitTorrent metainfo format. */
static bool is_torrent(const char *start, size_t bytes)
{
    return begins(start, bytes, "d8:announce") || begins(start, bytes, "d10:created") ||
           begins(start, bytes, "d13:announce-list") ||
           begins(start, bytes, "d7:comment") || begins(start, bytes, "d4:info");
}

static bool is_zero(const char *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i)
        if (start[i]) return false;
    return bytes >= 64;
}

/* UTF-8 without control characters; a character that the end cuts is no fault. */
static bool is_text(const char *start, size_t bytes)
{
    if (bytes < 8) return false;
    for (size_t i = 0; i < bytes; ++i)
        if ((unsigned char)start[i] < 0x20 && !strchr("\t\r\n\f", start[i]))
            return false;
    return memchr(start, 0, bytes) == NULL &&
           utf8_is_valid(start, utf8_cut(start, bytes));
}

/* Its first line, as far as it is short. */
static void quote(const char *text, size_t bytes, char words[static FILE_KIND_TEXT])
{
    enum {
        MOST = 80
    };
    size_t length = 0;
    while (length < bytes && length < MOST && (unsigned char)text[length] >= 0x20 &&
           text[length] != 0x7f)
        ++length;
    if (length == MOST) length = utf8_cut(text, length);
    (void)snprintf(
        words, FILE_KIND_TEXT,
        "in no format that darkroom reads: a text file that begins with \"%.*s\"; " AGAIN,
        (int)length, text);
}

bool file_kind_tell(const char *start, size_t bytes, char words[static FILE_KIND_TEXT])
{
    const char *what = NULL;
    if (bytes > FILE_KIND_BYTES) bytes = FILE_KIND_BYTES;
    words[0] = '\0';
    for (size_t i = 0; !what && i < COUNT(magics); ++i) {
        const struct magic *const magic = &magics[i];
        if (bytes >= magic->at + magic->bytes &&
            memcmp(start + magic->at, magic->start, magic->bytes) == 0)
            what = magic->what;
    }
    if (!what && bytes > 8 && start[7] == 0 && start[8] == '{')
        what = "a safetensors file";
    const size_t at = skip_blanks(start, bytes);
    if (!what) what = markup(start + at, bytes - at);
    if (!what && is_torrent(start, bytes))
        what = "a BitTorrent file, not the file itself: open it with a BitTorrent "
               "program";
    if (!what && is_zero(start, bytes))
        what = "a file of zeros, probably an unfinished download: " AGAIN;
    if (what)
        (void)snprintf(words, FILE_KIND_TEXT, "%s", what);
    else if (is_text(start, bytes))
        quote(start + at, bytes - at, words);
    return words[0] != '\0';
}

/* ---- downloads ---- */

bool file_kind_has_notes(const char *path, char words[static FILE_KIND_TEXT])
{
    char beside[PATH_MAX];
    const int length = snprintf(beside, sizeof beside, "%s.aria2", path);
    words[0] = '\0';
    if (length < 0 || (size_t)length >= sizeof beside || !path_is_taken(beside))
        return false;
    (void)snprintf(words, FILE_KIND_TEXT,
                   "there is an .aria2 file beside it, so its download is not "
                   "finished: resume it, or " AGAIN);
    return true;
}

bool file_kind_is_unfinished(const char *path, char words[static FILE_KIND_TEXT])
{
    static const char *const endings[] = {
        ".part", ".partial",    ".crdownload", ".download",   ".aria2",
        ".!ut",  ".!qb",        ".!bt",        ".incomplete", ".opdownload",
        ".tmp",  ".unfinished", ".filepart",   ".td",
    };
    if (file_kind_has_notes(path, words)) return true;
    const char *const dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < COUNT(endings); ++i)
        if (strcasecmp(dot, endings[i]) == 0) {
            (void)snprintf(words, FILE_KIND_TEXT,
                           "its name ends in %s, so its download is not finished: "
                           "resume it, or " AGAIN,
                           dot);
            return true;
        }
    return false;
}
