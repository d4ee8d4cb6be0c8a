"""Builds int8 models of several operators for tests: shapes are worked out, scales and weights are random."""

from __future__ import annotations

import numpy as np

from tests.tflite_writer import OpSpec, TensorSpec, write_tflite


class ModelWriter:
    """Each method appends an operator and returns the index of its output."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tensors: list[TensorSpec] = []
        self.ops: list[OpSpec] = []

    def activation(self, shape: tuple[int, ...], like: int | None = None) -> int:
        """A tensor of random quantization, or of that of another one."""
        if like is None:
            scale, zero_point = [float(np.float32(self.rng.uniform(0.02, 0.2)))], [int(self.rng.integers(-128, 128))]
        else:
            scale, zero_point = self.tensors[like].scale, self.tensors[like].zero_point
        return self._append(TensorSpec(tuple(shape), scale=scale, zero_point=zero_point))

    def conv(
        self, x, units, kernel=(1, 1), stride=(1, 1), dilation=(1, 1), same=False, activation="none", weights=None
    ):
        """CONV_2D; ``weights`` may change the random filters in place."""
        shape = (units, *kernel, self.shape(x)[3])
        options = self._window_options(stride, dilation, same)
        return self._weighted("CONV_2D", x, shape, self._window(x, kernel, stride, dilation, same, units),
                              {**options, "activation": activation}, weights)  # fmt: skip

    def depthwise(self, x, multiplier=1, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), same=True, activation="none",
                  weights=None):  # fmt: skip
        """DEPTHWISE_CONV_2D."""
        units = self.shape(x)[3] * multiplier
        options = {**self._window_options(stride, dilation, same), "multiplier": multiplier, "activation": activation}
        out_shape = self._window(x, kernel, stride, dilation, same, units)
        return self._weighted("DEPTHWISE_CONV_2D", x, (1, *kernel, units), out_shape, options, weights)

    def dense(self, x, units, activation="none", weights=None):
        """FULLY_CONNECTED."""
        depth = int(np.prod(self.shape(x)))
        return self._weighted("FULLY_CONNECTED", x, (units, depth), (1, units), {"activation": activation}, weights)

    def add(self, left, right, activation="none"):
        """ADD of equal shapes."""
        return self._op("ADD", [left, right], self.activation(self.shape(left)), {"activation": activation}, 2)

    def pool(self, x, kernel=(2, 2), stride=(2, 2), kind="MAX_POOL_2D", same=False):
        """A pool that keeps the quantization."""
        shape = self._window(x, kernel, stride, (1, 1), same, self.shape(x)[3])
        options = {
            **self._window_options(stride, (1, 1), same),
            "filter_h": kernel[0],
            "filter_w": kernel[1],
        }
        return self._op(kind, [x], self.activation(shape, like=x), options, 2)

    def mean(self, x, axes=(1, 2)):
        """MEAN over axes that are dropped."""
        kept = tuple(size for axis, size in enumerate(self.shape(x)) if axis not in axes)
        return self._op("MEAN", [x, self._ints(axes)], self.activation(kept), {}, 2)

    def relu(self, x, same_scale=True):
        """RELU, with or without a change of scale."""
        return self._op("RELU", [x], self.activation(self.shape(x), like=x if same_scale else None), {}, 2)

    def reshape(self, x, shape):
        """RESHAPE."""
        return self._op("RESHAPE", [x, self._ints(shape)], self.activation(shape, like=x), {}, 1)

    def pad(self, x, paddings):
        """PAD by (before, behind) of each axis."""
        shape = tuple(size + sum(pair) for size, pair in zip(self.shape(x), paddings, strict=True))
        table = self._append(TensorSpec((len(paddings), 2), "int32", data=np.array(paddings, np.int32)))
        return self._op("PAD", [x, table], self.activation(shape, like=x), {}, 2)

    def slice(self, x, begin, end, strides=None, shrink=()):
        """STRIDED_SLICE; the axes of ``shrink`` are dropped."""
        strides = strides or (1,) * len(begin)
        sizes = [len(range(*bounds)) for bounds in zip(begin, end, strides, strict=True)]
        shape = tuple(size for axis, size in enumerate(sizes) if axis not in shrink)
        bounds = [self._ints(values) for values in (begin, end, strides)]
        options = {"shrink_axis_mask": sum(1 << axis for axis in shrink)}
        return self._op("STRIDED_SLICE", [x, *bounds], self.activation(shape, like=x), options, 2)

    def scaled(self, x):
        """MUL with a constant for each channel."""
        factors = self.activation((self.shape(x)[-1],))
        self.tensors[factors].data = self.rng.integers(-128, 128, self.shape(x)[-1], dtype=np.int8)
        return self._op("MUL", [x, factors], self.activation(self.shape(x)), {}, 2)

    def join(self, x, count=2):
        """CONCATENATION of a tensor with itself along the channels."""
        shape = (*self.shape(x)[:-1], count * self.shape(x)[-1])
        axis = len(shape) - 1
        return self._op("CONCATENATION", [x] * count, self.activation(shape, like=x), {"axis": axis}, 2)

    def halves(self, x):
        """SPLIT of the channels; both outputs."""
        shape = (*self.shape(x)[:-1], self.shape(x)[-1] // 2)
        axis = self._append(TensorSpec((), "int32", data=np.array(len(shape) - 1, np.int32)))
        outputs = [self.activation(shape, like=x) for _ in range(2)]
        self.ops.append(OpSpec("SPLIT", [axis, x], outputs, {"num_splits": 2}, 2))
        return outputs

    def shape(self, x: int) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.tensors[x].shape

    def model(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The .tflite."""
        return write_tflite(self.tensors, self.ops, inputs, outputs)

    def _append(self, tensor: TensorSpec) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _ints(self, values) -> int:
        return self._append(TensorSpec((len(values),), "int32", data=np.array(values, np.int32)))

    def _op(self, kind, inputs, out, options, version) -> int:
        self.ops.append(OpSpec(kind, inputs, [out], options, version))
        return out

    def _window_options(self, stride, dilation, same):
        return {
            "padding": 0 if same else 1, "stride_h": stride[0], "stride_w": stride[1],
            "dilation_h": dilation[0], "dilation_w": dilation[1],
        }  # fmt: skip

    def _window(self, x, kernel, stride, dilation, same, units):
        sizes = []
        for size, taps, step, spread in zip(self.shape(x)[1:3], kernel, stride, dilation, strict=True):
            sizes.append(-(-(size if same else size - (taps - 1) * spread) // step))
        return (1, *sizes, units)

    def _weighted(self, kind, x, w_shape, out_shape, options, change):
        rng = self.rng
        data = rng.integers(-127, 128, w_shape, dtype=np.int8)
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        units = w_shape[axis]
        bias = rng.integers(-(2**13), 2**13, units).astype(np.int32)
        if change is not None:
            change(data)
        out = self.activation(out_shape)
        # About a third of the sums leave the range of the output.
        spread = 80 * np.sqrt(data[0].size if axis == 0 else data[..., 0].size) * 74
        w_scale = self.tensors[out].scale[0] / self.tensors[x].scale[0] * 128 / spread
        scales = [float(np.float32(w_scale * s)) for s in rng.uniform(0.5, 1.5, units)]
        filters = self._append(TensorSpec(w_shape, scale=scales, axis=axis, data=data))
        bias_scales = [self.tensors[x].scale[0] * scale for scale in scales]
        biases = self._append(TensorSpec((units,), "int32", scale=bias_scales, data=bias))
        return self._op(kind, [x, filters, biases], out, options, 4 if kind == "FULLY_CONNECTED" else 3)
