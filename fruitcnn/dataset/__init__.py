"""Photographs: drawing, scanning, splitting and keeping them as pixels."""
