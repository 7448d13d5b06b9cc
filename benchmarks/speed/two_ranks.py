#!/usr/bin/env python3
"""What ranks of one host bring to a command of the program: seconds by the clock, in turn, of one process, of two
processes that know nothing of each other, and of two ranks that share the work. Twice the first by the second is what
this host's two cores give at best; two cores of one chip share caches, memory and clock.

two_ranks.py [--times N] PROGRAM COMMAND…   e.g. two_ranks.py build/halftone evaluate MODEL --data DATA --threads 1
"""
import argparse
import statistics
import subprocess
import time


def seconds(commands):
    """Runs all at once, to the last one's end."""
    begin = time.monotonic()
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    for process in processes:
        errors = process.communicate()[1]
        if process.returncode not in (0, 1):
            raise SystemExit(errors.decode())
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("program")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    alone = [arguments.program, *arguments.command]
    ranks = [arguments.program, "launch", "-n", "2", "--", *arguments.command]
    print("    alone, s  two at once, s  two ranks, s  faster  at best")
    rows = []
    for _ in range(arguments.times):
        one, two, shared = seconds([alone]), seconds([alone, alone]), seconds([ranks])
        rows.append((one, two, shared, one / shared, 2 * one / two))
        print("{:12.2f}{:16.2f}{:14.2f}{:8.2f}{:9.2f}".format(*rows[-1]), flush=True)
    print("{:12.2f}{:16.2f}{:14.2f}{:8.2f}{:9.2f}  medians".format(*map(statistics.median, zip(*rows))))


if __name__ == "__main__":
    main()
