#error "floating point of CMSIS-NN is not built"
