/* The list of VAEs: whole ones, broken ones, the same one twice, names with two meanings; and that
 * looking changes nothing. */
#include "engine/engine_fixture.h"

#include "base/fault_fixture.h"

static struct dr_vae_list list;
static char not_listed[] = "(not listed)";

static void look(struct dr_engine *engine, unsigned flags)
{
    dr_vae_list_free(&list);
    problem = (struct dr_error){0};
    const uint64_t before = check_memory(engine);
    check_int(dr_engine_list_vaes(engine, flags, NULL, NULL, &list, &problem), ==,
              DR_OK);
    check_str(problem.message, "");
    check_int(check_memory(engine), ==, before);
}

/* The row of a file; an empty one where there is none. */
static const struct dr_listed_vae *row(const char *path)
{
    static const struct dr_listed_vae none = {.choice = not_listed,
                                              .fit = "(not listed)"};
    for (size_t i = 0; i < list.vae_count; ++i)
        if (strcmp(list.vaes[i].path, path) == 0) return &list.vaes[i];
    return &none;
}

static const struct dr_listed_choice *choice_of(const char *said)
{
    static const struct dr_listed_choice none = {.path = not_listed,
                                                 .reason = "(not listed)"};
    for (size_t i = 1; i < list.choice_count; ++i)
        if (strcmp(list.choices[i].choice, said) == 0) return &list.choices[i];
    return &none;
}

static void whole_ones_are_described(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    look(engine, 0);
    check_str(list.model, in_root("a.safetensors"));
    check_str(list.vae_folder, in_root("vae"));
    check_int(list.vae_count, ==, 3);
    const struct dr_listed_vae *const base = &list.vaes[0];
    check_str(base->choice, "none");
    check_str(base->found, "checkpoint");
    check_str(base->family, "sd15");
    check(base->active && base->code == DR_OK);
    check_str(base->digest, vae_state(engine).digest); /* known: it was loaded */
    const struct dr_listed_vae *const sharp = row(in_root("vae/sharp.safetensors"));
    check_str(sharp->choice, "sharp");
    check_str(sharp->found, "VAE folder");
    check_str(sharp->family, "sd15 or sdxl");
    check_str(sharp->format, "safetensors");
    check_str(sharp->stored_types, "F16");
    check_int(sharp->stored_bytes, ==, base->stored_bytes);
    check_str(sharp->fit, "whole; not tried yet: choosing it runs the latent probe");
    check(base->tried && !sharp->tried);
    check_has(choice_of("sharp")->reason, "(not tried yet)");
    check_str(sharp->digest, ""); /* not asked for */
    check(!sharp->active && sharp->same_as < 0);

    check_int(choose(engine, "sharp"), ==, DR_OK);
    look(engine, DR_LIST_DIGESTS);
    check(row(in_root("vae/sharp.safetensors"))->active && !list.vaes[0].active);
    check_str(row(in_root("vae/sharp.safetensors"))->digest, vae_state(engine).digest);
    check_int(strlen(row(in_root("vae/soft.safetensors"))->digest), ==, 64);
    check_str(list.choices[0].choice, "sharp");
    check_str(list.choices[0].source, "setting");
    check_str(list.choices[0].path, in_root("vae/sharp.safetensors"));
    dr_engine_close(&engine);
}

