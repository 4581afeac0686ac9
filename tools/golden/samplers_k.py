#!/usr/bin/env python3
"""Write tests/golden/samplers_k.txt: what k-diffusion's samplers do over A1111's schedules, for src/sampling/sampler_test.c,
and tests/golden/brownian.txt: increments of torchsde's Brownian tree, for src/sampling/brownian_tree_test.c.

Run it in a Python environment with torch (CPU), numpy, scipy and torchsde 0.2.6:

    python tools/golden/samplers_k.py tests/golden

The update rules are stated again here, in double precision and in the formulas of the papers, after k_diffusion/sampling.py
(crowsonkb/k-diffusion, sample_heun to sample_dpmpp_3m_sde) and A1111's modules/sd_samplers_extra.py (restart); the schedules
after modules/sd_schedulers.py. Noise is torch's: its CPU generator, or torchsde.BrownianTree as k-diffusion's
BrownianTreeNoiseSampler asks it. The model is the fixed function of samplers.py.

Lines: as samplers.py writes them, and where more than the defaults is given
    tuned SAMPLER SCHEDULE STEPS PREDICTION STRENGTH ETA S_CHURN S_TMIN S_TMAX S_NOISE  latent[24]
"""
import math
import pathlib
import sys

import numpy as np
import scipy.stats
import torch
import torchsde

SHAPE = (1, 4, 2, 3)
COUNT = 24
SEED = 1234
STEPS = (1, 2, 3, 10, 20)
SCHEDULES = ("normal", "karras", "exponential", "polyexponential", "sgm-uniform", "simple", "beta", "kl-optimal",
             "align-your-steps", "leading", "trailing")
SAMPLERS = ("dpmpp-sde", "dpmpp-2m-sde-heun", "dpmpp-2s-a", "dpmpp-3m-sde", "dpm2", "dpm2-a", "lms", "restart")
DISCARDS = ("dpm2", "dpm2-a", "dpmpp-3m-sde")  # the level before 0, as A1111 does
PUBLISHED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)

BETAS = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float32) ** 2
ABAR = torch.cumprod(1 - BETAS, 0)
LEVELS = (((1 - ABAR) / ABAR) ** 0.5).double().numpy()
LOGS = np.log(LEVELS)
MOST, LEAST = float(LEVELS[-1]), float(LEVELS[0])


VARIANCE_PRESERVING = ("dpmpp-2m", "dpmpp-2m-sde")  # darkroom has diffusers' view of them: the start, and whole times


def time_of(sigma):
    return float(np.float32(np.interp(math.log(sigma), LOGS, np.arange(1000))))


def level_of(time):
    return math.exp(np.interp(time, np.arange(1000), LOGS))


def karras(n, least, most):
    ramp = np.linspace(0, 1, n)
    return (most ** (1 / 7) + ramp * (least ** (1 / 7) - most ** (1 / 7))) ** 7


