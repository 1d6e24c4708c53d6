"""The technician's command line and the simulator, a city in software."""
