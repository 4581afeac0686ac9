#!/usr/bin/env python3
"""Golden adapters: small LoRAs and their relatives, and what diffusers computes with them.

    adapters.py --tool build/tools/random_checkpoint --out tests/golden

For each family and each kind of adapter a file `adapters/FAMILY-KIND.safetensors`, and in
`adapters_FAMILY.safetensors` the UNet's output for the inputs of golden.py's case `odd`, with the adapter's
weights fused in float32. The kinds that PEFT knows (LoRA, DoRA) are also loaded by diffusers itself, and both
results must agree.

The rules of fusing are restated from the papers and LyCORIS: see src/compute/weight_delta.h.
"""
import argparse
import os
import tempfile

import numpy
import torch
from golden import TIME, Checkpoint, Golden, save_file, to_channels_first, to_channels_last, unet_model
from safetensors.torch import load_file, save_file as save_adapter

RANK = 3
STRENGTH = 0.75
UNET = "model.diffusion_model."


def modules(model):
    """Some of each kind: convolutions, stacks, cross attention, a kernel over a concatenation."""
    state = model.state_dict()
    wanted = ["conv_in", "time_embedding.linear_1", "down_blocks.0.resnets.0.conv1",
              "down_blocks.0.downsamplers.0.conv", "up_blocks.0.resnets.0.conv_shortcut",
              "up_blocks.0.upsamplers.0.conv", "conv_out"]
    block = "down_blocks.1.attentions.0"
    wanted += [block + ".proj_in"]
    inside = block + ".transformer_blocks.0."
    wanted += [inside + part for part in ("attn1.to_q", "attn1.to_v", "attn1.to_out.0", "attn2.to_k",
                                          "ff.net.0.proj", "ff.net.2")]
    wanted += ["mid_block.attentions.0.transformer_blocks.0.attn2.to_q"]
    return [name for name in wanted if name + ".weight" in state]