def levels(schedule, n):
    """n levels, and the one where the last step ends."""
    if schedule == "karras":
        out = karras(n, LEAST, MOST)
    elif schedule in ("exponential", "polyexponential"):
        out = np.exp(np.linspace(math.log(MOST), math.log(LEAST), n))
    elif schedule == "beta":
        out = [LEAST + scipy.stats.beta.ppf(q, 0.6, 0.6) * (MOST - LEAST) for q in 1 - np.linspace(0, 1, n)]
    elif schedule == "kl-optimal":
        return np.tan(np.linspace(math.atan(MOST), math.atan(LEAST), n + 1))
    elif schedule == "align-your-steps":
        out = np.exp(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 11), np.log(PUBLISHED)))
    else:
        times = {"normal": lambda: np.linspace(999, 0, n), "sgm-uniform": lambda: np.linspace(999, 0, n + 1)[:-1],
                 "simple": lambda: [999 - int(i * (1000 / n)) for i in range(n)],
                 "leading": lambda: [i * (1000 // n) + 1 for i in range(n)][::-1],
                 "trailing": lambda: np.arange(1000, 0, -1000 / n).round()[:n] - 1}[schedule]()
        out = [level_of(time) for time in times]
    return np.append(out, 0)


def sigmas_of(sampler, schedule, n):
    out = levels(schedule, n + (sampler in DISCARDS))
    if sampler in DISCARDS:
        out = np.delete(out, -2)
    return [float(np.float32(s)) for s in out]


class Noise:
    def __init__(self, sigmas):
        self.generator = torch.Generator("cpu").manual_seed(SEED)
        self.sigmas = sigmas
        self.tree = None

    def next(self):
        return torch.randn(SHAPE, generator=self.generator).double().numpy().ravel()

    def between(self, sigma, to):
        if not self.tree:
            least = min(s for s in self.sigmas if s > 0)
            self.tree = torchsde.BrownianTree(t0=least, w0=torch.zeros(SHAPE), t1=max(self.sigmas), entropy=SEED)
        increment = -self.tree(min(sigma, to), max(sigma, to))
        return increment.double().numpy().ravel() / abs(sigma - to) ** 0.5


class Model:
    def __init__(self, prediction, rounds=False):
        self.prediction = prediction
        self.rounds = rounds

    def __call__(self, x, sigma):
        """The picture that the answer stands for."""
        time = round(time_of(sigma)) if self.rounds else time_of(sigma)
        scale = 1 / math.sqrt(sigma * sigma + 1)
        i = np.arange(COUNT)
        seen = (x * scale).astype(np.float32).astype(np.float64)
        answer = np.tanh(0.9 * seen + 0.3 * np.roll(seen, -1) + 0.5 * np.sin(0.7 * i + time / 300))
        if self.prediction == "eps":
            return x - sigma * answer
        return x * scale * scale - answer * sigma * scale


def ancestral(sigma, to, eta):
    up = min(to, eta * math.sqrt(to ** 2 * (sigma ** 2 - to ** 2) / sigma ** 2))
    return math.sqrt(max(to ** 2 - up ** 2, 0)), up


def middle(sigma, to):
    return float(np.float32(math.sqrt(sigma * to)))


def churned(x, i, sigmas, noise, tuned):
    """Before a step: x and its level, raised."""
    eps = noise.next() if tuned["s_churn"] > 0 else 0
    within = tuned["s_tmin"] <= sigmas[i] <= tuned["s_tmax"]
    gamma = min(tuned["s_churn"] / (len(sigmas) - 1), 2 ** 0.5 - 1) if within else 0
    hat = float(np.float32(sigmas[i] * (1 + gamma)))
    if gamma > 0:
        x = x + eps * tuned["s_noise"] * math.sqrt(hat ** 2 - sigmas[i] ** 2)
    return x, hat


def heun_step(model, x, sigma, to):
    d = (x - model(x, sigma)) / sigma
    if to == 0:
        return x + d * (to - sigma)
    x2 = x + d * (to - sigma)
    d2 = (x2 - model(x2, to)) / to
    return x + (d + d2) / 2 * (to - sigma)


def euler(model, x, sigmas, noise, tuned):
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, i, sigmas, noise, tuned)
        x = x + (x - model(x, sigma)) / sigma * (sigmas[i + 1] - sigma)
    return x


def euler_a(model, x, sigmas, noise, tuned):
    for sigma, to in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, to, tuned["eta"])
        x = x + (x - model(x, sigma)) / sigma * (down - sigma) + noise.next() * tuned["s_noise"] * up
    return x


def heun(model, x, sigmas, noise, tuned):
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, i, sigmas, noise, tuned)
        x = heun_step(model, x, sigma, sigmas[i + 1])
    return x


