"""How long the package keeps a user waiting before any work: medians of several runs, as ratios to a bare Python."""

import statistics
import subprocess
import sys
import time

RUNS = 9
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import isingflow": ["-c", "import isingflow"],
    "isingflow --help": ["-m", "isingflow", "--help"],
    "import numpy, scipy.special, numba": ["-c", "import numpy, scipy.special, numba"],
}


def seconds(arguments):
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    times = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    bare = statistics.median(times["python -c pass"])
    print(f"start-up, medians of {RUNS} interleaved runs")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"  {name:<36} {median:6.3f} s   {median / bare:6.1f} x a bare Python")


if __name__ == "__main__":
    main()
