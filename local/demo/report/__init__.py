"""The demo's report: its tables, its charts and its page."""
