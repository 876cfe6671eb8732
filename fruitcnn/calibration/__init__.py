"""What makes answers honest: temperature, familiarity, linear probes, intervals. Arrays in, arrays out.

No module here knows a configuration, a file, Keras or torch: with numpy alone a last layer is fitted and calibrated.
"""