def dpm2(model, x, sigmas, noise, tuned):
    for i in range(len(sigmas) - 1):
        x, sigma = churned(x, i, sigmas, noise, tuned)
        to = sigmas[i + 1]
        d = (x - model(x, sigma)) / sigma
        if to == 0:
            x = x + d * (to - sigma)
            continue
        mid = middle(sigma, to)
        x2 = x + d * (mid - sigma)
        x = x + (x2 - model(x2, mid)) / mid * (to - sigma)
    return x


def dpm2_a(model, x, sigmas, noise, tuned):
    for sigma, to in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, to, tuned["eta"])
        d = (x - model(x, sigma)) / sigma
        if down == 0:
            x = x + d * (down - sigma)
            continue
        mid = middle(sigma, down)
        x2 = x + d * (mid - sigma)
        x = x + (x2 - model(x2, mid)) / mid * (down - sigma) + noise.next() * tuned["s_noise"] * up
    return x


def dpmpp_2s_a(model, x, sigmas, noise, tuned):
    for sigma, to in zip(sigmas, sigmas[1:]):
        down, up = ancestral(sigma, to, tuned["eta"])
        picture = model(x, sigma)
        if down == 0:
            x = picture
            continue
        mid = middle(sigma, down)
        x2 = mid / sigma * x + (1 - mid / sigma) * picture
        x = down / sigma * x + (1 - down / sigma) * model(x2, mid)
        if to > 0:
            x = x + noise.next() * tuned["s_noise"] * up
    return x


def dpmpp_sde(model, x, sigmas, noise, tuned):
    for sigma, to in zip(sigmas, sigmas[1:]):
        picture = model(x, sigma)
        if to == 0:
            x = picture
            continue
        mid = middle(sigma, to)
        down, up = ancestral(sigma, mid, tuned["eta"])
        x2 = down / sigma * x + (1 - down / sigma) * picture + noise.between(sigma, mid) * tuned["s_noise"] * up
        down, up = ancestral(sigma, to, tuned["eta"])
        x = down / sigma * x + (1 - down / sigma) * model(x2, mid) + noise.between(sigma, to) * tuned["s_noise"] * up
    return x


def sde(model, x, sigmas, noise, tuned, bend):
    """What the multistep SDE methods have in common; bend(h, earlier lengths, pictures) is what they add to order 1."""
    eta, lengths, pictures = tuned["eta"], [], []
    for sigma, to in zip(sigmas, sigmas[1:]):
        pictures = [model(x, sigma)] + pictures[:2]
        if to == 0:
            x = pictures[0]
            continue
        h = math.log(sigma / to)
        x = math.exp(-h * (1 + eta)) * x - math.expm1(-h * (1 + eta)) * pictures[0] + bend(h, eta, lengths, pictures)
        if eta:
            x = x + noise.between(sigma, to) * tuned["s_noise"] * to * math.sqrt(-math.expm1(-2 * h * eta))
        lengths = [h] + lengths[:1]
    return x


def bend_2m_heun(h, eta, lengths, pictures):
    if not lengths:
        return 0
    full = h * (1 + eta)
    return (math.expm1(-full) / full + 1) / (lengths[0] / h) * (pictures[0] - pictures[1])


def bend_2m(h, eta, lengths, pictures):
    if not lengths:
        return 0
    return 0.5 * -math.expm1(-h * (1 + eta)) / (lengths[0] / h) * (pictures[0] - pictures[1])


def bend_3m(h, eta, lengths, pictures):
    if not lengths:
        return 0
    full = h * (1 + eta)
    phi2 = math.expm1(-full) / full + 1
    d10 = (pictures[0] - pictures[1]) / (lengths[0] / h)
    if len(lengths) == 1:
        return phi2 * d10
    r0, r1 = lengths[0] / h, lengths[1] / h
    d11 = (pictures[1] - pictures[2]) / r1
    d1 = d10 + (d10 - d11) * r0 / (r0 + r1)
    d2 = (d10 - d11) / (r0 + r1)
    return phi2 * d1 - (phi2 / full - 0.5) * d2


