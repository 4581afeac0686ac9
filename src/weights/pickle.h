/* pickle — parses a pickle without executing anything.
 *
 * A pickle is a program for a stack machine whose opcodes can call any function of Python. This
 * machine records calls and executes none: REDUCE, NEWOBJ, INST and OBJ produce a PICKLE_CALL
 * with the callee's name and its arguments, and the reader of the values decides which names it
 * accepts. So a malicious file cannot run anything.
 *
 * All values are in one table and refer to one another by index, so a value that contains itself
 * or is deeply nested causes no problem: no code visits them recursively. Strings and big
 * numbers point into the pickle's bytes, which must outlive the values.
 *
 * Invariants: index 0 is the mark, not a value; every index in values, cells, stack and memo is
 * below value_count. Limits: PICKLE_MAX_VALUES values and list entries each; memo indices below
 * that.
 *
 * Reference: Python's Lib/pickletools.py, protocols 0 to 5 without out-of-band buffers.
 * Threads: one at a time per pickle.
 */
#ifndef WEIGHTS_PICKLE_H
#define WEIGHTS_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    PICKLE_MAX_VALUES = 4000000
};

enum pickle_kind {
    PICKLE_MARK, /* the stack's own, value 0 alone */
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INTEGER,
    PICKLE_TEXT,   /* text and bytes alike */
    PICKLE_BIG,    /* an integer beyond 64 bits: its bytes, little-endian */
    PICKLE_OTHER,  /* floats, extensions */
    PICKLE_GLOBAL, /* first: module, second: name, both PICKLE_TEXT */
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT, /* items: key, value, key, value, ... */
    PICKLE_SET,
    PICKLE_CALL, /* first: callee, second: arguments; items: what was put in after */
    PICKLE_PERSISTENT, /* first: the id */
};

/* A list of values: cells from head on, 0 ends it. */
struct pickle_items {
    uint32_t head, tail, count;
};

struct pickle_value {
    enum pickle_kind kind;
    uint32_t first, second; /* values; see the kinds */
    uint32_t state;         /* PICKLE_CALL: what was set on the object; 0: nothing */
    union {
        int64_t integer; /* also PICKLE_BOOL */
        struct {
            const uint8_t *bytes; /* in the pickle; not terminated */
            size_t count;
        } text;
        struct pickle_items items;
    } as;
};

struct pickle_cell {
    uint32_t value, next;
};

struct pickle {
    struct pickle_value *values;
    uint32_t value_count;
    struct pickle_cell *cells;
    uint32_t cell_count;
    uint32_t root;    /* the result of the pickle */
    size_t end;       /* bytes of it, STOP included */
    bool ended_early; /* on error: the bytes ended before STOP did */
    /* private below */
    const uint8_t *bytes;
    size_t byte_count, at, opcode_at;
    uint32_t value_capacity, cell_capacity, stack_capacity, memo_capacity;
    uint32_t *stack;
    uint32_t stack_count;
    uint32_t *memo;
    uint32_t memo_next; /* of MEMOIZE, which counts by itself */
    const char *problem;
    enum dr_code problem_code;
};

/* Run the machine over the first pickle in bytes; more may follow it. Errors: DR_CORRUPT (where
 * and what), DR_UNSUPPORTED (above a limit, or an opcode that darkroom does not know), DR_NOMEM.
 * On success and on error alike, the pickle is released by pickle_finish. */
enum dr_code pickle_read(struct pickle *pickle, const void *bytes, size_t byte_count,
                         struct dr_error *err) DR_MUST_CHECK;
void pickle_finish(struct pickle *pickle); /* zeroed is fine */

/* Is the value the global of that module and name? */
bool pickle_is_global(const struct pickle *pickle, uint32_t value, const char *module,
                      const char *name);
bool pickle_is_text(const struct pickle *pickle, uint32_t value, const char *text);

/* The first items of a container into out, in order; returns how many there are in all, which
 * may be more than max. 0 if the value is not a container. */
size_t pickle_items(const struct pickle *pickle, uint32_t value, uint32_t *out,
                    size_t max);

#endif
