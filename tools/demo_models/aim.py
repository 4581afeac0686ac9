"""Where the heads of a UNet's attention over the text look before it is trained under a new text encoder.

The tokens after a caption's end each tell of one place of the picture or of the background (train.TextStage). Until a UNet knows
which, what it reads is a mixture of all places, and that teaches it little. So each head begins by looking at one thing: left or
right, whichever is on the cell's side; top or bottom likewise; the centre; the background. Its key is a linear reader of
what a token tells of, its query one of where the cell is, both fitted by ridge regression to the states that are there.
Training goes on from this and may change all of it.
"""
import torch
from torch.nn import functional

import captions

LEFT, RIGHT, TOP, BOTTOM, CENTRE = (captions.SLOTS.index(slot) for slot in ("left", "right", "top", "bottom", "centre"))
BACKGROUND = len(captions.SLOTS)
WORD = BACKGROUND + 1  # a token of the caption itself
LOGITS = 4.0           # between what a head is to look at and the rest
KEPT = 0.25            # of the queries and keys that were there


def fitted(states, answers, ridge):
    """The matrix [answers, width] that reads the answers [n, answers] out of the states [n, width] best; no bias."""
    square = states.T @ states / len(states)
    square += ridge * square.diagonal().mean() * torch.eye(len(square), device=square.device)
    return torch.linalg.solve(square, states.T @ answers / len(states)).T


def positions(side, device):
    """[side * side, 3]: on which side each cell of a square map is, left -1 and right 1, top -1 and bottom 1; and 1."""
    along = torch.sign(torch.arange(side, device=device) + 0.5 - side / 2)
    down, across = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([across.flatten(), down.flatten(), torch.ones(side * side, device=device)], dim=1)


@torch.no_grad()
def aim(model, batches):
    """Set the queries and keys of every attention over the text. Each batch is what the UNet takes (noisy latents, steps,
    context, vector) and what each token of its context tells of, [batch, tokens]: the number of a place in captions.SLOTS,
    BACKGROUND or WORD."""
    attentions = {name: part for name, part in model.named_modules() if name.endswith("attn2")}
    seen = {name: [] for name in attentions}
    hooks = [part.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(inputs[0]))
             for name, part in attentions.items()]
    for *inputs, _ in batches:
        model(*inputs)
    for hook in hooks:
        hook.remove()
    tokens = torch.cat([context.flatten(0, 1) for _, _, context, _, _ in batches])
    kinds = torch.cat([kinds.flatten() for *_, kinds in batches])
    keys = fitted(tokens, functional.one_hot(kinds, WORD + 1)[:, :WORD].float(), 1e-3)
    for name, part in attentions.items():
        cells = torch.cat(seen[name])
        where = positions(int(cells.shape[1] ** 0.5), cells.device).repeat(len(cells), 1)
        across, down, always = fitted(cells.flatten(0, 1), where, 1e-2)
        width = cells.shape[2] // part.heads
        scale = (LOGITS * width ** 0.5) ** 0.5
        part.to_q.weight.mul_(KEPT)
        part.to_k.weight.mul_(KEPT)
        pairs = (((across, keys[RIGHT] - keys[LEFT]), (always, keys[RIGHT] + keys[LEFT])),
                 ((down, keys[BOTTOM] - keys[TOP]), (always, keys[BOTTOM] + keys[TOP])),
                 ((always, keys[CENTRE]),), ((always, keys[BACKGROUND]),))
        for head, rows in enumerate(pairs):
            for row, (query, key) in enumerate(rows):
                part.to_q.weight[head * width + row] = scale * query
                part.to_k.weight[head * width + row] = scale * key
