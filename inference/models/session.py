"""onnxruntime sessions: one for each model and process, shared by its threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from inference.arrays import Floats, Pixels
from inference.errors import InferenceError, ModelError
from inference.models.registry import ModelFile
from inference.models.setup import sha256_of

VERSION = str(ort.__version__)
CPU: tuple[str, ...] = ("CPUExecutionProvider",)


class Session:
    """A loaded model. `run` is thread-safe."""

    def __init__(self, models_dir: Path, file: ModelFile, providers: Sequence[str] = CPU) -> None:
        """Load a model file of `models_dir`.

        Raises ModelError if the file is missing, altered or cannot be loaded.
        """
        path = models_dir / file.file
        if sha256_of(path) != file.sha256:
            raise ModelError(
                f"{path} is missing or altered; run: python -m inference.models.setup --models {models_dir}"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=list(providers))
        except (ort.capi.onnxruntime_pybind11_state.Fail, RuntimeError, ValueError) as error:
            raise ModelError(f"{file.name} cannot be loaded: {error}") from error
        self.name = file.name
        self._input = self._session.get_inputs()[0].name

    def run(self, pictures: Sequence[Pixels]) -> list[Floats]:
        """Return all outputs, in the model's order, for pictures (height, width, 3) BGR of one size.

        Raises InferenceError (5001).
        """
        try:
            return list(self._session.run(None, {self._input: np.stack(pictures)}))
        except RuntimeError as error:
            raise InferenceError(f"{self.name} failed: {error}") from error
