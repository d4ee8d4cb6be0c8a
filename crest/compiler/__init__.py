"""From a .tflite to firmware: graph, passes, memory plan, C, ELF."""
