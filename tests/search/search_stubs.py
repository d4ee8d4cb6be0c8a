"""A small search problem with quick deterministic evaluators; also a program, for tests that kill it.

Latency and energy grow with the size of the network, the error falls with it; some candidates fail, by their hash. A
faster clock takes less time and more energy.
"""

import functools
import hashlib
import json
import sys
import time
from pathlib import Path

from crest.errors import CapacityError, EmulationError, TrainingError
from crest.ledger import TrainingSummary
from crest.measurement import Estimate, LayerCost, Measurement, MemoryReport
from crest.models.axes import CategoricalAxis, IntAxis, SubsetAxis
from crest.search.contracts import Evaluators, Finished, Priced, Trained
from crest.search.loop import SearchPlan, run_search
from crest.study import parse_study

SPACE = {
    "filters": IntAxis(2, 63),
    "rate": CategoricalAxis((0.0, 0.1, 0.2)),
    "skip": CategoricalAxis((True, False)),
    "dilations": SubsetAxis((1, 2, 4, 8, 16, 32), 2, 4),
}
LATENCY_LIMIT_MS = 60


def chance(*parts):
    """A number in [0, 1) that depends on the arguments alone."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def measurement(latency_ms, *, energy_uj=None, missed=None, factor=1.0, clock_mhz=64):
    exact = functools.partial(Estimate, origin="emulated")
    energy = Estimate.absent("no energy model") if energy_uj is None else exact(value=energy_uj * factor)
    return Measurement(
        target="board",
        backend="stub",
        schedule="cadenced 200 ms",
        clock_mhz=clock_mhz,
        elf_sha256="0" * 64,
        toolchain="stub",
        timing_model="stub",
        energy_model="stub",
        golden_pairs_checked=0,
        memory=MemoryReport(
            weights_bytes=int(latency_ms * clock_mhz / 64 * 100),
            code_bytes=5000,
            flash_harness_bytes=0,
            flash_total_bytes=5000,
            arena_bytes=int(latency_ms * clock_mhz / 64 * 50),
            arena_lower_bound_bytes=int(latency_ms * clock_mhz / 64 * 40),
            static_ram_bytes=0,
            stack_bytes=100,
            ram_harness_bytes=0,
            ram_total_bytes=100,
        ),
        layers=(LayerCost(index=0, name="l", operator="CONV_2D", macs=1, instructions=1, cycles=1.0),),
        instructions=1000,
        cycles=exact(value=latency_ms * clock_mhz * 1000 * factor),
        latency_ms=exact(value=latency_ms * factor),
        energy_per_inference_uj=energy,
        energy_per_window_uj=energy,
        average_power_uw=energy,
        duty_cycle=exact(value=min(1.0, latency_ms / 200)),
        deadline_missed=missed,
    )


def latency_ms(candidate, quantization):
    speed = 1.0 if quantization == "int8" else 2.5
    return speed * candidate["filters"] * len(candidate["dilations"]) / 2


class Stub:
    """Pricer, trainer and finisher in one; notes whom it trained and finished in ``log``."""

    def __init__(self, log=None, delay_s=0.0):
        self.log = log
        self.delay_s = delay_s

    def note(self, word, number):
        if self.log is not None:
            with Path(self.log).open("a") as file:
                file.write(f"{word} {number}\n")

    def price(self, candidate, quantization, clock_mhz=None):
        time.sleep(self.delay_s)
        cost = latency_ms(candidate, quantization)
        if cost > 150:
            raise CapacityError("does not fit", hint="take fewer filters")
        if chance("emulation", candidate) < 0.05:
            raise EmulationError("bus fault at 0x20041000")
        speed = (clock_mhz or 64) / 64
        energy = cost * speed**0.5 * (40 if candidate["skip"] else 37)
        price = measurement(cost / speed, energy_uj=energy, clock_mhz=clock_mhz or 64)
        proxies = {"flops": cost * 1e4, "macs": cost * 5e3, "parameters": cost * 9, "memory_traffic_bytes": cost * 70}
        return Priced(price, {**proxies, "memory_traffic_unfused_bytes": cost * 110}, f"key {cost}")

    def train(self, number, candidate, quantization, on_epoch):
        self.note("train", number)
        losses = tuple(1.0 / epoch for epoch in (1, 2, 3))
        for epoch, loss in enumerate(losses, start=1):
            time.sleep(self.delay_s / 3)
            on_epoch(epoch, loss)
        if chance("training", candidate) < 0.1:
            raise TrainingError("diverged")
        size = candidate["filters"] * len(candidate["dilations"])
        error = 3.0 / size**0.5 + 0.3 * candidate["rate"] + 0.05 * chance("noise", number, candidate)
        error += 0.0 if 8 in candidate["dilations"] else 0.2
        summary = TrainingSummary(epochs=3, seed=number, parameters=size, validation_loss=losses)
        return Trained({"rmse_total": error, "rmse_x": error / 2}, summary, f"models/{number}")

    def finish(self, record):
        self.note("finish", record.number)
        time.sleep(self.delay_s)
        price = record.price
        final = measurement(
            price.latency_ms.value,
            energy_uj=price.energy_per_inference_uj.value,
            factor=1.0 + 0.2 * chance("final", record.number),
            clock_mhz=price.clock_mhz,
        )
        return Finished(
            final,
            record.metrics,
            {"rmse_total": record.metrics["rmse_total"]},
            {"tflite": "m.tflite"},
            record.profile_key,
        )


def stub_evaluators(log=None, delay_s=0.0):
    stub = Stub(log, delay_s)
    return Evaluators(pricer=stub, trainer=stub)


def make_plan(policy=None, quantization=("int8", "float32"), space=None, clock_mhz=None, **search):
    study = parse_study(
        {
            "name": "stub",
            "workload": {"odometry": {}},
            "model": {"family": "stub"},
            "quantization": list(quantization),
            "targets": {"board": {"clock_mhz": clock_mhz}},
            "policy": policy
            or {
                "minimize": ["rmse_total", "energy_per_inference_uj"],
                "subject_to": [f"latency_ms <= {LATENCY_LIMIT_MS}", "rmse_total <= 1.4"],
            },
            "search": {"trials": 16, "startup_trials": 6, "batch": 3, "seed": 7, **search},
        }
    )
    return SearchPlan(study, space or SPACE, ("rmse_total", "rmse_x"), "data 1", {"crest": "test"})


def run_stub(plan, folder, *, evaluators=None, finisher=None, on_event=lambda event: None):
    return run_search(plan, folder, evaluators or stub_evaluators, finisher or Stub(), on_event)


def main(folder, log, delay_s, options):
    """Run to the end with delays; the tests kill this."""
    stub = functools.partial(stub_evaluators, log, float(delay_s))
    run_stub(make_plan(**json.loads(options)), Path(folder), evaluators=stub, finisher=Stub(log, float(delay_s)))


if __name__ == "__main__":
    main(*sys.argv[1:])