class Maker:
    def __init__(self, model, seed):
        self.state = model.state_dict()
        self.random = numpy.random.default_rng(seed)
        self.deltas = {}  # of tensors, at strength 1
        self.normed = {}  # of DoRA: what takes the weight's place
        self.file = {}

    def normal(self, *shape, spread=1.0, dtype=torch.float16):
        numbers = self.random.standard_normal(shape, dtype=numpy.float32) * spread
        return torch.from_numpy(numpy.asarray(numbers, numpy.float32)).to(dtype)

    def shape(self, module):
        return self.state[module + ".weight"].shape

    def spread(self, module):
        weight = self.state[module + ".weight"]
        return float(weight.std()) * 0.7

    def add(self, module, name, kind):
        out, inputs, *taps = self.shape(module)
        is_conv = len(taps) == 2
        spread = self.spread(module)
        r = RANK
        put = lambda part, value: self.file.__setitem__(f"{name}.{part}", value.contiguous())
        alpha = 2.0
        shape = self.shape(module)
        if kind in ("lora", "peft", "dora-in", "dora-out"):
            down = self.normal(r, inputs, *taps, spread=0.3 if is_conv else 1.0)
            up = self.normal(out, r, *([1, 1] if is_conv else []), spread=spread)
            if kind in ("peft", "dora-out"):
                put("lora_A.weight", down)
                put("lora_B.weight", up)
                alpha = r
            else:
                put("lora_down.weight", down)
                put("lora_up.weight", up)
                put("alpha", torch.tensor(alpha))
            delta = (up.float().reshape(out, r) @ down.float().reshape(r, -1)).reshape(shape) * (alpha / r)
            weight = self.state[module + ".weight"].float()
            if kind == "dora-in":
                whole = weight + delta
                norm = whole.transpose(0, 1).reshape(inputs, -1).norm(dim=1)
                magnitude = (norm * (1 + 0.2 * self.normal(inputs).float())).half()
                ones = [1] * len(taps)
                put("dora_scale", magnitude.reshape(1, inputs, *ones))
                factor = (magnitude.float() / norm).reshape(1, inputs, *ones)
                delta = factor * whole - weight
            if kind == "dora-out":
                whole = weight + delta
                norm = whole.reshape(out, -1).norm(dim=1)
                magnitude = (norm * (1 + 0.2 * self.normal(out).float())).half()
                ones = [1] * (len(shape) - 1)
                put("lora_magnitude_vector", magnitude.reshape(1, out, *taps and [1, 1]) if is_conv else magnitude)
                factor = (magnitude.float() / norm).reshape(out, *ones)
                delta = factor * whole - weight
        elif kind == "mid":
            r2 = r + 1
            down = self.normal(r2, inputs, *([1, 1] if is_conv else []))
            up = self.normal(out, r, *([1, 1] if is_conv else []), spread=spread)
            put("lora_down.weight", down if is_conv and taps[0] > 1 else down[:r])
            put("lora_up.weight", up)
            put("alpha", torch.tensor(alpha))
            if is_conv and taps[0] > 1:
                mid = self.normal(r, r2, *taps, spread=0.3)
                put("lora_mid.weight", mid)
                delta = torch.einsum("nmkl,in,mj->ijkl", mid.float(), up.float().reshape(out, r),
                                     down.float().reshape(r2, inputs)) * (alpha / r2)
            else:
                delta = (up.float().reshape(out, r) @ down[:r].float().reshape(r, -1)).reshape(shape) * (alpha / r)
        elif kind == "loha":
            halves = []
            for half in (1, 2):
                if is_conv and taps[0] > 1:
                    t = self.normal(r, r, *taps, spread=0.5)
                    a = self.normal(r, out, spread=spread ** 0.5)
                    b = self.normal(r, inputs)
                    put(f"hada_t{half}", t)
                    halves.append(torch.einsum("ijkl,jr,ip->prkl", t.float(), b.float(), a.float()))
                else:
                    a = self.normal(out, r, spread=spread ** 0.5)
                    b = self.normal(r, int(numpy.prod(shape[1:])))
                    halves.append((a.float() @ b.float()).reshape(shape))
                put(f"hada_w{half}_a", a)
                put(f"hada_w{half}_b", b)
            put("alpha", torch.tensor(alpha))
            delta = halves[0] * halves[1] * (alpha / r)
        elif kind == "lokr":
            o1 = 4 if out % 4 == 0 else 1
            i1 = 2 if inputs % 2 == 0 else 1
            o2, i2 = out // o1, inputs // i1
            scale = 1.0
            if o1 == 4 and not is_conv:
                a, b = self.normal(o1, 2), self.normal(2, i1)
                put("lokr_w1_a", a)
                put("lokr_w1_b", b)
                w1 = a.float() @ b.float()
                scale = alpha / 2
            else:
                w1 = self.normal(o1, i1, dtype=torch.float32)
                put("lokr_w1", w1)
            if is_conv and taps[0] > 1:
                t = self.normal(r, r, *taps, spread=0.5)
                a, b = self.normal(r, o2, spread=spread), self.normal(r, i2)
                put("lokr_t2", t)
                put("lokr_w2_a", a)
                put("lokr_w2_b", b)
                w2 = torch.einsum("ijkl,jr,ip->prkl", t.float(), b.float(), a.float())
                scale = alpha / r
            elif is_conv or inputs == self.shape(module)[0]:
                w2 = self.normal(o2, i2, *taps, spread=spread)
                put("lokr_w2", w2)
                w2 = w2.float()
            else:
                a, b = self.normal(o2, r, spread=spread), self.normal(r, i2)
                put("lokr_w2_a", a)
                put("lokr_w2_b", b)
                w2 = a.float() @ b.float()
                if "%s.lokr_w1_a" % name not in self.file:
                    scale = alpha / r
            put("alpha", torch.tensor(alpha))
            delta = torch.kron(w1.reshape(o1, i1, *([1, 1] if is_conv else [])), w2.contiguous()) * scale
        elif kind == "full":
            diff = self.normal(*shape, spread=spread)
            put("diff", diff)
            delta = diff.float()
            bias = self.state.get(module + ".bias")
            if bias is not None:
                shift = self.normal(out, spread=0.1)
                put("diff_b", shift)
                self.deltas[module + ".bias"] = shift.float()
        self.deltas[module + ".weight"] = delta.reshape(shape)

    def add_norm(self, module, name):
        out = self.state[module + ".weight"].shape[0]
        for part, tensor in (("w_norm", ".weight"), ("b_norm", ".bias")):
            change = self.normal(out, spread=0.3)
            self.file[f"{name}.{part}"] = change
            self.deltas[module + tensor] = change.float()


def original_names(checkpoint, config):
    """Of each diffusers module the original one."""
    from diffusers.loaders import single_file_utils

    tensors = dict(checkpoint.tensors)
    known = {id(value): name for name, value in tensors.items()}
    converted = single_file_utils.convert_ldm_unet_checkpoint(tensors, config)
    return {name.rsplit(".", 1)[0]: known[id(value)][len(UNET):].rsplit(".", 1)[0]
            for name, value in converted.items()}


