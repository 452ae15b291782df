"""Fitting of the calibration set, and the tables of the model card that are made of it."""
