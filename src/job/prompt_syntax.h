/* prompt_syntax — what of a prompt A1111 and similar programs would take for more than text: (word:1.2) and (word),
 * [word], <lora:name:1>, BREAK, AND. It is not implemented yet; it is encoded as text, and a warning says so.
 *
 * A backslash before a bracket makes it text there, and a bracket without its partner is text. Pure text, no state.
 */
#ifndef JOB_PROMPT_SYNTAX_H
#define JOB_PROMPT_SYNTAX_H

#include <stddef.h>

/* The first of each kind, quoted, with commas between: "(red:1.2)", "BREAK". "" where there is none. Cut at a whole
 * example. Returns how many kinds there are. */
int prompt_syntax_find(const char *prompt, char *text, size_t text_bytes);

#endif