def adapter_name(family, kind, module, originals):
    if kind in ("peft", "dora-out"):
        return "unet." + module
    if family == "sdxl":
        return "lora_unet_" + originals[module].replace(".", "_")
    return "lora_unet_" + module.replace(".", "_")


def check_with_peft(checkpoint, family, path, fused, inputs):
    """diffusers' own loader, with PEFT."""
    model = unet_model(checkpoint, family, checkpoint.head_dim)
    state = {name.removeprefix("unet."): value.float() for name, value in load_file(path).items()}
    model.load_lora_adapter(state, prefix=None, adapter_name="a")
    # PEFT's weight goes into a DoRA's norm; darkroom's is that of the change, as in LyCORIS.
    result = model(**inputs).sample
    difference = ((result - fused).norm() / fused.norm()).item()
    print(f"  against PEFT: {difference:.2e}")
    if difference > 1e-5:
        raise SystemExit(f"{path}: fused, it differs from PEFT by {difference}")


def run(model, inputs):
    return model(**inputs).sample


def read_inputs(folder, family):
    stored = load_file(os.path.join(folder, "unet.safetensors" if family == "sd15" else "unet_sdxl.safetensors"))
    inputs = {"sample": to_channels_first(stored["odd.latent"]), "timestep": torch.tensor(TIME),
              "encoder_hidden_states": stored["odd.context"]}
    if family == "sdxl":
        ids = torch.tensor([[1024.0, 768.0, 0.0, 16.0, 1024.0, 768.0]]).repeat(2, 1)
        ids[1, 2] = 32.0
        inputs["added_cond_kwargs"] = {"text_embeds": stored["odd.pooled"], "time_ids": ids}
    return inputs, stored["odd.result"]


KINDS = ("lora", "peft", "mid", "loha", "lokr", "full", "norm", "dora-in", "dora-out")


def make_family(tool, folder, family):
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(tool, family, "tiny", scratch)
        golden = Golden(0)
        inputs, plain = read_inputs(folder, family)
        model = unet_model(checkpoint, family, checkpoint.head_dim)
        originals = original_names(checkpoint, model.config)
        base = to_channels_last(run(model, inputs))
        if (base - plain).norm() / plain.norm() > 1e-6:
            raise SystemExit("the inputs are not those of unet.safetensors")
        for i, kind in enumerate(KINDS):
            model = unet_model(checkpoint, family, checkpoint.head_dim)
            maker = Maker(model, 19 + i)
            names = modules(model)
            if kind == "full":
                names = [n for n in names if maker.state[n + ".weight"].numel() <= 6000]
            if kind.startswith("dora"):
                names = [n for n in names if "conv_shortcut" not in n]
            for module in names if kind != "norm" else ():
                maker.add(module, adapter_name(family, kind, module, originals), kind)
            if kind == "norm":
                for module in ("conv_norm_out", "down_blocks.0.resnets.0.norm1",
                               "down_blocks.1.attentions.0.transformer_blocks.0.norm2"):
                    maker.add_norm(module, adapter_name(family, kind, module, originals))
            path = os.path.join(folder, "adapters", f"{family}-{kind}.safetensors")
            save_adapter(maker.file, path)
            for strength in (1.0, STRENGTH):
                state = model.state_dict()
                changed = {n: maker.state[n] + strength * d for n, d in maker.deltas.items()}
                fused = unet_model(checkpoint, family, checkpoint.head_dim)
                fused.load_state_dict(state | changed)
                result = run(fused, inputs)
                if strength == 1.0 and kind in ("peft", "dora-out"):
                    check_with_peft(checkpoint, family, path, result, inputs)
            away = ((to_channels_last(result) - base).norm() / base.norm()).item()
            golden.keep(kind, to_channels_last(result))
            print(f"{family} {kind}: {len(names)} modules, {os.path.getsize(path)} bytes, changes {away:.3f}")
        metadata = dict(checkpoint.metadata)
        save_file(golden.tensors, os.path.join(folder, f"adapters_{family}.safetensors"), metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    os.makedirs(os.path.join(arguments.out, "adapters"), exist_ok=True)
    for family in ("sd15", "sdxl"):
        make_family(arguments.tool, arguments.out, family)


if __name__ == "__main__":
    main()
