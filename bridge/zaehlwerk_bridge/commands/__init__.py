"""Commands to nodes: taken from the broker, sent by the network server's queue, their fate told to the platform."""
