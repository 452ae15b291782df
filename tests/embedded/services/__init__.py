"""The embedded services and the processes that are managed beside them."""
