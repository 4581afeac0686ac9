#include "line_editor.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "completion.h"
#include "interrupt.h"

enum {
    MOST_LISTED = 200, /* candidates */
    DEFAULT_COLUMNS = 80
};

struct line_editor {
    EditLine *edit;
    History *lines;
    struct history history;
    FILE *stream; /* on the terminal; buffered, unlike stderr */
    char prompt[32];
    char *line; /* the last, owned */
    struct winsize size;
    bool is_cleared; /* Ctrl-C took the line */
    bool is_stopped;
};

/* ---- one character --------------------------------------------------------------------------- */

static void look_at_size(struct line_editor *editor)
{
    struct winsize now = editor->size;
    if (ioctl(fileno(editor->stream), TIOCGWINSZ, &now) != 0 ||
        memcmp(&now, &editor->size, sizeof now) == 0)
        return;
    editor->size = now;
    el_resize(editor->edit);
}

static void take_interrupt(struct line_editor *editor)
{
    const LineInfoW *const line = el_wline(editor->edit);
    const bool is_empty = line->lastchar == line->buffer;
    editor->is_stopped = interrupt_ended() || (interrupt_at_prompt() && is_empty);
    editor->is_cleared = interrupt_at_prompt();
}

/* The program was stopped, and another had the terminal. */
static void set_up_again(struct line_editor *editor)
{
    (void)el_set(editor->edit, EL_PREP_TERM, 0);
    (void)el_set(editor->edit, EL_PREP_TERM, 1);
    fputs("\r\033[K", editor->stream); /* wherever the other left the cursor */
    (void)el_set(editor->edit, EL_REFRESH);
}

/* A byte of the terminal. 1, 0 at its end, -1 where a signal came or it cannot be read. */
static int read_byte(struct line_editor *editor, char *byte)
{
    struct pollfd waits[2] = {
        {.fd = STDIN_FILENO,   .events = POLLIN},
        {.fd = interrupt_fd(), .events = POLLIN}
    };
    for (;;) {
        look_at_size(editor);
        if (poll(waits, 2, -1) < 0 && errno != EINTR) return -1;
        if (interrupt_take_continue()) set_up_again(editor);
        if (interrupt_ended() || interrupt_at_prompt()) {
            take_interrupt(editor);
            return -1;
        }
        if (!(waits[0].revents & (POLLIN | POLLHUP | POLLERR))) continue;
        const ssize_t got = read(STDIN_FILENO, byte, 1);
        if (got >= 0) return (int)got;
        if (errno == EIO) return 0; /* the terminal is gone */
        if (errno != EINTR && errno != EAGAIN) return -1;
    }
}

/* el_rfunc_t. Bytes that are no character are passed over. */
static int read_character(EditLine *edit, wchar_t *character)
{
    struct line_editor *editor = NULL;
    mbstate_t state = {0};
    (void)el_wget(edit, EL_CLIENTDATA, &editor);
    for (;;) {
        char byte;
        const int got = read_byte(editor, &byte);
        if (got <= 0) return got;
        size_t used = mbrtowc(character, &byte, 1, &state);
        if (used == (size_t)-1) { /* what came before was none; this byte may be one */
            state = (mbstate_t){0};
            used = mbrtowc(character, &byte, 1, &state);
        }
        if (used == (size_t)-1)
            state = (mbstate_t){0};
        else if (used != (size_t)-2)
            return 1;
    }
}

/* ---- completion ------------------------------------------------------------------------------ */

static int columns_of(const char *text)
{
    int columns = 0;
    for (; *text; ++text)
        columns += ((unsigned char)*text & 0xC0) != 0x80;
    return columns;
}

/* In columns, read downwards as ls does. A name may have any byte: what is no printable character is '?'. */
static void print_label(FILE *stream, const char *text, int width)
{
    for (const char *c = text; *c; ++c)
        fputc((unsigned char)*c < 0x20 || *c == 0x7F ? '?' : *c, stream);
    fprintf(stream, "%*s", width - columns_of(text), "");
}

static void list(const struct line_editor *editor, const struct completion *completion)
{
    const int columns = editor->size.ws_col ? editor->size.ws_col : DEFAULT_COLUMNS;
    const size_t count =
        completion->count < MOST_LISTED ? completion->count : MOST_LISTED;
    int width = 1;
    for (size_t i = 0; i < count; ++i) {
        const int own = columns_of(completion_label(completion, completion->list[i]));
        if (own + 2 > width) width = own + 2;
    }
    const size_t across = width < columns ? (size_t)(columns / width) : 1;
    const size_t down = (count + across - 1) / across;
    fputc('\n', editor->stream);
    for (size_t row = 0; row < down; ++row) {
        for (size_t i = row; i < count; i += down)
            print_label(editor->stream,
                        completion_label(completion, completion->list[i]),
                        i + down < count ? width : 0);
        fputc('\n', editor->stream);
    }
    if (completion->count > count)
        fprintf(editor->stream, "... and %zu more\n", completion->count - count);
}

/* el_func_t of Tab. */
static unsigned char complete(EditLine *edit, int key)
{
    (void)key;
    struct line_editor *editor = NULL;
    struct completion completion;
    (void)el_get(edit, EL_CLIENTDATA, &editor);
    const LineInfo *const line = el_line(edit);
    const size_t cursor = (size_t)(line->cursor - line->buffer);
    char *const copy = malloc(cursor + 1);
    if (!copy) return CC_ERROR;
    memcpy(copy, line->buffer, cursor);
    copy[cursor] = '\0';
    completion_make(&completion, copy, cursor);
    const size_t common = completion_common(&completion);
    unsigned char done = CC_ERROR;
    char *const text = common ? completion_text(&completion, completion.list[0], common,
                                                completion.count == 1)
                              : NULL;
    const char *const typed = copy + completion.start;
    if (text && strcmp(text, typed) != 0 && strlen(text) >= strlen(typed)) {
        el_deletestr(edit, (int)mbstowcs(NULL, typed, 0));
        done = el_insertstr(edit, text) == 0 ? CC_REFRESH : CC_ERROR;
    } else if (completion.count > 1) {
        list(editor, &completion);
        done = CC_REDISPLAY;
    }
    free(text);
    free(copy);
    completion_finish(&completion);
    return done;
}

