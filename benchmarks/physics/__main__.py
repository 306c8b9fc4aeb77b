"""The physics report: how far the engine is from closed forms, Mie theory and an independent code.

    python -m benchmarks.physics [--quick] [--write]

Prints a table and ends with status 1 where an error is beyond its tolerance. `--quick` leaves out the slowest cases;
`--write` writes docs/physics-report.md and its plots.
"""

from __future__ import annotations

import argparse
import sys

import torch

from benchmarks.physics import ROOT
from benchmarks.physics.cases import findings
from benchmarks.physics.report import page, table


def main() -> int:
    """Print the table, write the page if asked, and return 1 where a tolerance is broken."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="leave out the slowest cases")
    options.add_argument("--write", action="store_true", help="write docs/physics-report.md and its plots")
    chosen = options.parse_args()
    if chosen.quick and chosen.write:
        options.error("the page holds every case, got --quick with --write; leave one of them out")
    with torch.no_grad():
        found = list(findings(chosen.quick))
        print(table(found))
        if chosen.write:
            from benchmarks.physics.plots import draw

            docs = ROOT / "docs"
            text = page(found, draw(docs / "images"), docs)
            (docs / "physics-report.md").write_text(text, encoding="utf-8")
            print("docs/physics-report.md")
    broken = [finding for finding in found if finding.verdict == "FAIL"]
    print(f"{len(found)} comparisons, {len(broken)} beyond their tolerance")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
