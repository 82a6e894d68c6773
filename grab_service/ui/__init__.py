"""The web page; its files are in ``static/``. May use: no other room."""
