"""Photographs that are not ours to ship, from where they lie: each proven by its hash (extra `fetch`)."""