/* ---- the editor ------------------------------------------------------------------------------ */

static char *prompt_of(EditLine *edit)
{
    struct line_editor *editor = NULL;
    (void)el_get(edit, EL_CLIENTDATA, &editor);
    return editor->prompt;
}

static void enter(void *cookie, const char *line)
{
    HistEvent event;
    (void)history(cookie, &event, H_ENTER, line);
}

/* Names are bytes for every other part of the program: the locale is for the editor alone. */
static void choose_locale(void)
{
    if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
    (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void bind_keys(EditLine *edit)
{
    static const char *const keys[][2] = {
        {"^I",       "darkroom-complete"  },
        {"^R",       "em-inc-search-prev" },
        {"^W",       "ed-delete-prev-word"},
        {"\\e[1;5C", "em-next-word"       },
        {"\\e[1;5D", "ed-prev-word"       },
        {"\\e[3~",   "ed-delete-next-char"},
        {"\\e[H",    "ed-move-to-beg"     },
        {"\\e[F",    "ed-move-to-end"     },
        {"\\e[1~",   "ed-move-to-beg"     },
        {"\\e[4~",   "ed-move-to-end"     },
    };
    (void)el_set(edit, EL_ADDFN, "darkroom-complete", "complete a word", complete);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i)
        (void)el_set(edit, EL_BIND, keys[i][0], keys[i][1], NULL);
}

static bool open_stream(struct line_editor *editor)
{
    const int descriptor = dup(STDERR_FILENO);
    editor->stream = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    if (!editor->stream && descriptor >= 0) (void)close(descriptor);
    return editor->stream != NULL;
}

static bool open_edit(struct line_editor *editor)
{
    HistEvent event;
    editor->edit = el_init("darkroom", stdin, editor->stream, editor->stream);
    editor->lines = history_init();
    if (!editor->edit || !editor->lines) return false;
    EditLine *const edit = editor->edit;
    (void)el_set(edit, EL_CLIENTDATA, editor);
    (void)el_set(edit, EL_SIGNAL, 0);
    (void)el_set(edit, EL_PROMPT, prompt_of);
    (void)el_set(edit, EL_EDITOR, "emacs");
    (void)el_wset(edit, EL_GETCFN, read_character);
    (void)history(editor->lines, &event, H_SETSIZE, HISTORY_MAX_LINES);
    (void)history(editor->lines, &event, H_SETUNIQUE, 1);
    (void)el_set(edit, EL_HIST, history, editor->lines);
    bind_keys(edit);
    (void)el_source(edit, NULL); /* the user's own keys, ~/.editrc; there may be none */
    return true;
}

struct line_editor *line_editor_open(const char *prompt)
{
    struct line_editor *editor = calloc(1, sizeof *editor);
    if (!editor) return NULL;
    (void)snprintf(editor->prompt, sizeof editor->prompt, "%s", prompt);
    choose_locale();
    if (!open_stream(editor) || !open_edit(editor)) {
        line_editor_close(&editor);
        return NULL;
    }
    interrupt_watch_continue();
    history_open(&editor->history);
    history_read(&editor->history, enter, editor->lines);
    return editor;
}

void line_editor_close(struct line_editor **editor)
{
    struct line_editor *const old = *editor;
    *editor = NULL;
    if (!old) return;
    if (old->edit) el_end(old->edit);
    if (old->lines) history_end(old->lines);
    if (old->stream) (void)fclose(old->stream);
    free(old->line);
    free(old);
}

/* ---- a line ---------------------------------------------------------------------------------- */

static void remember(struct line_editor *editor, const char *line)
{
    HistEvent event;
    const bool is_again =
        history(editor->lines, &event, H_FIRST) == 0 && strcmp(event.str, line) == 0;
    if (!history_takes(line) || is_again) return;
    enter(editor->lines, line);
    history_add(&editor->history, line);
}

enum line_kind line_editor_next(struct line_editor *editor, char **line)
{
    int length = 0;
    free(editor->line);
    editor->line = NULL;
    do {
        interrupt_begin_prompt();
        editor->is_cleared = editor->is_stopped = false;
        /* Before the prompt is shown: who sees it may type. */
        (void)el_set(editor->edit, EL_PREP_TERM, 1);
        const char *const text =
            interrupt_ended() ? NULL : el_gets(editor->edit, &length);
        if (text && length > 0) editor->line = strdup(text);
        /* What was typed stays above; the next line is a new one. */
        if (!text) fputc('\n', editor->stream);
        (void)el_set(editor->edit, EL_PREP_TERM, 0);
        (void)fflush(editor->stream);
    } while (editor->is_cleared && !editor->is_stopped);
    if (editor->is_stopped || interrupt_ended()) return LINE_STOPPED;
    if (!editor->line) return LINE_END;
    editor->line[strcspn(editor->line, "\n")] = '\0';
    if (strlen(editor->line) > LINE_INPUT_MAX) return LINE_TOO_LONG;
    remember(editor, editor->line);
    *line = editor->line;
    return LINE_READY;
}
