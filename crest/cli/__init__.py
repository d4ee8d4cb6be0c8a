"""The command line: the only room that prints, one group of commands a module."""
