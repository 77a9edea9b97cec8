"""Pages of the documentation: Markdown, read on the web and by ``gmemgpu help TOPIC``."""
