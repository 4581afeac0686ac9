/* darkroom/error.h — all error codes, in one list.
 *
 * A call that can fail returns an `enum dr_code` and takes, as its last parameter, an
 * optional `struct dr_error *` that it fills on failure and leaves untouched on success.
 * A message is one sentence for the user: what, where, what to do; with figures.
 */
#ifndef DARKROOM_ERROR_H
#define DARKROOM_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, "name in JSON", HTTP status, exit code)
 * Exit codes 1 and 2 are what a shell user expects: 1 other failure, 2 wrong usage. */
#define DR_CODES(X)                                                                    \
    X(OK, "ok", 200, 0)                                                                \
    X(FAILED, "failed", 500, 1)            /* any error without its own code */        \
    X(BAD_INPUT, "bad_input", 400, 2)      /* an option, size or prompt is wrong */    \
    X(NOT_FOUND, "not_found", 404, 3)      /* no such file, name or component */       \
    X(CORRUPT, "corrupt", 422, 4)          /* a file violates its format */            \
    X(UNSUPPORTED, "unsupported", 422, 5)  /* a format or model not read by darkroom*/ \
    X(INCOMPLETE, "incomplete", 422, 6)    /* tensors are missing or misshapen */      \
    X(FOREIGN, "foreign", 422, 7)          /* a VAE from another latent space */       \
    X(CHANGED, "changed", 409, 8)          /* a file changed while in use */           \
    X(IO, "io", 500, 9)                    /* reading or writing failed */             \
    X(NOMEM, "no_memory", 503, 10)         /* the system refused memory */             \
    X(OVER_BUDGET, "over_budget", 507, 11) /* does not fit; need, have and limit */    \
    X(BUSY, "busy", 503, 12)               /* try again: another call is running */    \
    X(NOT_FINITE, "not_finite", 500, 13)   /* NaN or infinity; names the stage */      \
    X(CANCELLED, "cancelled", 499, 130)    /* the user stopped it */

enum dr_code {
#define X(name, text, http, exit_code) DR_##name,
    DR_CODES(X)
#undef X
};

struct dr_error {
    enum dr_code code;
    char message[1024]; /* UTF-8, one sentence or a short list, always terminated */
};

#if defined(__GNUC__)
#define DR_MUST_CHECK __attribute__((warn_unused_result))
#define DR_API        __attribute__((visibility("default")))
#else
#define DR_MUST_CHECK
#define DR_API
#endif

/* The name of a code as JSON has it ("over_budget"). Never NULL. Any thread. */
DR_API const char *dr_code_name(enum dr_code code);

/* The exit code of a program that ends with this code; 0 for DR_OK. Any thread. */
DR_API int dr_code_exit(enum dr_code code);

/* The HTTP status of an answer with this code. Any thread. */
DR_API int dr_code_http(enum dr_code code);

#ifdef __cplusplus
}
#endif
#endif
