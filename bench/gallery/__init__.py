"""`bin/bench gallery --data DIR`: open-set identification, stated false-match rate, cost of a search.

Accuracy, on the pictures of DIR/verification: people with several pictures are enrolled with one and searched
with the others; people with one picture fill the gallery or are the strangers. Speed, on its own services:
searches over HTTP at several gallery sizes compared with face_detect of the same picture, enrolments per
second, and the HNSW index compared with the exact scan. The galleries are filled with synthetic people:
random ones or, with --data, people who resemble each other as those of DIR/verification do. Options:
--only accuracy|speed, --sizes, --indexed (sizes for which HNSW is measured too), --splits, --seconds.
"""

import argparse
from pathlib import Path

from bench.gallery.identification import accuracy, engine_of_models, people
from bench.gallery.population import Population
from bench.gallery.speed import speed


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench gallery", description=__doc__)
    parser.add_argument("--data", type=Path, help="the evaluation folder; without it, no accuracy")
    parser.add_argument("--only", choices=["accuracy", "speed"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--indexed", type=int, nargs="*", default=[10_000, 100_000], help="of the sizes")
    parser.add_argument("--splits", type=int, default=20, help="random choices of the strangers")
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    options = parser.parse_args()
    population = Population.random()
    if options.data:
        engine = engine_of_models()
        found = people(options.data, engine)
        population = Population.fitted(found)
        if options.only != "speed":
            accuracy(options.data, found, engine, options.splits)
    if options.only != "accuracy":
        speed(options.sizes, options.seconds, options.indexed, population)
    return 0
