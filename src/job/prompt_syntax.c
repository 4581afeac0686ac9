#include "job/prompt_syntax.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum kind {
    KIND_ROUND,
    KIND_SQUARE,
    KIND_NETWORK,
    KIND_BREAK,
    KIND_AND,
    KIND_COUNT
};

enum {
    EXAMPLE_BYTES = 40
};

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || (unsigned char)c >= 0x80;
}

/* Bytes of the bracket that `text` begins with, to its partner; 0: it has none. */
static size_t bracket_bytes(const char *text, char open, char close)
{
    int depth = 0;
    for (const char *c = text; *c; ++c) {
        if (*c == '\\' && c[1])
            ++c;
        else if (*c == open)
            ++depth;
        else if (*c == close && --depth == 0)
            return (size_t)(c - text) + 1;
    }
    return 0;
}

static size_t network_bytes(const char *text)
{
    static const char *const names[] = {"<lora:", "<lyco:", "<hypernet:"};
    const char *const end = strchr(text, '>');
    for (size_t i = 0; end && i < sizeof names / sizeof *names; ++i)
        if (strncmp(text, names[i], strlen(names[i])) == 0)
            return (size_t)(end - text) + 1;
    return 0;
}

static size_t word_bytes(const char *prompt, const char *at, const char *word)
{
    const size_t bytes = strlen(word);
    const bool begins = at == prompt || !is_word_byte(at[-1]);
    return begins && strncmp(at, word, bytes) == 0 && !is_word_byte(at[bytes]) ? bytes
                                                                               : 0;
}

static size_t kind_bytes(const char *prompt, const char *at, enum kind *kind)
{
    size_t bytes = 0;
    switch (*at) {
    case '(': *kind = KIND_ROUND; return bracket_bytes(at, '(', ')');
    case '[': *kind = KIND_SQUARE; return bracket_bytes(at, '[', ']');
    case '<': *kind = KIND_NETWORK; return network_bytes(at);
    case 'B':
        *kind = KIND_BREAK;
        bytes = word_bytes(prompt, at, "BREAK");
        break;
    case 'A':
        *kind = KIND_AND;
        bytes = word_bytes(prompt, at, "AND");
        break;
    }
    return bytes;
}

static void add_example(const char *at, size_t bytes, char *text, size_t text_bytes)
{
    char example[EXAMPLE_BYTES + 16];
    const size_t used = text_bytes > 0 ? strlen(text) : 0;
    size_t shown = bytes < EXAMPLE_BYTES ? bytes : EXAMPLE_BYTES;
    while (shown < bytes && shown > 0 && ((unsigned char)at[shown] & 0xC0) == 0x80)
        --shown; /* no half of a character */
    const int length =
        snprintf(example, sizeof example, "%s\"%.*s%s\"", used ? ", " : "", (int)shown,
                 at, shown < bytes ? "..." : "");
    if (length > 0 && used + (size_t)length < text_bytes)
        memcpy(text + used, example, (size_t)length + 1);
}

int prompt_syntax_find(const char *prompt, char *text, size_t text_bytes)
{
    bool seen[KIND_COUNT] = {false};
    int count = 0;
    if (text_bytes > 0) text[0] = '\0';
    for (const char *at = prompt; *at; ++at) {
        enum kind kind = KIND_ROUND;
        if (*at == '\\' && at[1]) {
            ++at;
            continue;
        }
        const size_t bytes = kind_bytes(prompt, at, &kind);
        if (bytes == 0 || seen[kind]) continue;
        seen[kind] = true;
        ++count;
        add_example(at, bytes, text, text_bytes);
    }
    return count;
}
