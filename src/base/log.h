/* log — what the library has to say goes to who asked for it.
 *
 *     static void show(void *cookie, enum log_level level, const char *name, const char *text);
 *     const struct log_sink log = {.write = show, .cookie = stderr, .most = LOG_STEP};
 *     log_write(&log, LOG_JOB, "loaded %s in %.0f ms", path, ms);
 *
 * The library never prints: without a sink (NULL, or a zeroed struct) nothing is even
 * formatted. Levels are named by how often they speak, so that a user chooses a rate.
 *
 * The sink's struct is borrowed by whoever is handed it, and outlives them; log_child makes
 * one with a name of its own for a part of the program. Messages are one line, without a line
 * feed, and cut at a whole character where longer than LOG_BYTES.
 *
 * Threads: log_write may be called on any thread; the sink's function must allow that.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#define LOG_BYTES 1024

enum log_level {
    LOG_WARNING, /* something is not as the user asked, and it went on */
    LOG_JOB,     /* a few lines a job, load or switch */
    LOG_STEP,    /* one a step */
    LOG_DETAIL,  /* one a band, tile or tensor */
};

typedef void log_function(void *cookie, enum log_level level, const char *name,
                          const char *text);

struct log_sink {
    log_function *write; /* NULL: silence */
    void *cookie;
    enum log_level most; /* levels above are dropped */
    const char *name;    /* who speaks; NULL for the program as a whole. Borrowed */
};

void log_write(const struct log_sink *sink, enum log_level level, const char *format,
               ...) __attribute__((format(printf, 3, 4)));

/* The same sink under another name. sink may be NULL. */
struct log_sink log_child(const struct log_sink *sink, const char *name);

const char *log_level_name(enum log_level level);

#endif
