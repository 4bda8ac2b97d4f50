"""Looks at the folder and at the remote, and says what was seen; decides nothing and never touches the database."""
