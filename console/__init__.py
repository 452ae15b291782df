"""The customers' pages: console, documentation and debugger."""
