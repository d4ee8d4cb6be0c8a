#error "the kernel of CMSIS-NN takes the place of this one"
