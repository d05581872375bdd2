"""Read models: what pages, the API and the command line show. They read rows and change nothing."""