static void a_choice_means_what_the_list_says(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    run_command(
        "cd '%s' && cp vae/sharp.safetensors a.vae.safetensors && "
        "mkdir vae/below && cp vae/soft.safetensors vae/below/sharp.ckpt && "
        "head -c 999 vae/soft.safetensors >vae/cut.safetensors && "
        "echo text >vae/notes.txt && mkdir -p vae/kl.v2 vae/xl/vae && "
        "echo '{\"_class_name\": \"AutoencoderKL\"}' >vae/kl.v2/config.json && "
        "cp vae/soft.safetensors vae/kl.v2/diffusion_pytorch_model.safetensors && "
        "cp vae/kl.v2/* vae/xl/vae && echo '{}' >vae/xl/model_index.json",
        fixture_root);
    look(engine, 0);
    check_str(choice_of("none")->path, "");
    check_int(choice_of("none")->code, ==, DR_OK);
    check_str(choice_of("automatic")->path, in_root("a.vae.safetensors"));
    check_has(choice_of("automatic")->reason, "beside the checkpoint");
    check_str(row(in_root("a.vae.safetensors"))->found, "beside the checkpoint");
    check_int(choice_of("sharp")->code, ==, DR_BAD_INPUT);
    check_has(choice_of("sharp")->reason, "more than one");
    check_str(row(in_root("vae/sharp.safetensors"))->choice, "sharp.safetensors");
    check_str(row(in_root("vae/below/sharp.ckpt"))->choice, "sharp.ckpt");
    check_int(choice_of("cut")->code, ==, DR_CORRUPT);
    check_has(choice_of("cut")->reason, "cannot be used");
    check_str(row(in_root("vae/notes.txt"))->fit, "(not listed)");
    /* folders of diffusers: a VAE, and a pipeline's */
    check_str(row(in_root("vae/kl.v2"))->choice, "kl.v2");
    check_str(row(in_root("vae/xl/vae"))->choice, "xl");
    size_t usable = 0;
    /* each one, asked for, does what was said */
    for (size_t i = 1; i < list.choice_count; ++i) {
        const struct dr_listed_choice *const said = &list.choices[i];
        check_int(choose(engine, said->choice), ==, said->code);
        if (said->code != DR_OK) continue;
        const struct dr_vae_info info = vae_state(engine);
        check_str(info.override_active ? info.path : "", said->path);
        ++usable;
    }
    check_int(usable, ==, 7); /* none, automatic, soft, two whole names, two folders */
    for (size_t i = 0; i < list.vae_count; ++i) {
        const struct dr_listed_vae *const vae = &list.vaes[i];
        check_int(choose(engine, vae->choice), ==, vae->code);
        if (vae->code == DR_OK) check_str(vae_state(engine).path, vae->path);
    }
    run_command("cd '%s' && rm -r a.vae.safetensors vae/below vae/cut.safetensors "
                "vae/kl.v2 vae/xl "
                "vae/notes.txt",
                fixture_root);
    dr_engine_close(&engine);
}

static void broken_ones_are_listed(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    make_checkpoint("vae/part.safetensors",
                    "--family sd15 --size least --part vae --seed 5 "
                    "--drop decoder.conv_in.weight");
    make_checkpoint("vae/empty.safetensors",
                    "--family sd15 --size least --without vae --seed 5");
    run_command("LC_ALL=C sed '1,/./s/\\(\"post_quant_conv.weight\":{\"dtype\":\"F16\","
                "\"shape\":\\)\\[4,4,/\\1[2,8,/' '%s' >'%s'",
                in_root("vae/sharp.safetensors"), in_root("vae/other.safetensors"));
    run_command("cd '%s/vae' && echo junk >junk.ckpt && ln -s nowhere gone.pt && "
                "cp ../b.safetensors whole.safetensors",
                fixture_root);
    look(engine, DR_LIST_DIGESTS);
    check_int(row(in_root("vae/part.safetensors"))->code, ==, DR_INCOMPLETE);
    check_has(row(in_root("vae/part.safetensors"))->fit, "incomplete: ");
    check_has(row(in_root("vae/part.safetensors"))->fit, "decoder.conv_in.weight");
    check_str(row(in_root("vae/part.safetensors"))->stored_types, "F16");
    check_int(row(in_root("vae/empty.safetensors"))->code, ==, DR_INCOMPLETE);
    check_has(row(in_root("vae/empty.safetensors"))->fit, "no VAE");
    check_has(row(in_root("vae/other.safetensors"))->fit, "[2, 8, 1, 1]");
    check_str(row(in_root("vae/other.safetensors"))->digest, "");
    check_has(row(in_root("vae/junk.ckpt"))->fit, "un");
    check(row(in_root("vae/junk.ckpt"))->code != DR_OK);
    check_int(row(in_root("vae/gone.pt"))->code, ==, DR_NOT_FOUND);
    check_has(row(in_root("vae/gone.pt"))->fit, "unreadable: ");
    check_has(row(in_root("vae/gone.pt"))->fit,
              "is a symbolic link to nowhere, which is missing");
    check_has(row(in_root("vae/whole.safetensors"))->fit, "whole; not tried yet");
    check_str(row(in_root("vae/whole.safetensors"))->family, "sd15");
    check_has(row(in_root("vae/soft.safetensors"))->fit, "whole; not tried yet");
    run_command("cd '%s/vae' && rm part.* empty.* other.* junk.* gone.* whole.*",
                fixture_root);
    dr_engine_close(&engine);
}

