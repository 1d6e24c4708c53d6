"""The states of the lamp by name, as app/led.py numbers them; test_lamp_docs.py of CPython holds the two together."""

IDENTIFY, SENDING, SAFE_MODE, FAULT, LOW_BATTERY, JOINING, UNANSWERED, JOINED = range(8)
