"""Train a learned codec, or go on training it: the same command resumes.

Pictures come from a folder of them, a packed set (.npz), or a folder of packed sets, by default
the one that GENCOMM_DATA names. The run's folder holds checkpoints, a log and sample sheets; at
the end the weights are written as the codec reads them, with a card beside:

    gencomm train cae --data photos/ --hours 8 --out runs/cae
    gencomm train cae --out runs/cae --decay-steps 3000
    gencomm send photo.jpg --codec "cae(weights=runs/cae/cae.safetensors)"

Without a recipe, the recipes are listed.
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", nargs="?", metavar="RECIPE", help='such as cae, or "cae(distortion=ms_ssim)"'
    )
    parser.add_argument(
        "--data", metavar="PATH", help="a folder of pictures, or packed sets (GENCOMM_DATA)"
    )
    parser.add_argument("--out", metavar="DIR", help="the run's folder (runs/<recipe>)")
    parser.add_argument("--hours", type=float, default=1.0, help="wall time of this call (1)")
    parser.add_argument("--steps", type=int, metavar="N", help="stop at this step, if it is first")
    parser.add_argument(
        "--decay-steps",
        type=int,
        default=0,
        metavar="N",
        help="lower the learning rate to zero over N steps; the constant phase stays as it is",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="begin from these, where there is no checkpoint"
    )
    parser.add_argument("--device", help="cpu or cuda (cuda where there is one)")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch (one per core)")
    parser.add_argument("--seed", type=int, default=0, help="of crops, noise and start (0)")


def run(args: argparse.Namespace) -> int:
    from gencomm import api
    from gencomm.cli.listing import show
    from gencomm.training.registry import RECIPES

    if args.recipe is None:
        return show(RECIPES, argparse.Namespace(name=None, json=False))
    trained = api.train(
        args.recipe,
        args.data,
        args.out,
        hours=args.hours,
        steps=args.steps,
        decay_steps=args.decay_steps,
        weights=args.weights,
        device=args.device,
        threads=args.threads,
        seed=args.seed,
    )
    print(f"{trained.weights}\n{trained.card}")
    return 0