static void the_same_vae_is_said(void)
{
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    run_command("cd '%s/vae' && cp sharp.safetensors twin.safetensors && "
                "ln sharp.safetensors hard.safetensors",
                fixture_root);
    look(engine, 0); /* without reading: by the file alone */
    const int32_t hard = (int32_t)(row(in_root("vae/hard.safetensors")) - list.vaes);
    check_int(row(in_root("vae/hard.safetensors"))->same_as, ==, -1);
    check_int(row(in_root("vae/sharp.safetensors"))->same_as, ==, hard);
    check_int(row(in_root("vae/twin.safetensors"))->same_as, ==, -1);
    look(engine, DR_LIST_DIGESTS);
    check_int(row(in_root("vae/twin.safetensors"))->same_as, ==, hard);
    check_int(row(in_root("vae/soft.safetensors"))->same_as, ==, -1);
    run_command("rm '%s/vae/twin.safetensors' '%s/vae/hard.safetensors'", fixture_root,
                fixture_root);
    dr_engine_close(&engine);
}

static void one_from_elsewhere_is_listed_while_it_runs(void)
{
    struct dr_engine *engine = open_engine();
    run_command("cp '%s' '%s'", in_root("vae/soft.safetensors"),
                in_root("elsewhere.safetensors"));
    load(engine, "a.safetensors");
    check_int(choose(engine, in_root("elsewhere.safetensors")), ==, DR_OK);
    look(engine, 0);
    check(row(in_root("elsewhere.safetensors"))->active);
    check_str(row(in_root("elsewhere.safetensors"))->found, "path");
    check_str(row(in_root("elsewhere.safetensors"))->choice,
              in_root("elsewhere.safetensors"));
    check_int(choose(engine, "none"), ==, DR_OK);
    look(engine, 0);
    check_str(row(in_root("elsewhere.safetensors"))->fit, "(not listed)");
    dr_engine_close(&engine);
}

static void a_checkpoint_without_a_vae_says_so(void)
{
    struct dr_engine *engine = open_engine();
    make_checkpoint("bare.safetensors",
                    "--family sd15 --size least --without vae --seed 6");
    load(engine, "bare.safetensors");
    look(engine, DR_LIST_DIGESTS);
    check_has(list.vaes[0].fit, "absent");
    check_int(list.vaes[0].code, ==, DR_NOT_FOUND);
    check_int(choice_of("none")->code, ==, DR_NOT_FOUND);
    check_has(row(in_root("vae/soft.safetensors"))->fit, "whole; cannot be tried");
    make_checkpoint("torn.safetensors", "--family sd15 --size least --seed 6 --drop "
                                        "first_stage_model.decoder.conv_in.weight");
    load(engine, "torn.safetensors");
    look(engine, 0);
    check_has(list.vaes[0].fit, "incomplete: ");
    check_has(list.vaes[0].fit, "decoder.conv_in.weight");
    dr_engine_close(&engine);
}

/* What the latent probe found is told; a list does not run it. */
static void a_foreign_one_is_known_once_it_was_tried(void)
{
    struct dr_engine *engine = open_engine();
    make_checkpoint("space.safetensors", "--family sd15 --size least --latent-space 1");
    make_checkpoint("vae/foreign.safetensors",
                    "--family sd15 --size least --part vae --latent-space 2");
    make_checkpoint("vae/tuned.safetensors",
                    "--family sd15 --size least --part vae --latent-space 1 --seed 5");
    load(engine, "space.safetensors");
    look(engine, DR_LIST_DIGESTS);
    check_has(row(in_root("vae/foreign.safetensors"))->fit, "whole; not tried yet");
    check(!row(in_root("vae/foreign.safetensors"))->tried);
    check_int(choose(engine, "foreign"), ==, DR_FOREIGN);
    check_int(choose(engine, "tuned"), ==, DR_OK);
    look(engine, 0);
    check_int(row(in_root("vae/foreign.safetensors"))->code, ==, DR_FOREIGN);
    check_has(row(in_root("vae/foreign.safetensors"))->fit, "foreign: ");
    check_int(choice_of("foreign")->code, ==, DR_FOREIGN);
    check_has(row(in_root("vae/tuned.safetensors"))->fit, "whole; latent probe: ");
    check_has(row(in_root("vae/tuned.safetensors"))->fit, "fits");
    check(row(in_root("vae/foreign.safetensors"))->tried &&
          row(in_root("vae/tuned.safetensors"))->tried);
    check(strstr(choice_of("tuned")->reason, "not tried") == NULL);
    run_command("rm '%s' '%s'", in_root("vae/foreign.safetensors"),
                in_root("vae/tuned.safetensors"));
    dr_engine_close(&engine);
}

