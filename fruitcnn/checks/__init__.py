"""What is wrong with a set of labelled pictures, before anybody trains on it. No file is changed."""
