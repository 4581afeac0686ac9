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

/* Is the character escaped, by an odd number of backslashes before it? */
static bool is_escaped(const char *prompt, const char *at)
{
    const char *begin = at;
    while (begin > prompt && begin[-1] == '\\')
        --begin;
    return (at - begin) % 2 == 1;
}

/* The first opening bracket that has a partner, or NULL. From the end, so that however many brackets have none, the
 * prompt is read once. */
static const char *first_bracket(const char *prompt, char open, char close)
{
    const char *first = NULL;
    size_t waiting = 0; /* closing brackets without a partner so far */
    for (const char *at = prompt + strlen(prompt); at > prompt;) {
        --at;
        if ((*at != open && *at != close) || is_escaped(prompt, at)) continue;
        if (*at == close) {
            ++waiting;
        } else if (waiting > 0) {
            --waiting;
            first = at;
        }
    }
    return first;
}

/* `last` is the last '>' of the prompt, or NULL. */
static size_t network_bytes(const char *text, const char *last)
{
    static const char *const names[] = {"<lora:", "<lyco:", "<hypernet:"};
    for (size_t i = 0; last && last > text && i < sizeof names / sizeof *names; ++i)
        if (strncmp(text, names[i], strlen(names[i])) == 0)
            return (size_t)(strchr(text, '>') - text) + 1;
    return 0;
}

static size_t word_bytes(const char *prompt, const char *at, const char *word)
{
    const size_t bytes = strlen(word);
    const bool begins = at == prompt || !is_word_byte(at[-1]);
    return begins && strncmp(at, word, bytes) == 0 && !is_word_byte(at[bytes]) ? bytes
                                                                               : 0;
}

/* What was found of the prompt before it is walked through. */
struct scan {
    const char *prompt, *round, *square; /* the first brackets that have a partner */
    const char *last_end;                /* the last '>' */
    bool seen[KIND_COUNT];
};

static size_t kind_bytes(const struct scan *scan, const char *at, enum kind *kind)
{
    switch (*at) {
    case '(':
        *kind = KIND_ROUND;
        return at == scan->round ? bracket_bytes(at, '(', ')') : 0;
    case '[':
        *kind = KIND_SQUARE;
        return at == scan->square ? bracket_bytes(at, '[', ']') : 0;
    case '<':
        *kind = KIND_NETWORK;
        return scan->seen[KIND_NETWORK] ? 0 : network_bytes(at, scan->last_end);
    case 'B': *kind = KIND_BREAK; return word_bytes(scan->prompt, at, "BREAK");
    case 'A': *kind = KIND_AND; return word_bytes(scan->prompt, at, "AND");
    }
    return 0;
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
    struct scan scan = {.prompt = prompt,
                        .round = first_bracket(prompt, '(', ')'),
                        .square = first_bracket(prompt, '[', ']'),
                        .last_end = strrchr(prompt, '>')};
    int count = 0;
    if (text_bytes > 0) text[0] = '\0';
    for (const char *at = prompt; *at; ++at) {
        enum kind kind = KIND_ROUND;
        if (*at == '\\' && at[1]) {
            ++at;
            continue;
        }
        const size_t bytes = kind_bytes(&scan, at, &kind);
        if (bytes == 0 || scan.seen[kind]) continue;
        scan.seen[kind] = true;
        ++count;
        add_example(at, bytes, text, text_bytes);
    }
    return count;
}
