"""Load on the whole signed service: throughput, overload, fairness between customers, capacity."""
