"""Pages about the customer's account: login, settings, messages, orders and money."""
