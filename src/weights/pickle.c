/* Opcodes are grouped by what they do: push a number, push a text, build a container, note a
 * call, move things on the stack. Each returns false after it set problem; the loop turns that
 * into an error with the place. */
#include "weights/pickle.h"

#include <stdlib.h>
#include <string.h>

/* ---- problems and growing ---- */

static bool fail_with(struct pickle *p, enum dr_code code, const char *problem)
{
    p->problem_code = code;
    p->problem = problem;
    return false;
}

static bool fail(struct pickle *p, const char *problem)
{
    return fail_with(p, DR_CORRUPT, problem);
}

/* Room for one more in *array, zeroed from count on. */
static bool grow(struct pickle *p, void **array, uint32_t *capacity, uint32_t need,
                 size_t element_bytes)
{
    if (need <= *capacity) return true;
    if (need > PICKLE_MAX_VALUES)
        return fail_with(p, DR_UNSUPPORTED, "it contains more than 4000000 values");
    uint32_t wanted = *capacity ? 2 * *capacity : 256;
    if (wanted < need) wanted = need;
    unsigned char *const grown = realloc(*array, wanted * element_bytes);
    if (!grown) return fail_with(p, DR_NOMEM, "no memory for its values");
    memset(grown + *capacity * element_bytes, 0, (wanted - *capacity) * element_bytes);
    *array = grown;
    *capacity = wanted;
    return true;
}

/* ---- values ---- */

/* A new value of that kind, or 0. */
static uint32_t add_value(struct pickle *p, enum pickle_kind kind)
{
    void *values = p->values;
    const bool has_room =
        grow(p, &values, &p->value_capacity, p->value_count + 1, sizeof p->values[0]);
    p->values = values;
    if (!has_room) return 0;
    p->values[p->value_count].kind = kind;
    return p->value_count++;
}

static bool push(struct pickle *p, uint32_t value)
{
    void *stack = p->stack;
    const bool has_room =
        grow(p, &stack, &p->stack_capacity, p->stack_count + 1, sizeof p->stack[0]);
    p->stack = stack;
    if (!has_room) return false;
    p->stack[p->stack_count++] = value;
    return true;
}

static bool push_new(struct pickle *p, enum pickle_kind kind)
{
    const uint32_t value = add_value(p, kind);
    return value && push(p, value);
}

static bool push_integer(struct pickle *p, enum pickle_kind kind, int64_t integer)
{
    if (!push_new(p, kind)) return false;
    p->values[p->stack[p->stack_count - 1]].as.integer = integer;
    return true;
}

static bool push_bytes(struct pickle *p, enum pickle_kind kind, const uint8_t *bytes,
                       size_t count)
{
    if (!push_new(p, kind)) return false;
    struct pickle_value *const value = &p->values[p->stack[p->stack_count - 1]];
    value->as.text.bytes = bytes;
    value->as.text.count = count;
    return true;
}

/* Take the top, which is no mark. */
static bool pop(struct pickle *p, uint32_t *value)
{
    if (p->stack_count == 0 || p->stack[p->stack_count - 1] == 0)
        return fail(p, "the stack is empty");
    *value = p->stack[--p->stack_count];
    return true;
}

/* Where the values above the topmost mark begin. */
static bool find_mark(struct pickle *p, uint32_t *first)
{
    uint32_t at = p->stack_count;
    while (at > 0 && p->stack[at - 1] != 0)
        --at;
    *first = at;
    return at > 0 || fail(p, "a mark is missing");
}

/* ---- containers ---- */

static bool is_container(enum pickle_kind kind)
{
    return kind == PICKLE_TUPLE || kind == PICKLE_LIST || kind == PICKLE_DICT ||
           kind == PICKLE_SET || kind == PICKLE_CALL;
}

