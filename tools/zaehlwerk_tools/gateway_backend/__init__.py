"""Virtual gateways in front of a real network server: the city's air behind ChirpStack's gateway topics, in real time.

The messages are those of ChirpStack's MQTT forwarder (chirpstack-api, gw.proto). What is said here about ChirpStack was
read in the source of 4.20 and is held against a recorded exchange by the tests.
"""
