"""Model families, layer graphs, their training and their conversion to .tflite."""