static bool append(struct pickle *p, uint32_t container, uint32_t value)
{
    void *cells = p->cells;
    const bool has_room =
        grow(p, &cells, &p->cell_capacity, p->cell_count + 1, sizeof p->cells[0]);
    p->cells = cells;
    if (!has_room) return false;
    const uint32_t cell = p->cell_count++;
    struct pickle_items *const items = &p->values[container].as.items;
    p->cells[cell] = (struct pickle_cell){.value = value};
    if (items->count > 0)
        p->cells[items->tail].next = cell;
    else
        items->head = cell;
    items->tail = cell;
    ++items->count;
    return true;
}

/* The values of the stack from first on become items of container and leave the stack. */
static bool append_from(struct pickle *p, uint32_t container, uint32_t first)
{
    for (uint32_t i = first; i < p->stack_count; ++i) {
        if (p->stack[i] == 0) return fail(p, "a mark is among the values");
        if (!append(p, container, p->stack[i])) return false;
    }
    p->stack_count = first;
    return true;
}

/* A container of the topmost count values. */
static bool make_of_count(struct pickle *p, enum pickle_kind kind, uint32_t count)
{
    if (p->stack_count < count) return fail(p, "the stack is empty");
    const uint32_t container = add_value(p, kind);
    return container && append_from(p, container, p->stack_count - count) &&
           push(p, container);
}

/* A container of what lies above the mark. */
static bool make_of_marked(struct pickle *p, enum pickle_kind kind)
{
    uint32_t first;
    if (!find_mark(p, &first)) return false;
    if (kind == PICKLE_DICT && (p->stack_count - first) % 2 != 0)
        return fail(p, "a dict has a key without a value");
    const uint32_t container = add_value(p, kind);
    if (!container || !append_from(p, container, first)) return false;
    p->stack_count = first - 1;
    return push(p, container);
}

/* Put what lies from first on into the container that lies at stack place target. */
static bool put_into(struct pickle *p, int64_t target, uint32_t first, bool is_pairs)
{
    if (target < 0 || p->stack[target] == 0) return fail(p, "the stack is empty");
    const uint32_t container = p->stack[target];
    const enum pickle_kind kind = p->values[container].kind;
    if (!is_container(kind) || kind == PICKLE_TUPLE ||
        (kind != PICKLE_CALL && (kind == PICKLE_DICT) != is_pairs))
        return fail(p, "items are added to a value that is not a container");
    if (is_pairs && (p->stack_count - first) % 2 != 0)
        return fail(p, "a dict gets a key without a value");
    if (!append_from(p, container, first)) return false;
    p->stack_count = (uint32_t)target + 1;
    return true;
}

static bool put_marked(struct pickle *p, bool is_pairs)
{
    uint32_t first;
    return find_mark(p, &first) && put_into(p, (int64_t)first - 2, first, is_pairs);
}

static bool put_count(struct pickle *p, uint32_t count, bool is_pairs)
{
    if (p->stack_count <= count) return fail(p, "the stack is empty");
    const uint32_t first = p->stack_count - count;
    return put_into(p, (int64_t)first - 1, first, is_pairs);
}

/* ---- what lies in the bytes ---- */

static bool take(struct pickle *p, uint64_t count, const uint8_t **out)
{
    if (count > p->byte_count - p->at) {
        p->ended_early = true;
        return fail(p, "it is truncated");
    }
    *out = p->bytes + p->at;
    p->at += (size_t)count;
    return true;
}

static bool take_number(struct pickle *p, size_t byte_count, uint64_t *out)
{
    const uint8_t *bytes;
    if (!take(p, byte_count, &bytes)) return false;
    *out = 0;
    for (size_t i = byte_count; i-- > 0;)
        *out = *out << 8 | bytes[i];
    return true;
}

/* A line without its end. */
static bool take_line(struct pickle *p, const uint8_t **out, size_t *count)
{
    const uint8_t *const start = p->bytes + p->at;
    const uint8_t *const end = memchr(start, '\n', p->byte_count - p->at);
    *count = 0;
    if (!end) return take(p, UINT64_MAX, out);
    *out = start;
    *count = (size_t)(end - start);
    p->at += *count + 1;
    return true;
}

