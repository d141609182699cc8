"""How long the command line takes to answer: the quickest of several `sixteenfold --help`.

    python benchmarks/startup.py

The quickest counts, since whatever else the machine does can only add. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import time

RUNS = 10


def seconds(*words: str) -> float:
    """Wall time of one start."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    commands = {"python": ("-c", ""), "help": ("-m", "sixteenfold", "--help")}
    # In turns, so that both meet the same machine.
    times = [{name: seconds(*words) for name, words in commands.items()} for _ in range(RUNS)]
    best = {name: min(run[name] for run in times) for name in commands}
    print(f"an empty program {best['python']:.3f} s, --help {best['help']:.3f} s")
    print(json.dumps({"benchmark": "startup", "python_s": round(best["python"], 3), "help_s": round(best["help"], 3)}))


if __name__ == "__main__":
    main()
