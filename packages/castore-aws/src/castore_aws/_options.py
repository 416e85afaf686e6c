"""Mistakes in the options of adapters, told before anything is sent."""


def check_options(**options: object) -> None:
    """Refuse a class where one of its instances belongs.

    Raises:
        TypeError: an option is a class.
    """
    for name, option in options.items():
        if isinstance(option, type):
            raise TypeError(f"{name} is the class {option.__name__}: give an instance of it")
