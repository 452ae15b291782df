"""人脸库: groups of persons whose faces are stored to be searched. Nothing else stores a template.

A stored template is rotated by the secret matrix of its group (keys.py) and leaves this room only as a score;
docs/decisions/0501-face-gallery.md says what that protects against.
"""
