"""Checks a log with MLPerf's own checker, and that the checker sees a fault.

usage: check_mllog.py FILE   # as written by write_mllog.cpp
"""

import pathlib
import sys
import tempfile

from mlperf_logging.compliance_checker import mlp_compliance

RULES = "0.7.0"


def keeps_the_rules(text):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "log.txt"
        path.write_text(text)
        checker = mlp_compliance.make_checker("training", RULES, quiet=False, werror=False)
        return mlp_compliance.main(str(path), f"training_{RULES}/common.yaml", checker)[0]


def main():
    text = pathlib.Path(sys.argv[1]).read_text()
    if not keeps_the_rules(text):
        return "the log breaks MLPerf's rules"
    without_start = "".join(line for line in text.splitlines(keepends=True) if '"run_start"' not in line)
    if keeps_the_rules(without_start):
        return "the checker accepts a log without run_start: this test shows nothing"
    return 0


sys.exit(main())
