"""Send one picture or clip once: write original and received side by side, print the ledger."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("item", metavar="ITEM", help='a file, or a source such as "photos"')
    parser.add_argument("--codec", help="(jpeg2000:bpp=0.5; for a clip h264:crf=30)")
    parser.add_argument("--channel", help='(bsc:1e-4; for a clip bsc:1e-5), "qpsk|awgn:ebno_db=8"')
    parser.add_argument(
        "--out", metavar="FILE", help=".png, .pdf or .svg (ITEM-received.png); for a clip .mp4 too"
    )
    parser.add_argument("--seed", type=int, default=0, help="which noise (0)")
    parser.add_argument("--trial", type=int, default=0, help="which draw of it (0)")
    parser.add_argument("--header", choices=("in_band", "protected"), default="in_band")
    parser.add_argument("--decode", choices=("lenient", "strict"), default="lenient")
    parser.add_argument("--conceal", choices=("grey", "mean"), default="grey")
    parser.add_argument(
        "--frames", choices=("pass", "last_frame", "drop"), default="pass",
        help="what is shown of a clip's damaged frames (pass: the decoder's own concealment)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, help="limit of a decode (10; for a clip 60)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from gencomm import api
    from gencomm.cli import output
    from gencomm.figures.saving import save
    from gencomm.isolation import Limits
    from gencomm.policy import Policy
    from gencomm.sending_clips import clips_of

    clip = clips_of(args.item)
    chosen = {
        "codec": args.codec,
        "channel": args.channel,
        "limits": None if args.seconds is None else Limits(seconds=args.seconds),
    }
    options = {name: value for name, value in chosen.items() if value is not None}
    options |= {
        "seed": args.seed,
        "trial": args.trial,
        "policy": Policy(args.header, args.decode, args.conceal, args.frames),
    }
    made: dict[str, str] = {}
    if clip is None:
        sent = api.send(args.item, **options)
        made["figure"] = str(sent.save(args.out or f"{Path(sent.item.id).stem}-received.png"))
    else:
        name = clip.ids[0].partition("#")[0].replace(" ", "-")
        out = Path(args.out or f"{name}-received.mp4")
        is_figure = out.suffix.lower() in (".png", ".pdf", ".svg")
        video = out.with_suffix(".mp4") if is_figure else out
        sent = api.send_clip(clip, video=video, **options)
        made["video"] = str(video)
        made["figure"] = str(save(sent.figure(), out if is_figure else out.with_suffix(".png")))
    if args.json:
        output.dump({**sent.as_dict(), **made})
    else:
        print(f"{sent}\n")
        print("\n".join(made.values()))
    return 0