/* ---- numbers and texts ---- */

/* Little-endian two's complement of the size that the pickle says. */
static bool push_long(struct pickle *p, size_t size_bytes)
{
    uint64_t count;
    const uint8_t *bytes;
    if (!take_number(p, size_bytes, &count) || !take(p, count, &bytes)) return false;
    if (count > 8) return push_bytes(p, PICKLE_BIG, bytes, (size_t)count);
    uint64_t bits = count > 0 && (bytes[count - 1] & 0x80) ? UINT64_MAX : 0;
    for (uint64_t i = count; i-- > 0;)
        bits = bits << 8 | bytes[i];
    return push_integer(p, PICKLE_INTEGER, (int64_t)bits);
}

/* A decimal number, with an L behind it in Python 2; -1 where it is none of up to 18 digits. */
static bool parse_decimal(const uint8_t *text, size_t count, int64_t *out)
{
    const bool is_negative = count > 0 && text[0] == '-';
    int64_t number = 0;
    size_t i = is_negative;
    if (count > 0 && text[count - 1] == 'L') --count;
    if (count <= i || count - i > 18) return false;
    for (; i < count; ++i) {
        if (text[i] < '0' || text[i] > '9') return false;
        number = 10 * number + (text[i] - '0');
    }
    *out = is_negative ? -number : number;
    return true;
}

static bool push_decimal(struct pickle *p)
{
    const uint8_t *text = NULL;
    size_t count = 0;
    int64_t number;
    if (!take_line(p, &text, &count)) return false;
    if (!parse_decimal(text, count, &number)) return fail(p, "a number is malformed");
    const bool is_bool = count == 2 && text[0] == '0' && (text[1] | 1) == '1';
    return push_integer(p, is_bool ? PICKLE_BOOL : PICKLE_INTEGER, number);
}

static bool push_unsigned(struct pickle *p, size_t byte_count)
{
    uint64_t number;
    return take_number(p, byte_count, &number) &&
           push_integer(p, PICKLE_INTEGER, (int64_t)number);
}

static bool push_signed32(struct pickle *p)
{
    uint64_t number;
    return take_number(p, 4, &number) &&
           push_integer(p, PICKLE_INTEGER, (int32_t)(uint32_t)number);
}

/* Of as many bytes as a number of size_bytes says. */
static bool push_text(struct pickle *p, size_t size_bytes)
{
    uint64_t count;
    const uint8_t *bytes;
    return take_number(p, size_bytes, &count) && take(p, count, &bytes) &&
           push_bytes(p, PICKLE_TEXT, bytes, (size_t)count);
}

/* A line; its quotes go, its escapes stay as they are. */
static bool push_line(struct pickle *p)
{
    const uint8_t *text = NULL;
    size_t count = 0;
    if (!take_line(p, &text, &count)) return false;
    const bool is_quoted =
        count >= 2 && (text[0] == '\'' || text[0] == '"') && text[count - 1] == text[0];
    return push_bytes(p, PICKLE_TEXT, text + is_quoted, count - 2 * (size_t)is_quoted);
}

static bool push_other(struct pickle *p, size_t byte_count)
{
    const uint8_t *bytes;
    return take(p, byte_count, &bytes) && push_new(p, PICKLE_OTHER);
}

static bool push_other_line(struct pickle *p)
{
    const uint8_t *text = NULL;
    size_t count = 0;
    return take_line(p, &text, &count) && push_new(p, PICKLE_OTHER);
}

/* ---- names, calls, ids ---- */

