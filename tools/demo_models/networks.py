"""The networks, with the names of the original single-file layouts, so that a state dict is a file's tensors.

At wide resolutions a 3x3 kernel costs most of the training, so some kernels are trained grouped or as a point
(`Conv.groups`, `Conv.point`); `dense` is what they mean as the full kernels that the layouts have.
"""
import math

import torch
from torch import nn
from torch.nn import functional

GROUPS = 32  # of every group norm: the layouts' rule
HEADS = 4    # of every attention but the VAE's
WIDTH = 64   # of a text encoder, and of its pooled vector
SIZES = 6    # numbers that SDXL is told of a picture, each as a sinusoid of SIZE_WIDTH
SIZE_WIDTH = 256


class Conv(nn.Conv2d):
    """A 3x3 convolution of the layout, which may be trained with fewer weights than it has in the file."""

    def __init__(self, inner, outer, *, groups=1, point=False, stride=1, padding=1):
        super().__init__(inner, outer, 1 if point else 3, stride, 0 if point else padding, groups=groups)

    def dense(self):
        """The full [out, in, 3, 3] kernel."""
        outer, inner, side = self.out_channels, self.in_channels, self.kernel_size[0]
        full = torch.zeros(outer, inner, 3, 3)
        first = 1 if side == 1 else 0
        rows, columns = outer // self.groups, inner // self.groups
        for group in range(self.groups):
            full[group * rows:(group + 1) * rows, group * columns:(group + 1) * columns,
                 first:first + side, first:first + side] = self.weight[group * rows:(group + 1) * rows].detach()
        return full


def dense_state(module):
    """The state dict with every kernel as the layout has it."""
    state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    for name, part in module.named_modules():
        if isinstance(part, Conv):
            state[name + ".weight"] = part.dense()
    return state


def norm(channels, epsilon=1e-6):
    return nn.GroupNorm(GROUPS, channels, eps=epsilon)


def zero(module):
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    return module


def passing(conv):
    """A kernel for a change of size that starts near the plain one: copies, or averages of four where it halves."""
    taps = (slice(0, 2), slice(0, 2), 0.25) if conv.stride[0] == 2 else (slice(1, 2), slice(1, 2), 1.0)
    with torch.no_grad():
        conv.weight.mul_(0.5)
        conv.bias.zero_()
        for channel in range(conv.out_channels):
            conv.weight[channel, channel % conv.weight.shape[1], taps[0], taps[1]] += taps[2]
    return conv


# ---- VAE ----


class VaeResnet(nn.Module):
    """With `asleep` it is the identity that its last kernel, zero at the start, makes of it: not run, not trained."""

    def __init__(self, channels, groups, asleep=False):
        super().__init__()
        cheap, self.asleep = groups > 1, asleep
        self.norm1, self.conv1 = norm(channels), Conv(channels, channels, groups=groups)
        self.norm2, self.conv2 = norm(channels), zero(Conv(channels, channels, point=cheap))

    def forward(self, x):
        if self.asleep:
            return x
        h = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(h)))


class VaeAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.proj_out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        h = functional.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(h.transpose(1, 2).reshape(x.shape))


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = VaeResnet(channels, 1), VaeAttention(channels), VaeResnet(channels, 1)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Level(nn.Module):
    """Residual blocks, then perhaps a change of size."""

    def __init__(self, channels, blocks, groups, asleep, **resample):
        super().__init__()
        self.block = nn.ModuleList(VaeResnet(channels, groups, asleep) for _ in range(blocks))
        for name, conv in resample.items():
            holder = nn.Module()
            holder.conv = conv
            setattr(self, name, holder)

    def forward(self, x):
        for block in self.block:
            x = block(x)
        if hasattr(self, "downsample"):
            x = self.downsample.conv(functional.pad(x, (0, 1, 0, 1)))
        if hasattr(self, "upsample"):
            x = self.upsample.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class Encoder(nn.Module):
    def __init__(self, channels, groups, blocks):
        super().__init__()
        self.conv_in = Conv(3, channels)
        self.down = nn.ModuleList()
        for level, count in enumerate(groups):
            after = groups[level + 1] if level + 1 < len(groups) else None
            down = {}
            if after:
                down["downsample"] = passing(Conv(channels, channels, groups=after, stride=2, padding=0))
            self.down.append(Level(channels, blocks, count, level == 0, **down))
        self.mid, self.norm_out, self.conv_out = Middle(channels), norm(channels), Conv(channels, 8)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(functional.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, channels, groups, blocks):
        super().__init__()
        self.conv_in, self.mid = Conv(4, channels), Middle(channels)
        self.up = nn.ModuleList()
        for level, count in enumerate(groups):
            up = {"upsample": passing(Conv(channels, channels, groups=groups[level - 1]))} if level else {}
            self.up.append(Level(channels, blocks + 1, count, level == 0, **up))
        self.norm_out, self.conv_out = norm(channels), Conv(channels, 3)

    def forward(self, x):
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(functional.silu(self.norm_out(x)))


