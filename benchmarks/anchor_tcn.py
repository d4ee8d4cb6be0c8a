"""What a TCN of the published anchor shape costs on the nano33ble, beside the published figures of its TFLM build.

The published figures are whole-board power of another runtime (265 ms, 12.3 mJ): a neighbour, not a target.
"""

from __future__ import annotations

import numpy as np
from _figures import options, report
from rich.console import Console

from crest.backends.emulated import EmulatedBackend
from crest.compiler.importer import import_tflite
from crest.energy import load_energy_model
from crest.models.conversion import Converter
from crest.models.tcn import TCN
from crest.models.weights import initial_weights
from crest.pricing import Conditions, Pricing, Reserve
from crest.report import measurement_table
from crest.schedule import Cadenced, characterise
from crest.targets import load_target
from crest.workloads.base import Head

PUBLISHED_LATENCY_MS, PUBLISHED_ENERGY_MJ = 265.0, 12.3
ANCHOR = {
    "nb_filters": 10, "kernel_size": 12, "dropout": 0.0, "use_skip_connections": False, "batch_norm": True,
    "dilations": (1, 4, 8, 64),
}  # fmt: skip


def main() -> None:
    arguments = options(__doc__ or "")
    graph = TCN().build(ANCHOR, (200, 10), (Head("x", 1, "mse"), Head("y", 1, "mse")))
    calibration = np.random.default_rng(arguments.seed).standard_normal((100, 200, 10)).astype(np.float32)
    with Converter() as converter:
        tflite = converter.convert(graph, initial_weights(graph, arguments.seed), "int8", calibration)
    target = load_target("nano33ble")
    schedule = Cadenced(period_ms=200)
    pricing = Pricing(Conditions(target, schedule, Reserve(), max(target.clock_mhz)), EmulatedBackend())
    measurement = pricing.price(pricing.run(pricing.build(import_tflite(tflite, "anchor"))))
    Console().print(measurement_table(measurement))
    model = load_energy_model(target, "whole_board")
    states = model.states(measurement.clock_mhz, target.code_region, target.supply.volt)
    whole_board = characterise(measurement.latency_ms, states, schedule).energy_per_inference_uj
    figures = {
        "flash_bytes": float(measurement.memory.flash_bytes),
        "ram_bytes": float(measurement.memory.ram_bytes),
        "latency_ms": measurement.latency_ms.value,
        "energy_per_inference_uj": measurement.energy_per_inference_uj.value,
        "energy_per_inference_whole_board_uj": whole_board.value,
        "published_latency_ms": PUBLISHED_LATENCY_MS,
        "published_energy_whole_board_uj": PUBLISHED_ENERGY_MJ * 1e3,
    }
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
