"""Photographs: scanning, splitting and keeping them as pixels."""
