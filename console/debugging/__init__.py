"""The online debugger: uploads in memory, one real call, and what is drawn on the picture."""
