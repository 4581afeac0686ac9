#include "mem/smaps.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A number in the given base, then one separator, which is skipped. */
static bool take_number(char **text, int base, char separator, unsigned long long *out)
{
    char *end;
    errno = 0;
    *out = strtoull(*text, &end, base);
    if (end == *text || errno || *end != separator) return false;
    *text = end + 1;
    return true;
}

/* "start-end perms offset major:minor inode   name" */
static bool parse_header(char *line, struct smaps_entry *entry)
{
    unsigned long long start, end, offset, major, minor, inode = 0;
    *entry = (struct smaps_entry){0};
    if (!take_number(&line, 16, '-', &start) || !take_number(&line, 16, ' ', &end))
        return false;
    if (end <= start || strlen(line) < 5 || line[4] != ' ') return false;
    memcpy(entry->permissions, line, 4);
    line += 5;
    if (!take_number(&line, 16, ' ', &offset) || !take_number(&line, 16, ':', &major) ||
        !take_number(&line, 16, ' ', &minor))
        return false;
    while (*line >= '0' && *line <= '9')
        inode = inode * 10 + (unsigned long long)(*line++ - '0');
    while (*line == ' ')
        ++line;
    entry->start = (uintptr_t)start;
    entry->end = (uintptr_t)end;
    entry->has_inode = inode != 0;
    entry->on_device = major != 0;
    const size_t length = strnlen(line, sizeof entry->name - 1);
    memcpy(entry->name, line, length);
    return true;
}

/* "Rss:    12 kB" */
static bool parse_figure(const char *line, struct smaps_entry *entry)
{
    static const struct {
        const char *key;
        size_t offset;
    } figures[] = {
        {"Rss",       offsetof(struct smaps_entry, rss_bytes)          },
        {"Pss",       offsetof(struct smaps_entry, pss_bytes)          },
        {"Pss_Anon",  offsetof(struct smaps_entry, pss_anonymous_bytes)},
        {"Pss_Shmem", offsetof(struct smaps_entry, pss_shmem_bytes)    },
        {"Anonymous", offsetof(struct smaps_entry, anonymous_bytes)    },
        {"Swap",      offsetof(struct smaps_entry, swap_bytes)         },
    };
    const char *const colon = strchr(line, ':');
    if (!colon) return false;
    const size_t length = (size_t)(colon - line);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; ++i) {
        if (strlen(figures[i].key) != length || memcmp(figures[i].key, line, length))
            continue;
        char *end;
        const unsigned long long kib = strtoull(colon + 1, &end, 10);
        if (end == colon + 1 || strcmp(end, " kB") != 0 || kib > SIZE_MAX / 1024)
            return false;
        const size_t bytes = (size_t)kib * 1024;
        memcpy((char *)entry + figures[i].offset, &bytes, sizeof bytes);
        if (strcmp(figures[i].key, "Pss_Anon") == 0) entry->has_pss_anonymous = true;
        if (strcmp(figures[i].key, "Anonymous") == 0) entry->has_anonymous = true;
    }
    return true;
}

/* Figures begin with a capital letter; a mapping's first line with a hexadecimal digit. */
static bool is_figure(const char *line)
{
    return *line >= 'A' && *line <= 'Z';
}

bool smaps_open(struct smaps *smaps, const char *path)
{
    smaps->has_next = false;
    smaps->malformed = false;
    if (!line_reader_open(&smaps->lines, path)) return false;
    char *const line = line_reader_next(&smaps->lines);
    if (!line) return true;
    smaps->has_next = parse_header(line, &smaps->next);
    smaps->malformed = !smaps->has_next;
    return true;
}

bool smaps_next(struct smaps *smaps, struct smaps_entry *entry)
{
    if (!smaps->has_next || smaps->malformed) return false;
    *entry = smaps->next;
    smaps->has_next = false;
    for (char *line; (line = line_reader_next(&smaps->lines));) {
        if (is_figure(line)) {
            smaps->malformed = !parse_figure(line, entry);
            if (smaps->malformed) return false;
            continue;
        }
        smaps->has_next = parse_header(line, &smaps->next);
        smaps->malformed = !smaps->has_next || smaps->next.start < entry->end;
        break;
    }
    return !smaps->malformed && !smaps->lines.failed;
}

int smaps_close(struct smaps *smaps)
{
    const int failed = line_reader_close(&smaps->lines);
    if (failed) return failed;
    return smaps->malformed ? EBADMSG : 0;
}
