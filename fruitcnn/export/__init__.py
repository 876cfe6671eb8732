"""A trained model in every format: `formats` lists them, `exporter` writes them, a module writes each."""
