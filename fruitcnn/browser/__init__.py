"""The page for the web: a static folder that identifies pictures in any browser."""
