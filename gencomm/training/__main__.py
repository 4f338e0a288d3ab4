"""``python -m gencomm.training cae --out DIR --hours H``"""

from __future__ import annotations

import argparse

from gencomm.training import train


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m gencomm.training", description=train.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("recipe", help="name of a learned codec, such as cae")
    parser.add_argument("--data", help="pictures; by default the environment variable GENCOMM_DATA")
    parser.add_argument("--out", required=True, help="the run's folder")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--steps", type=int, help="stop at this step, if it comes first")
    parser.add_argument("--decay-steps", type=int, default=0)
    parser.add_argument("--weights", help="begin from these where there is no checkpoint")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the recipe"
    )
    args = vars(parser.parse_args())
    args["options"] = dict(option.split("=", 1) for option in args.pop("option"))
    args["seconds"] = 3600 * args.pop("hours")
    train(args.pop("recipe"), **args)


if __name__ == "__main__":
    main()
