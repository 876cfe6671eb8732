"""Identify pictures over HTTP: FastAPI and uvicorn around one `Identifier` a process, which threads share."""
