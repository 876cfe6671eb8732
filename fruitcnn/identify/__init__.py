"""Identify pictures with an exported model: numpy, Pillow and onnxruntime, nothing heavier."""
