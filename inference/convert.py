"""Model files as their packages carry them, made into ONNX graphs that onnxruntime runs fast. Set-up only.

Every function takes the bytes of one file and returns the bytes of another, the same on every machine: the
registry pins the SHA-256 of both. Needs the `onnx` package, which nothing at run time imports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from inference.convert_dlib import dlib_resnet
from inference.errors import ModelError

Array = npt.NDArray[np.float32]


def _arrays(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _prune(graph: onnx.GraphProto) -> None:
    """Drop what no node reads; list no weights as inputs, which would keep onnxruntime from folding them."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    names = {tensor.name for tensor in kept}
    inputs = [value for value in graph.input if value.name in used - names]
    del graph.initializer[:], graph.input[:], graph.value_info[:]
    graph.initializer.extend(kept)
    graph.input.extend(inputs)


def _free_dimensions(graph: onnx.GraphProto, *names: str) -> None:
    """Make the first dimension of every input and output free, and those of the inputs that `names` lists."""
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param = "N"
        for dim, name in zip(list(dims)[-len(names) :] if names else [], names, strict=True):
            dim.dim_param = name
    for value in graph.output:
        dims = value.type.tensor_type.shape.dim
        for index in range(len(dims)):
            if index == 0 or (names and index < len(dims) - 1) or (names and len(dims) == 4):
                dims[index].dim_param = f"{value.name}_{index}" if index else "N"


def _serialise(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _dequantise(graph: onnx.GraphProto) -> None:
    """Fold DequantizeLinear (per tensor, per axis, per block) and the Reshape behind it into fp32 weights."""
    arrays, folded, kept = _arrays(graph), {}, []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            quantised, scale = arrays[node.input[0]].astype(np.float32), arrays[node.input[1]]
            zero = arrays[node.input[2]].astype(np.float32) if len(node.input) > 2 else np.zeros_like(scale)
            folded[node.output[0]] = (quantised - _spread(zero, quantised, node)) * _spread(
                scale, quantised, node
            )
        elif node.op_type == "Reshape" and node.input[0] in folded:
            folded[node.output[0]] = folded[node.input[0]].reshape(arrays[node.input[1]])
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    for name, array in folded.items():
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))


def _spread(parameter: np.ndarray, weights: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    """A scale or zero point of DequantizeLinear, broadcast to the shape of the weights that it belongs to."""
    attributes = _attributes(node)
    axis, block = int(str(attributes.get("axis", 1))), int(str(attributes.get("block_size", 0)))
    if block and parameter.ndim == weights.ndim:
        return np.repeat(parameter, block, axis=axis).take(range(weights.shape[axis]), axis=axis)
    if parameter.ndim == 1 and parameter.size > 1:
        shape = [1] * weights.ndim
        shape[axis] = -1
        return parameter.reshape(shape)
    return parameter


def _prelu_as_relu(graph: onnx.GraphProto) -> None:
    """PRelu(x) = (1 - a) * Relu(x) + a * x, written with depthwise 1x1 convolutions.

    onnxruntime's PRelu runs outside its blocked layout and took more than half of the embedding's time;
    the convolutions stay inside it (28 ms → 14 ms a face, results equal to rounding).
    """
    arrays, nodes = _arrays(graph), []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        source, result, slope = node.input[0], node.output[0], arrays[node.input[1]].reshape(-1, 1, 1, 1)
        weights = {"positive": (1 - slope).astype(np.float32), "linear": slope.astype(np.float32)}
        for name, array in weights.items():
            graph.initializer.append(numpy_helper.from_array(array, f"{result}_{name}_slope"))
        depthwise: dict[str, Any] = {"group": slope.shape[0], "kernel_shape": [1, 1]}
        nodes += [
            helper.make_node("Relu", [source], [f"{result}_relu"]),
            helper.make_node(
                "Conv", [f"{result}_relu", f"{result}_positive_slope"], [f"{result}_positive"], **depthwise
            ),
            helper.make_node("Conv", [source, f"{result}_linear_slope"], [f"{result}_linear"], **depthwise),
            helper.make_node("Add", [f"{result}_positive", f"{result}_linear"], [result]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def yunet(source: bytes) -> bytes:
    """YuNet, block-quantised → fp32, any height and width that are multiples of 32, any batch."""
    model = onnx.load_from_string(source)
    graph = model.graph
    _dequantise(graph)
    for node in graph.node:
        if node.op_type == "Reshape":  # [1, -1, k] → [0, -1, k]: keep the batch
            shape = next(tensor for tensor in graph.initializer if tensor.name == node.input[1])
            values = numpy_helper.to_array(shape).copy()
            values[0] = 0
            shape.CopyFrom(numpy_helper.from_array(values, shape.name))
    _prune(graph)
    _free_dimensions(graph, "height", "width")
    return _serialise(model)


def sface(source: bytes) -> bytes:
    """SFace, block-quantised → fp32 without PRelu, any batch."""
    model = onnx.load_from_string(source)
    _dequantise(model.graph)
    _prelu_as_relu(model.graph)
    _prune(model.graph)
    _free_dimensions(model.graph)
    return _serialise(model)


def centerface(source: bytes) -> bytes:
    """CenterFace with its weights no longer listed as inputs, any height and width, any batch."""
    model = onnx.load_from_string(source)
    if model.ir_version < 4:
        model.ir_version = 4
    _prune(model.graph)
    _free_dimensions(model.graph, "height", "width")
    return _serialise(model)


def age(source: bytes) -> bytes:
    """dlib's age network with one more output: `features`, the 256 numbers that its classes are made of."""
    model = onnx.load_from_string(source)
    flat = next(node for node in model.graph.node if node.op_type == "Flatten")
    model.graph.node.append(helper.make_node("Identity", [flat.output[0]], ["features"]))
    model.graph.output.append(helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["N", 256]))
    return _serialise(model)


def copy(source: bytes) -> bytes:
    """The file as it is."""
    return source


CONVERTERS: dict[str, Callable[[bytes], bytes]] = {
    "age": age,
    "copy": copy,
    "yunet": yunet,
    "sface": sface,
    "centerface": centerface,
    "dlib_resnet": dlib_resnet,
}


def convert(name: str, source: bytes) -> bytes:
    """Run the converter the registry names. Raises ModelError where the file is not as it should be."""
    try:
        return CONVERTERS[name](source)
    except (ValueError, KeyError, IndexError, onnx.checker.ValidationError) as error:
        raise ModelError(f"the converter {name} cannot read its input: {error}") from error
