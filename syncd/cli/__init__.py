"""The command line: asks, shows and starts. It decides nothing about files."""
