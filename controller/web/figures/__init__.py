"""What Prometheus reads of the database at each scrape, by what it is about. Labels are bounded: docs/metrics.md."""