class Vae(nn.Module):
    """Factor 8, four latent channels. `groups`: of the 3x3 kernels of each level, the picture's own size first.

    The blocks at the picture's own size, most of the work for little gain with pictures as plain as these, are asleep.
    """

    def __init__(self, channels=64, groups=(8, 4, 1, 1), blocks=1):
        super().__init__()
        self.encoder, self.decoder = Encoder(channels, groups, blocks), Decoder(channels, groups, blocks)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(8, 8, 1), nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            # Log variances start low: latents that begin under noise as large as themselves teach nothing for long.
            self.quant_conv.bias[4:] -= 6

    def moments(self, picture):
        """Mean and log variance of the latents of pictures in -1..1."""
        mean, logvar = self.quant_conv(self.encoder(picture)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def decode(self, latent):
        return self.decoder(self.post_quant_conv(latent))


# ---- text encoders ----


class ClipAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for layer in (self.q_proj, self.k_proj, self.v_proj))
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(h.transpose(1, 2).flatten(2))


class ClipMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        h = self.fc1(x)
        return self.fc2(h * torch.sigmoid(1.702 * h))


class ClipLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.self_attn, self.mlp = ClipAttention(width, heads), ClipMlp(width)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class ClipText(nn.Module):
    """A text encoder in the names of transformers' CLIPTextModel."""

    def __init__(self, vocabulary, width=WIDTH, layers=3, heads=HEADS, positions=77):
        super().__init__()
        self.embeddings, self.encoder = nn.Module(), nn.Module()
        self.embeddings.token_embedding = nn.Embedding(vocabulary, width)
        self.embeddings.position_embedding = nn.Embedding(positions, width)
        self.encoder.layers = nn.ModuleList(ClipLayer(width, heads) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(width)
        for table in (self.embeddings.token_embedding, self.embeddings.position_embedding):
            nn.init.normal_(table.weight, std=0.2)

    def states(self, ids):
        """The embedded tokens and the state after each layer."""
        states = [self.embeddings.token_embedding(ids) + self.embeddings.position_embedding.weight[:ids.shape[1]]]
        for layer in self.encoder.layers:
            states.append(layer(states[-1]))
        return states

    def forward(self, ids):
        return self.final_layer_norm(self.states(ids)[-1])


class OpenClipAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width ** -0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        qkv = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(h.transpose(1, 2).flatten(2))


class OpenClipMlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x)))


class OpenClipLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn, self.mlp = OpenClipAttention(width, heads), OpenClipMlp(width)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class OpenClipText(nn.Module):
    """A text encoder in open_clip's names, with the projection of its pooled state."""

    def __init__(self, vocabulary, width=WIDTH, layers=3, heads=HEADS, positions=77):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(positions, width) * 0.2)
        self.text_projection = nn.Parameter(torch.randn(width, width) * width ** -0.5)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(100)), requires_grad=False)
        self.token_embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.token_embedding.weight, std=0.2)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(OpenClipLayer(width, heads) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)

    def states(self, ids):
        states = [self.token_embedding(ids) + self.positional_embedding[:ids.shape[1]]]
        for layer in self.transformer.resblocks:
            states.append(layer(states[-1]))
        return states

    def pooled(self, last, ends):
        """The projected state at each text's end."""
        return self.ln_final(last)[torch.arange(len(ends), device=ends.device), ends] @ self.text_projection


# ---- UNet ----


def sinusoid(values, width):
    """The timestep embedding: cosines first."""
    rates = torch.exp(-math.log(10000) * torch.arange(width // 2, device=values.device) / (width // 2))
    angles = values.float()[..., None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Resnet(nn.Module):
    def __init__(self, inner, outer, time):
        super().__init__()
        self.in_layers = nn.Sequential(norm(inner, 1e-5), nn.SiLU(), Conv(inner, outer, point=True))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outer))
        self.out_layers = nn.Sequential(norm(outer, 1e-5), nn.SiLU(), nn.Identity(), zero(Conv(outer, outer)))
        if inner != outer:
            self.skip_connection = nn.Conv2d(inner, outer, 1)

    def forward(self, x, time):
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        skip = self.skip_connection(x) if hasattr(self, "skip_connection") else x
        return skip + self.out_layers(h)


class Attention(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x, context):
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for part in (self.to_q(x), self.to_k(context), self.to_v(context)))
        h = functional.scaled_dot_product_attention(q, k, v)
        return self.to_out(h.transpose(1, 2).flatten(2))


