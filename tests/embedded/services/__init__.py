"""The embedded services and the processes that are managed with them."""