/* The topmost two values become a value that refers to them. */
static bool join(struct pickle *p, enum pickle_kind kind)
{
    uint32_t first, second;
    if (!pop(p, &second) || !pop(p, &first)) return false;
    if (kind == PICKLE_GLOBAL &&
        (p->values[first].kind != PICKLE_TEXT || p->values[second].kind != PICKLE_TEXT))
        return fail(p, "a name is not a string");
    if (!push_new(p, kind)) return false;
    struct pickle_value *const joined = &p->values[p->stack[p->stack_count - 1]];
    joined->first = first;
    joined->second = second;
    return true;
}

static bool push_global(struct pickle *p)
{
    return push_line(p) && push_line(p) && join(p, PICKLE_GLOBAL);
}

/* (mark, arguments) and a name in the bytes. */
static bool note_instance(struct pickle *p)
{
    uint32_t arguments;
    return make_of_marked(p, PICKLE_TUPLE) && pop(p, &arguments) && push_global(p) &&
           push(p, arguments) && join(p, PICKLE_CALL);
}

/* (mark, class, arguments) */
static bool note_object(struct pickle *p)
{
    uint32_t first;
    if (!find_mark(p, &first)) return false;
    if (first == p->stack_count) return fail(p, "an object has no class");
    const uint32_t class = p->stack[first];
    uint32_t arguments;
    return make_of_marked(p, PICKLE_TUPLE) && pop(p, &arguments) && push(p, class) &&
           push(p, arguments) && join(p, PICKLE_CALL);
}

/* class, arguments, keywords: these count for nothing. */
static bool note_new_with_keywords(struct pickle *p)
{
    uint32_t keywords;
    return pop(p, &keywords) && join(p, PICKLE_CALL);
}

static bool note_persistent(struct pickle *p)
{
    uint32_t id;
    if (!pop(p, &id) || !push_new(p, PICKLE_PERSISTENT)) return false;
    p->values[p->stack[p->stack_count - 1]].first = id;
    return true;
}

/* ---- memo and stack ---- */

static bool remember(struct pickle *p, uint64_t index)
{
    if (p->stack_count == 0 || p->stack[p->stack_count - 1] == 0)
        return fail(p, "the stack is empty");
    if (index >= PICKLE_MAX_VALUES)
        return fail_with(p, DR_UNSUPPORTED, "its memo has more than 4000000 entries");
    void *memo = p->memo;
    const bool has_room =
        grow(p, &memo, &p->memo_capacity, (uint32_t)index + 1, sizeof p->memo[0]);
    p->memo = memo;
    if (has_room) p->memo[index] = p->stack[p->stack_count - 1];
    return has_room;
}

static bool recall(struct pickle *p, uint64_t index)
{
    if (index >= p->memo_capacity || p->memo[index] == 0)
        return fail(p, "it reads a memo entry that does not exist");
    return push(p, p->memo[index]);
}

static bool memo_number(struct pickle *p, size_t byte_count, bool is_put)
{
    uint64_t index;
    return take_number(p, byte_count, &index) &&
           (is_put ? remember(p, index) : recall(p, index));
}

static bool memo_line(struct pickle *p, bool is_put)
{
    const uint8_t *text = NULL;
    size_t count = 0;
    int64_t index;
    if (!take_line(p, &text, &count)) return false;
    if (!parse_decimal(text, count, &index) || index < 0)
        return fail(p, "the index of a memo entry is not a number");
    return is_put ? remember(p, (uint64_t)index) : recall(p, (uint64_t)index);
}

static bool drop(struct pickle *p)
{
    if (p->stack_count == 0) return fail(p, "the stack is empty");
    --p->stack_count;
    return true;
}

static bool drop_marked(struct pickle *p)
{
    uint32_t first;
    if (!find_mark(p, &first)) return false;
    p->stack_count = first - 1;
    return true;
}

static bool duplicate(struct pickle *p)
{
    uint32_t top;
    return pop(p, &top) && push(p, top) && push(p, top);
}

/* A state for the object below it, which is noted. */
static bool note_state(struct pickle *p)
{
    uint32_t state, object;
    if (!pop(p, &state) || !pop(p, &object)) return false;
    if (p->values[object].kind == PICKLE_CALL) p->values[object].state = state;
    return push(p, object);
}