class Geglu(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(Geglu(width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x):
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, context, heads)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x, context):
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    """Over the cells of a map; `linear` says whether its projections are matrices (SDXL) or 1x1 kernels (SD1.x)."""

    def __init__(self, width, context, heads, linear):
        super().__init__()
        self.linear, self.norm = linear, norm(width)
        project = (lambda: nn.Linear(width, width)) if linear else (lambda: nn.Conv2d(width, width, 1))
        self.proj_in, self.proj_out = project(), zero(project())
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, context, heads)])

    def forward(self, x, context):
        shape, h = x.shape, self.norm(x)
        if not self.linear:
            h = self.proj_in(h)
        h = h.flatten(2).transpose(1, 2)
        if self.linear:
            h = self.proj_in(h)
        for block in self.transformer_blocks:
            h = block(h, context)
        if self.linear:
            h = self.proj_out(h)
        h = h.transpose(1, 2).reshape(shape)
        return x + (h if self.linear else self.proj_out(h))


class Block(nn.ModuleList):
    """What stands at one number of input_blocks or output_blocks."""

    def forward(self, x, time, context):
        for part in self:
            if isinstance(part, Resnet):
                x = part(x, time)
            elif isinstance(part, Transformer):
                x = part(x, context)
            else:
                x = part(x)
        return x


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = Conv(channels, channels, stride=2)

    def forward(self, x):
        return self.op(x)


class Upsample(nn.Module):
    """A point kernel before the nearest neighbour's copies gives what it gives after them."""

    def __init__(self, channels):
        super().__init__()
        self.conv = Conv(channels, channels, point=True)

    def forward(self, x):
        return functional.interpolate(self.conv(x), scale_factor=2.0, mode="nearest")


class Unet(nn.Module):
    """`widths` and `attention` level by level, the latent's own size first; `vector` is SDXL's."""

    def __init__(self, *, widths, attention, context, heads, vector=0, linear=False, blocks=1):
        super().__init__()
        base, time = widths[0], 4 * widths[0]

        def block(inner, outer, attends):
            parts = [Resnet(inner, outer, time)]
            return parts + ([Transformer(outer, context, heads, linear)] if attends else [])

        self.time_embed = nn.Sequential(nn.Linear(base, time), nn.SiLU(), nn.Linear(time, time))
        if vector:
            self.label_emb = nn.Sequential(nn.Sequential(nn.Linear(vector, time), nn.SiLU(), nn.Linear(time, time)))
        channels, skips = base, [base]
        self.input_blocks = nn.ModuleList([Block([Conv(4, base)])])
        for level, width in enumerate(widths):
            for _ in range(blocks):
                self.input_blocks.append(Block(block(channels, width, attention[level])))
                channels = width
                skips.append(channels)
            if level + 1 < len(widths):
                self.input_blocks.append(Block([Downsample(channels)]))
                skips.append(channels)
        self.middle_block = Block([*block(channels, channels, True), Resnet(channels, channels, time)])
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for index in range(blocks + 1):
                parts = block(channels + skips.pop(), widths[level], attention[level])
                channels = widths[level]
                if level and index == blocks:
                    parts.append(Upsample(channels))
                self.output_blocks.append(Block(parts))
        self.out = nn.Sequential(norm(base, 1e-5), nn.SiLU(), zero(Conv(base, 4)))

    def forward(self, x, steps, context, vector=None):
        time = self.time_embed(sinusoid(steps, self.time_embed[0].in_features))
        if vector is not None:
            time = time + self.label_emb(vector)
        skips = []
        for block in self.input_blocks:
            x = block(x, time, context)
            skips.append(x)
        x = self.middle_block(x, time, context)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), time, context)
        return self.out(x)


def make_unet(family):
    """The two families' UNets: as small as these scenes allow."""
    shape = {"widths": (64, 64, 128), "attention": (False, True, True), "heads": HEADS}
    if family == "sd15":
        return Unet(context=WIDTH, **shape)
    return Unet(context=2 * WIDTH, vector=WIDTH + SIZES * SIZE_WIDTH, linear=True, **shape)
