"""`python -m castore_cli` is the command `castore`."""

from castore_cli._app import main

if __name__ == "__main__":
    main()
