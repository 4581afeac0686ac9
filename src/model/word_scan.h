/* word_scan — characters of a prompt's UTF-8 text as Python's regular expressions class them: what is white space, and where a
 * word begins and ends (\s, \b). Bytes that are no character are U+FFFD, which is neither. Pure functions.
 */
#ifndef MODEL_WORD_SCAN_H
#define MODEL_WORD_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* The character at the front of text[0 .. bytes), bytes > 0; returns its length. */
struct word_scan {
    size_t bytes;
    bool is_space, is_word;
};
struct word_scan word_scan_at(const char *text, size_t bytes);

/* The length of white space at the front, and of the text without white space at its end. */
size_t word_scan_space(const char *text, size_t bytes);
size_t word_scan_trimmed(const char *text, size_t bytes);

/* Where the word comes next, from `from` on, as a word of its own within text[0 .. bytes); `bytes` where it does not. */
size_t word_scan_find(const char *text, size_t bytes, size_t from, const char *word);

#endif