static void cancel_at_once(void *cookie, const struct dr_progress *progress)
{
    check(progress->stage == DR_STAGE_LOAD);
    dr_engine_cancel(cookie);
}

static void it_ends_where_it_must(void)
{
    struct dr_engine *engine = open_engine();
    dr_vae_list_free(&list);
    check_int(dr_engine_list_vaes(engine, 0, NULL, NULL, &list, &problem), ==,
              DR_NOT_FOUND);
    check_int(list.vae_count, ==, 0);
    load(engine, "a.safetensors");
    check_int(dr_engine_list_vaes(engine, DR_LIST_DIGESTS, cancel_at_once, engine,
                                  &list, &problem),
              ==, DR_CANCELLED);
    check_int(list.vae_count, ==, 0);
    /* reading fails for each: rows, not an end */
    fault_arm(1U << FAULT_READ, 1, FAULT_FROM_THEN_ON);
    check_int(dr_engine_list_vaes(engine, DR_LIST_DIGESTS, NULL, NULL, &list, &problem),
              ==, DR_OK);
    check(fault_has_struck());
    fault_disarm();
    check_has(row(in_root("vae/soft.safetensors"))->fit, "unreadable");
    /* no room for the buffer is no file's matter */
    fault_arm(1U << FAULT_REGION, 1, FAULT_FROM_THEN_ON);
    dr_vae_list_free(&list);
    check(dr_engine_list_vaes(engine, DR_LIST_DIGESTS, NULL, NULL, &list, &problem) !=
          DR_OK);
    fault_disarm();
    check_int(list.vae_count, ==, 0);
    picture(engine, "after.png");
    dr_engine_close(&engine);
}

/* The folder is read once, whatever there is in it: looks at the flag come to a few a file. */
static int64_t looks_of(struct dr_engine *engine)
{
    fault_arm(1u << FAULT_CANCEL, INT64_MAX / 2, FAULT_FROM_THEN_ON);
    look(engine, 0);
    fault_disarm();
    return fault_visits();
}

static void a_cancel_ends_it_at_every_look(void)
{
    enum {
        MORE = 20
    };
    struct dr_engine *engine = open_engine();
    load(engine, "a.safetensors");
    const int64_t few = looks_of(engine);
    for (int i = 0; i < MORE; ++i) {
        char name[40];
        (void)snprintf(name, sizeof name, "vae/more-%02d.safetensors", i);
        run_command("ln -f '%s' '%s'", in_root("vae/soft.safetensors"), in_root(name));
    }
    const int64_t looks = looks_of(engine);
    check_int(looks - few, >=, MORE);
    check_int(looks - few, <=, 5 * MORE);
    for (int64_t nth = 1; nth <= looks; ++nth) {
        dr_vae_list_free(&list);
        fault_arm(1u << FAULT_CANCEL, nth, FAULT_FROM_THEN_ON);
        check_int(dr_engine_list_vaes(engine, 0, NULL, NULL, &list, &problem), ==,
                  DR_CANCELLED);
        fault_disarm();
        check(list.vae_count == 0 && list.choice_count == 0);
    }
    look(engine, 0);
    check_str(list.left_out, "");
    run_command("rm '%s'/more-*", in_root("vae"));
    dr_engine_close(&engine);
}

int main(void)
{
    fixture_begin();
    check_run(whole_ones_are_described);
    check_run(a_choice_means_what_the_list_says);
    check_run(broken_ones_are_listed);
    check_run(the_same_vae_is_said);
    check_run(one_from_elsewhere_is_listed_while_it_runs);
    check_run(a_checkpoint_without_a_vae_says_so);
    check_run(a_foreign_one_is_known_once_it_was_tried);
    check_run_with_faults(it_ends_where_it_must);
    check_run_with_faults(a_cancel_ends_it_at_every_look);
    dr_vae_list_free(&list);
    fixture_end();
    return check_done();
}
