"""What people deploy today, measured in the same emulator.

CMSIS-NN 99f736a (July 2026), called directly, without an interpreter, compiled with -O2 by arm-none-eabi-gcc 12.2
and by clang (zig 0.17.1); TFLite Micro 90b983c with CMSIS-NN. Cycles come from a static table for memories without
wait states that differs little from this project's: on the M0+ loads, stores and taken branches take 2; on the M4 a
load takes 2, directly behind a load 1, a taken branch 3.
"""

from __future__ import annotations

# By core and model: (instructions, cycles) of one inference as GCC and as clang compile it.
CMSIS_NN: dict[str, dict[str, tuple[tuple[float, float | None], tuple[float, float | None]]]] = {
    "m0plus": {
        "kws": ((28_988_696, 39_937_689), (24.9e6, 36.3e6)),
        "ic": ((97_548_282, 137_248_938), (102e6, 155e6)),
        "ad": ((1_758_675, 2_356_610), (1.83e6, 2.78e6)),
        "vww": ((86_890_702, 119_864_709), (74.4e6, 109e6)),
    },
    "m4": {
        "kws": ((7_573_997, 9_134_983), (8.73e6, 10.7e6)),
        "ic": ((29_775_043, 36_640_223), (31.5e6, 39.6e6)),
        "ad": ((579_844, 720_634), (0.674e6, 0.925e6)),
        "vww": ((23_766_391, 28_983_203), (27.4e6, 33.5e6)),
    },
    "m7": {
        "kws": ((7_591_027, None), (8.63e6, None)),
        "ic": ((29_955_366, None), (29.0e6, None)),
        "ad": ((579_874, None), (0.608e6, None)),
        "vww": ((23_874_518, None), (27.0e6, None)),
    },
}
NO_M7_CYCLES = "cycles of CMSIS-NN on the M7 are not known, so no ratio is given: its static table knows no dual issue"

# (instructions, cycles) per multiply-accumulate (per element for ADD, pools and softmax), the four models pooled, GCC.
CMSIS_NN_BY_TYPE: dict[str, dict[str, tuple[float, float | None]]] = {
    "m0plus": {
        "conv, 1 input channel": (9.43, 13.27),
        "conv, 3 input channels": (12.74, 18.11),
        "conv": (7.00, 9.87),
        "pointwise, < 64 channels": (11.51, 15.35),
        "pointwise": (7.20, 9.41),
        "pointwise, stride 2": (11.15, 14.87),
        "DEPTHWISE_CONV_2D": (36.93, 54.49),
        "FULLY_CONNECTED": (6.67, 8.94),
        "ADD": (237.43, 329.90),
        "AVERAGE_POOL_2D": (22.98, 26.25),
        "SOFTMAX": (866.42, 1189.62),
    },
    "m4": {
        "conv, 1 input channel": (3.49, 4.51),
        "conv, 3 input channels": (5.48, 7.28),
        "conv": (2.07, 2.53),
        "pointwise, < 64 channels": (3.70, 4.46),
        "pointwise": (1.93, 2.31),
        "pointwise, stride 2": (3.69, 4.57),
        "DEPTHWISE_CONV_2D": (7.90, 9.43),
        "FULLY_CONNECTED": (2.20, 2.73),
        "ADD": (79.20, 96.96),
        "AVERAGE_POOL_2D": (6.57, 9.83),
        "SOFTMAX": (251.21, 299.71),
    },
    "m7": {
        "conv, 1 input channel": (3.55, None),
        "conv, 3 input channels": (5.65, None),
        "conv": (2.08, None),
        "pointwise, < 64 channels": (3.70, None),
        "pointwise": (1.93, None),
        "pointwise, stride 2": (3.69, None),
        "DEPTHWISE_CONV_2D": (7.90, None),
        "FULLY_CONNECTED": (2.20, None),
        "ADD": (79.38, None),
        "AVERAGE_POOL_2D": (6.57, None),
        "SOFTMAX": (256.42, None),
    },
}

# The best known on silicon, MLPerf Tiny submissions on a NUCLEO-G0B1RE, L4R5ZI and H7A3ZI: closed code of others, wait
# states of their memories included, so no digit is comparable with cycles of a core model. vww by its nominal MACs.
SILICON_CYCLES_PER_MAC = {
    "m0plus": {"kws": 11.43, "ic": 7.79, "ad": 9.91, "vww": 12.09},
    "m4": {"kws": 1.95, "ic": 1.58, "ad": 1.84, "vww": 1.42},
    "m7": {"kws": 1.19, "ic": 0.91, "ad": 1.30, "vww": 0.89},
}

# TFLite Micro on the M4 with CMSIS-NN and int8 kernels only: the image without the .tflite, and arena_used_bytes().
TFLM_FLASH_BYTES = {"kws": 54_500, "ic": 52_200, "ad": 29_100, "vww": 54_500}
TFLM_ARENA_BYTES = {"kws": 22_820, "ic": 54_996, "ad": 2_580, "vww": 100_708}


def better_cmsis_nn(core: str, model: str) -> tuple[float, float | None]:
    """Instructions and cycles of CMSIS-NN, of each the better compiler's."""
    (gcc_instructions, gcc_cycles), (clang_instructions, clang_cycles) = CMSIS_NN[core][model]
    cycles = None if gcc_cycles is None or clang_cycles is None else min(gcc_cycles, clang_cycles)
    return min(gcc_instructions, clang_instructions), cycles