def dpmpp_2m_sde(model, x, sigmas, noise, tuned):
    """With the noise of the sequence, as darkroom's (and diffusers') has it."""
    noise.between = lambda sigma, to: noise.next()
    return sde(model, x, sigmas, noise, tuned, bend_2m)


def dpmpp_2m(model, x, sigmas, noise, tuned):
    return sde(model, x, sigmas, noise, {**tuned, "eta": 0}, bend_2m)


def lms(model, x, sigmas, noise, tuned):
    slopes = []
    for i, (sigma, to) in enumerate(zip(sigmas, sigmas[1:])):
        slopes = [(x - model(x, sigma)) / sigma] + slopes[:3]
        nodes = [sigmas[i - j] for j in range(len(slopes))]
        for j, slope in enumerate(slopes):
            others = nodes[:j] + nodes[j + 1:]
            poly = np.poly1d(others, r=True) / np.prod([nodes[j] - o for o in others])
            integral = np.polyint(poly if others else np.poly1d([1.0]))
            x = x + (integral(to) - integral(sigma)) * slope
    return x


def restart(model, x, sigmas, noise, tuned):
    steps = len(sigmas) - 1
    pairs = list(zip(sigmas, sigmas[1:]))
    if steps >= 20:
        times = 2 if steps >= 36 else 1
        again = steps // 4 if times == 2 else 9
        main = [float(np.float32(s)) for s in karras(steps - again * times, sigmas[-2], sigmas[0])] + [0.0]
        low = int(np.argmin(np.abs(np.array(main) - 0.1)))
        high = int(np.argmin(np.abs(np.array(main) - 2)))
        up = [float(np.float32(s)) for s in karras(again + 1, main[low], main[high])]
        pairs = []
        for i in range(len(main) - 1):
            pairs.append((main[i], main[i + 1]))
            if i + 1 == low and high < low:
                pairs += list(zip(up, up[1:])) * times
    last = None
    for sigma, to in pairs:
        if last is not None and last < sigma:
            x = x + noise.next() * tuned["s_noise"] * math.sqrt(sigma ** 2 - last ** 2)
        x = heun_step(model, x, sigma, to)
        last = to
    return x


RUNS = {"euler": euler, "euler-a": euler_a, "heun": heun, "dpm2": dpm2, "dpm2-a": dpm2_a, "lms": lms, "restart": restart,
        "dpmpp-2m": dpmpp_2m, "dpmpp-2m-sde": dpmpp_2m_sde, "dpmpp-2s-a": dpmpp_2s_a, "dpmpp-sde": dpmpp_sde,
        "dpmpp-2m-sde-heun": lambda *a: sde(*a, bend_2m_heun), "dpmpp-3m-sde": lambda *a: sde(*a, bend_3m)}
PLAIN = {"eta": 1, "s_churn": 0, "s_tmin": 0, "s_tmax": math.inf, "s_noise": 1}


def run(sampler, schedule, steps, prediction, strength, **tuned):
    sigmas = sigmas_of(sampler, schedule, steps)
    taken = min(int(steps * strength), steps) if strength else steps
    sigmas = sigmas[steps - taken:]
    noise = Noise(sigmas)
    x = noise.next()
    if strength:
        x = 0.8 * np.sin(1.3 * np.arange(COUNT) + 0.2) + sigmas[0] * x
    else:
        both = schedule == "leading" or sampler in VARIANCE_PRESERVING
        first = math.sqrt(sigmas[0] ** 2 + 1) if both else sigmas[0]
        x = x * first
    rounds = sampler in VARIANCE_PRESERVING and schedule == "karras"
    x = RUNS[sampler](Model(prediction, rounds), x.astype(np.float32).astype(np.float64), sigmas, noise, {**PLAIN, **tuned})
    assert np.isfinite(x).all(), (sampler, schedule, steps)
    return x


