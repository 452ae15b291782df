"""Convert the model files of the packages to ONNX graphs that onnxruntime runs fast. Set-up only.

Every function takes the bytes of one file and returns the bytes of another, identical on every machine: the
registry pins the SHA-256 of both. Needs the `onnx` package, which nothing imports at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from inference.errors import ModelError
from inference.models.conversion_dlib import MEAN_RGB, resnet_model

YUNET_STRIDES = (8, 16, 32)
HEAD_CHANNELS = 16
POINTWISE: dict[str, Any] = {"kernel_shape": [1, 1]}
DEPTHWISE_HEAD: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "group": HEAD_CHANNELS}
DLIB_SCALED = (MEAN_RGB, 1 / 256)


def _arrays(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _prune(graph: onnx.GraphProto) -> None:
    """Remove unused weights and inputs; weights listed as inputs keep onnxruntime from constant folding."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    names = {tensor.name for tensor in kept}
    inputs = [value for value in graph.input if value.name in used - names]
    del graph.initializer[:], graph.input[:], graph.value_info[:]
    graph.initializer.extend(kept)
    graph.input.extend(inputs)


def _make_shapes_dynamic(graph: onnx.GraphProto) -> None:
    """Make the batch size of every output dynamic, and the height and width of outputs that are maps."""
    for value in graph.output:
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param = "N"
        for index in range(2, len(dims)):
            dims[index].dim_param = f"{value.name}_{index}"


def _accept_pixels(
    graph: onnx.GraphProto, side_px: int | None = None, scaled: tuple[Sequence[float], float] | None = None
) -> None:
    """Change the input from float planes to pictures as OpenCV decodes them: (N, height, width, 3) uint8.

    Casting and transposing inside the graph is faster than before it, and uses memory that onnxruntime
    reuses. `side_px` is given for networks of a fixed input size, and `scaled`, (mean in RGB, factor), for
    those that do not normalise their input themselves.
    """
    planes = graph.input[0].name
    size: list[str | int] = [side_px, side_px] if side_px else ["height", "width"]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["N", *size, 3]))
    nodes = [helper.make_node("Cast", ["pixels"], ["pixels_float"], to=onnx.TensorProto.FLOAT)]
    ready = "pixels_float"
    if scaled:
        mean, factor = scaled
        graph.initializer.append(numpy_helper.from_array(np.array(mean[::-1], np.float32), "pixels_mean"))
        graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "pixels_factor"))
        nodes.append(helper.make_node("Sub", [ready, "pixels_mean"], ["pixels_centred"]))
        nodes.append(helper.make_node("Mul", ["pixels_centred", "pixels_factor"], ["pixels_scaled"]))
        ready = "pixels_scaled"
    nodes.append(helper.make_node("Transpose", [ready], [planes], perm=[0, 3, 1, 2]))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes + rest)


def _rgb_to_bgr(graph: onnx.GraphProto) -> None:
    """Reorder the weights of the first convolution to accept BGR, which saves a conversion at run time."""
    first = next(node for node in graph.node if node.op_type == "Conv")
    weights = next(tensor for tensor in graph.initializer if tensor.name == first.input[1])
    flipped = np.ascontiguousarray(numpy_helper.to_array(weights)[:, ::-1])
    weights.CopyFrom(numpy_helper.from_array(flipped, weights.name))


