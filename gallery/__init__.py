"""人脸库: groups of persons whose faces are stored for search. No other room stores a template.

A stored template is rotated by the secret matrix of its group (vectors/keys.py), and only scores leave this
room. docs/threat-model.md states what this protects against, and what not.
"""
