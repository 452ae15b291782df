"""人脸库: groups of persons whose faces are stored for search. No other room stores a template.

A stored template is rotated by the secret matrix of its group (vectors/keys.py), and only scores leave this
room. docs/decisions/0501-face-gallery.md describes the threats that this protects against.
"""
