"""What would happen: a plan over simulated traffic, another policy over stored evidence; nothing here acts."""
