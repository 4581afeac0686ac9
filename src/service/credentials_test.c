#include "service/credentials.h"

#include <sys/stat.h>

#include "check.h"
#include "scratch_folder.h"

static const char *write_file(const char *text, mode_t mode)
{
    const char *const path = scratch_path("users");
    FILE *const file = fopen(path, "w");
    if (file) {
        fputs(text, file);
        (void)fclose(file);
    }
    (void)chmod(path, mode);
    return path;
}

static struct credentials *read_text(const char *text)
{
    struct credentials *credentials = NULL;
    struct dr_error err = {0};
    if (credentials_read(write_file(text, 0600), &credentials, &err) != DR_OK)
        check_fail_at("%s", err.message);
    return credentials;
}

static void R32_users_and_keys_are_admitted_and_nobody_else(void)
{
    static const struct {
        const char *header, *name; /* NULL: not admitted */
    } trials[] = {
        {"Basic YWRhOnNlY3JldA==",     "ada"  }, /* ada:secret */
        {"basic YWRhOnNlY3JldA==",     "ada"  },
        {"Basic  YWRhOnNlY3JldA==",    "ada"  },
        {"Basic Ym9iOnBhc3M6d29yZA==", "bob"  }, /* bob:pass:word */
        {"Bearer first",               "key 1"},
        {"bearer second",              "key 2"},
        {"Basic YW55Ym9keTpzZWNvbmQ=", "key 2"}, /* anybody:second */
        {"Basic OnNlY29uZA==",         "key 2"}, /* :second */
        {"Basic YWRhOlNlY3JldA==",     NULL   }, /* ada:Secret */
        {"Basic YWRhOg==",             NULL   }, /* ada: */
        {"Basic YWRh",                 NULL   }, /* ada */
        {"Basic YWRhOnNlY3JldAA=",     NULL   }, /* ada:secret, NUL */
        {"Basic YWRhOnNlY3JldA",       NULL   },
        {"Basic YWRhOnNlY3JldJ==",     NULL   }, /* ada:secret, and bits that are left over */
        {"Basic !!!!",                 NULL   },
        {"Basic ",                     NULL   },
        {"Basic",                      NULL   },
        {"Bearer ",                    NULL   },
        {"Bearer",                     NULL   },
        {"Bearer ada:secret",          NULL   },
        {"Bearer firs",                NULL   },
        {"Bearer firstx",              NULL   },
        {"Digest first",               NULL   },
        {"first",                      NULL   },
        {"",                           NULL   },
        {NULL,                         NULL   },
    };
    struct credentials *const credentials =
        read_text("# users\nada:secret\r\n\nbob:pass:word\nkey:first\n  \nkey:second");
    check_int(credentials_count(credentials), ==, 4u);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i) {
        char name[CREDENTIALS_NAME_BYTES], peer[32];
        (void)snprintf(peer, sizeof peer, "10.0.0.%zu", i); /* each fails alone */
        const bool is_admitted =
            credentials_admit(credentials, trials[i].header, peer, 0.0, name);
        if (is_admitted != (trials[i].name != NULL))
            check_fail_at("%s: %d", trials[i].header ? trials[i].header : "(none)",
                          is_admitted);
        check_str(name, trials[i].name ? trials[i].name : "");
    }
    credentials_destroy(credentials);
}

static void R32_a_long_header_is_refused(void)
{
    struct credentials *const credentials = read_text("ada:secret\n");
    char header[8000], name[CREDENTIALS_NAME_BYTES];
    memset(header, 'A', sizeof header);
    memcpy(header, "Basic ", 6);
    for (size_t length = 1000; length < sizeof header; length += 500) {
        header[length] = '\0';
        check(!credentials_admit(credentials, header, "10.0.0.1", 1e9 * (double)length,
                                 name));
        header[length] = 'A';
    }
    credentials_destroy(credentials);
}

