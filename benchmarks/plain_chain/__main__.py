"""Run one step of the plain chain: python -m benchmarks.plain_chain STEP."""

import argparse
import os
import sys


def main() -> None:
    """Run the step named on the command line until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_chain")
    parser.add_argument("step", choices=["grab", "resize", "grayscale", "detect", "classify", "tag"])
    step = parser.parse_args().step
    if step == "grab":
        bind = f"127.0.0.1:{os.environ.get('PORT', '5000')}"
        options = ["--workers", "1", "--threads", "4", "--bind", bind, "--no-control-socket"]
        app = "benchmarks.plain_chain.grab:create_app()"
        os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options, app])

    from benchmarks.plain_chain import common, steps

    if step == "resize":
        common.run(step, "resize_queue", "grayscale_queue", steps.resize)
    elif step == "grayscale":
        common.run(step, "grayscale_queue", "objectdetect_queue", steps.grayscale)
    elif step == "detect":
        from benchmarks.plain_chain.detect import PlainDetector  # torch, which the light steps do without

        common.run(step, "objectdetect_queue", "classify_queue", PlainDetector())
    elif step == "classify":
        from benchmarks.plain_chain.classify import PlainClassifier  # torch, as above

        common.run(step, "classify_queue", "tag_queue", PlainClassifier())
    else:
        common.run(step, "tag_queue", "done_queue", steps.tag)


if __name__ == "__main__":
    main()