def numbers(values):
    return " ".join(f"{v:.8g}" for v in values)


def write_runs(out):
    for sampler in SAMPLERS:
        for schedule in SCHEDULES:
            for steps in STEPS:
                if steps == 1 and schedule == "align-your-steps":
                    continue  # its one level is the least
                sigmas = sigmas_of(sampler, schedule, steps)
                if sampler != "restart":
                    times = [time_of(s) for s in sigmas[:-1]]
                    print("table", sampler, schedule, 0, steps, numbers(times), numbers(sigmas), file=out)
                for prediction in ("eps", "v") if steps in (3, 10) else ("eps",):
                    print("run", sampler, schedule, 0, steps, prediction, 0,
                          numbers(run(sampler, schedule, steps, prediction, 0)), file=out)
        for schedule, steps, strength in (("karras", 10, 0.5), ("normal", 20, 0.75), ("karras", 40, 0.6), ("karras", 40, 0)):
            print("run", sampler, schedule, 0, steps, "eps", strength,
                  numbers(run(sampler, schedule, steps, "eps", strength)), file=out)
    for sampler in ("euler", "heun"):  # the end that diffusers' classes do not have
        for steps in (1, 10):
            print("run", sampler, "kl-optimal", 0, steps, "eps", 0, numbers(run(sampler, "kl-optimal", steps, "eps", 0)), file=out)


def write_tuned(out):
    for sampler in RUNS:
        if sampler in ("euler", "heun", "dpm2"):
            rows = [dict(s_churn=10), dict(s_churn=100, s_noise=1.01), dict(s_churn=4, s_tmin=0.3, s_tmax=5),
                    dict(s_churn=4, s_tmin=20, s_tmax=30)]
        elif sampler == "restart":
            rows = [dict(s_noise=1.05)]
        elif sampler in ("lms", "dpmpp-2m"):
            continue
        else:
            rows = [dict(eta=0), dict(eta=0.5), dict(eta=0.7, s_noise=0.9)]
        for steps, strength in ((10, 0), (20, 0), (10, 0.5)):
            for row in rows:
                t = {**PLAIN, **row}
                print("tuned", sampler, "karras", steps, "eps", strength, t["eta"], t["s_churn"], t["s_tmin"], t["s_tmax"],
                      t["s_noise"], numbers(run(sampler, "karras", steps, "eps", strength, **row)), file=out)


def write_brownian(out):
    """SEED START END COUNT FROM TO increment[COUNT]"""
    rng = np.random.default_rng(5)
    for seed, start, end in ((7, 0.0291675, 14.6146469), (2 ** 40 + 3, 0.1, 2.0), (0, 1.0, 1.5), (2 ** 64 - 1, 0.03, 80.0)):
        start, end = float(np.float32(start)), float(np.float32(end))
        tree = torchsde.BrownianTree(t0=start, w0=torch.zeros(COUNT), t1=end, entropy=seed)
        asked = [(end, start), (start, end), (end, (start + end) / 2), ((start + end) / 2, start), (end * 0.75, end * 0.7)]
        asked += [tuple(rng.uniform(start, end, 2)) for _ in range(12)]
        asked += [(start + 1e-6, start), (start + 1e-3, start + 2e-6)]
        for sigma, to in asked:
            w = tree(min(sigma, to), max(sigma, to)) * (1 if sigma < to else -1) / abs(sigma - to) ** 0.5
            print(seed, f"{start:.17g} {end:.17g}", COUNT, f"{sigma:.17g} {to:.17g}", numbers(w.tolist()), file=out)


def main():
    folder = pathlib.Path(sys.argv[1])
    with open(folder / "samplers_k.txt", "w", encoding="utf-8") as out:
        write_runs(out)
        write_tuned(out)
    with open(folder / "brownian.txt", "w", encoding="utf-8") as out:
        write_brownian(out)


if __name__ == "__main__":
    sys.exit(main())
