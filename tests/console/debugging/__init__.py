"""The online debugger and the API explorer."""