def _serialise(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _dequantise(graph: onnx.GraphProto) -> None:
    """Fold DequantizeLinear (per tensor, axis or block) and a following Reshape into fp32 weights."""
    arrays, folded, kept = _arrays(graph), {}, []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            quantised, scale = arrays[node.input[0]].astype(np.float32), arrays[node.input[1]]
            zero = arrays[node.input[2]].astype(np.float32) if len(node.input) > 2 else np.zeros_like(scale)
            folded[node.output[0]] = (quantised - _broadcast(zero, quantised, node)) * _broadcast(
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


def _broadcast(parameter: np.ndarray, weights: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    """Broadcast a scale or zero point of DequantizeLinear to the shape of its weights."""
    attributes = _attributes(node)
    axis, block = int(str(attributes.get("axis", 1))), int(str(attributes.get("block_size", 0)))
    if block and parameter.ndim == weights.ndim:
        return np.repeat(parameter, block, axis=axis).take(range(weights.shape[axis]), axis=axis)
    if parameter.ndim == 1 and parameter.size > 1:
        shape = [1] * weights.ndim
        shape[axis] = -1
        return parameter.reshape(shape)
    return parameter


def _replace_prelu(graph: onnx.GraphProto) -> None:
    """Replace PRelu(x) by (1 - a) * Relu(x) + a * x, as depthwise 1x1 convolutions.

    onnxruntime's PRelu leaves its blocked memory layout and took more than half of the embedding's time; the
    convolutions stay in that layout (28 ms → 14 ms per face, the same results except for rounding).
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


def _merge_heads(graph: onnx.GraphProto) -> None:
    """Merge YuNet's twelve outputs into three, one for each stride.

    Each is a map (N, 16, rows, columns): logits of class and objectness, four numbers of the box, ten of the
    landmarks. Each original output has its own pointwise and depthwise convolution, 1 + 1 + 4 + 10 channels
    wide. Concatenated they are one of each, as wide as onnxruntime's blocks, and the reshaping and sigmoids
    of cells that the detector never reads are dropped. The results are the same, and the network takes a
    sixth less time.
    """
    arrays, makers = _arrays(graph), {node.output[0]: node for node in graph.node}
    joined: list[onnx.NodeProto] = []
    outputs: list[onnx.ValueInfoProto] = []
    gone: set[str] = set()
    for stride in YUNET_STRIDES:
        chains = []
        for name in ("cls", "obj", "bbox", "kps"):
            node = makers[f"{name}_{stride}"]
            while node.op_type != "Conv":  # skip back over Sigmoid, Reshape, Transpose
                gone.add(node.output[0])
                node = makers[node.input[0]]
            chains.append((makers[node.input[0]], node))
        source, result = chains[0][0].input[0], f"stride_{stride}"
        for step, attributes in enumerate((POINTWISE, DEPTHWISE_HEAD)):
            nodes = [chain[step] for chain in chains]
            gone.update(node.output[0] for node in nodes)
            names = [f"{result}_weights_{step}", f"{result}_bias_{step}"]
            for index, name in enumerate(names, start=1):
                whole = np.concatenate([arrays[node.input[index]] for node in nodes])
                graph.initializer.append(numpy_helper.from_array(whole, name))
            target = f"{result}_mixed" if step == 0 else result
            joined.append(helper.make_node("Conv", [source, *names], [target], **attributes))
            source = target
        shape: list[str | int | None] = ["N", HEAD_CHANNELS, "rows", "columns"]
        outputs.append(helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, shape))
    kept = [node for node in graph.node if node.output[0] not in gone]
    del graph.node[:], graph.output[:]
    graph.node.extend(kept + joined)
    graph.output.extend(outputs)


def yunet(source: bytes) -> bytes:
    """Convert YuNet from block-quantised to fp32 with merged outputs; sides may be any multiples of 32."""
    model = onnx.load_from_string(source)
    _dequantise(model.graph)
    _merge_heads(model.graph)
    _accept_pixels(model.graph)
    _prune(model.graph)
    _make_shapes_dynamic(model.graph)
    return _serialise(model)


def sface(source: bytes) -> bytes:
    """Convert SFace from block-quantised to fp32 without PRelu, and add the output `planes`.

    `planes` holds the means of the last 1024 feature maps. They carry age information that the embedding
    loses.
    """
    model = onnx.load_from_string(source)
    _dequantise(model.graph)
    last = next(node for node in reversed(model.graph.node) if node.op_type == "PRelu").output[0]
    model.graph.node.append(helper.make_node("GlobalAveragePool", [last], ["planes_1x1"]))
    model.graph.node.append(helper.make_node("Flatten", ["planes_1x1"], ["planes"]))
    model.graph.output.append(helper.make_tensor_value_info("planes", onnx.TensorProto.FLOAT, ["N", 1024]))
    _replace_prelu(model.graph)
    _rgb_to_bgr(model.graph)
    _accept_pixels(model.graph, 112)
    _prune(model.graph)
    _make_shapes_dynamic(model.graph)
    return _serialise(model)


def centerface(source: bytes) -> bytes:
    """Convert CenterFace: weights no longer listed as inputs; sides may be any multiples of 32."""
    model = onnx.load_from_string(source)
    model.ir_version = max(model.ir_version, 4)
    _rgb_to_bgr(model.graph)
    _accept_pixels(model.graph)
    _prune(model.graph)
    _make_shapes_dynamic(model.graph)
    return _serialise(model)


def age(source: bytes) -> bytes:
    """Convert dlib's age network and add the output `features`: the 256 inputs of its last layer."""
    model = onnx.load_from_string(source)
    flat = next(node for node in model.graph.node if node.op_type == "Flatten")
    model.graph.node.append(helper.make_node("Identity", [flat.output[0]], ["features"]))
    model.graph.output.append(helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["N", 256]))
    _rgb_to_bgr(model.graph)
    _accept_pixels(model.graph, 64, DLIB_SCALED)
    return _serialise(model)


def gender(source: bytes) -> bytes:
    """Convert dlib's gender network."""
    model = onnx.load_from_string(source)
    _rgb_to_bgr(model.graph)
    _accept_pixels(model.graph, 32, DLIB_SCALED)
    return _serialise(model)


def dlib_resnet(source: bytes) -> bytes:
    """Convert dlib's face recognition network from dlib's own format."""
    model = resnet_model(source)
    _rgb_to_bgr(model.graph)
    _accept_pixels(model.graph, 150, DLIB_SCALED)
    return _serialise(model)


def copy(source: bytes) -> bytes:
    """Return the file unchanged."""
    return source


CONVERTERS: dict[str, Callable[[bytes], bytes]] = {
    "age": age,
    "copy": copy,
    "gender": gender,
    "yunet": yunet,
    "sface": sface,
    "centerface": centerface,
    "dlib_resnet": dlib_resnet,
}


def convert(name: str, source: bytes) -> bytes:
    """Run a converter of CONVERTERS. Raises ModelError if the file does not have the expected layout."""
    try:
        return CONVERTERS[name](source)
    except (ValueError, KeyError, IndexError, onnx.checker.ValidationError) as error:
        raise ModelError(f"the converter {name} cannot read its input: {error}") from error
