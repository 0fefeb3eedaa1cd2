"""What the book is made with: pages, style, tools (``book.tools``) and Sphinx extensions (``book._ext``)."""
