#!/usr/bin/env python3
"""Write tests/golden/samplers.txt: what diffusers' schedulers do, for src/sampling/sampler_test.c.

Run it in a Python environment with torch (CPU), numpy and diffusers 0.42.1:

    python tools/golden/samplers.py > tests/golden/samplers.txt

Instead of a UNet there is a fixed function of the model's input and the time, smooth and
nonlinear, which the C test states again. Noise comes from torch's CPU generator, which
base/random reproduces. Where diffusers' class lacks a schedule, its update runs over the
sigmas and times that the Euler class (or, for sgm-uniform, simple and align-your-steps, the definition) gives.
samplers_k.py has the samplers whose reference is k-diffusion, and kl-optimal.

Lines of the file, words apart by blanks:
    table SAMPLER SCHEDULE ZERO_SNR STEPS  times[STEPS] sigmas[STEPS+1]
    run SAMPLER SCHEDULE ZERO_SNR STEPS PREDICTION STRENGTH  latent[24]
STRENGTH 0 is text-to-image.
"""
import sys

import diffusers
import numpy as np
import torch
from diffusers import (DDIMScheduler, DDPMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler,
                       HeunDiscreteScheduler, LCMScheduler, PNDMScheduler, TCDScheduler, UniPCMultistepScheduler)

SHAPE = (1, 4, 2, 3)
COUNT = 24
SEED = 1234
SIGMA_SCHEDULES = ["normal", "karras", "exponential", "sgm-uniform", "leading", "trailing"]
LATER_SCHEDULES = ["polyexponential", "simple", "beta", "align-your-steps"]
PUBLISHED = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
SAMPLERS = {
    "euler": (EulerDiscreteScheduler, SIGMA_SCHEDULES),
    "euler-a": (EulerAncestralDiscreteScheduler, SIGMA_SCHEDULES),
    "heun": (HeunDiscreteScheduler, SIGMA_SCHEDULES),
    "dpmpp-2m": (DPMSolverMultistepScheduler, SIGMA_SCHEDULES),
    "dpmpp-2m-sde": (DPMSolverMultistepScheduler, SIGMA_SCHEDULES),
    "unipc": (UniPCMultistepScheduler, SIGMA_SCHEDULES),
    "ddim": (DDIMScheduler, ["leading", "trailing", "normal"]),
    "lcm": (LCMScheduler, ["lcm"]),
    "deis": (DEISMultistepScheduler, ["normal", "karras", "exponential", "beta", "leading", "trailing"]),
    "ddpm": (DDPMScheduler, ["leading", "trailing", "normal"]),
    "plms": (PNDMScheduler, ["leading"]),
    "tcd": (TCDScheduler, ["lcm"]),
}
BY_TIME = ("ddim", "lcm", "ddpm", "tcd")  # their steps are between times, not sigmas
STEPS = [1, 2, 3, 4, 5, 8, 10, 20, 30]
LATER_STEPS = [1, 3, 10, 20]
SPACING = {"leading": "leading", "trailing": "trailing"}


def config(sampler, schedule, zero_snr, prediction):
    """The constructor's arguments for Stable Diffusion."""
    args = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                prediction_type={"eps": "epsilon", "v": "v_prediction"}[prediction])
    if sampler in ("lcm", "tcd"):
        args["rescale_betas_zero_snr"] = zero_snr
        return args
    args["steps_offset"] = 1
    args["timestep_spacing"] = SPACING.get(schedule, "linspace")
    if sampler not in ("heun", "deis", "plms"):
        args["rescale_betas_zero_snr"] = zero_snr
    if sampler == "ddim":
        args.update(clip_sample=False, set_alpha_to_one=False)
    elif sampler == "plms":
        args.update(skip_prk_steps=True, set_alpha_to_one=False)
    elif sampler == "ddpm":
        args["clip_sample"] = False
    elif sampler != "euler-a":
        args["use_karras_sigmas"] = schedule == "karras"
        args["use_exponential_sigmas"] = schedule in ("exponential", "polyexponential")
        args["use_beta_sigmas"] = schedule == "beta"
    if sampler == "dpmpp-2m-sde":
        args["algorithm_type"] = "sde-dpmsolver++"
    return args


def defined(schedule, scheduler, steps):
    """Times and sigmas of the schedules that no class has, over the scheduler's own table."""
    abar = scheduler.alphas_cumprod.double()
    log_sigmas = np.log(np.array(((1 - abar) / abar) ** 0.5))
    if schedule == "align-your-steps":
        place = np.linspace(0, 1, steps)
        sigmas = np.exp(np.interp(place, np.linspace(0, 1, len(PUBLISHED)), np.log(PUBLISHED)))
        return np.interp(np.log(sigmas), log_sigmas, np.arange(1000)), np.append(sigmas, 0)
    times = np.linspace(999, 0, steps + 1)[:-1]
    if schedule == "simple":
        times = np.array([999 - int(i * (1000 / steps)) for i in range(steps)])
    sigmas = np.exp(np.interp(times, np.arange(1000), log_sigmas))
    return times, np.append(sigmas, 0)


def override(scheduler, sampler, times, sigmas):
    """Let the update run over a schedule that its class does not have."""
    times = torch.tensor(np.asarray(times), dtype=torch.float32)
    sigmas = torch.tensor(np.asarray(sigmas), dtype=torch.float32)
    if sampler == "heun":
        times = torch.cat([times[:1], times[1:].repeat_interleave(2)])
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    scheduler.timesteps, scheduler.sigmas = times, sigmas