static void R32_failed_logins_are_limited(void)
{
    struct credentials *const credentials = read_text("ada:secret\n");
    static const char right[] = "Basic YWRhOnNlY3JldA==", wrong[] = "Bearer guess";
    char name[CREDENTIALS_NAME_BYTES];
    for (int i = 0; i < 9; ++i)
        check(!credentials_admit(credentials, wrong, "10.0.0.1", 1000.0, name));
    check(credentials_admit(credentials, right, "10.0.0.1", 1000.0, name));
    check(!credentials_admit(credentials, wrong, "10.0.0.1", 1000.0, name));
    /* Ten failures: now the right one fails too, of this peer alone, until time has passed. */
    check(!credentials_admit(credentials, right, "10.0.0.1", 1000.0, name));
    check_str(name, "");
    check(credentials_admit(credentials, right, "10.0.0.2", 1000.0, name));
    check(!credentials_admit(credentials, right, "10.0.0.1", 2000.0, name));
    check(credentials_admit(credentials, right, "10.0.0.1", 8000.0, name));
    /* Asking without credentials is no failure: every page begins so. */
    for (int i = 0; i < 100; ++i)
        check(!credentials_admit(credentials, NULL, "10.0.0.3", 1000.0, name));
    check(credentials_admit(credentials, right, "10.0.0.3", 1000.0, name));
    /* Addresses of one IPv6 network are one peer. */
    for (int i = 0; i < 10; ++i) {
        char peer[64];
        (void)snprintf(peer, sizeof peer, "2001:db8::%x", i + 1);
        check(!credentials_admit(credentials, wrong, peer, 1000.0, name));
    }
    check(!credentials_admit(credentials, right, "2001:db8::ffff", 1000.0, name));
    check(credentials_admit(credentials, right, "2001:db8:0:1::1", 1000.0, name));
    credentials_destroy(credentials);
}

static void R32_a_file_that_is_wrong_is_refused_without_its_text(void)
{
    static const struct {
        const char *text, *part;
    } trials[] = {
        {"ada:secret\nsecret-without-colon\n",                                              "line 2"           },
        {":secret\n",                                                                       "line 1"           },
        {"ada:\n",                                                                          "line 1"           },
        {"key:\n",                                                                          "line 1"           },
        {"ada:sec\tret\n",                                                                  "control character"},
        {"# nobody\n\n",                                                                    "names nobody"     },
        {"",                                                                                "names nobody"     },
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:secret",
         "63 bytes"                                                                                            },
    };
    struct credentials *credentials = NULL;
    struct dr_error err = {0};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i) {
        check_int(credentials_read(write_file(trials[i].text, 0600), &credentials,
                                   &err),
                  ==, DR_BAD_INPUT);
        check_has(err.message, trials[i].part);
        check(!strstr(err.message, "secret"));
        check(!credentials);
    }
    check_int(credentials_read(scratch_path("missing"), &credentials, &err), ==,
              DR_NOT_FOUND);
    check_int(credentials_read(scratch_folder(), &credentials, &err), ==, DR_BAD_INPUT);
}

static void R32_a_file_that_others_can_read_is_refused(void)
{
    struct credentials *credentials = NULL;
    struct dr_error err = {0};
    static const mode_t refused[] = {0604, 0602, 0644, 0666}, taken[] = {0600, 0640};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        check_int(credentials_read(write_file("ada:secret\n", refused[i]), &credentials,
                                   &err),
                  ==, DR_BAD_INPUT);
        check_has(err.message, "chmod 600");
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; ++i) {
        check_int(credentials_read(write_file("ada:secret\n", taken[i]), &credentials,
                                   &err),
                  ==, DR_OK);
        credentials_destroy(credentials);
    }
}

int main(void)
{
    check_run(R32_users_and_keys_are_admitted_and_nobody_else);
    check_run(R32_a_long_header_is_refused);
    check_run(R32_failed_logins_are_limited);
    check_run(R32_a_file_that_is_wrong_is_refused_without_its_text);
    check_run(R32_a_file_that_others_can_read_is_refused);
    return check_done();
}
