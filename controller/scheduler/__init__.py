"""What runs on schedule, whether or not anybody watches: only ever in the process that holds the leader lease."""