def make(sampler, schedule, zero_snr, prediction, steps):
    scheduler = SAMPLERS[sampler][0](**config(sampler, schedule, zero_snr, prediction))
    scheduler.set_timesteps(steps)
    if schedule in ("sgm-uniform", "simple", "align-your-steps"):
        override(scheduler, sampler, *defined(schedule, scheduler, steps))
    elif sampler == "euler-a" and schedule in ("karras", "exponential", "polyexponential", "beta"):
        euler = make("euler", schedule, zero_snr, prediction, steps)
        override(scheduler, sampler, euler.timesteps.numpy(), euler.sigmas.numpy())
    return scheduler


def table(scheduler, sampler, steps):
    times, sigmas = scheduler.timesteps.double(), None
    if sampler in BY_TIME:
        def sigma(abar):
            return ((1 - abar.double()) / abar.double()) ** 0.5
        last = torch.tensor(0.0, dtype=torch.float64)
        if sampler == "tcd":
            last = sigma(scheduler.alphas_cumprod[0])
        if sampler == "ddim":
            end = int(times[-1]) - 1000 // steps
            last = sigma(scheduler.alphas_cumprod[max(end, 0)])
        sigmas = torch.cat([sigma(scheduler.alphas_cumprod[times.long()]), last[None]])
    else:
        sigmas = scheduler.sigmas.double()
        if sampler == "heun":
            times = torch.cat([times[:1], times[1::2]])
            sigmas = torch.cat([sigmas[:1], sigmas[1:-1:2], sigmas[-1:]])
    assert len(times) == steps and len(sigmas) == steps + 1, (sampler, steps, len(times))
    return times.tolist(), sigmas.tolist()


def model(x, time):
    """The stand-in for the UNet."""
    flat = x.double().flatten().numpy()
    i = np.arange(COUNT)
    drive = 0.9 * flat + 0.3 * np.roll(flat, -1) + 0.5 * np.sin(0.7 * i + time / 300)
    return torch.tensor(np.tanh(drive), dtype=torch.float32).reshape(SHAPE)


def run(sampler, schedule, zero_snr, steps, prediction, strength):
    scheduler = make(sampler, schedule, zero_snr, prediction, steps)
    generator = torch.Generator("cpu").manual_seed(SEED)
    noise = torch.randn(SHAPE, generator=generator)
    taken = min(int(steps * strength), steps) if strength else steps
    begin = (steps - taken) * scheduler.order
    times = scheduler.timesteps[begin:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    if strength:
        image = 0.8 * np.sin(1.3 * np.arange(COUNT) + 0.2)
        image = torch.tensor(image, dtype=torch.float32).reshape(SHAPE)
        x = scheduler.add_noise(image, noise, times[:1])
    else:
        x = noise * scheduler.init_noise_sigma
    extra = {} if sampler in ("heun", "unipc", "ddim", "plms", "deis") else {"generator": generator}
    for time in times:
        answer = model(scheduler.scale_model_input(x, time), float(time))
        x = scheduler.step(answer, time, x, **extra).prev_sample
    assert torch.isfinite(x).all(), (sampler, schedule, zero_snr, steps, prediction)
    return x.flatten().tolist()


def numbers(values):
    return " ".join(f"{v:.8g}" for v in values)


def write_pair(sampler, schedule, steps_list):
    for steps in steps_list:
        if sampler == "deis" and steps == 1 and schedule in ("karras", "exponential", "beta"):
            continue  # its class stays where it is
        if sampler != "plms":  # its class has one time twice
            times, sigmas = table(make(sampler, schedule, False, "eps", steps), sampler, steps)
            print("table", sampler, schedule, 0, steps, numbers(times), numbers(sigmas))
        for prediction in ("eps", "v"):
            print("run", sampler, schedule, 0, steps, prediction, 0,
                  numbers(run(sampler, schedule, False, steps, prediction, 0)))
    if sampler == "plms":  # its class begins image-to-image in the middle of its first step
        return
    for steps, prediction in ((4, "eps"), (10, "eps"), (10, "v"), (20, "eps")):
        for strength in (0.3, 0.5, 0.75, 1.0):
            print("run", sampler, schedule, 0, steps, prediction, strength,
                  numbers(run(sampler, schedule, False, steps, prediction, strength)))


def write_zero_snr(sampler, schedule):
    steps = 10
    if sampler not in BY_TIME:
        times, sigmas = table(make(sampler, schedule, True, "v", steps), sampler, steps)
        print("table", sampler, schedule, 1, steps, numbers(times), numbers(sigmas))
    print("run", sampler, schedule, 1, steps, "v", 0,
          numbers(run(sampler, schedule, True, steps, "v", 0)))


def main():
    assert diffusers.__version__ == "0.42.1", diffusers.__version__
    for sampler, (_, schedules) in SAMPLERS.items():
        for schedule in schedules:
            write_pair(sampler, schedule, STEPS)
            if sampler not in ("heun", "deis", "plms"):  # their classes know no zero terminal SNR
                write_zero_snr(sampler, schedule)
    for sampler, (_, schedules) in SAMPLERS.items():
        for schedule in LATER_SCHEDULES if schedules is SIGMA_SCHEDULES else ():
            write_pair(sampler, schedule, LATER_STEPS)


if __name__ == "__main__":
    sys.exit(main())
