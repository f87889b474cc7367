"""One reader per form of data; each returns an ImageSource."""
