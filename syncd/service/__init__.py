"""The composition root: puts real parts behind the engine's ports and keeps what outlives the database."""
