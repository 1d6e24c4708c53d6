"""Measurements that the specification quotes."""
