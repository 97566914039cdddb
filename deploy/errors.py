"""Errors that keep the site from starting."""


class StartError(Exception):
    """The site cannot start or go on; the message is one line for people."""