static bool skip(struct pickle *p, size_t byte_count)
{
    const uint8_t *bytes;
    return take(p, byte_count, &bytes);
}

/* ---- the machine ---- */

/* One opcode. It stays whole, being a table: the names are those of pickletools.py. */
static bool step(struct pickle *p, uint8_t opcode)
{
    switch (opcode) {
    case 'N': return push_new(p, PICKLE_NONE);           /* NONE */
    case 0x88: return push_integer(p, PICKLE_BOOL, 1);   /* NEWTRUE */
    case 0x89: return push_integer(p, PICKLE_BOOL, 0);   /* NEWFALSE */
    case 'I':                                            /* INT */
    case 'L': return push_decimal(p);                    /* LONG */
    case 'J': return push_signed32(p);                   /* BININT */
    case 'K': return push_unsigned(p, 1);                /* BININT1 */
    case 'M': return push_unsigned(p, 2);                /* BININT2 */
    case 0x8a: return push_long(p, 1);                   /* LONG1 */
    case 0x8b: return push_long(p, 4);                   /* LONG4 */
    case 'F': return push_other_line(p);                 /* FLOAT */
    case 'G': return push_other(p, 8);                   /* BINFLOAT */
    case 0x82: return push_other(p, 1);                  /* EXT1 */
    case 0x83: return push_other(p, 2);                  /* EXT2 */
    case 0x84: return push_other(p, 4);                  /* EXT4 */
    case 'S':                                            /* STRING */
    case 'V': return push_line(p);                       /* UNICODE */
    case 'U':                                            /* SHORT_BINSTRING */
    case 'C':                                            /* SHORT_BINBYTES */
    case 0x8c: return push_text(p, 1);                   /* SHORT_BINUNICODE */
    case 'T':                                            /* BINSTRING */
    case 'B':                                            /* BINBYTES */
    case 'X': return push_text(p, 4);                    /* BINUNICODE */
    case 0x8d:                                           /* BINUNICODE8 */
    case 0x8e:                                           /* BINBYTES8 */
    case 0x96: return push_text(p, 8);                   /* BYTEARRAY8 */
    case ')': return push_new(p, PICKLE_TUPLE);          /* EMPTY_TUPLE */
    case ']': return push_new(p, PICKLE_LIST);           /* EMPTY_LIST */
    case '}': return push_new(p, PICKLE_DICT);           /* EMPTY_DICT */
    case 0x8f: return push_new(p, PICKLE_SET);           /* EMPTY_SET */
    case 't': return make_of_marked(p, PICKLE_TUPLE);    /* TUPLE */
    case 0x85: return make_of_count(p, PICKLE_TUPLE, 1); /* TUPLE1 */
    case 0x86: return make_of_count(p, PICKLE_TUPLE, 2); /* TUPLE2 */
    case 0x87: return make_of_count(p, PICKLE_TUPLE, 3); /* TUPLE3 */
    case 'l': return make_of_marked(p, PICKLE_LIST);     /* LIST */
    case 'd': return make_of_marked(p, PICKLE_DICT);     /* DICT */
    case 0x91: return make_of_marked(p, PICKLE_SET);     /* FROZENSET */
    case 'a': return put_count(p, 1, false);             /* APPEND */
    case 'e':                                            /* APPENDS */
    case 0x90: return put_marked(p, false);              /* ADDITEMS */
    case 's': return put_count(p, 2, true);              /* SETITEM */
    case 'u': return put_marked(p, true);                /* SETITEMS */
    case 'c': return push_global(p);                     /* GLOBAL */
    case 0x93: return join(p, PICKLE_GLOBAL);            /* STACK_GLOBAL */
    case 'R':                                            /* REDUCE */
    case 0x81: return join(p, PICKLE_CALL);              /* NEWOBJ */
    case 0x92: return note_new_with_keywords(p);         /* NEWOBJ_EX */
    case 'i': return note_instance(p);                   /* INST */
    case 'o': return note_object(p);                     /* OBJ */
    case 'b': return note_state(p);                      /* BUILD */
    case 'P': return push_line(p) && note_persistent(p); /* PERSID */
    case 'Q': return note_persistent(p);                 /* BINPERSID */
    case '(': return push(p, 0);                         /* MARK */
    case '0': return drop(p);                            /* POP */
    case '1': return drop_marked(p);                     /* POP_MARK */
    case '2': return duplicate(p);                       /* DUP */
    case 'p': return memo_line(p, true);                 /* PUT */
    case 'q': return memo_number(p, 1, true);            /* BINPUT */
    case 'r': return memo_number(p, 4, true);            /* LONG_BINPUT */
    case 'g': return memo_line(p, false);                /* GET */
    case 'h': return memo_number(p, 1, false);           /* BINGET */
    case 'j': return memo_number(p, 4, false);           /* LONG_BINGET */
    case 0x94: return remember(p, p->memo_next++);       /* MEMOIZE */
    case 0x80: return skip(p, 1);                        /* PROTO */
    case 0x95: return skip(p, 8);                        /* FRAME */
    }
    return fail_with(p, DR_UNSUPPORTED, "it has an unknown opcode");
}

