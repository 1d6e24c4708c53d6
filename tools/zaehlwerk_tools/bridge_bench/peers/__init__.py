"""Programs that do the bridge's work, or some of it, to measure the bridge against: each as a process of its own."""
