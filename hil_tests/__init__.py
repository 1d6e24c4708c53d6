"""A test rig for nodes: real boards with power switch and pulse generator, or virtual boards where there are none."""