enum dr_code pickle_read(struct pickle *pickle, const void *bytes, size_t byte_count,
                         struct dr_error *err)
{
    *pickle = (struct pickle){.bytes = bytes, .byte_count = byte_count};
    /* Value 0 is the mark, cell 0 the end of a list. */
    void *cells = NULL;
    bool is_good =
        grow(pickle, &cells, &pickle->cell_capacity, 1, sizeof pickle->cells[0]);
    pickle->cells = cells;
    pickle->cell_count = 1;
    if (is_good) (void)add_value(pickle, PICKLE_MARK); /* 0 on either outcome */
    const uint8_t *opcode = NULL;
    while (is_good && !pickle->problem) {
        pickle->opcode_at = pickle->at;
        if (!take(pickle, 1, &opcode) || *opcode == '.') break;
        is_good = step(pickle, *opcode);
    }
    if (!pickle->problem && pop(pickle, &pickle->root)) {
        pickle->end = pickle->at;
        return DR_OK;
    }
    return error_set(err, pickle->problem_code,
                     "its pickle, at byte %zu (opcode 0x%02x): %s", pickle->opcode_at,
                     opcode ? *opcode : 0U, pickle->problem);
}

void pickle_finish(struct pickle *pickle)
{
    free(pickle->values);
    free(pickle->cells);
    free(pickle->stack);
    free(pickle->memo);
    *pickle = (struct pickle){0};
}

/* ---- reading the values ---- */

bool pickle_is_text(const struct pickle *pickle, uint32_t value, const char *text)
{
    const struct pickle_value *const it = &pickle->values[value];
    return it->kind == PICKLE_TEXT && it->as.text.count == strlen(text) &&
           memcmp(it->as.text.bytes, text, it->as.text.count) == 0;
}

bool pickle_is_global(const struct pickle *pickle, uint32_t value, const char *module,
                      const char *name)
{
    const struct pickle_value *const it = &pickle->values[value];
    return it->kind == PICKLE_GLOBAL && pickle_is_text(pickle, it->first, module) &&
           pickle_is_text(pickle, it->second, name);
}

size_t pickle_items(const struct pickle *pickle, uint32_t value, uint32_t *out,
                    size_t max)
{
    const struct pickle_value *const it = &pickle->values[value];
    if (!is_container(it->kind)) return 0;
    uint32_t cell = it->as.items.head;
    for (size_t i = 0; cell && i < max; ++i, cell = pickle->cells[cell].next)
        out[i] = pickle->cells[cell].value;
    return it->as.items.count;
}
