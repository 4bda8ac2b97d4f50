"""Executors: workers that carry ops out, on this folder and on the remote. They never read the database."""
