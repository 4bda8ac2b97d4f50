"""The real parts behind the ports: file system, clock, threads, locks and remotes."""
