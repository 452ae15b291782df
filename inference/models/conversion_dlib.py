"""Convert dlib's face recognition network (29-convolution ResNet, 128 numbers per face) to ONNX.

The file is dlib's serialisation of nested layer templates. The layout of the network is known and fixed, so
only the tensors are read, located by the version tags that dlib writes before each layer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32]

SIDE_PX = 150
MEAN_RGB = (122.782, 117.001, 104.298)
STAGES = ((64, 3), (128, 2), (256, 2), (256, 0))  # channels after the down-sampling block, residual blocks
LAYER_TAG = re.compile(rb"\x01[\x04-\x10](con_\d|affine_2?|fc_\d|fc_no_bias_\d)")


def _read_integer(data: bytes, position: int) -> tuple[int, int]:
    """Read dlib's packed integer: a byte with length and sign, then little-endian digits."""
    control = data[position]
    size = control & 0x0F
    value = int.from_bytes(data[position + 1 : position + 1 + size], "little")
    return (-value if control & 0x80 else value), position + 1 + size


def _read_tensor(data: bytes, position: int) -> Array:
    version, position = _read_integer(data, position)
    if version != 2:
        raise ValueError(f"unsupported tensor version {version}")
    shape = []
    for _ in range(4):
        side, position = _read_integer(data, position)
        shape.append(side)
    return np.frombuffer(data, np.float32, int(np.prod(shape)), position).copy()


def _read_layers(data: bytes) -> tuple[list[Array], list[Array], Array]:
    """Return the flat parameters of the convolutions, affine layers and last dense layer, in file order.

    The file lists layers from the output to the input, but convolutions and affines still come in pairs.
    """
    convolutions: list[Array] = []
    affines: list[Array] = []
    full: list[Array] = []
    for match in LAYER_TAG.finditer(data):
        name, position = match.group(1), match.end()
        if name.startswith(b"fc"):
            for _ in range(2):  # outputs, inputs
                _, position = _read_integer(data, position)
        tensor = _read_tensor(data, position)
        kind = convolutions if name.startswith(b"con") else full if name.startswith(b"fc") else affines
        kind.append(tensor)
    if len(convolutions) != len(affines) or len(full) != 1:
        raise ValueError(f"{len(convolutions)} convolutions, {len(affines)} affines, {len(full)} full layers")
    return convolutions, affines, full[0]


@dataclass
class _Graph:
    """ONNX nodes and weights, added in order; `add` returns the name of the node's output."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name


class _Network:
    def __init__(self, convolutions: list[Array], affines: list[Array]) -> None:
        self.graph = _Graph()
        self.pairs = iter(list(zip(convolutions, affines, strict=True)))

    def convolve(self, x: str, inputs: int, outputs: int, kernel: int, stride: int) -> str:
        """Add a convolution with the following affine layer folded in.

        dlib pads only if the stride is 1. Raises ValueError if the parameters have the wrong size.
        """
        flat, affine = next(self.pairs)
        size = outputs * inputs * kernel * kernel
        if flat.size != size + outputs or affine.size != 2 * outputs:
            raise ValueError(f"a layer of {flat.size} numbers, expected {size + outputs}")
        gain, offset = affine[:outputs], affine[outputs:]
        weights = flat[:size].reshape(outputs, inputs, kernel, kernel) * gain[:, None, None, None]
        padding = kernel // 2 if stride == 1 else 0
        return self.graph.add(
            "Conv",
            x,
            self.graph.weight(weights),
            self.graph.weight(flat[size:] * gain + offset),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[padding] * 4,
        )

    def branch(self, x: str, inputs: int, outputs: int, stride: int) -> str:
        y = self.graph.add("Relu", self.convolve(x, inputs, outputs, 3, stride))
        return self.convolve(y, outputs, outputs, 3, 1)

    def pad(self, x: str, channels: int, side: int) -> str:
        if not channels and not side:
            return x
        pads = np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)
        return self.graph.add("Pad", x, self.graph.weight(pads), mode="constant")

    def block(self, x: str, channels: int) -> str:
        return self.graph.add("Relu", self.graph.add("Add", self.branch(x, channels, channels, 1), x))

    def halving_block(self, x: str, inputs: int, outputs: int, side: int) -> tuple[str, int]:
        """Halve the resolution; the pooled shortcut is zero-padded to the shape of the branch."""
        branch = self.branch(x, inputs, outputs, 2)
        pooled = self.graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
        branch_side, pooled_side = (side - 3) // 2 + 1, (side - 2) // 2 + 1
        side = max(branch_side, pooled_side)
        total = self.graph.add(
            "Add",
            self.pad(branch, 0, side - branch_side),
            self.pad(pooled, outputs - inputs, side - pooled_side),
        )
        return self.graph.add("Relu", total), side


def resnet_model(source: bytes) -> onnx.ModelProto:
    """Convert `dlib_face_recognition_resnet_model_v1.dat` to ONNX.

    The input is (N, 3, 150, 150), (RGB - MEAN_RGB) / 256; the output is (N, 128). Raises ValueError if the
    file has another layout.
    """
    convolutions, affines, full = _read_layers(source)
    network = _Network(convolutions, affines)
    graph = network.graph
    x = graph.add("Relu", network.convolve("input", 3, 32, 7, 2))
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    channels, side = 32, ((SIDE_PX - 7) // 2 + 1 - 3) // 2 + 1
    for _ in range(3):
        x = network.block(x, channels)
    for outputs, plain in STAGES:
        x, side = network.halving_block(x, channels, outputs, side)
        channels = outputs
        for _ in range(plain):
            x = network.block(x, channels)
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    weights = graph.weight(full.reshape(channels, -1))
    graph.nodes.append(helper.make_node("MatMul", [x, weights], ["embedding"]))
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "dlib_face_recognition_resnet_v1",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE_PX, SIDE_PX])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 128])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        producer_name="facecloud",
        ir_version=8,
    )
