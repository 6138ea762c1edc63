"""One module a page of `docs/reference/`: each reads the code, and returns the page's text from `page`."""
