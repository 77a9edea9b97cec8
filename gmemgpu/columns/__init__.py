"""Columns of files: text read by one grammar of cells, and problems that name row, column and value."""
