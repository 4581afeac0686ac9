#include "packs_command.h"

#include <string.h>
#include <unistd.h>

#include "front/pack_json.h"
#include "interrupt.h"

static enum dr_code list_packs(struct session *session, const struct options *options,
                               unsigned flags, json_t *fields, struct dr_error *err)
{
    struct dr_pack_list list;
    const struct dr_packs_options how = {.flags = flags,
                                         .progress = talk_load,
                                         .progress_cookie = &session->talk};
    interrupt_heed();
    const enum dr_code code = dr_packs_list(options->packs, &how, &list, err);
    if (code == DR_OK && flags & DR_PACKS_VERIFY) pack_json_add_verified(fields, &list);
    if (code == DR_OK) pack_json_add_list(fields, &list);
    dr_pack_list_free(&list);
    return code;
}

/* ---- prune ------------------------------------------------------------------------------- */

/* What goes, for a person who is asked. */
static void print_plan(FILE *stream, const struct dr_pack_list *list)
{
    char size[16];
    for (size_t i = 0; i < list->count; ++i) {
        const struct dr_pack_info *const pack = &list->packs[i];
        if (!pack->goes) continue;
        fprintf(stream, "  %.12s %11s  %s%s%s\n", pack->name,
                dr_format_bytes(pack->bytes, size),
                pack->source[0] ? pack->source : dr_pack_state_name(pack->state),
                pack->problem[0] ? ": " : "", pack->problem);
    }
}

/* A line from the terminal, without a buffer that would take more of the shell's input. */
static bool says_yes(void)
{
    char answer = '\0', c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        if (!answer) answer = c;
    return answer == 'y' || answer == 'Y';
}

static enum dr_code ask(const struct options *options, const struct dr_pack_list *list,
                        json_t *fields, struct dr_error *err)
{
    uint64_t bytes = 0;
    size_t count = 0;
    char size[16];
    for (size_t i = 0; i < list->count; ++i) {
        if (!list->packs[i].goes) continue;
        bytes += list->packs[i].bytes;
        ++count;
    }
    if (count == 0 || options->yes) return DR_OK;
    dr_format_bytes(bytes, size);
    if (options->json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        if (options->json)
            pack_json_add_plan(fields, list);
        else
            print_plan(stderr, list);
        return command_fail(err, DR_BAD_INPUT,
                            "%zu pack%s (%s) would be removed, and nobody is there to "
                            "be asked: give --yes to remove %s",
                            count, count == 1 ? "" : "s", size,
                            count == 1 ? "it" : "them");
    }
    print_plan(stderr, list);
    fprintf(stderr, "Remove %s (%s)? [y/N] ", count == 1 ? "this pack" : "these packs",
            size);
    return says_yes() ? DR_OK : command_fail(err, DR_CANCELLED, "no pack was removed");
}

static enum dr_code prune_packs(const struct options *options, json_t *fields,
                                struct dr_error *err)
{
    struct dr_pack_prune pruned;
    struct dr_pack_list list;
    struct dr_packs_options how = {.flags = DR_PACKS_PLAN, .keep_bytes = options->keep};
    enum dr_code code = DR_OK;
    if (!options->keep_given) { /* the limit is known when they are listed */
        code = dr_packs_list(options->packs, NULL, &list, err);
        how.keep_bytes = list.limit_bytes;
        dr_pack_list_free(&list);
    }
    if (code == DR_OK) code = dr_packs_list(options->packs, &how, &list, err);
    if (code != DR_OK) return code;
    code = ask(options, &list, fields, err);
    dr_pack_list_free(&list);
    if (code == DR_OK)
        code = dr_packs_prune(options->packs, how.keep_bytes, &pruned, err);
    if (code == DR_OK) pack_json_add_prune(fields, &pruned);
    return code;
}

static enum dr_code remove_packs(const struct options *options, json_t *fields,
                                 struct dr_error *err)
{
    struct dr_pack_prune removed;
    if (options->operand_count < 2)
        return command_fail(err, DR_BAD_INPUT,
                            "packs rm needs a name: that of a pack, or of the model "
                            "whose packs are to go; darkroom packs lists them");
    const enum dr_code code =
        dr_packs_remove(options->packs, options->operands[1], &removed, err);
    if (code == DR_OK) pack_json_add_prune(fields, &removed);
    return code;
}

enum dr_code run_packs(struct session *session, const struct options *options,
                       json_t *fields, struct dr_error *err)
{
    const char *const what = options->operand_count ? options->operands[0] : "list";
    const bool prunes = strcmp(what, "prune") == 0, removes = strcmp(what, "rm") == 0;
    if (options->keep_given && !prunes)
        return command_fail(err, DR_BAD_INPUT, "--keep applies to packs prune only");
    if (options->operand_count > 1 && !removes)
        return command_fail(err, DR_BAD_INPUT, "packs %.80s does not take \"%.80s\"",
                            what, options->operands[1]);
    if (prunes) return prune_packs(options, fields, err);
    if (removes) return remove_packs(options, fields, err);
    if (strcmp(what, "list") == 0) return list_packs(session, options, 0, fields, err);
    if (strcmp(what, "verify") == 0)
        return list_packs(session, options, DR_PACKS_VERIFY, fields, err);
    return command_fail(err, DR_BAD_INPUT,
                        "packs takes list, verify, prune or rm, not \"%.80s\"", what);
}
