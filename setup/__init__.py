"""What `make` calls before anything else: the virtual environment and the programs that PyPI does not carry.

Standard library only, because it runs before anything is installed. Everything it makes stays inside `.venv/` and
`.runtime/`; nothing of the system is changed and nothing needs root.
"""
