"""What tests say when they run on MicroPython, which has no pytest."""


def raises(kind, function, *arguments, **named):
    """The error of `kind` that the call raises; AssertionError when it raises nothing."""
    try:
        function(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError("%s was not raised" % kind.__name__)
