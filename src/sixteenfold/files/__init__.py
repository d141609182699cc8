"""How files are opened, locked and written, whatever is in them."""
