"""The data key of a group, and its derivatives: the rotation of templates and the tags of persons.

The key is 32 random bytes, stored encrypted under settings.ENCRYPTION_KEYS (accounts/keys.py). A rotation
preserves inner products, so a search works on rotated templates. Without the key, a stored template cannot be
compared with a template from elsewhere, not even with another group's template of the same person. What this
protects against, and what not: docs/threat-model.md. Deleting the group destroys its key.
"""

import hmac
import secrets
from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.conf import settings

from accounts import keys
from gallery.models import DIMENSIONS, FORMER_DIMENSIONS, Group

Floats = npt.NDArray[np.float64]


def new_key() -> str:
    """Return a new data key, encrypted."""
    return keys.cipher().encrypt(secrets.token_bytes(32)).decode()


def _data_key(group: Group) -> bytes:
    return keys.cipher().decrypt(group.key_encrypted.encode())


def is_readable(group: Group) -> bool:
    """Return whether ENCRYPTION_KEYS decrypt the group's data key."""
    try:
        _data_key(group)
    except InvalidToken:
        return False
    return True


def tag(group: Group, person_id: str) -> str:
    """Return the pseudonym of a person: a keyed hash of the id, 32 hex digits."""
    return hmac.new(_data_key(group), b"person:" + person_id.encode(), sha256).hexdigest()[:32]


def rotation(group: Group) -> Floats:
    """Return the group's orthogonal matrix, of DIMENSIONS rows and columns."""
    return _rotation(group, b"rotation of 258", DIMENSIONS)


def former_rotation(group: Group) -> Floats:
    """Return the matrix of the version before, of FORMER_DIMENSIONS rows and columns."""
    return _rotation(group, b"rotation", FORMER_DIMENSIONS)


def _rotation(group: Group, label: bytes, dimensions: int) -> Floats:
    # The keys are an argument of the cache, so that a removed key is no longer accepted.
    return _drawn(group.key_encrypted, label, dimensions, tuple(settings.ENCRYPTION_KEYS))


@lru_cache(maxsize=64)  # two matrices for each group while the version before is served
def _drawn(encrypted: str, label: bytes, dimensions: int, _encryption_keys: tuple[str, ...]) -> Floats:
    """Draw a matrix uniformly (by Haar measure), with random numbers derived from the key and the label."""
    seed = hmac.new(keys.cipher().decrypt(encrypted.encode()), label, sha256).digest()
    size = dimensions * dimensions
    cipher = Cipher(algorithms.AES(seed), modes.CTR(bytes(16)))
    stream = cipher.encryptor().update(bytes(size * 16))
    # Box-Muller on 53 bits each: the same numbers on every machine and with every version of numpy.
    bits = np.frombuffer(stream, "<u8").reshape(2, size) >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) / 2.0**53
    normal = np.sqrt(-2 * np.log(uniform[0])) * np.cos(2 * np.pi * uniform[1])
    orthogonal, triangular = np.linalg.qr(normal.reshape(dimensions, dimensions))
    matrix = np.asarray(orthogonal * np.sign(np.diag(triangular)))
    matrix.flags.writeable = False
    return matrix


def reencrypt() -> keys.Reencryption:
    """Re-encrypt every data key with the first of ENCRYPTION_KEYS, so that the others can be removed."""
    return keys.reencrypt_column(Group, "key_encrypted")
